"""What turns say of themselves: how long each phase took, and how much was done."""

import itertools

from multiraft.engine.figures import KEPT, PHASES, TurnFigures, Turns
from tests.engine.harness import TICK, Nodes, put

GROUP = 5


def counting():
    """A stopwatch that reads 0, 1, 2 and so on."""
    return itertools.count().__next__


def leading() -> Nodes:
    nodes = Nodes()
    nodes.create(GROUP)
    nodes.settle()
    nodes[1].turn()
    return nodes


def test_a_turn_of_a_node_times_each_phase_that_is_its_own():
    host = leading()[1]
    host.node.stopwatch = counting()
    figures = host.turn().figures
    assert list(figures.phases) == list(PHASES[:-1])
    assert set(figures.phases.values()) == {1}
    assert figures.seconds == len(PHASES) - 1


def test_a_node_without_a_stopwatch_takes_no_time():
    assert leading()[1].turn().figures.seconds == 0


def test_a_turn_counts_what_it_does():
    nodes = leading()
    commands = [put(b"a", b"1"), put(b"b", b"2")]
    nodes[1].propose(GROUP, *commands)
    proposed = nodes[1].turn().figures
    assert (proposed.groups, proposed.entries, proposed.applied) == (1, 2, 0)
    assert proposed.log_bytes > sum(map(len, commands))
    nodes.deliver()
    nodes[1].write()
    nodes[2].turn()
    nodes[2].write()
    nodes[2].turn()
    nodes.deliver()
    assert nodes[1].turn().figures.applied == 2


def test_a_turn_that_ticks_says_so():
    nodes = leading()
    nodes.now += 1.5 * TICK
    assert nodes[1].turn().figures.ticks == 1
    assert nodes[1].turn().figures.ticks == 0


def test_the_longest_turn_and_the_last_ones_are_kept():
    turns = Turns()
    for length in (3.0, 7.0, *[1.0] * KEPT):
        figures = TurnFigures(0.0)
        figures.laps += [0.0] * PHASES.index("apply") + [length]
        figures.wrote(2, 100)
        figures.messages, figures.sent_bytes, figures.ticks = 3, 60, 1
        turns.add(figures)
    found = turns.summary()
    assert turns.longest_seconds == 7
    assert found["longest"]["phases_ms"]["apply"] == 7000
    assert (found["recent"]["turns"], found["recent"]["ms"]) == (KEPT, KEPT * 1000)
    assert (found["recent"]["entries"], found["recent"]["log_bytes"]) == (KEPT * 2, KEPT * 100)
    taken = KEPT + 2
    assert (found["taken"], found["ticks"]) == (taken, taken)
    assert (found["messages"], found["sent_bytes"]) == (taken * 3, taken * 60)


def test_a_node_that_has_taken_no_turn_has_a_summary():
    found = Turns().summary()
    assert (found["taken"], found["recent"]["turns"], found["longest"]["ms"]) == (0, 0, 0)


def test_figures_change_nothing():
    """Two nodes that differ in their stopwatch only do the same."""

    def frames(stopwatch) -> list[bytes]:
        nodes = leading()
        host = nodes[1]
        host.node.stopwatch = stopwatch
        host.propose(GROUP, put(b"a", b"1"))
        return [frame.data for frame in host.node.turn(nodes.now, host.inputs).frames]

    assert frames(counting()) == frames(lambda: 0.0) != []

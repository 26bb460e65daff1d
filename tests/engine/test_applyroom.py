"""A state store that is slower than the log: memory stays bounded, and nothing is lost for it."""

from dataclasses import replace

from .harness import CONFIG, Nodes, put
from .settled import GROUP

SMALL = replace(CONFIG, memtable_bytes=4000)
EACH = 400


def crowded() -> Nodes:
    """One node, whose disk takes the log and no flush; 60 writes are committed."""
    nodes = Nodes(1, config=SMALL)
    for group in (GROUP, GROUP + 1):
        nodes.create(group)
    nodes.settle()
    for number in range(60):
        nodes[1].propose(GROUP + number % 2, put(b"%03d" % number, b"x" * 100), token=number)
        for _ in range(3):
            nodes.now += 0.01
            nodes[1].turn()
            nodes[1].write()
    return nodes


def test_applying_waits_for_a_flush_and_memory_stays_bounded():
    nodes = crowded()
    host = nodes[1]
    assert host.unflushed, "it begins before it must"
    assert host.state.pending_bytes < SMALL.memtable_bytes + 2 * EACH
    answered = [number for number in range(60) if host.answered(number)]
    assert 0 < len(answered) < 60
    assert host.node.backlog()["groups held back"] == 2
    for replica in host.node.replicas.running.values():
        assert replica.raw.raft.log.committed > replica.applied.index


def test_what_waited_is_applied_as_flushes_are_done():
    nodes = crowded()
    nodes.settle()
    assert [nodes[1].answer(number) for number in range(60)] == [[None]] * 60
    assert nodes[1].node.backlog()["groups held back"] == 0
    assert nodes[1].machine(GROUP).get(b"058") == b"x" * 100


def test_a_read_waits_with_what_it_has_to_see():
    nodes = crowded()
    host = nodes[1]
    host.read(GROUP, b"058")
    for _ in range(3):
        host.turn()
        host.write()
    assert not host.answered("read")
    nodes.settle()
    assert host.answer("read") == b"x" * 100


def test_spent_tables_are_freed_piece_by_piece(monkeypatch):
    monkeypatch.setattr("multiraft.engine.statemachine.overlay.TIDY_KEYS", 10)
    nodes = Nodes(1)
    nodes.create(GROUP)
    nodes.settle()
    state = nodes[1].state
    for number in range(25):
        state.group(GROUP).put(b"%d" % number, b"")
    flush = state.freeze()
    state.write(flush)
    state.flushed(flush)
    sizes = []
    for _ in range(4):
        sizes.append(sum(map(len, state._spent)))
        state.tidy()
    assert sizes == [25, 15, 5, 0]

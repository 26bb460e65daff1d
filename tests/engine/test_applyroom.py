"""A state store that is slower than the log: memory stays bounded, and nothing is lost for it."""

from dataclasses import replace

import pytest

from multiraft.engine.applyroom import ApplyRoom

from .harness import CONFIG, Host, Nodes, put
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


def test_when_there_is_room_again_not_everything_is_applied_in_one_turn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("multiraft.engine.applyroom.TURN_BYTES", 1)
    nodes = crowded()
    host = nodes[1]
    host.node._room._limit = 1 << 20  # there is room, without another flush
    before = applied(host)
    effects = host.turn()
    assert sorted(moved(before, applied(host))) == [False, True]
    assert effects.again, "the other group waits for the next turn, not for a flush"
    host.turn()
    assert moved(before, applied(host)) == [True, True]
    nodes.settle()
    assert [nodes[1].answer(number) for number in range(60)] == [[None]] * 60


def test_who_has_waited_is_served_first_and_who_was_stopped_not_at_all():
    nodes = crowded()
    host = nodes[1]
    room = ApplyRoom(host.state, 1 << 30)
    fresh, waiting = host.replica(GROUP), host.replica(GROUP + 1)
    room._room = 0
    room.admit(waiting)
    assert list(room.look({GROUP: fresh}, host.node.replicas.running)) == [GROUP + 1, GROUP]
    assert room.held == 0
    room._room = 0
    room.admit(waiting)
    active = {GROUP: fresh}
    assert list(room.look(active, {GROUP: fresh})) == [GROUP]
    assert active == {GROUP: fresh}


def applied(host: Host) -> list[int]:
    """The applied indexes of both groups."""
    return [host.replica(group).applied.index for group in (GROUP, GROUP + 1)]


def moved(before: list[int], after: list[int]) -> list[bool]:
    """Which of them have grown."""
    return [now > then for then, now in zip(before, after, strict=True)]


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

"""Every queue has a bound: what is refused beyond it, who is told, and what goes on."""

import pytest

from multiraft.raft import (
    DroppedRead,
    Message,
    MsgType,
    ProposalDropped,
    RawNode,
    ReadDropped,
    ReadDropReason,
    ReadState,
    Role,
)
from multiraft.raft.ids import NO_REPLICA
from multiraft.raft.role import become_follower
from tests.raft.harness import Group, answer, drain, handle, lead, of_type, replica, replicating


def contexts(raw: RawNode, first: int, last: int) -> None:
    for number in range(first, last + 1):
        raw.read_index(b"read %d" % number)


def limited(**settings: object) -> RawNode:
    return replicating(replica(max_pending_reads=3, **settings))


def confirm(raw: RawNode, context: bytes) -> None:
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, raw.raft.term, context=context))


# -- reads -----------------------------------------------------------------------------------------------


def test_unconfirmed_reads_are_bounded():
    raw = limited()
    contexts(raw, 1, 3)
    before = raw.export_state()
    with pytest.raises(ReadDropped, match="read b'read 4' dropped: 3 reads wait already") as dropped:
        contexts(raw, 4, 4)
    assert (dropped.value.context, dropped.value.waiting) == (b"read 4", 3)
    assert raw.export_state() == before


def test_postponed_reads_are_bounded():
    raw = lead(replica(max_pending_reads=3))
    contexts(raw, 1, 3)
    assert len(raw.raft.postponed_reads) == 3
    with pytest.raises(ReadDropped):
        contexts(raw, 4, 4)


def test_reads_that_a_leader_refused_do_not_make_room():
    """They come on top of those that wait here, so that there may be more than the limit."""
    raw = replica(max_pending_reads=3)
    raw.raft.dropped_reads += [DroppedRead(b"%d" % n, ReadDropReason.LIMIT) for n in range(4)]
    with pytest.raises(ReadDropped):
        raw.read_index(b"one more")


def test_reads_count_whatever_has_become_of_them():
    raw = limited()
    contexts(raw, 1, 2)
    confirm(raw, b"read 1")
    become_follower(raw.raft, raw.raft.term + 1, NO_REPLICA)
    assert (len(raw.raft.read_states), len(raw.raft.dropped_reads), raw.raft.waiting_reads()) == (1, 1, 2)


def test_reads_that_nobody_fetches_are_bounded():
    """Answered and dropped ones too, until the host takes a Ready."""
    raw = replica(max_pending_reads=3)
    contexts(raw, 1, 3)
    with pytest.raises(ReadDropped):
        contexts(raw, 4, 4)
    assert len(handle(raw).dropped_reads) == 3
    contexts(raw, 4, 4)


def test_there_is_room_again_once_reads_are_handed_out():
    raw = limited()
    contexts(raw, 1, 3)
    confirm(raw, b"read 2")
    with pytest.raises(ReadDropped):
        contexts(raw, 4, 4)
    assert [state.context for state in handle(raw).read_states] == [b"read 1", b"read 2"]
    contexts(raw, 4, 5)
    with pytest.raises(ReadDropped):
        contexts(raw, 6, 6)


def test_a_read_too_many_of_another_replica_is_refused_by_an_answer():
    group = Group(max_pending_reads=2)
    leader = group.elect(1)
    contexts(leader, 1, 1)
    contexts(group.nodes[2], 2, 4)
    group.lost = lambda m: m.type is MsgType.HEARTBEAT_RESP
    group.settle()
    assert len(leader.raft.reads) == 2
    refused = of_type(group.sent, MsgType.READ_INDEX_RESP, to=2)
    assert [(m.context, m.reject, m.index) for m in refused] == [(b"read 3", True, 0), (b"read 4", True, 0)]


def test_the_replica_that_asked_tells_its_host_of_the_refusal():
    raw = replica()
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    drain(raw)
    contexts(raw, 1, 2)
    sent = handle(raw).messages
    assert [(m.type, m.to, m.context) for m in sent] == [
        (MsgType.READ_INDEX, 2, b"read 1"),
        (MsgType.READ_INDEX, 2, b"read 2"),
    ]
    raw.step(Message(MsgType.READ_INDEX_RESP, 1, 2, 1, context=b"read 1", reject=True))
    raw.step(Message(MsgType.READ_INDEX_RESP, 1, 2, 1, context=b"read 2", index=7))
    ready = handle(raw)
    assert ready.dropped_reads == [DroppedRead(b"read 1", ReadDropReason.LIMIT)]
    assert ready.read_states == [ReadState(7, b"read 2")]


def test_a_repeated_request_needs_no_room():
    """Its repetition goes out with a new heartbeat, as the first one may have been lost."""
    raw = limited()
    raw.step(Message(MsgType.READ_INDEX, 1, 2, context=b"a"))
    contexts(raw, 1, 2)
    drain(raw)
    raw.step(Message(MsgType.READ_INDEX, 1, 2, context=b"a"))
    sent = drain(raw)
    assert not of_type(sent, MsgType.READ_INDEX_RESP)
    assert len(of_type(sent, MsgType.HEARTBEAT)) == 2
    assert len(raw.raft.reads) == 3


@pytest.mark.parametrize("make", [limited, lambda: lead(replica())], ids=["unconfirmed", "postponed"])
def test_reads_are_dropped_with_the_leadership(make):
    """Their own host is told; other replicas learn that their leader is gone."""
    raw = make()
    contexts(raw, 1, 1)
    raw.step(Message(MsgType.READ_INDEX, 1, 2, context=b"of another"))
    become_follower(raw.raft, raw.raft.term, NO_REPLICA)
    ready = handle(raw)
    assert ready.dropped_reads == [DroppedRead(b"read 1", ReadDropReason.LEADERSHIP_LOST)]
    assert not of_type(ready.messages, MsgType.READ_INDEX_RESP)


@pytest.mark.parametrize("pre_vote", [True, False])
def test_a_candidate_drops_reads_at_once(pre_vote: bool):
    raw = replica(pre_vote=pre_vote)
    raw.campaign()
    drain(raw)
    assert raw.raft.role in (Role.PRE_CANDIDATE, Role.CANDIDATE)
    contexts(raw, 1, 1)
    assert handle(raw).dropped_reads == [DroppedRead(b"read 1", ReadDropReason.NO_LEADER)]


def test_dropped_reads_of_others_are_not_told_here():
    raw = replica()
    raw.step(Message(MsgType.READ_INDEX, 1, 2, context=b"of another"))
    assert not raw.has_ready()


# -- what members are counted in --------------------------------------------------------------------------


def test_votes_and_acknowledgements_of_strangers_are_not_kept():
    """So that neither can hold more than there are members."""
    raw = replica()
    raw.campaign()
    for m in of_type(drain(raw), MsgType.VOTE):
        raw.step(answer(m))
        raw.step(answer(m))
    assert len(raw.raft.tracker.votes) <= 3
    drain(raw)
    raw.step(Message(MsgType.APP_RESP, 1, 2, 1, index=1))
    raw.read_index(b"read")
    for _ in range(5):
        confirm(raw, b"read")
    assert not len(raw.raft.reads)


def test_commit_notices_replace_each_other():
    raw = replicating(replica(commit_notices=True))
    for _ in range(20):
        last = raw.propose(b"x")
        assert last is not None
        handle(raw)
        raw.step(Message(MsgType.APP_RESP, 1, 2, 1, index=last.index))
    assert len(raw.raft.commits_to_tell) <= 2


@pytest.mark.parametrize(("limit", "taken"), [(5, 1), (6, 2), (8, 2), (9, 3)])
def test_uncommitted_bytes_add_up(limit: int, taken: int):
    raw = replicating(replica(max_uncommitted_size=limit))
    for _ in range(taken):
        raw.propose(b"abc")
    with pytest.raises(ProposalDropped):
        raw.propose(b"abc")
    assert raw.raft.uncommitted_size == 3 * taken

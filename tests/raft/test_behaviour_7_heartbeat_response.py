"""Behaviour 7: heartbeats have an answer of their own, on which the leader resends what may be missing."""

import pytest

from multiraft.raft import CorruptLog, HardState, Message, MsgType, ProgressState, Role
from tests.raft.harness import (
    Group,
    acknowledge,
    answer,
    drain,
    handle,
    lead,
    of_type,
    replica,
    replicating,
    storage_with,
)


def heartbeat(commit: int, term: int = 2, context: bytes = b"") -> Message:
    return Message(MsgType.HEARTBEAT, 1, 2, term, commit=commit, context=context)


@pytest.mark.parametrize(("commit", "expected"), [(3, 3), (1, 2)])
def test_heartbeat_is_answered_by_its_own_message(commit: int, expected: int):
    raw = replica(storage_with([1, 2, 2], hard_state=HardState(2, 0, 2)))
    raw.step(heartbeat(commit, context=b"read"))
    assert (raw.raft.log.committed, raw.raft.lead) == (expected, 2)
    [m] = drain(raw)
    assert (m.type, m.to, m.index, m.log_term, m.context) == (MsgType.HEARTBEAT_RESP, 2, 0, 0, b"read")


def test_the_answer_does_not_wait_for_the_disk():
    raw = replica(storage_with([1, 2, 2], hard_state=HardState(2, 0, 2)), async_storage_writes=True)
    raw.step(heartbeat(3))
    assert [m.type for m in raw.ready().messages] == [MsgType.HEARTBEAT_RESP]


def test_leader_resends_to_a_follower_that_it_believes_behind():
    raw = lead(replica())
    raw.propose(b"x")
    drain(raw)
    response = Message(MsgType.HEARTBEAT_RESP, 1, 2, raw.raft.term)
    for _ in range(3):
        raw.step(response)
        [m] = drain(raw)
        assert (m.type, m.to, [entry.index for entry in m.entries]) == (MsgType.APP, 2, [1, 2])
    acknowledge(raw, 2, 2)
    drain(raw)
    raw.step(response)
    assert drain(raw) == []


def test_answer_ends_probing_of_a_follower_that_lacks_nothing():
    group = Group()
    raw = group.elect(1)
    raw.report_unreachable(2)
    assert raw.raft.tracker.progress[2].state is ProgressState.PROBE
    raw.tick()
    group.settle()
    assert raw.raft.tracker.progress[2].state is ProgressState.REPLICATE


def test_answer_is_no_reason_to_send_while_a_snapshot_is_pending():
    raw = lead(replica())
    acknowledge(raw, 1, 3)
    drain(raw)
    raw.raft.tracker.progress[2].become_snapshot(1)
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, raw.raft.term))
    assert drain(raw) == []


def test_lost_append_answer_in_a_quiet_group_is_repaired_within_one_beat():
    group = Group()
    raw = group.elect(1)
    group.lost = lambda m: m.type is MsgType.APP_RESP and m.from_ == 2
    raw.propose(b"x")
    group.settle()
    assert raw.raft.tracker.progress[2].match == 1
    group.cut_off()
    raw.tick()
    group.settle()
    assert raw.raft.tracker.progress[2].match == 2
    assert {node.raft.log.committed for node in group.nodes.values()} == {2}


def test_heartbeat_commits_no_further_than_the_logs_are_known_to_agree():
    raw = replicating(replica())
    raw.propose_batch([b"x", b"y"])
    drain(raw)
    acknowledge(raw, 3, 2)
    drain(raw)
    raw.tick()
    assert {(m.to, m.commit) for m in of_type(drain(raw), MsgType.HEARTBEAT)} == {(2, 3), (3, 1)}


def test_commit_beyond_the_last_index_is_a_typed_error():
    raw = replica(storage_with([1, 2, 2], hard_state=HardState(2, 0, 2)))
    with pytest.raises(CorruptLog, match="commit 4 is beyond the last index 3") as corrupt:
        raw.step(heartbeat(4))
    assert corrupt.value.index == 4
    assert raw.raft.log.committed == 2


@pytest.mark.parametrize("setting", ["pre_vote", "check_quorum"])
def test_heartbeat_of_an_earlier_term_gets_a_stuck_replica_back(setting: str):
    raw = replica(storage_with([1], hard_state=HardState(5, 0, 1)), **{setting: True})
    raw.step(heartbeat(1))
    [m] = drain(raw)
    assert (m.type, m.term, m.index) == (MsgType.APP_RESP, 5, 0)
    leader = lead(replica(id_=2))
    leader.step(Message(MsgType.APP_RESP, 2, 1, 5))
    assert (leader.raft.role, leader.raft.term) == (Role.FOLLOWER, 5)


def test_heartbeat_of_an_earlier_term_is_ignored_otherwise():
    raw = replica(storage_with([1], hard_state=HardState(5, 0, 1)))
    raw.step(heartbeat(1))
    assert drain(raw) == []


def test_heartbeats_confirm_reads():
    raw = replicating(replica())
    raw.read_index(b"read")
    beats = of_type(drain(raw), MsgType.HEARTBEAT)
    assert {m.context for m in beats} == {b"read"}
    assert not raw.raft.read_states
    raw.step(answer(beats[0]))
    assert [state.context for state in handle(raw).read_states] == [b"read"]


def test_periodic_beats_repeat_the_newest_read_that_waits():
    raw = replicating(replica())
    raw.read_index(b"first")
    raw.read_index(b"second")
    drain(raw)
    raw.tick()
    beats = of_type(drain(raw), MsgType.HEARTBEAT)
    assert {m.context for m in beats} == {b"second"}
    raw.step(answer(beats[0]))
    assert [state.context for state in handle(raw).read_states] == [b"first", b"second"]

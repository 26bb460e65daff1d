"""`RawNode`: the contract with its host, starting again, and attestations in the asynchronous form."""

from dataclasses import FrozenInstanceError

import pytest

from multiraft.raft import (
    ConfState,
    CorruptLog,
    Entry,
    HardState,
    Message,
    Misuse,
    MsgType,
    RawNode,
    Ready,
    Role,
    Snapshot,
    SoftState,
)
from tests.raft.harness import (
    acknowledge,
    drain,
    handle,
    lead,
    persist,
    replica,
    replicating,
    storage_of,
    storage_with,
)

# -- the contract ----------------------------------------------------------------------------------------


def test_a_replica_at_rest_has_no_work():
    raw = replica(storage_with([1], hard_state=HardState(1, 0, 1)), applied=1)
    assert not raw.has_ready()
    ready = raw.ready()
    assert ready.empty
    assert ready == Ready()


def test_ready_must_be_closed_before_the_next_one():
    raw = replica()
    raw.campaign()
    raw.ready()
    with pytest.raises(Misuse, match="advance"):
        raw.ready()


def test_each_form_has_its_own_acknowledgement():
    with pytest.raises(Misuse):
        replica(async_storage_writes=True).advance()
    with pytest.raises(Misuse):
        replica().acknowledge_apply([])


def test_soft_and_hard_state_are_handed_out_when_they_change():
    raw = replica()
    raw.campaign()
    ready = handle(raw)
    assert (ready.soft_state, ready.hard_state) == (SoftState(0, Role.CANDIDATE), HardState(1, 1, 0))
    assert ready.must_sync
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    ready = handle(raw)
    assert (ready.soft_state, ready.hard_state) == (SoftState(2, Role.FOLLOWER), None)
    assert not ready.must_sync


def test_commit_alone_needs_no_flush():
    raw = replica(storage_with([1], hard_state=HardState(1, 0, 0)))
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1, commit=1))
    ready = handle(raw)
    assert (ready.hard_state, ready.must_sync) == (HardState(1, 0, 1), False)


def test_promises_wait_and_the_rest_does_not():
    raw = replica(storage_with([1], hard_state=HardState(1, 0, 0)))
    raw.step(Message(MsgType.APP, 1, 2, 1, log_term=1, index=1, entries=[Entry(1, 2)]))
    raw.step(Message(MsgType.APP, 1, 2, 1, log_term=1, index=9))
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    raw.step(Message(MsgType.PRE_VOTE, 1, 3, 2))
    ready = raw.ready()
    assert [m.type for m in ready.messages] == [MsgType.HEARTBEAT_RESP]
    assert [m.type for m in ready.messages_after_append] == [
        MsgType.APP_RESP,
        MsgType.APP_RESP,
        MsgType.PRE_VOTE_RESP,
    ]


# -- starting again --------------------------------------------------------------------------------------


def test_restart_continues_from_storage():
    raw = replica(storage_with([1, 1, 2], hard_state=HardState(2, 3, 2)), applied=1)
    assert (raw.raft.term, raw.raft.vote, raw.raft.role) == (2, 3, Role.FOLLOWER)
    ready = handle(raw)
    assert [entry.index for entry in ready.committed_entries] == [2]
    assert (ready.hard_state, ready.soft_state) == (None, None)


def test_restart_from_a_snapshot():
    storage = storage_with([3], snapshot=(10, 2), hard_state=HardState(3, 0, 10))
    raw = replica(storage, applied=10)
    assert (raw.raft.log.first_index(), raw.raft.log.last_index(), raw.raft.log.committed) == (11, 11, 10)
    assert not raw.has_ready()


def test_newborn_group_stands_at_index_one():
    raw = replica(
        storage_with(snapshot=(1, 1), hard_state=HardState(0, 0, 1), conf=ConfState((1,))), applied=1
    )
    raw.force_election()
    drain(raw)
    assert (raw.raft.term, raw.raft.log.committed) == (1, 2)


@pytest.mark.parametrize("commit", [4, 99])
def test_commit_beyond_the_log_is_corruption(commit: int):
    with pytest.raises(CorruptLog, match=f"commit {commit}"):
        replica(storage_with([1, 1, 1], hard_state=HardState(1, 0, commit)))


def test_commit_before_the_log_is_corruption():
    with pytest.raises(CorruptLog):
        replica(storage_with([1], snapshot=(10, 1), hard_state=HardState(1, 0, 9)))


def test_applied_beyond_the_commit_index_is_corruption():
    with pytest.raises(CorruptLog, match="applied 3"):
        replica(storage_with([1, 1, 1], hard_state=HardState(1, 0, 2)), applied=3)


# -- asynchronous writes ---------------------------------------------------------------------------------


def follower() -> RawNode:
    return replica(storage_with([1], hard_state=HardState(1, 0, 1)), async_storage_writes=True, applied=1)


def append(raw: RawNode, term: int, prev: tuple[int, int], *terms: int, commit: int = 0) -> Ready:
    """Replica 2, as the leader of `term`, sends entries of the given terms behind `prev`."""
    entries = [Entry(entry_term, prev[1] + n) for n, entry_term in enumerate(terms, 1)]
    raw.step(
        Message(MsgType.APP, 1, 2, term, log_term=prev[0], index=prev[1], entries=entries, commit=commit)
    )
    return raw.ready()


def finish(raw: RawNode, ready: Ready) -> list[Message]:
    """The disk is done with `ready`; what may leave now."""
    persist(storage_of(raw), ready)
    for m in ready.messages_after_append:
        if m.to == raw.raft.id:
            raw.step(m)
    return [m for m in ready.messages_after_append if m.to != raw.raft.id]


def test_several_readys_may_be_outstanding():
    raw = follower()
    first, second = append(raw, 1, (1, 1), 1), append(raw, 1, (1, 2), 1, commit=3)
    assert ([e.index for e in first.entries], [e.index for e in second.entries]) == ([2], [3])
    assert second.committed_entries == [], "committed, but not durable here"
    assert [m.index for m in finish(raw, first)] == [2]
    third = raw.ready()
    assert [entry.index for entry in third.committed_entries] == [2]
    finish(raw, second)
    fourth = raw.ready()
    assert [entry.index for entry in fourth.committed_entries] == [3]
    raw.acknowledge_apply(third.committed_entries)
    assert raw.raft.log.applied == 2
    raw.acknowledge_apply(fourth.committed_entries)
    assert raw.raft.log.applied == 3
    assert raw.raft.log.unstable.entries == []


def test_committed_entries_wait_while_the_host_holds_them():
    raw = follower()
    finish(raw, append(raw, 1, (1, 1), 1, commit=2))
    raw.hold_committed = True
    assert not raw.has_ready()
    second = append(raw, 1, (1, 2), 1, commit=3)
    assert second.entries
    assert second.committed_entries == []
    assert [m.index for m in finish(raw, second)] == [3], "it acknowledges all the same"
    raw.hold_committed = False
    assert [entry.index for entry in raw.ready().committed_entries] == [2, 3]


def test_attestation_of_an_earlier_term_does_not_count_for_entries():
    """The entries it speaks of may have been replaced, and replaced again by the same ones (ABA)."""
    raw = follower()
    first = append(raw, 2, (1, 1), 2)
    raw.step(Message(MsgType.APP, 1, 3, 3, log_term=1, index=1, entries=[Entry(3, 2)]))
    second = raw.ready()
    raw.step(Message(MsgType.APP, 1, 2, 4, log_term=1, index=1, entries=[Entry(2, 2)]))
    third = raw.ready()
    assert [entry.term for entry in third.entries] == [2]
    finish(raw, first)
    assert raw.raft.log.unstable.entries == [Entry(2, 2)], "the write of term 2 came before that of term 3"
    finish(raw, second)
    assert raw.raft.log.unstable.entries == [Entry(2, 2)]
    finish(raw, third)
    assert raw.raft.log.unstable.entries == []
    assert storage_of(raw).term(2) == 2


def test_later_attestation_makes_up_for_one_that_did_not_count():
    raw = follower()
    first = append(raw, 2, (1, 1), 2)
    raw.step(Message(MsgType.HEARTBEAT, 1, 3, 3))
    second = raw.ready()
    finish(raw, first)
    assert raw.raft.log.unstable.entries == [Entry(2, 2)]
    finish(raw, second)
    assert raw.raft.log.unstable.entries == []


def test_attestation_of_a_snapshot_counts_in_any_term():
    raw = follower()
    raw.step(Message(MsgType.SNAP, 1, 2, 2, snapshot=Snapshot(9, 2, ConfState((1, 2, 3)))))
    ready = raw.ready()
    raw.step(Message(MsgType.HEARTBEAT, 1, 3, 3))
    finish(raw, ready)
    assert raw.raft.log.unstable.snapshot is None
    assert (raw.raft.log.applied, raw.raft.log.last_index()) == (9, 9)


def test_entries_replaced_while_being_written_are_handed_out_again():
    raw = follower()
    append(raw, 2, (1, 1), 2, 2)
    assert [entry.term for entry in append(raw, 3, (2, 2), 3).entries] == [3]
    assert [entry.term for entry in append(raw, 4, (1, 1), 4).entries] == [4]


def test_storage_part_in_the_words_of_the_reference():
    raw = follower()
    ready = append(raw, 2, (1, 1), 2)
    message = ready.append_message(1)
    assert message is not None
    assert (message.term, message.vote, message.commit) == (2, 0, 1)
    assert message.responses == ready.messages_after_append
    assert ready.apply_message(1) is None
    assert Ready().append_message(1) is None


# -- reports ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ok", "next_"), [(True, 12), (False, 1)])
def test_snapshot_report_ends_waiting(ok: bool, next_: int):
    raw = lead(replica(storage_with([1] * 10)))
    acknowledge(raw, 11, 3)
    progress = raw.raft.tracker.progress[2]
    progress.become_snapshot(11)
    raw.report_snapshot(2, ok=ok)
    assert (progress.state.name, progress.next, progress.paused) == ("PROBE", next_, True)


def test_reports_without_meaning_are_ignored():
    raw = replicating(replica())
    raw.report_snapshot(2, ok=True)
    raw.report_snapshot(9, ok=True)
    raw.report_unreachable(9)
    assert raw.raft.tracker.progress[2].state.name == "REPLICATE"
    replica().report_unreachable(2)
    replica().report_snapshot(2, ok=False)


def test_status_is_a_copy():
    raw = replicating(replica())
    status = raw.status()
    raw.propose(b"x")
    assert status.progress[2].next == 2
    assert status.basic.hard_state == HardState(1, 1, 1)
    assert replica().status().progress == {}
    for part in (status, status.basic, status.progress[2]):
        with pytest.raises(FrozenInstanceError):
            setattr(part, next(iter(part.__slots__)), None)

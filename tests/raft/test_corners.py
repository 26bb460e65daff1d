"""Corners that groups at work rarely get into: storages that lose things, and answers that come too late."""

from collections.abc import Sequence

import pytest

from multiraft.raft import (
    Change,
    ChangeType,
    Compacted,
    ConfChange,
    ConfState,
    CorruptLog,
    Entry,
    EntryType,
    HardState,
    MemoryStorage,
    Message,
    Misuse,
    MsgType,
    ProgressState,
    RaftError,
    Unavailable,
)
from multiraft.raft.describe import describe_error
from multiraft.raft.log import RaftLog
from tests.raft.harness import (
    acknowledge,
    drain,
    handle,
    lead,
    replica,
    replicating,
    storage_of,
    storage_with,
)

LEAVE_JOINT = ConfChange((Change(ChangeType.ADD_LEARNER, 3), Change(ChangeType.UPDATE, 2)))


class Lossy(MemoryStorage):
    """A storage that has lost its terms, or its entries."""

    lost: RaftError | None = None

    def term(self, index: int) -> int:
        if self.lost is not None:
            raise self.lost
        return super().term(index)

    def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        if self.lost is not None:
            raise self.lost
        return super().entries(low, high, max_size)


def lossy(*terms: int) -> Lossy:
    storage = Lossy(ConfState((1, 2, 3)))
    storage.append([Entry(term, index) for index, term in enumerate(terms, 1)])
    storage.set_hard_state(HardState(max(terms), 0, len(terms)))
    return storage


@pytest.mark.parametrize("error", [Compacted(2, 3), Unavailable(2, 1)])
def test_a_log_whose_last_term_is_lost_is_corrupt(error: RaftError):
    storage = lossy(1, 1)
    log = RaftLog(storage)
    storage.lost = error
    with pytest.raises(CorruptLog, match="last entry, at 2"):
        log.last_id()


def test_no_campaign_on_entries_that_were_compacted_before_they_were_applied():
    storage = lossy(1, 1)
    raw = replica(storage)
    storage.lost = Compacted(1, 2)
    with pytest.raises(CorruptLog, match="before being applied"):
        raw.force_election()


def test_a_storage_must_offer_a_snapshot_of_what_it_has_dropped():
    raw = lead(replica(storage_with([1, 1, 1])))
    acknowledge(raw, 4, 3)
    drain(raw)
    storage_of(raw).compact(3)
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, 2))
    with pytest.raises(Misuse, match="empty snapshot"):
        raw.step(Message(MsgType.APP_RESP, 1, 2, 2, index=3, reject=True))


def test_nothing_applied_is_nothing_acknowledged():
    raw = replica(storage_with([1], hard_state=HardState(1, 0, 1)), async_storage_writes=True)
    raw.ready()
    raw.acknowledge_apply([])
    assert raw.raft.log.applied == 0


def test_leaving_a_joint_configuration_waits_for_a_transfer_to_end():
    raw = replicating(replica())
    change = raw.propose_conf_change(LEAVE_JOINT)
    drain(raw)
    acknowledge(raw, change.index, 2, 3)
    ready = raw.ready()
    raw.apply_conf_change(LEAVE_JOINT)
    raw.transfer_leadership(2)
    storage_of(raw).append(ready.entries)
    raw.advance()
    assert raw.raft.log.last_index() == change.index, "no proposals while leadership is handed over"
    for _ in range(10):
        raw.tick()
    entry = raw.propose(b"x")
    drain(raw)
    acknowledge(raw, entry.index, 2, 3)
    drain(raw)
    [leave] = raw.raft.log.entries(entry.index + 1, None)
    assert (leave.type, leave.data) == (EntryType.CONF_CHANGE_V2, b"")


def test_the_own_answer_of_a_leader_removed_meanwhile_is_ignored():
    raw = replicating(replica())
    raw.propose(b"x")
    ready = raw.ready()
    storage_of(raw).append(ready.entries)
    raw.apply_conf_change(ConfChange((Change(ChangeType.REMOVE, 1),)))
    raw.advance()
    assert raw.raft.log.committed == 1
    acknowledge(raw, 2, 2, 3)
    assert raw.raft.log.committed == 2


def test_an_older_snapshot_that_arrives_does_not_end_waiting_for_one_that_is_needed():
    """The log begins behind it: only the snapshot that is pending helps."""
    raw = lead(replica(storage_with([1] * 9)))
    acknowledge(raw, 10, 2)
    drain(raw)
    storage_of(raw).create_snapshot(10, ConfState((1, 2, 3)), b"")
    storage_of(raw).compact(8)
    progress = raw.raft.tracker.progress[3]
    progress.become_snapshot(10)
    acknowledge(raw, 5, 3)
    assert (progress.state, progress.match, progress.pending_snapshot) == (ProgressState.SNAPSHOT, 5, 10)


@pytest.mark.parametrize(
    ("error", "words"),
    [(CorruptLog("lost", 3), "lost"), (Compacted(1, 2), "requested index is unavailable due to compaction")],
)
def test_errors_without_words_of_the_reference_have_their_own(error: RaftError, words: str):
    assert describe_error(error) == words


def test_reads_of_a_leader_removed_meanwhile_wait_for_the_others():
    raw = replicating(replica())
    raw.read_index(b"read")
    drain(raw)
    raw.apply_conf_change(ConfChange((Change(ChangeType.REMOVE, 1),)))
    for peer in (2, 3):
        assert not raw.raft.read_states
        raw.step(Message(MsgType.HEARTBEAT_RESP, 1, peer, 1, context=b"read"))
    assert [state.context for state in handle(raw).read_states] == [b"read"]

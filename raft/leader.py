"""What a leader does with each message and request."""

from collections.abc import Sequence

from . import confchange, replication, role
from .entry import Entry, EntryId, EntryType, payload_sizes
from .errors import DropReason, ProposalDropped
from .ids import NO_REPLICA
from .messages import Message, MsgType
from .progress import Progress, ProgressState
from .raft import Raft
from .ready import ReadState, Refusal, RefusalReason

# -- proposals ----------------------------------------------------------------------------------------------


def propose(raft: Raft, proposals: Sequence[Entry]) -> EntryId:
    """Append proposed entries, all or none, and send them out. Returns where the last one stands.

    A configuration change that cannot follow the present state is replaced by an empty entry and reported in
    `Ready.refusals`. Raises `ProposalDropped` with nothing appended.
    """
    if raft.id not in raft.tracker.progress:
        raise ProposalDropped(DropReason.NOT_A_MEMBER)
    if raft.lead_transferee != NO_REPLICA:
        raise ProposalDropped(DropReason.TRANSFER)
    term = raft.term
    pending_conf_index, refused = raft.pending_conf_index, len(raft.refusals)
    entries = []
    for index, (_, _, kind, data) in enumerate(proposals, raft.log.last_index() + 1):
        entry = Entry(term, index, kind, data)
        entries.append(_checked_change(raft, entry) if kind else entry)
    if not raft.append_own(entries, payload_sizes(entries)):
        raft.pending_conf_index = pending_conf_index
        del raft.refusals[refused:]
        raise ProposalDropped(DropReason.UNCOMMITTED_LIMIT)
    replication.broadcast_append(raft)
    return EntryId(term, entries[-1].index)


def _checked_change(raft: Raft, entry: Entry) -> Entry:
    """The proposed configuration change, or the empty entry that takes its place (thesis §4.1)."""
    change = confchange.decode(entry)
    if change is None:
        return entry
    reason = None if raft.config.disable_conf_change_validation else _refusal(raft, change)
    if reason is None:
        raft.pending_conf_index = entry.index
        return entry
    raft.refusals.append(Refusal(entry.term, entry.index, reason))
    return Entry(entry.term, entry.index, EntryType.REFUSED_CHANGE)


def _refusal(raft: Raft, change: confchange.ConfChange) -> RefusalReason | None:
    if raft.pending_conf_index > raft.log.applied:
        return RefusalReason.PENDING
    joint, leaves = raft.tracker.is_joint(), not change.changes
    if joint and not leaves:
        return RefusalReason.JOINT
    if leaves and not joint:
        return RefusalReason.NOT_JOINT
    return None


def proposal(raft: Raft, m: Message) -> None:
    """A proposal that another replica passed on."""
    propose(raft, m.entries)


def leave_joint_if_due(raft: Raft) -> None:
    """Propose to leave a joint configuration, once the change that made it joint is applied."""
    if raft.tracker.conf.auto_leave and raft.log.applied >= raft.pending_conf_index:
        try:
            # Without data, so that no limit on uncommitted bytes can refuse it.
            propose(raft, [Entry(0, 0, EntryType.CONF_CHANGE_V2)])
        except ProposalDropped:
            return  # while leadership is being handed over; tried again with the next applied entry


# -- replication --------------------------------------------------------------------------------------------


def append_answer(raft: Raft, m: Message) -> None:
    """A member, perhaps this one, says how far its log agrees."""
    progress = raft.tracker.progress.get(m.from_)
    if progress is None:
        return
    progress.recent_active = True
    if m.reject:
        _rejected(raft, m, progress)
    # An answer that is no news still ends probing: it says that the guess was right.
    elif progress.maybe_update(m.index) or (
        progress.match == m.index and progress.state is ProgressState.PROBE
    ):
        _agreed(raft, m, progress)


def _rejected(raft: Raft, m: Message, progress: Progress) -> None:
    """Find the next place to probe. Both sides skip what cannot agree, so that one probe per term suffices.

    The follower's hint is its last entry not newer than ours at the refused place. Ours that are newer than
    the hint cannot be in its log there: had it one of that term, terms only rise and the hint would be later.
    """
    hint = m.reject_hint
    if m.log_term > 0:
        hint = raft.log.find_conflict_by_term(hint, m.log_term).index
    if progress.maybe_decrease(m.index, hint):
        if progress.state is ProgressState.REPLICATE:
            progress.become_probe()
        replication.send_append(raft, m.from_, progress)


def _agreed(raft: Raft, m: Message, progress: Progress) -> None:
    """Move the member's progress, then the commit index, then send what either made room for."""
    if progress.state is ProgressState.REPLICATE:
        progress.inflights.free_le(m.index)
    elif progress.state is ProgressState.PROBE:
        progress.become_replicate()
    elif progress.match + 1 >= raft.log.first_index():
        # Whatever snapshot it was that arrived there, the log can go on from it.
        progress.become_probe()
        progress.become_replicate()

    if replication.maybe_commit(raft):
        release_postponed_reads(raft)
        replication.broadcast_commit(raft)
    elif m.from_ != raft.id:
        replication.send_commit(raft, m.from_, progress)

    if m.from_ != raft.id:
        while replication.maybe_send_append(raft, m.from_, progress, send_if_empty=False):
            pass
        if m.from_ == raft.lead_transferee and progress.match == raft.log.last_index():
            raft.send(Message(MsgType.TIMEOUT_NOW, m.from_))


def heartbeat_answer(raft: Raft, m: Message) -> None:
    """A member answers a heartbeat: it is alive, so try again what may have been lost."""
    progress = raft.tracker.progress.get(m.from_)
    if progress is None:
        return
    progress.recent_active = True
    progress.flow_paused = False
    if (
        raft.free_first_on_heartbeat
        and progress.state is ProgressState.REPLICATE
        and progress.inflights.full()
    ):
        progress.inflights.free_first_one()
    # Also to one that probes and seems to lack nothing: only an answer gets it back to replicating.
    if progress.match < raft.log.last_index() or progress.state is ProgressState.PROBE:
        replication.send_append(raft, m.from_, progress)
    if m.context and not raft.lease_based_reads:
        acknowledged = raft.reads.acknowledge(m.from_, m.context)
        if acknowledged and raft.tracker.has_quorum(acknowledged):
            _answer_reads(raft, m.context)


def report_unreachable(raft: Raft, replica: int) -> None:
    """Messages to `replica` are being lost: stream no further, probe."""
    progress = raft.tracker.progress.get(replica)
    if progress is not None and progress.state is ProgressState.REPLICATE:
        progress.become_probe()


def report_snapshot(raft: Raft, replica: int, *, ok: bool) -> None:
    """The snapshot sent to `replica` was delivered, or was not."""
    progress = raft.tracker.progress.get(replica)
    if progress is None or progress.state is not ProgressState.SNAPSHOT:
        return
    if not ok:
        progress.pending_snapshot = 0
    progress.become_probe()
    # Delivered: its own answer comes next. Failed: not again before the next heartbeat is answered.
    progress.flow_paused = True


# -- time ---------------------------------------------------------------------------------------------------


def beat(raft: Raft) -> None:
    """Send the periodic heartbeats; they repeat the newest read that still waits for its quorum."""
    replication.broadcast_heartbeat(raft, raft.reads.last_context())


def check_quorum(raft: Raft) -> None:
    """Step down if no quorum was heard of since the last check (thesis §6.2)."""
    if not raft.tracker.quorum_active():
        role.become_follower(raft, raft.term, NO_REPLICA)
    raft.tracker.mark_inactive(except_for=raft.id)


# -- reads --------------------------------------------------------------------------------------------------


def read_index(raft: Raft, m: Message) -> None:
    """A read request, of this replica or passed on by another one.

    Before the first commit of its term a leader does not know what earlier leaders have committed; the
    request waits. That holds for a single voter, too: its own commit index may not have been durable.
    """
    if raft.waiting_reads() >= raft.config.max_pending_reads and m.context not in raft.reads:
        raft.send(Message(MsgType.READ_INDEX_RESP, m.from_, reject=True, context=m.context))
    elif raft.has_committed_in_term():
        _begin_read(raft, m)
    else:
        raft.postponed_reads.append(m)


def release_postponed_reads(raft: Raft) -> None:
    """Go on with the reads that waited for the first commit of this term, if it has come."""
    if raft.postponed_reads and raft.has_committed_in_term():
        waiting, raft.postponed_reads = raft.postponed_reads, []
        for m in waiting:
            _begin_read(raft, m)


def release_confirmed_reads(raft: Raft) -> None:
    """Answer the reads that the answers received so far confirm, now that the quorum has changed."""
    for context, acknowledged in raft.reads.pending():
        if raft.tracker.has_quorum(acknowledged):
            _answer_reads(raft, context)
            return


def _begin_read(raft: Raft, m: Message) -> None:
    index = raft.log.committed
    # One voter may be both halves of a joint configuration: it decides alone there, too.
    if raft.lease_based_reads or raft.tracker.has_quorum((raft.id,)):
        _answer_read(raft, m, index)
        return
    raft.reads.add(m, index, raft.id)
    replication.broadcast_heartbeat(raft, m.context)


def _answer_reads(raft: Raft, context: bytes) -> None:
    for request, index in raft.reads.release(context):
        _answer_read(raft, request, index)


def _answer_read(raft: Raft, request: Message, index: int) -> None:
    if request.from_ in (NO_REPLICA, raft.id):
        raft.read_states.append(ReadState(index, request.context))
    else:
        raft.send(Message(MsgType.READ_INDEX_RESP, request.from_, index=index, context=request.context))


# -- handing leadership over --------------------------------------------------------------------------------


def transfer(raft: Raft, m: Message) -> None:
    """Hand leadership to the sender `m.from_` as soon as its log is as long as this one (thesis §3.10)."""
    target = m.from_
    progress = raft.tracker.progress.get(target)
    if progress is None or progress.is_learner or raft.lead_transferee == target:
        return
    raft.lead_transferee = NO_REPLICA
    if target == raft.id:
        return
    # It must succeed within an election timeout, or is given up.
    raft.election_elapsed = 0
    raft.lead_transferee = target
    if progress.match == raft.log.last_index():
        raft.send(Message(MsgType.TIMEOUT_NOW, target))
    else:
        replication.send_append(raft, target, progress)

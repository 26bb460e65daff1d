"""How a leader brings the log, its commit index and its authority to the members."""

from collections.abc import Sequence

from .entry import Entry, payload_sizes
from .errors import Compacted, Misuse, SnapshotTemporarilyUnavailable, Unavailable
from .messages import Message, MsgType
from .progress import Progress, ProgressState
from .raft import Raft


def maybe_send_append(raft: Raft, to: int, progress: Progress, *, send_if_empty: bool) -> bool:
    """Send `to` what it is believed to need next: entries, only the commit index, or a snapshot.

    Returns whether anything was sent. The log may be compacted between the reads of one call, or may have
    been compacted long ago; then a snapshot goes instead, and nothing else until it is answered.
    """
    if progress.flow_paused or progress.state is ProgressState.SNAPSHOT:
        return False
    log = raft.log
    next_index = progress.next
    # A member that claims more than there is (next is further on) gets a snapshot below, as in the reference.
    if not send_if_empty and next_index == log.last_index() + 1:
        return False
    try:
        # First, and always: an append without the term that its entries follow would be believed.
        prev_term = log.term(next_index - 1)
        if progress.state is ProgressState.REPLICATE and progress.inflights.full():
            entries: Sequence[Entry] = ()
        else:
            entries = log.entries(next_index, raft.max_message_size)
    except (Compacted, Unavailable):
        return maybe_send_snapshot(raft, to, progress)
    if not entries and not send_if_empty:
        return False
    committed = log.committed
    raft.messages.append(
        Message(MsgType.APP, to, raft.id, raft.term, prev_term, next_index - 1, committed, entries)
    )
    progress.sent_entries(len(entries), payload_sizes(entries) if entries else 0)
    progress.sent_commit = committed
    return True


def maybe_send_snapshot(raft: Raft, to: int, progress: Progress) -> bool:
    """Send `to` a snapshot, unless it has not been heard of lately or the storage still prepares one."""
    if not progress.recent_active:
        return False
    try:
        snapshot = raft.log.snapshot()
    except SnapshotTemporarilyUnavailable:
        return False
    if snapshot.index == 0:
        raise Misuse(f"storage offers an empty snapshot where entries before {progress.next} are gone")
    progress.become_snapshot(snapshot.index)
    raft.send(Message(MsgType.SNAP, to, snapshot=snapshot))
    return True


def send_append(raft: Raft, to: int, progress: Progress) -> None:
    """Send `to` an append, an empty one if there are no entries to send or no room for them."""
    maybe_send_append(raft, to, progress, send_if_empty=True)


def broadcast_append(raft: Raft) -> None:
    """Send everyone what it needs next, or at least the commit index."""
    for replica, progress in raft.tracker.others(raft.id):
        maybe_send_append(raft, replica, progress, send_if_empty=True)


def maybe_commit(raft: Raft) -> bool:
    """Commit what a quorum holds; only entries of the own term are committed by counting (§5.4.2)."""
    log = raft.log
    index = raft.tracker.committed()
    if index <= log.committed or not log.match_term(raft.term, index):
        return False
    log.commit_to(index)
    return True


def broadcast_commit(raft: Raft) -> None:
    """Tell everyone that the commit index has moved."""
    if not raft.commit_notices:
        broadcast_append(raft)
        return
    for replica, progress in raft.tracker.others(raft.id):
        # While probing, an empty append is not about the commit index: its answer ends the probing.
        probing = progress.state is ProgressState.PROBE
        if not maybe_send_append(raft, replica, progress, send_if_empty=probing):
            notify_commit(raft, replica, progress)


def send_commit(raft: Raft, to: int, progress: Progress) -> None:
    """Tell `to` of a commit index that it cannot have heard of yet."""
    if raft.commit_notices:
        notify_commit(raft, to, progress)
    elif progress.can_bump_commit(raft.log.committed):
        send_append(raft, to, progress)


def notify_commit(raft: Raft, to: int, progress: Progress) -> None:
    """Queue a commit notice, only as far as the logs are known to agree; a newer one replaces it."""
    commit = min(progress.match, raft.log.committed)
    if commit > progress.sent_commit:
        raft.commits_to_tell[to] = commit
        progress.sent_commit = commit


def send_heartbeat(raft: Raft, to: int, progress: Progress, context: bytes) -> None:
    """Assert leadership to `to`; the answer will carry the `context`, of a read to be confirmed."""
    # Not beyond what is known to agree: the follower may lack the entries, or hold others.
    commit = min(progress.match, raft.log.committed)
    raft.messages.append(Message(MsgType.HEARTBEAT, to, raft.id, raft.term, commit=commit, context=context))
    progress.sent_commit = commit


def broadcast_heartbeat(raft: Raft, context: bytes) -> None:
    """Assert leadership to everyone."""
    for replica, progress in raft.tracker.others(raft.id):
        send_heartbeat(raft, replica, progress, context)

"""What the storage reports back: what has become durable, and what has been applied."""

from . import leader
from .config import NO_LIMIT
from .entry import encoded_sizes, payload_sizes
from .errors import Misuse
from .messages import Message
from .raft import Raft
from .state import Role, Snapshot


def appended(raft: Raft, m: Message) -> None:
    """Everything up to (`m.log_term`, `m.index`) is durable, and the snapshot if one is named."""
    if m.index:
        raft.log.unstable.stable_to(m.log_term, m.index)
    if m.snapshot is not None:
        _snapshot_installed(raft, m.snapshot)


def appended_in_earlier_term(raft: Raft, m: Message) -> None:
    """The same from before the term changed: entries may have been replaced since, a snapshot cannot be.

    Ignoring entries leaks nothing: every later attestation names the last entry of the log again.
    """
    if m.snapshot is not None:
        _snapshot_installed(raft, m.snapshot)


def _snapshot_installed(raft: Raft, snapshot: Snapshot) -> None:
    raft.log.unstable.stable_snapshot_to(snapshot.index)
    applied_to(raft, snapshot.index, 0)


def applied(raft: Raft, m: Message) -> None:
    """The entries named have been applied."""
    if not m.entries:
        return
    last = m.entries[-1].index
    if last > raft.log.applying:
        raise Misuse(f"applied up to {last}, handed out up to {raft.log.applying}")
    size = 0 if raft.log.max_applying_size == NO_LIMIT else encoded_sizes(m.entries)
    applied_to(raft, last, size)
    if raft.uncommitted_size:
        raft.reduce_uncommitted(payload_sizes(m.entries))


def applied_to(raft: Raft, index: int, size: int) -> None:
    """The state machine has reached `index`, or was there already."""
    raft.log.applied_to(max(index, raft.log.applied), size)
    if raft.role is Role.LEADER and raft.tracker.conf.auto_leave:
        leader.leave_joint_if_due(raft)

"""A replica in each role, with something to lose."""

from multiraft.raft import (
    Change,
    ChangeType,
    ConfChange,
    ConfState,
    Entry,
    HardState,
    Message,
    MsgType,
    RawNode,
    Transition,
)
from tests.raft.harness import drain, replica, replicating, storage_with


def follower() -> RawNode:
    """Replica 1 follows 2 in term 3; entries 2 and 3 are acknowledged, 2 is committed."""
    raw = replica(storage_with([1], hard_state=HardState(1, 0, 1)))
    entries = [Entry(2, 2), Entry(2, 3, data=b"x")]
    raw.step(Message(MsgType.APP, 1, 2, 3, log_term=1, index=1, commit=2, entries=entries))
    drain(raw)
    return raw


def leader() -> RawNode:
    """Replica 1 leads term 3 of a log that ends at 2."""
    return replicating(replica(storage_with([1], hard_state=HardState(2, 0, 1))))


def candidate() -> RawNode:
    raw = replica(storage_with([1], hard_state=HardState(2, 0, 1)))
    raw.campaign()
    drain(raw)
    return raw


def pre_candidate() -> RawNode:
    raw = replica(storage_with([1], hard_state=HardState(3, 0, 1)), pre_vote=True)
    raw.campaign()
    drain(raw)
    return raw


def learner() -> RawNode:
    raw = replica(storage_with([1], conf=ConfState((2, 3), learners=(1,)), hard_state=HardState(3, 0, 1)))
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 3))
    drain(raw)
    return raw


def joint_leader() -> RawNode:
    raw = leader()
    change = ConfChange((Change(ChangeType.ADD_VOTER, 4),), Transition.JOINT_EXPLICIT)
    raw.propose_conf_change(change)
    raw.apply_conf_change(change)
    drain(raw)
    return raw

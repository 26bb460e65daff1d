"""Every invariant catches the state that it forbids."""

from collections.abc import Callable

import pytest

from multiraft.raft import ConfState, Entry, RawNode, Role, invariants
from tests.raft.harness import replica, replicating, storage_with


def leader() -> RawNode:
    raw = replicating(replica(storage_with([1, 1])))
    raw.propose(b"x")
    return raw


def break_positions(raw: RawNode) -> None:
    raw.raft.log.applying = raw.raft.log.committed + 1


def break_acknowledged(raw: RawNode) -> None:
    raw.raft.acknowledged = 99


def break_unstable_indexes(raw: RawNode) -> None:
    raw.raft.log.unstable.entries = [Entry(1, 77)]


def break_unstable_terms(raw: RawNode) -> None:
    unstable = raw.raft.log.unstable
    unstable.entries = [Entry(9, unstable.offset)]


def break_unstable_gap(raw: RawNode) -> None:
    unstable = raw.raft.log.unstable
    unstable.entries = []
    unstable.offset = unstable.offset_in_progress = 77


def break_leader(raw: RawNode) -> None:
    raw.raft.lead = 2


def break_follower(raw: RawNode) -> None:
    raw.raft.role = Role.FOLLOWER


def break_candidate(raw: RawNode) -> None:
    raw.raft.role, raw.raft.lead, raw.raft.vote = Role.CANDIDATE, 0, 2


def break_members(raw: RawNode) -> None:
    del raw.raft.tracker.progress[3]


def break_parts(raw: RawNode) -> None:
    raw.raft.tracker.conf = ConfState((1, 2, 3), learners=(3,))


def break_learner(raw: RawNode) -> None:
    raw.raft.tracker.progress[3].is_learner = True


def break_match(raw: RawNode) -> None:
    raw.raft.tracker.progress[2].match = raw.raft.tracker.progress[2].next


def break_next(raw: RawNode) -> None:
    raw.raft.tracker.progress[2].next = 99


def break_window(raw: RawNode) -> None:
    raw.raft.tracker.progress[2].state = raw.raft.tracker.progress[2].state.PROBE


BREAKS = [value for name, value in sorted(globals().items()) if name.startswith("break_")]


def test_good_states_pass():
    invariants.check(leader())
    invariants.check(replica())


@pytest.mark.parametrize("damage", BREAKS, ids=lambda damage: damage.__name__)
def test_bad_state_is_caught(damage: Callable[[RawNode], None]):
    raw = leader()
    damage(raw)
    with pytest.raises(AssertionError):
        invariants.check(raw)

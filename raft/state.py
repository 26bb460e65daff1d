"""The states that leave the core: what must be kept, what may be forgotten, who belongs to the group."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class Role(IntEnum):
    """What a replica is to its group at the moment."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2
    PRE_CANDIDATE = 3


class HardState(NamedTuple):
    """What a replica must find again after a crash. Term and vote before any promise based on them leaves.

    A change of `commit` alone need not be flushed: it is only ever too small after a crash.
    """

    term: int = 0
    vote: int = 0
    commit: int = 0


class SoftState(NamedTuple):
    """Leader and role: for the host's information, lost in a crash."""

    lead: int
    role: Role


@dataclass(frozen=True, slots=True)
class ConfState:
    """The members of a group as a snapshot or the log's owner stores them.

    `voters_outgoing` is empty unless the configuration is joint; `learners_next` (a subset of the outgoing
    voters) become learners when it is left, which the leader does by itself if `auto_leave`.
    """

    voters: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state machine after the entry at `index`, of `term`; index 0 means no snapshot."""

    index: int = 0
    term: int = 0
    conf_state: ConfState = field(default_factory=ConfState)
    data: bytes = b""

"""What replicas of one group say to each other, and what a replica says to its own storage."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from .entry import Entry
from .ids import LOCAL_APPEND, LOCAL_APPLY
from .state import Snapshot

__all__ = ["LOCAL_APPEND", "LOCAL_APPLY", "LOCAL_TYPES", "RESPONSES", "VOTES", "Message", "MsgType"]


class MsgType(IntEnum):
    """Kinds of message, numbered as the reference numbers them."""

    HUP = 0
    BEAT = 1
    PROP = 2
    APP = 3
    APP_RESP = 4
    VOTE = 5
    VOTE_RESP = 6
    SNAP = 7
    HEARTBEAT = 8
    HEARTBEAT_RESP = 9
    UNREACHABLE = 10
    SNAP_STATUS = 11
    CHECK_QUORUM = 12
    TRANSFER_LEADER = 13
    TIMEOUT_NOW = 14
    READ_INDEX = 15
    READ_INDEX_RESP = 16
    PRE_VOTE = 17
    PRE_VOTE_RESP = 18
    STORAGE_APPEND = 19
    STORAGE_APPEND_RESP = 20
    STORAGE_APPLY = 21
    STORAGE_APPLY_RESP = 22
    FORGET_LEADER = 23


LOCAL_TYPES: Final = frozenset(
    {
        MsgType.HUP,
        MsgType.BEAT,
        MsgType.UNREACHABLE,
        MsgType.SNAP_STATUS,
        MsgType.CHECK_QUORUM,
        MsgType.STORAGE_APPEND,
        MsgType.STORAGE_APPEND_RESP,
        MsgType.STORAGE_APPLY,
        MsgType.STORAGE_APPLY_RESP,
        MsgType.FORGET_LEADER,
    }
)
"""Types that no peer may send: a replica tells them to itself, through methods of `RawNode`."""

RESPONSES: Final = frozenset(
    {
        MsgType.APP_RESP,
        MsgType.VOTE_RESP,
        MsgType.HEARTBEAT_RESP,
        MsgType.READ_INDEX_RESP,
        MsgType.PRE_VOTE_RESP,
    }
)
"""Answers: refused from a sender that the receiver's configuration does not know."""

VOTES: Final = frozenset({MsgType.VOTE, MsgType.VOTE_RESP, MsgType.PRE_VOTE, MsgType.PRE_VOTE_RESP})
"""Messages that name their term explicitly, because it may differ from the sender's."""


@dataclass(slots=True)
class Message:
    """One message. Which fields count depends on `type`; unused ones keep their zero.

    `to` and `from_` are replica ids (or `LOCAL_APPEND`, `LOCAL_APPLY`). `term` 0 marks a message that
    belongs to no term: proposals, read requests and what concerns the local storage.

    - APP: the entries follow position `index`, whose entry is of `log_term`; `commit` is the leader's.
    - APP_RESP: `index` is the last position that agrees; with `reject` it is the position refused, and
      (`reject_hint`, `log_term`) name the last position that may agree.
    - VOTE, PRE_VOTE: `index` and `log_term` name the candidate's last entry.
    - HEARTBEAT and its answer: `commit` downwards; `context` names the read that the beat confirms.
    - READ_INDEX and its answer: `context` is the request's, `index` the position to wait for.
    - SNAP: `snapshot`, to be installed. PROP: `entries` to append, their terms and indexes 0.
    - TRANSFER_LEADER: `from_` is who shall lead. TIMEOUT_NOW: the receiver is to campaign at once.
    - STORAGE_APPEND_RESP: all up to `index`, of `log_term`, is durable, and `snapshot` if given.
    """

    type: MsgType
    to: int = 0
    from_: int = 0
    term: int = 0
    log_term: int = 0
    index: int = 0
    commit: int = 0
    entries: Sequence[Entry] = ()
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    snapshot: Snapshot | None = None
    vote: int = 0
    responses: "Sequence[Message]" = ()

"""What a message has to be like before a replica takes it in.

A message that contradicts itself, or what its sender has said in this term, is refused with `BadMessage`
before anything has changed: one faulty peer, or one damaged message, must not bend a group's state. What is
merely late, doubled or for another configuration is no contradiction; the handlers deal with that.
"""

from collections.abc import Callable
from typing import Final

from . import confchange, membership
from .entry import Entry, EntryType
from .errors import BadMessage, ConfChangeError, LocalMessage, PeerNotFound
from .ids import LOCAL_APPEND, LOCAL_APPLY, NO_REPLICA
from .messages import LOCAL_TYPES, RESPONSES, Message, MsgType
from .raft import OUTSIDE_TERMS, Raft
from .state import Role

_STORAGE: Final = (LOCAL_APPEND, LOCAL_APPLY)
_LAST_ENTRY_TYPE: Final = int(max(EntryType))
_FROM_SELF: Final = frozenset(
    {
        MsgType.APP_RESP,
        MsgType.VOTE_RESP,
        MsgType.PRE_VOTE_RESP,
        MsgType.PROP,
        MsgType.READ_INDEX,
        MsgType.TRANSFER_LEADER,
    }
)
"""What a replica may say to itself."""
_FROM_NOBODY: Final = frozenset({MsgType.PROP, MsgType.READ_INDEX, MsgType.SNAP})
"""Requests of the host, and snapshots that an operator forges to repair a group."""


def check(raft: Raft, m: Message) -> None:
    """Raise `BadMessage`, `LocalMessage` or `PeerNotFound` if `raft` must not take `m` in."""
    kind = m.type
    if kind.__class__ is not MsgType:
        raise BadMessage(f"a message of the unknown type {kind}")
    # A negative number, or one of more than 64 bits, leaves something behind. Others are only compared.
    if (m.term | m.index | m.commit) >> 64:
        numbers = f"term {m.term}, index {m.index}, commit {m.commit}"
        raise BadMessage(f"{kind.name} from replica {m.from_} with a number not of 64 bits: {numbers}")
    if m.to != raft.id:
        raise BadMessage(f"{kind.name} for replica {m.to} came to replica {raft.id}")
    if m.from_ not in raft.tracker.progress or m.from_ == raft.id:
        _check_sender(raft, m)
    elif kind in LOCAL_TYPES:
        raise LocalMessage(f"{kind.name} from replica {m.from_}: no message, a call of RawNode")
    if not m.term and kind not in OUTSIDE_TERMS and kind not in LOCAL_TYPES:
        raise BadMessage(f"{kind.name} from replica {m.from_} names no term")
    rule = _RULES[kind]
    if rule is not None:
        rule(raft, m)


def _check_sender(raft: Raft, m: Message) -> None:
    """The sender is this replica, no member of its configuration, or none at all."""
    kind, sender = m.type, m.from_
    if kind in LOCAL_TYPES:
        if sender not in _STORAGE:
            raise LocalMessage(f"{kind.name} from replica {sender}: no message, a call of RawNode")
        if m.term > raft.term:
            raise BadMessage(f"{kind.name} attests term {m.term}, this replica is in {raft.term}")
    elif kind in RESPONSES and sender not in raft.tracker.progress:
        raise PeerNotFound(sender)
    elif sender == raft.id:
        if kind not in _FROM_SELF or m.reject:
            raise BadMessage(f"{kind.name} (reject: {m.reject}) from replica {sender} to itself")
    elif not 0 <= sender < LOCAL_APPLY or (sender == NO_REPLICA and kind not in _FROM_NOBODY):
        raise BadMessage(f"{kind.name} from {sender}, which is no replica")


def _check_leads(raft: Raft, m: Message) -> None:
    """At most one replica leads a term (§5.2)."""
    if m.term == raft.term and raft.lead not in (NO_REPLICA, m.from_) and raft.role is Role.FOLLOWER:
        if m.type is MsgType.SNAP and m.from_ == NO_REPLICA:
            return
        raise BadMessage(f"{m.type.name} from replica {m.from_} in term {m.term}, which {raft.lead} leads")


def _check_append(raft: Raft, m: Message) -> None:
    """The entries follow one another, their terms do not fall, and none is from the future."""
    if raft.lead != m.from_:
        _check_leads(raft, m)
    index, term = m.index, m.log_term
    if term > m.term:
        raise BadMessage(f"APP in term {m.term} behind an entry of term {term}")
    for entry_term, entry_index, kind, _ in m.entries:
        index += 1
        if entry_index != index:
            raise BadMessage(f"APP behind {m.index} holds entry {entry_index} in the place of {index}")
        if not term <= entry_term <= m.term or not entry_term:
            raise BadMessage(
                f"APP of term {m.term} holds entry {index} of term {entry_term} behind one of {term}"
            )
        if kind and not 0 < kind <= _LAST_ENTRY_TYPE:
            raise BadMessage(f"APP holds entry {index} of the unknown type {kind}")
        term = entry_term
    if m.index < raft.acknowledged and m.term == raft.term:
        _check_acknowledged(raft, m)


def _check_acknowledged(raft: Raft, m: Message) -> None:
    """A leader replaces nothing of which this replica has told it that the logs agree (§5.3)."""
    for entry in m.entries[: raft.acknowledged - m.index]:
        # To replace what is committed is more than a contradiction: the log will say so.
        if entry.index > raft.log.committed and not raft.log.match_term(entry.term, entry.index):
            raise BadMessage(
                f"APP of term {m.term} replaces entry {entry.index}, acknowledged up to {raft.acknowledged}"
            )


def _check_append_answer(raft: Raft, m: Message) -> None:
    """Nobody holds more of a leader's log than it has itself."""
    if m.reject or m.term != raft.term or raft.role is not Role.LEADER:
        return
    last = raft.log.last_index()
    if m.index > last:
        raise BadMessage(f"replica {m.from_} acknowledges {m.index}, the log ends at {last}")


def _check_snapshot(raft: Raft, m: Message) -> None:
    """The snapshot lies in the log's past, and its configuration is one."""
    _check_leads(raft, m)
    snapshot = m.snapshot
    if snapshot is None or not snapshot.index:
        return  # says nothing, and is answered so
    if not 0 < snapshot.index < 2**64 or not 0 < snapshot.term <= m.term:
        raise BadMessage(f"SNAP of term {m.term} at index {snapshot.index} of term {snapshot.term}")
    in_doubt = raft.log.committed < snapshot.index <= raft.acknowledged and m.term == raft.term
    if in_doubt and not raft.log.match_term(snapshot.term, snapshot.index):
        raise BadMessage(
            f"SNAP of term {m.term} replaces entry {snapshot.index}, acknowledged up to {raft.acknowledged}"
        )
    reason = membership.contradiction(snapshot.conf_state)
    if reason is not None:
        raise BadMessage(f"SNAP at {snapshot.index}: {reason}")


def _check_proposal(_raft: Raft, m: Message) -> None:
    """What another replica proposes can become entries."""
    if m.term:
        raise BadMessage(f"PROP from replica {m.from_} names term {m.term}")
    if not m.entries:
        raise BadMessage(f"PROP from replica {m.from_} without entries")
    for entry in m.entries:
        _check_proposed(m.from_, entry)


def _check_proposed(sender: int, entry: Entry) -> None:
    if not 0 <= entry.type < EntryType.REFUSED_CHANGE:
        raise BadMessage(f"replica {sender} proposes an entry of type {entry.type}")
    try:
        change = confchange.decode(entry)
        if change is not None:
            confchange.check(change)
    except ConfChangeError as error:
        raise BadMessage(f"replica {sender} proposes a change that is none: {error}") from error


def _check_read(_raft: Raft, m: Message) -> None:
    if m.term:
        raise BadMessage(f"READ_INDEX from replica {m.from_} names term {m.term}")
    if not m.context:
        raise BadMessage(f"READ_INDEX from replica {m.from_} without a context")


_RULES_OF: Final[dict[MsgType, Callable[[Raft, Message], None]]] = {
    MsgType.APP: _check_append,
    MsgType.APP_RESP: _check_append_answer,
    MsgType.SNAP: _check_snapshot,
    MsgType.HEARTBEAT: _check_leads,
    MsgType.PROP: _check_proposal,
    MsgType.READ_INDEX: _check_read,
}
_RULES: Final = [_RULES_OF.get(kind) for kind in MsgType]
"""The same by position, because this is looked up for every message."""

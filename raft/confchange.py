"""Configuration changes as values, and their encoding in log entries (the reference's)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from .entry import Entry, EntryType
from .errors import ConfChangeError


class ChangeType(IntEnum):
    """What happens to one member (thesis §4.1, learners §4.2.1).

    ADD_VOTER: a newcomer, or a learner that is promoted. REMOVE: out of every list; of a stranger, nothing.
    ADD_LEARNER: a newcomer without a vote, or a voter that is demoted. UPDATE: nothing here; it carries what
    the host has put into `ConfChange.context`, a new address for example.
    """

    ADD_VOTER = 0
    REMOVE = 1
    UPDATE = 2
    ADD_LEARNER = 3


class Transition(IntEnum):
    """Whether a joint configuration lies between the old and the new one (thesis §4.3).

    AUTO: only if more than one change is made. JOINT_IMPLICIT: always. After both the leader leaves it by
    itself. JOINT_EXPLICIT: always, and it lasts until the host proposes an empty `ConfChange()`.
    """

    AUTO = 0
    JOINT_IMPLICIT = 1
    JOINT_EXPLICIT = 2


@dataclass(frozen=True, slots=True)
class Change:
    """One member's change. Replica 0 is skipped when the change is applied."""

    type: ChangeType
    replica: int


@dataclass(frozen=True, slots=True)
class ConfChange:
    """Changes that take effect together. Without any, and with AUTO, it leaves a joint configuration.

    `context` is the host's, carried through untouched.
    """

    changes: tuple[Change, ...] = ()
    transition: Transition = Transition.AUTO
    context: bytes = b""

    @property
    def leaves_joint(self) -> bool:
        """Whether it asks to leave a joint configuration."""
        return not self.changes and self.transition is Transition.AUTO

    @property
    def enters_joint(self) -> bool:
        """Whether it makes the configuration joint."""
        return self.transition is not Transition.AUTO or len(self.changes) > 1

    @property
    def auto_leave(self) -> bool:
        """Whether the leader leaves the joint configuration by itself, given that one is entered."""
        return self.transition is not Transition.JOINT_EXPLICIT


def check(change: ConfChange) -> None:
    """Raise `ConfChangeError` if `change` names what can be no replica."""
    for single in change.changes:
        if not 0 <= single.replica < 2**64:
            raise ConfChangeError(f"{single.replica} is no replica id")


def encode_v1(change: ConfChange) -> bytes:
    """The old encoding, for one change without a transition."""
    if len(change.changes) != 1 or change.transition is not Transition.AUTO:
        raise ConfChangeError("v1 conf change can only have one operation and no transition")
    single = change.changes[0]
    fields = _TYPE_V1 + _varint(single.type) + _REPLICA_V1 + _varint(single.replica)
    return fields + _blob(_CONTEXT_V1, change.context)


def encode_v2(change: ConfChange) -> bytes:
    """The encoding that every change has one of."""
    out = _TRANSITION + _varint(change.transition)
    for single in change.changes:
        fields = _TYPE + _varint(single.type) + _REPLICA + _varint(single.replica)
        out += _CHANGE + _varint(len(fields)) + fields
    return out + _blob(_CONTEXT, change.context)


def decode(entry: Entry) -> ConfChange | None:
    """The change that `entry` carries, `None` if it is no such entry. For every entry that is applied.

    Raises `ConfChangeError` if it cannot be read, which no leader lets in.
    """
    if entry.type == EntryType.CONF_CHANGE:
        fields = _fields(entry.data)
        single = _decode_change(fields, _TYPE_V1[0] >> 3, _REPLICA_V1[0] >> 3)
        return ConfChange((single,), context=_last_blob(fields, _CONTEXT_V1))
    if entry.type == EntryType.CONF_CHANGE_V2:
        fields = _fields(entry.data)
        changes = tuple(
            _decode_change(_fields(value), _TYPE[0] >> 3, _REPLICA[0] >> 3)
            for tag, value in fields
            if tag == _CHANGE[0] >> 3 and isinstance(value, bytes)
        )
        transition = _last_int(fields, _TRANSITION[0] >> 3)
        return ConfChange(changes, _known(Transition, transition), _last_blob(fields, _CONTEXT))
    return None


# A field begins with its number shifted left by three, and 0 for a varint or 2 for bytes with their length.
_TYPE_V1: Final = b"\x10"
_REPLICA_V1: Final = b"\x18"
_CONTEXT_V1: Final = b"\x22"
_TRANSITION: Final = b"\x08"
_CHANGE: Final = b"\x12"
_CONTEXT: Final = b"\x1a"
_TYPE: Final = b"\x08"
_REPLICA: Final = b"\x10"

_Fields = list[tuple[int, int | bytes]]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _blob(tag: bytes, data: bytes) -> bytes:
    return tag + _varint(len(data)) + data if data else b""


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A varint at `position`, of at most ten bytes, and the position behind it."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ConfChangeError(f"configuration change is cut off at byte {position}")
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ConfChangeError(f"configuration change holds a number that does not end before byte {position}")


def _fields(data: bytes) -> _Fields:
    """The (number, value) pairs of an encoded message."""
    fields: _Fields = []
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        value, position = _read_varint(data, position)
        if tag & 7 == 0:
            fields.append((tag >> 3, value))
        elif tag & 7 == 2 and position + value <= len(data):
            fields.append((tag >> 3, data[position : position + value]))
            position += value
        else:
            raise ConfChangeError(f"configuration change holds an unreadable field (tag {tag})")
    return fields


def _last_int(fields: _Fields, number: int) -> int:
    return next((value for tag, value in reversed(fields) if tag == number and isinstance(value, int)), 0)


def _last_blob(fields: _Fields, tag: bytes) -> bytes:
    number = tag[0] >> 3
    return next((value for tag, value in reversed(fields) if tag == number and isinstance(value, bytes)), b"")


def _known(kind: type[Transition], number: int) -> Transition:
    try:
        return kind(number)
    except ValueError as error:
        raise ConfChangeError(f"unknown transition {number}") from error


def _decode_change(fields: _Fields, type_number: int, replica_number: int) -> Change:
    number = _last_int(fields, type_number)
    try:
        return Change(ChangeType(number), _last_int(fields, replica_number))
    except ValueError as error:
        raise ConfChangeError(f"unknown kind of change {number}") from error

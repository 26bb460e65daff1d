"""Log entries, their identity and their two sizes."""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple


class EntryType(IntEnum):
    """What an entry's data means.

    NORMAL: a command for the state machine; without data, the entry that opens a leader's term.
    CONF_CHANGE: one configuration change in the old, single-change encoding. CONF_CHANGE_V2: any number of
    changes; without data, the change that leaves a joint configuration. `confchange.decode` reads both.
    REFUSED_CHANGE: empty; stands where a leader refused a configuration change. State machines skip it.
    """

    NORMAL = 0
    CONF_CHANGE = 1
    CONF_CHANGE_V2 = 2
    REFUSED_CHANGE = 3


class Entry(NamedTuple):
    """One log entry. `term` and `index` are 0 in a proposal that no leader has appended yet."""

    term: int
    index: int  # type: ignore[assignment]  # a field hides tuple.index, as meant
    type: EntryType = EntryType.NORMAL
    data: bytes = b""


class EntryId(NamedTuple):
    """A place in a log together with the term found there: what two logs are compared by."""

    term: int
    index: int  # type: ignore[assignment]  # a field hides tuple.index, as meant


_BOUND_BEYOND_DATA: Final = 36
"""No entry takes more bytes than its data and this: four tags, two varints of 10 bytes, a type, a length."""


def _varint_size(number: int) -> int:
    """Bytes of `number` in base-128 encoding."""
    return (number.bit_length() + 6) // 7 or 1


def encoded_size(entry: Entry) -> int:
    """Bytes of one entry in the reference's wire encoding, the measure of message and apply limits.

    A field is counted when the reference sets it: data if there is any, the type unless the entry is a plain
    command or the opening entry of a term.
    """
    term, index, kind, data = entry
    size = 4 if kind else 2
    if data:
        length = len(data)
        size += 1 + _varint_size(length) + length
    size += (term.bit_length() + 6) // 7 or 1  # twice the size of a varint, without the calls
    return size + ((index.bit_length() + 6) // 7 or 1)


def encoded_sizes(entries: Iterable[Entry]) -> int:
    """Sum of `encoded_size` over the entries."""
    return sum(map(encoded_size, entries))


def payload_sizes(entries: Iterable[Entry]) -> int:
    """Bytes of data in the entries: the measure of the uncommitted and the inflight budget."""
    size = 0
    for entry in entries:  # mostly one or two: a generator would cost more than it sums up
        size += len(entry.data)
    return size


def limit_size(entries: Sequence[Entry], max_size: int | None) -> Sequence[Entry]:
    """The longest prefix of at most `max_size` encoded bytes, but never less than one entry if there is any.

    `None` sets no limit. Returns `entries` itself when nothing has to be cut.
    """
    if max_size is None or len(entries) <= 1:
        return entries
    if payload_sizes(entries) + _BOUND_BEYOND_DATA * len(entries) <= max_size:
        return entries  # cannot exceed the limit, so the exact sizes need not be known
    size = encoded_size(entries[0])
    for position in range(1, len(entries)):
        size += encoded_size(entries[position])
        if size > max_size:
            return entries[:position]
    return entries

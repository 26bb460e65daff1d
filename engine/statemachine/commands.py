"""Commands of the key-value machine: a fixed header that the engine reads, and a body that the machine reads.

Header (24 bytes, little-endian): session u64, sequence u64, epoch u64. Body, one msgpack array:

=========================================  ==================================================
``[1, key, value]``                        put
``[2, key]``                               delete
``[3, key, expected or nil, new or nil]``  compare and swap; nil stands for "no such key"
``[4, key, value or nil, ...]``            batch of puts, and deletes where the value is nil
``[5]``                                    retire: the range serves nothing any more
=========================================  ==================================================
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

import msgpack

from ..errors import CommandTooLarge, InvalidArgument, KeyTooLarge, ValueTooLarge

MAX_KEY: Final = 480
MAX_VALUE: Final = 1 << 20
MAX_COMMAND: Final = 4 << 20
MAX_BATCH: Final = 100_000

_HEADER = struct.Struct("<QQQ")
HEADER_BYTES: Final = _HEADER.size

#: Where the epoch lies in a command: a machine compares these bytes without taking the header apart.
EPOCH_BYTES: Final = slice(16, 24)


class Op(IntEnum):
    """The first element of a body."""

    PUT = 1
    DELETE = 2
    CAS = 3
    BATCH = 4
    RETIRE = 5


class Put(NamedTuple):
    """Set a value."""

    key: bytes
    value: bytes


class Delete(NamedTuple):
    """Remove a key."""

    key: bytes


class CompareAndSwap(NamedTuple):
    """Set ``new`` (None: remove) if the value is ``expected`` (None: no such key)."""

    key: bytes
    expected: bytes | None
    new: bytes | None


class Batch(NamedTuple):
    """Changes made together, in order; a value of None removes the key."""

    changes: Sequence[tuple[bytes, bytes | None]]


class Retire(NamedTuple):
    """Serve nothing any more: the range is to be deleted."""


Command: TypeAlias = Put | Delete | CompareAndSwap | Batch | Retire


class Envelope(NamedTuple):
    """A command taken apart. ``session`` and ``sequence`` name the proposal, whoever proposed it."""

    session: int
    sequence: int
    epoch: int
    body: bytes


class MalformedCommand(InvalidArgument):
    """The bytes are no command: refused by every replica alike."""


def envelope(session: int, sequence: int, epoch: int, body: bytes) -> bytes:
    """The data of an entry."""
    return _HEADER.pack(session, sequence, epoch) + body


def open_envelope(data: bytes) -> Envelope:
    """Take the data of an entry apart. Raises MalformedCommand."""
    if len(data) < HEADER_BYTES:
        raise MalformedCommand("a command is shorter than its header")
    session, sequence, epoch = _HEADER.unpack_from(data)
    return Envelope(session, sequence, epoch, data[HEADER_BYTES:])


def encode_put(key: bytes, value: bytes) -> bytes:
    """The body of a put. Raises KeyTooLarge, ValueTooLarge."""
    check_key(key)
    check_value(value)
    return _pack((int(Op.PUT), key, value))


def encode_delete(key: bytes) -> bytes:
    """The body of a delete. Raises KeyTooLarge."""
    check_key(key)
    return _pack((int(Op.DELETE), key))


def encode_cas(key: bytes, expected: bytes | None, new: bytes | None) -> bytes:
    """The body of a compare-and-swap. Raises KeyTooLarge, ValueTooLarge."""
    check_key(key)
    for value in (expected, new):
        if value is not None:
            check_value(value)
    return _pack((int(Op.CAS), key, expected, new))


def encode_batch(changes: Iterable[tuple[bytes, bytes | None]]) -> bytes:
    """The body of a batch. Raises KeyTooLarge, ValueTooLarge, CommandTooLarge."""
    flat: list[int | bytes | None] = [int(Op.BATCH)]
    size = 0
    for key, value in changes:
        check_key(key)
        size += len(key)
        if value is not None:
            check_value(value)
            size += len(value)
        if size > MAX_COMMAND:  # before all of it is copied; the exact limit is checked at the end
            raise CommandTooLarge(f"a batch has at most {MAX_COMMAND} bytes")
        flat += (key, value)
    if len(flat) > 2 * MAX_BATCH + 1:
        raise CommandTooLarge(f"a batch has at most {MAX_BATCH} operations")
    return _pack(flat)


def encode_retire() -> bytes:
    """The body of a retirement."""
    return _pack((int(Op.RETIRE),))


def check_key(key: bytes) -> None:
    """Raises KeyTooLarge, or InvalidArgument if it is not bytes."""
    if not isinstance(key, bytes):
        raise InvalidArgument(f"a key is bytes, not {type(key).__name__}")
    if len(key) > MAX_KEY:
        raise KeyTooLarge(f"a key has at most {MAX_KEY} bytes, this one has {len(key)}")


def check_value(value: bytes) -> None:
    """Raises ValueTooLarge, or InvalidArgument if it is not bytes."""
    if not isinstance(value, bytes):
        raise InvalidArgument(f"a value is bytes, not {type(value).__name__}")
    if len(value) > MAX_VALUE:
        raise ValueTooLarge(f"a value has at most {MAX_VALUE} bytes, this one has {len(value)}")


def decode(body: bytes) -> Command:
    """Read a body under the same limits. Raises MalformedCommand, with the same text on every replica."""
    if len(body) > MAX_COMMAND:
        raise MalformedCommand("a command exceeds its limit")
    try:
        fields = _unpack_batch(body) if body[0] >= 0xDC or body[1] == Op.BATCH else _unpack(body)
        command = _READERS[fields[0]](fields) if fields else None
    except (ValueError, LookupError, TypeError, msgpack.OutOfData) as error:
        raise MalformedCommand("a command is not well-formed") from error
    if command is None:
        raise MalformedCommand("a command has the wrong shape")
    return command


def _pack(fields: Sequence[object]) -> bytes:
    body = msgpack.packb(fields)
    if len(body) + HEADER_BYTES > MAX_COMMAND:
        raise CommandTooLarge(f"a command has at most {MAX_COMMAND} bytes, this one has {len(body)}")
    return body


def _unpack(body: bytes) -> tuple[object, ...]:
    """One of the short commands: no array in it has more than four elements, however deep it lies."""
    fields = msgpack.unpackb(
        body,
        use_list=False,
        raw=True,
        max_bin_len=MAX_VALUE,
        max_array_len=4,
        max_str_len=0,
        max_map_len=0,
        max_ext_len=0,
    )
    return fields if isinstance(fields, tuple) else ()


def _unpack_batch(body: bytes) -> tuple[object, ...]:
    """A batch, element by element: arrays inside it are refused before room is made for them."""
    reader = msgpack.Unpacker(
        max_buffer_size=len(body),
        raw=True,
        max_bin_len=MAX_VALUE,
        max_array_len=0,
        max_str_len=0,
        max_map_len=0,
        max_ext_len=0,
    )
    reader.feed(body)
    count = reader.read_array_header()
    if count > 2 * MAX_BATCH + 1:
        raise MalformedCommand("a batch has too many operations")
    fields = tuple([reader.unpack() for _ in range(count)])
    if reader.tell() != len(body):
        raise MalformedCommand("bytes follow a command")
    return fields


# Each reader gets the fields of one operation and returns None, or raises ValueError, unless they are exactly
# what they must be.


def _put(fields: tuple[Any, ...]) -> Put | None:
    _, key, value = fields
    if type(key) is bytes and type(value) is bytes and len(key) <= MAX_KEY:
        return Put(key, value)
    return None


def _delete(fields: tuple[Any, ...]) -> Delete | None:
    _, key = fields
    return Delete(key) if type(key) is bytes and len(key) <= MAX_KEY else None


def _cas(fields: tuple[Any, ...]) -> CompareAndSwap | None:
    _, key, expected, new = fields
    if type(key) is not bytes or len(key) > MAX_KEY:
        return None
    if isinstance(expected, bytes | None) and isinstance(new, bytes | None):
        return CompareAndSwap(key, expected, new)
    return None


def _batch(fields: tuple[Any, ...]) -> Batch | None:
    changes: list[tuple[bytes, bytes | None]] = []
    for key, value in zip(fields[1::2], fields[2::2], strict=True):
        if type(key) is not bytes or len(key) > MAX_KEY or not isinstance(value, bytes | None):
            return None
        changes.append((key, value))
    return Batch(changes)


def _retire(fields: tuple[Any, ...]) -> Retire | None:
    return Retire() if len(fields) == 1 else None


_READERS: Final[dict[object, Callable[[tuple[Any, ...]], Command | None]]] = {
    Op.PUT: _put,
    Op.DELETE: _delete,
    Op.CAS: _cas,
    Op.BATCH: _batch,
    Op.RETIRE: _retire,
}

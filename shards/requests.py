"""The request protocol: what a client asks of a node, and one node of another.

A REQUEST or REPLY frame holds one or more items. An item is a msgpack array of scalars:
``[id, op, timeout_ms, field, …]`` or ``[id, status, field, …]``. Nothing nests, so decoding needs no more
room than the frame itself, whatever a hostile peer sends.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import msgpack

from ..engine import errors
from ..engine.errors import Error, InvalidArgument, NotLeader, Overloaded, Quarantined

Scalar = bytes | str | int | float | bool | None

_SCALARS: Final = frozenset({bytes, str, int, float, bool, type(None)})

ITEM_FIELDS: Final = 200_000
"""Fields of one item: an atomic batch of the smallest writes stays far below."""
FRAME_ITEMS: Final = 4096
"""Items of one frame: decoding a million tiny ones would hold up the loop for seconds."""
FRAME_BYTES: Final = 1 << 20
"""Items share a frame up to this size; a larger one travels alone."""


class Op(IntEnum):
    """What is asked. The numbers are on the wire: never reuse one."""

    WRITE = 1
    """lowest key, highest key, body of a command."""
    GET = 2
    """key, whether a stale value will do."""
    SCAN = 3
    """start, stop or nil, reverse, limit, whether stale values will do: one page."""
    CREATE_RANGES = 4
    """replicas, then start and end of each range."""
    STATUS = 5
    """Nothing: the cluster as the node sees it, as JSON."""
    NODE_STATUS = 6
    """Nothing: the node itself, as JSON."""
    DIGESTS = 7
    """Nothing: applied index and digest of every replica on the node, as JSON."""
    LED_RANGES = 8
    """Nothing: the first keys of the ranges that the node leads."""
    RANGES = 9
    """A key: where the next page begins (or nil), then both bounds of each range from there on."""
    EXPLAIN = 10
    """A key, or the number of a range: why its requests are not finished, as JSON."""
    DELETE_RANGES = 11
    """start and end of an interval: the next chunk of the ranges in it."""
    PROPOSE = 20
    """Between nodes: append a command to a group that the receiver leads."""
    READ_GET = 21
    """Between nodes: a linearizable read of a group that the receiver leads, here and below."""
    READ_SCAN = 22
    READ_VERSION = 23
    STALE_GET = 24
    """Between nodes: a read of whatever the receiver's replica holds, here and below."""
    STALE_SCAN = 25
    GROUP_FACTS = 26
    """Between nodes: a group. What the receiver knows of it, as JSON."""


WRITES: Final = frozenset({Op.WRITE, Op.CREATE_RANGES, Op.DELETE_RANGES, Op.PROPOSE})
"""Operations that change something: one that got no answer may have happened."""


class Request(NamedTuple):
    """One question. ``timeout_ms`` is what is left of the caller's patience."""

    id: int
    op: int
    timeout_ms: int
    fields: list[Scalar]


class Reply(NamedTuple):
    """One answer: the fields, or the error in their place."""

    id: int
    fields: list[Scalar]
    error: Error | None


class Malformed(InvalidArgument):
    """The bytes are no request or reply, or a field is not what the operation takes."""


OK: Final = 0
FAILED: Final = 1


def encode_request(request: Request) -> bytes:
    """One item of a REQUEST frame."""
    packed: bytes = msgpack.packb([request.id, request.op, request.timeout_ms, *request.fields])
    return packed


def encode_reply(id_: int, fields: Sequence[Scalar]) -> bytes:
    """One item of a REPLY frame: success."""
    packed: bytes = msgpack.packb([id_, OK, *fields])
    return packed


def encode_failure(id_: int, error: Error) -> bytes:
    """One item of a REPLY frame: an error, by name, text and what its class adds."""
    extra: list[Scalar] = []
    if isinstance(error, NotLeader):
        extra = [error.group, error.hint]
    elif isinstance(error, Overloaded):
        extra = [error.retry_after]
    elif isinstance(error, Quarantined):
        extra = [error.group, error.index, error.reason]
    packed: bytes = msgpack.packb([id_, FAILED, type(error).__name__, str(error), *extra])
    return packed


def decode_requests(payload: bytes) -> list[Request]:
    """The items of a REQUEST frame.

    Raises:
        Malformed: the payload is not a sequence of requests.
    """
    requests = []
    for id_, op, *fields in _items(payload):
        if type(id_) is not int or type(op) is not int or not fields or type(fields[0]) is not int:
            raise Malformed("a request begins with three integers")
        requests.append(Request(id_, op, fields[0], fields[1:]))
    return requests


def decode_replies(payload: bytes) -> list[Reply]:
    """The items of a REPLY frame.

    Raises:
        Malformed: the payload is not a sequence of replies.
    """
    replies = []
    for id_, status, *fields in _items(payload):
        if type(id_) is not int or status not in {OK, FAILED}:
            raise Malformed("a reply begins with its id and a status")
        if status == OK:
            replies.append(Reply(id_, fields, None))
        else:
            replies.append(Reply(id_, [], _error(fields)))
    return replies


def _items(payload: bytes) -> Iterator[list[Scalar]]:
    unpacker = msgpack.Unpacker(
        max_buffer_size=max(len(payload), 1),
        max_array_len=0,
        max_map_len=0,
        max_ext_len=0,
        strict_map_key=True,
    )
    unpacker.feed(payload)
    items = 0
    try:
        while unpacker.tell() < len(payload):
            items += 1
            if items > FRAME_ITEMS:
                raise Malformed(f"a frame has more than {FRAME_ITEMS} items")
            count = unpacker.read_array_header()
            if not 2 <= count <= ITEM_FIELDS:
                raise Malformed(f"an item has {count} fields")
            fields = [unpacker.unpack() for _ in range(count)]
            if not _SCALARS.issuperset(map(type, fields)):
                raise Malformed("an item holds something that is no scalar")
            yield fields
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed(f"an item does not decode: {error}") from None


def _error(fields: list[Scalar]) -> Error:
    """The error of a failed reply; a name that we do not know becomes a plain :class:`Error`."""
    match fields:
        case ["NotLeader", str(), int(group), (int() | None) as hint]:
            return NotLeader(group, hint)
        case ["Overloaded", str(text), (int() | float()) as retry_after]:
            return Overloaded(text, float(retry_after))
        case ["Quarantined", str(), int(group), int(index), str(reason)]:
            return Quarantined(group, index, reason)
        case [str(name), str(text)]:
            make = _SIMPLE_ERRORS.get(name)
            return Error(f"{name}: {text}") if make is None else make(text)
        case _:
            raise Malformed("a failure names its error and tells its text")


def _is_only_text(cls: type[Error]) -> bool:
    return not any("__init__" in vars(base) for base in cls.__mro__ if base.__module__ == errors.__name__)


_SIMPLE_ERRORS: Final[dict[str, Callable[[str], Error]]] = {
    cls.__name__: cls
    for cls in vars(errors).values()
    if isinstance(cls, type)
    and issubclass(cls, Error)
    and (_is_only_text(cls) or cls in {errors.Corruption, errors.ClusterMismatch})
}
"""Errors that consist of their text, or tell in it what matters to another process (a corruption's place)."""


def cut(items: Sequence[bytes]) -> Iterator[bytes]:
    """Join items to payloads of at most FRAME_ITEMS and FRAME_BYTES (a larger item goes alone)."""
    part: list[bytes] = []
    size = 0
    for item in items:
        if part and (size + len(item) > FRAME_BYTES or len(part) == FRAME_ITEMS):
            yield b"".join(part)
            part, size = [], 0
        part.append(item)
        size += len(item)
    if part:
        yield b"".join(part)

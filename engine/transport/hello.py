"""The first frame of a connection: who speaks, and whether the two sides fit together.

On the wire a hello is one msgpack array of fixed shape, at most 4 KiB. The shape stays as it is in later
protocol versions (the range of versions is in it), so that a newer node is refused with a reason.
"""

from collections.abc import Container
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import Any

import msgpack

from ..errors import ClusterMismatch, Error, InvalidArgument, VersionMismatch
from .kinds import HELLO_LIMIT

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1

_U32 = 2**32 - 1
_U64 = 2**64 - 1
_UUID_BYTES = 16
_DIGEST_BYTES = 64  # at most; the digest's algorithm is the bootstrap's business
_FIELDS = 10


class HelloKind(IntEnum):
    """Who is calling."""

    PEER = 0
    CLIENT = 1
    ADMIN = 2
    SNAPSHOT = 3
    """A node that has a snapshot for another one, beside the connection that the two have as peers."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What each side says of itself. Clients leave what they do not have empty or zero."""

    kind: HelloKind
    protocol_min: int = PROTOCOL_MIN
    protocol_max: int = PROTOCOL_MAX
    cluster_uuid: bytes | None = None
    """16 bytes once the first system entry has fixed it; ``None`` before, and for clients without it."""
    bootstrap_digest: bytes = b""
    """Digest of cluster name and bootstrap nodes, compared while a side has no cluster uuid yet."""
    node_id: int = 0
    """1..2^32-1; 0 for clients."""
    store_uuid: bytes = b""
    """16 random bytes made with the data directory; empty for clients."""
    incarnation: int = 0
    """Rises by one, durably, at every start of the node."""
    nonce: int = 0
    """Random per process: tells two processes on copies of one data directory apart."""
    features: int = 0
    """Bit set of optional abilities (u64)."""

    @property
    def is_node(self) -> bool:
        """Whether a node speaks, not a client."""
        return self.kind in {HelloKind.PEER, HelloKind.SNAPSHOT}

    def __post_init__(self) -> None:
        problem = _shape_problem(self)
        if problem:
            raise InvalidArgument(f"hello: {problem}")


def encode_hello(hello: Hello) -> bytes:
    """The payload of a HELLO frame."""
    payload = msgpack.packb(astuple(hello))
    assert len(payload) <= HELLO_LIMIT, len(payload)
    return payload


def decode_hello(payload: bytes) -> Hello:
    """Read the payload of a HELLO frame.

    Raises:
        InvalidArgument: it is not a hello, in shape, type or size.
    """
    fields = _unpack_array(payload)
    if len(fields) != _FIELDS:
        raise InvalidArgument(f"hello: {len(fields)} fields instead of {_FIELDS}")
    kind = fields[0]
    if type(kind) is not int or kind not in HelloKind.__members__.values():
        raise InvalidArgument("hello: unknown kind")
    return Hello(HelloKind(kind), *fields[1:])


def _unpack_array(payload: bytes) -> list[Any]:
    if len(payload) > HELLO_LIMIT:
        raise InvalidArgument(f"hello: {len(payload)} bytes are more than {HELLO_LIMIT}")
    try:
        fields = msgpack.unpackb(
            payload,
            max_array_len=_FIELDS,
            max_bin_len=_DIGEST_BYTES,
            max_str_len=0,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise InvalidArgument(f"hello: not msgpack of the expected shape ({error})") from error
    if not isinstance(fields, list):
        raise InvalidArgument("hello: not an array")
    return fields


def _shape_problem(hello: Hello) -> str | None:
    """Why the fields cannot be those of a hello, or None. Types are checked too: they come off the wire."""
    problem = _number_problem(hello) or _bytes_problem(hello)
    if problem is None and hello.is_node:
        complete = hello.node_id and hello.store_uuid and hello.incarnation
        return None if complete else "a peer names its node, store and incarnation"
    return problem


def _number_problem(hello: Hello) -> str | None:
    numbers = ((hello.protocol_min, _U32), (hello.protocol_max, _U32), (hello.node_id, _U32),
               (hello.incarnation, _U64), (hello.nonce, _U64), (hello.features, _U64))  # fmt: skip
    if any(type(value) is not int or not 0 <= value <= limit for value, limit in numbers):
        return "a number is out of range"
    if hello.protocol_min > hello.protocol_max:
        return "the protocol range is empty"
    return None


def _bytes_problem(hello: Hello) -> str | None:
    if hello.cluster_uuid is not None and not _is_bytes(hello.cluster_uuid, {_UUID_BYTES}):
        return "the cluster uuid is not 16 bytes"
    if not _is_bytes(hello.bootstrap_digest, range(_DIGEST_BYTES + 1)):
        return f"the bootstrap digest is not up to {_DIGEST_BYTES} bytes"
    if not _is_bytes(hello.store_uuid, {0, _UUID_BYTES}):
        return "the store uuid is not 16 bytes"
    return None


def _is_bytes(value: object, lengths: Container[int]) -> bool:
    return type(value) is bytes and len(value) in lengths


def check(own: Hello, theirs: Hello, expected: Container[int] | None = None) -> Error | None:
    """The reason to refuse ``theirs``, or None if the two fit together.

    ``expected`` holds the node ids that may be at the other end; ``None`` means any.
    """
    if own.protocol_max < theirs.protocol_min or theirs.protocol_max < own.protocol_min:
        return VersionMismatch(
            f"node {own.node_id} speaks protocol {own.protocol_min}..{own.protocol_max}, "
            f"the other side {theirs.protocol_min}..{theirs.protocol_max}"
        )
    problem = _cluster_problem(own, theirs)
    if problem:
        return ClusterMismatch(f"{_name(own)} and {_name(theirs)}: {problem}")
    if expected is not None and theirs.node_id not in expected:
        return ClusterMismatch(f"{_name(own)} does not expect {_name(theirs)} here")
    return None


def _cluster_problem(own: Hello, theirs: Hello) -> str | None:
    if own.cluster_uuid is not None and theirs.cluster_uuid is not None:
        return None if own.cluster_uuid == theirs.cluster_uuid else "they belong to different clusters"
    # A client may come without a digest; among peers an empty digest is one that differs.
    if (own.is_node and theirs.is_node) or (own.bootstrap_digest and theirs.bootstrap_digest):
        same = own.bootstrap_digest == theirs.bootstrap_digest
        return None if same else "they were started with another cluster name or other nodes"
    return None


def _name(hello: Hello) -> str:
    return f"node {hello.node_id}" if hello.is_node else f"a {hello.kind.name.lower()}"

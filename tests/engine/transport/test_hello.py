"""Hellos: what is read is what was written or nothing, and every way not to fit has its error."""

import dataclasses

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine.errors import ClusterMismatch, Error, InvalidArgument, VersionMismatch
from multiraft.engine.transport.hello import Hello, HelloKind, check, decode_hello, encode_hello
from multiraft.engine.transport.kinds import HELLO_LIMIT

from .support import peer_hello

UUID, OTHER = b"u" * 16, b"v" * 16
CLIENT = Hello(HelloKind.CLIENT)
U32, U64 = 2**32 - 1, 2**64 - 1


@pytest.mark.parametrize(
    "hello",
    [
        CLIENT,
        Hello(HelloKind.ADMIN, cluster_uuid=UUID),
        peer_hello(1),
        peer_hello(
            U32, protocol_max=U32, cluster_uuid=UUID, bootstrap_digest=b"d" * 64, incarnation=U64, nonce=U64,
            features=U64,
        ),
    ],
)  # fmt: skip
def test_what_is_written_is_read(hello: Hello):
    """The smallest and the largest hello."""
    payload = encode_hello(hello)
    assert decode_hello(payload) == hello
    assert len(payload) <= HELLO_LIMIT


def raw(**changes: object) -> bytes:
    """A hello of the right shape with some fields replaced by anything."""
    fields = {field.name: getattr(peer_hello(3), field.name) for field in dataclasses.fields(Hello)}
    return msgpack.packb(list((fields | changes).values()))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x00",
        b"\x80",
        b"\x90",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * HELLO_LIMIT,
        b"\x9a" * HELLO_LIMIT,
        encode_hello(CLIENT) + b"\x00",
        encode_hello(CLIENT) + bytes(HELLO_LIMIT),
        raw(kind=4),
        raw(kind=True),
        raw(kind=[]),
        raw(kind=0.0),
        raw(node_id=0),
        raw(node_id=U32 + 1),
        raw(node_id=-1),
        raw(node_id="1"),
        raw(node_id=True),
        raw(incarnation=0),
        raw(nonce=1.0),
        raw(features=None),
        raw(protocol_min=2, protocol_max=1),
        raw(cluster_uuid=b""),
        raw(cluster_uuid=b"u" * 17),
        raw(cluster_uuid="u"),
        raw(store_uuid=b""),
        raw(store_uuid=b"s" * 15),
        raw(bootstrap_digest=b"d" * 65),
        raw(bootstrap_digest=None),
        raw(bootstrap_digest={}),
        raw(bootstrap_digest=msgpack.ExtType(1, b"x")),
        raw(bootstrap_digest=msgpack.ExtType(1, b"")),
        raw(bootstrap_digest=msgpack.Timestamp(0)),
        raw(more=1),
    ],
)
def test_what_is_no_hello_is_refused(payload: bytes):
    """Another type, size, number of fields, or anything behind it."""
    with pytest.raises(InvalidArgument):
        decode_hello(payload)


def test_no_truncated_hello_is_one():
    """Every prefix is refused."""
    payload = encode_hello(peer_hello(3, cluster_uuid=UUID))
    for length in range(len(payload)):
        with pytest.raises(InvalidArgument):
            decode_hello(payload[:length])


@given(st.binary(max_size=200))
def test_noise_raises_nothing_else(payload: bytes):
    """Whatever comes: a hello, or InvalidArgument."""
    try:
        decode_hello(payload)
    except InvalidArgument:
        return


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_raises_nothing_else(place: int, value: int):
    """Near a good hello too."""
    payload = bytearray(encode_hello(peer_hello(3)))
    payload[place % len(payload)] = value
    try:
        decode_hello(bytes(payload))
    except InvalidArgument:
        return


VERSION, CLUSTER = VersionMismatch, ClusterMismatch


@pytest.mark.parametrize(
    ("own", "theirs", "expected", "kind"),
    [
        (peer_hello(1), peer_hello(2), {2}, None),
        (peer_hello(1), peer_hello(2), None, None),
        (peer_hello(1), peer_hello(2, protocol_min=1, protocol_max=9), {2}, None),
        (peer_hello(1), peer_hello(2, protocol_min=2, protocol_max=9), {2}, VERSION),
        (peer_hello(1, protocol_min=2, protocol_max=9), peer_hello(2), {2}, VERSION),
        (peer_hello(1, cluster_uuid=UUID), peer_hello(2, cluster_uuid=UUID), {2}, None),
        (peer_hello(1, cluster_uuid=UUID), peer_hello(2, cluster_uuid=OTHER), {2}, CLUSTER),
        # The uuid wins over the digest once both have it, and not before.
        (
            peer_hello(1, cluster_uuid=UUID),
            peer_hello(2, cluster_uuid=UUID, bootstrap_digest=b"x"),
            {2},
            None,
        ),
        (peer_hello(1, cluster_uuid=UUID), peer_hello(2), {2}, None),
        (peer_hello(1, cluster_uuid=UUID), peer_hello(2, bootstrap_digest=b"x"), {2}, CLUSTER),
        (peer_hello(1), peer_hello(2, bootstrap_digest=b"x"), {2}, CLUSTER),
        (peer_hello(1), peer_hello(2, bootstrap_digest=b""), {2}, CLUSTER),
        (peer_hello(1), peer_hello(2), {3}, CLUSTER),
        (peer_hello(1), peer_hello(1), {2, 3}, CLUSTER),
        (peer_hello(1), CLIENT, None, None),
        (CLIENT, peer_hello(1, cluster_uuid=UUID), None, None),
        (peer_hello(1, cluster_uuid=UUID), Hello(HelloKind.CLIENT, cluster_uuid=OTHER), None, CLUSTER),
        (peer_hello(1), Hello(HelloKind.ADMIN, bootstrap_digest=b"x"), None, CLUSTER),
        (peer_hello(1), Hello(HelloKind.CLIENT, protocol_min=7, protocol_max=7), None, VERSION),
    ],
)
def test_who_fits_to_whom(own: Hello, theirs: Hello, expected: set[int] | None, kind: type[Error] | None):
    """Protocol first, then the cluster, then whether this node is expected here."""
    error = check(own, theirs, expected)
    assert (None if error is None else type(error)) is kind


def test_a_mismatch_is_seen_from_both_sides():
    """Cluster and protocol are compared symmetrically, so neither side goes on alone."""
    pairs = [
        (peer_hello(1, cluster_uuid=UUID), peer_hello(2, cluster_uuid=OTHER)),
        (peer_hello(1), peer_hello(2, bootstrap_digest=b"x")),
        (peer_hello(1), peer_hello(2, protocol_min=5, protocol_max=6)),
    ]
    for one, other in pairs:
        assert type(check(one, other)) is type(check(other, one))
        assert check(one, other) is not None

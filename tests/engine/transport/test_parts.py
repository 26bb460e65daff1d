"""The small parts of the transport: duel, refusal, send queue, addresses, backoff."""

import errno
import itertools
import os
import random
import socket

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine.errors import (
    AddressInUse,
    ClusterMismatch,
    Corruption,
    DiskFull,
    Error,
    InvalidArgument,
    KeyTooLarge,
    Overloaded,
    PermissionDenied,
    Unavailable,
    VersionMismatch,
)
from multiraft.engine.transport.address import (
    Address,
    connect_error,
    listen_error,
    parse_address,
    require_loopback,
)
from multiraft.engine.transport.dialer import backoff_delays
from multiraft.engine.transport.kinds import HELLO_LIMIT
from multiraft.engine.transport.refusal import decode_refusal, encode_refusal
from multiraft.engine.transport.roster import Roster
from multiraft.engine.transport.sendqueue import CHUNK_BYTES, SendQueue

from .support import peer_hello

KNOWN = peer_hello(5, incarnation=4, nonce=100)


@pytest.mark.parametrize(
    ("changes", "admitted"),
    [
        ({"incarnation": 4, "nonce": 100}, True),  # the same process: its old connection is dead
        ({"incarnation": 5, "nonce": 200}, True),  # it was restarted
        ({"incarnation": 4, "nonce": 200}, False),  # two processes on copies of one directory
        ({"incarnation": 3, "nonce": 200}, False),  # an old copy
        ({"incarnation": 3, "nonce": 100}, False),
        ({"incarnation": 5, "nonce": 200, "store_uuid": b"x" * 16}, False),  # wiped
        ({"node_id": 6, "incarnation": 1, "nonce": 200}, True),  # somebody else
    ],
)
def test_of_two_processes_with_one_node_id(changes: dict, admitted: bool):
    """The higher incarnation wins; an equal one with another nonce is refused."""
    roster = Roster()
    assert roster.duel(KNOWN) is None
    roster.enrol(KNOWN)
    fields = {"node_id": 5, "store_uuid": KNOWN.store_uuid} | changes
    error = roster.duel(peer_hello(fields.pop("node_id"), **fields))
    assert (error is None) is admitted
    assert error is None or type(error) is ClusterMismatch


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ClusterMismatch("a"), ClusterMismatch),
        (VersionMismatch("b"), VersionMismatch),
        (Overloaded("c", retry_after=9), Overloaded),
        (InvalidArgument("d"), InvalidArgument),
        (KeyTooLarge("e"), InvalidArgument),
        (Corruption("f"), InvalidArgument),
    ],
)
def test_a_refusal_keeps_its_type_and_text(error: Error, kind: type[Error]):
    """A type that has no meaning on the other side becomes one that has."""
    told = decode_refusal(encode_refusal(error))
    assert type(told) is kind
    assert str(told) == str(error)


def test_a_long_refusal_is_cut_between_characters():
    """It always fits into its frame."""
    payload = encode_refusal(ClusterMismatch("€" * 9000))
    assert len(payload) <= HELLO_LIMIT
    assert set(str(decode_refusal(payload))) == {"€"}


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", msgpack.packb(["Exception", "x"]), msgpack.packb(["ClusterMismatch"]), msgpack.packb({}),
     msgpack.packb([1, 2]), msgpack.packb(["ClusterMismatch", "x" * 5000]), b"\xdd\xff\xff\xff\xff"],
)  # fmt: skip
def test_a_senseless_refusal_is_a_refusal(payload: bytes):
    """No type is made up from what the other side says."""
    assert type(decode_refusal(payload)) is InvalidArgument


@given(st.binary(max_size=64))
def test_noise_as_a_refusal_raises_nothing(payload: bytes):
    """It is an answer in any case."""
    assert isinstance(decode_refusal(payload), Error)


def test_urgent_frames_go_first_and_each_class_keeps_its_order():
    """Beats before appends, but no frame overtakes one of its own class."""
    queue = SendQueue(limit=1000)
    for frame, urgent in ((b"a", False), (b"B", True), (b"c", False), (b"D", True)):
        assert queue.offer(frame, urgent, 0)
    assert queue.waiting == 4
    assert queue.take() == b"BDac"
    assert queue.take() == b""
    assert queue.waiting == 0


def test_the_bound_counts_what_waits_further_down():
    """What the socket has not sent yet is part of it; after it went there is room again."""
    queue = SendQueue(limit=100)
    assert queue.offer(b"x" * 60, False, 0)
    assert not queue.offer(b"y" * 41, True, 0)
    assert queue.offer(b"y" * 40, True, 0)
    assert not queue.offer(b"z", False, 0)
    queue.take()
    assert not queue.offer(b"z" * 50, False, 51)
    assert queue.offer(b"z" * 50, False, 50)


def test_a_frame_over_the_bound_goes_alone():
    """Otherwise a large snapshot could never be sent."""
    queue = SendQueue(limit=100)
    assert queue.offer(b"x" * 500, False, 0)
    assert not queue.offer(b"y", False, 0)
    queue.take()
    assert queue.offer(b"y", False, 0)
    assert not queue.offer(b"x" * 500, False, 0)


def test_pieces_are_of_limited_size_and_never_less_than_a_frame():
    """Many small frames share a system call, a large one has its own."""
    queue = SendQueue(limit=10 * CHUNK_BYTES)
    half = CHUNK_BYTES // 2
    for frame in (b"a" * half, b"b" * half, b"c", b"d" * (2 * CHUNK_BYTES), b"e"):
        assert queue.offer(frame, False, 0)
    assert [len(queue.take()) for _ in range(5)] == [CHUNK_BYTES, 1, 2 * CHUNK_BYTES, 1, 0]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7001", Address("127.0.0.1", 7001)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:65535", Address("::1", 65535)),
        ("db-1.example.org:80", Address("db-1.example.org", 80)),
    ],
)
def test_addresses_are_read_and_written(text: str, address: Address):
    """Names, IPv4, and IPv6 in brackets."""
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "localhost", ":7001", "localhost:", "localhost:x", "h:65536", "h:-1", "::1:80", "[]:80", "h:٣"],
)
def test_a_malformed_address_is_refused(text: str):
    """The error quotes it."""
    with pytest.raises(InvalidArgument, match="address"):
        parse_address(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_permission(host: str):
    """Plaintext that stays on this machine."""
    require_loopback(Address(host, 1), insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org", "localhost.example.org"])
def test_plaintext_on_the_network_must_be_asked_for(host: str):
    """Also "all interfaces", and names: what they resolve to may change."""
    with pytest.raises(InvalidArgument, match="insecure"):
        require_loopback(Address(host, 1), insecure=False)
    require_loopback(Address(host, 1), insecure=True)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.EADDRINUSE, "x"), AddressInUse),
        (OSError(errno.EACCES, "x"), PermissionDenied),
        (OSError(errno.EADDRNOTAVAIL, "x"), InvalidArgument),
        (socket.gaierror(-2, "Name or service not known"), InvalidArgument),
    ],
)
def test_a_failure_to_listen_has_a_name(error: OSError, kind: type[Error]):
    """And names the address."""
    told = listen_error(error, Address("h", 7))
    assert type(told) is kind
    assert "h:7" in str(told)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed"), os.strerror(errno.ECONNREFUSED)),
        (TimeoutError(), "no answer in time"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (OSError("Multiple exceptions"), "Multiple exceptions"),
    ],
)
def test_a_failure_to_connect_may_be_repeated(error: OSError, words: str):
    """It is Unavailable, with the address and the reason."""
    told = connect_error(error, Address("h", 7))
    assert type(told) is Unavailable
    assert "h:7" in str(told)
    assert words in str(told)


def test_backoff_doubles_up_to_two_seconds_and_is_spread():
    """Between 50 ms and 2 s, the same for the same seed."""
    delays = list(itertools.islice(backoff_delays(random.Random(1)), 50))
    assert delays == list(itertools.islice(backoff_delays(random.Random(1)), 50))
    for number, delay in enumerate(delays):
        ceiling = min(2.0, 0.1 * 2**number)
        assert ceiling / 2 <= delay <= ceiling
    assert len(set(delays[10:])) == 40


def test_disk_errors_do_not_cross_the_wire_as_such():
    """The other side's disk is not ours."""
    assert type(decode_refusal(encode_refusal(DiskFull("x")))) is InvalidArgument

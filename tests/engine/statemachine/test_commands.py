"""The bytes of commands: both ways from one table, limits, and bytes that are no command."""

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multiraft.engine.errors import CommandTooLarge, InvalidArgument, KeyTooLarge, ValueTooLarge
from multiraft.engine.statemachine.commands import (
    MAX_BATCH,
    MAX_COMMAND,
    MAX_KEY,
    MAX_VALUE,
    Batch,
    Command,
    CompareAndSwap,
    Delete,
    Envelope,
    MalformedCommand,
    Put,
    decode,
    encode_batch,
    encode_cas,
    encode_delete,
    encode_put,
    envelope,
    open_envelope,
)

BODIES = [
    (Put(b"k", b"v"), encode_put(b"k", b"v"), b"\x93\x01\xc4\x01k\xc4\x01v"),
    (Put(b"", b""), encode_put(b"", b""), b"\x93\x01\xc4\x00\xc4\x00"),
    (Delete(b"k"), encode_delete(b"k"), b"\x92\x02\xc4\x01k"),
    (CompareAndSwap(b"k", None, b"n"), encode_cas(b"k", None, b"n"), b"\x94\x03\xc4\x01k\xc0\xc4\x01n"),
    (CompareAndSwap(b"k", b"e", None), encode_cas(b"k", b"e", None), b"\x94\x03\xc4\x01k\xc4\x01e\xc0"),
    (Batch([]), encode_batch([]), b"\x91\x04"),
    (Batch([(b"k", b"v")]), encode_batch([(b"k", b"v")]), b"\x93\x04\xc4\x01k\xc4\x01v"),
    (
        Batch([(b"k", b"v"), (b"d", None)]),
        encode_batch([(b"k", b"v"), (b"d", None)]),
        b"\x95\x04\xc4\x01k\xc4\x01v\xc4\x01d\xc0",
    ),
]


@pytest.mark.parametrize(("command", "encoded", "written"), BODIES)
def test_both_directions(command: Command, encoded: bytes, written: bytes):
    assert encoded == written
    assert decode(written) == command


@pytest.mark.parametrize("written", [body for _, _, body in BODIES])
def test_every_truncation_and_extension_is_refused(written: bytes):
    for stop in range(len(written)):
        with pytest.raises(MalformedCommand):
            decode(written[:stop])
    with pytest.raises(MalformedCommand):
        decode(written + b"\xc0")


NO_COMMANDS = {
    "nothing": b"",
    "not an array": msgpack.packb(7),
    "no operation": msgpack.packb([]),
    "unknown operation": msgpack.packb([5, b"k"]),
    "operation of another type": msgpack.packb([[1], b"k", b"v"]),
    "text key": msgpack.packb([1, "k", b"v"]),
    "number as value": msgpack.packb([1, b"k", 3]),
    "missing value": msgpack.packb([1, b"k"]),
    "nil as a put's value": msgpack.packb([1, b"k", None]),
    "one element too many": msgpack.packb([2, b"k", b"v"]),
    "odd batch": msgpack.packb([4, b"k"]),
    "nested batch": msgpack.packb([4, [b"k"], b"v"]),
    "batch with a nil key": msgpack.packb([4, None, b"v"]),
    "batch with a text value": msgpack.packb([4, b"k", "v"]),
    "map": msgpack.packb({}),
    "extension": msgpack.packb(msgpack.ExtType(1, b"")),
    "long key in a put": msgpack.packb([1, b"k" * (MAX_KEY + 1), b""]),
    "long key in a delete": msgpack.packb([2, b"k" * (MAX_KEY + 1)]),
    "long key in a swap": msgpack.packb([3, b"k" * (MAX_KEY + 1), None, None]),
    "long key in a batch": msgpack.packb([4, b"k" * (MAX_KEY + 1), None]),
    "long value": msgpack.packb([1, b"k", b"v" * (MAX_VALUE + 1)]),
    "long value in a batch": msgpack.packb([4, b"k", b"v" * (MAX_VALUE + 1)]),
    "array that claims billions": b"\xdd\xff\xff\xff\xff\x04",
    "batch that holds an array that claims billions": b"\x93\x04\xdd\xff\xff\xff\xff",
    "deep nesting": b"\x93\x01" + b"\x94" * 100_000,
    "too long": b"\x00" * (MAX_COMMAND + 1),
    "too many operations": msgpack.packb([4, *[b"", None] * (MAX_BATCH + 1)]),
}


@pytest.mark.parametrize("body", NO_COMMANDS.values(), ids=NO_COMMANDS)
def test_what_is_no_command_is_refused(body: bytes):
    with pytest.raises(MalformedCommand):
        decode(body)


@given(st.binary(max_size=40))
@example(b"\x93\x01\xc4\x01k\xd4\x01\x00")
def test_no_bytes_do_more_than_be_refused(body: bytes):
    try:
        command = decode(body)
    except MalformedCommand:
        return
    assert isinstance(command, Put | Delete | CompareAndSwap | Batch)


def test_limits_are_met_exactly():
    key, value = b"k" * MAX_KEY, b"v" * MAX_VALUE
    assert decode(encode_put(key, value)) == Put(key, value)
    assert decode(encode_cas(key, value, value)) == CompareAndSwap(key, value, value)
    assert decode(encode_batch([(key, value)] * 3)) == Batch([(key, value)] * 3)


@pytest.mark.parametrize(
    "encode", [lambda key: encode_put(key, b""), encode_delete, lambda key: encode_cas(key, None, None)]
)
def test_a_long_key_is_refused_by_the_encoder(encode):
    with pytest.raises(KeyTooLarge):
        encode(b"k" * (MAX_KEY + 1))
    with pytest.raises(InvalidArgument, match="bytes, not str"):
        encode("text")


def test_a_long_value_is_refused_by_the_encoder():
    value = b"v" * (MAX_VALUE + 1)
    for encode in (
        lambda: encode_put(b"", value),
        lambda: encode_cas(b"", value, None),
        lambda: encode_cas(b"", None, value),
        lambda: encode_batch([(b"", value)]),
    ):
        with pytest.raises(ValueTooLarge):
            encode()
    with pytest.raises(InvalidArgument, match="bytes, not int"):
        encode_put(b"", 3)


def test_a_long_batch_is_refused_by_the_encoder():
    with pytest.raises(CommandTooLarge):
        encode_batch([(b"", b"v" * MAX_VALUE)] * 5)
    with pytest.raises(CommandTooLarge):
        encode_batch([(b"", b"v" * MAX_VALUE)] * 4)  # the values fit, their heads and the envelope do not
    with pytest.raises(CommandTooLarge):
        encode_batch([(b"", None)] * (MAX_BATCH + 1))


def test_the_header_is_read_without_the_body():
    data = envelope(2**64 - 1, 7, 3, b"not msgpack")
    assert open_envelope(data) == Envelope(2**64 - 1, 7, 3, b"not msgpack")
    assert len(data) == 24 + len(b"not msgpack")
    with pytest.raises(MalformedCommand):
        open_envelope(data[:23])

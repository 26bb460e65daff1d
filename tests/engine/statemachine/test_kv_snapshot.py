"""Snapshots of the key-value machine: there and back, and what is refused on the way."""

import struct

import pytest

from multiraft.engine.errors import Corruption, Error, SnapshotTooLarge, VersionMismatch
from multiraft.engine.statemachine import kv_snapshot
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.engine.statemachine.kv_snapshot import (
    Bounds,
    decode_snapshot,
    encode_metadata,
    encode_snapshot,
)
from multiraft.engine.statemachine.memory_group import MemoryGroup
from multiraft.native.checksum import crc32c

BOUNDS = Bounds(b"a", b"x", 7)
PAIRS = [(b"a", b""), (b"b" * 480, b"v" * 1000), (b"c", b"3")]


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", crc32c(body))


def with_pairs(*pairs: tuple[bytes, bytes]) -> bytes:
    return encode_snapshot(BOUNDS, pairs)


def test_there_and_back():
    source = KVMachine(MemoryGroup(), *BOUNDS)
    source.store.load(PAIRS)
    target = KVMachine(MemoryGroup(), b"other", None, 1)
    target.store.put(b"zz", b"is replaced")
    target.restore(source.snapshot())
    assert target.bounds == BOUNDS
    assert target.metadata() == source.metadata()
    assert list(target.store.scan(b"", None)) == PAIRS
    assert target.digest() == source.digest()


def test_a_snapshot_holds_only_the_range_of_its_machine():
    source = KVMachine(MemoryGroup(), b"b", b"c")
    source.store.load([(b"a", b""), (b"b", b""), (b"c", b"")])
    assert decode_snapshot(source.snapshot()) == (source.bounds, [(b"b", b"")])


def test_an_empty_range_without_upper_bound():
    assert decode_snapshot(encode_snapshot(Bounds(b"", None, 1), [])) == (Bounds(b"", None, 1), [])


def test_every_truncation_and_every_flipped_bit_is_refused_and_changes_nothing():
    machine = KVMachine(MemoryGroup(), b"", None, 2)
    machine.store.put(b"k", b"v")
    data = encode_snapshot(BOUNDS, [(b"a", b"1"), (b"b", b"2")])
    damaged = [data[:stop] for stop in range(len(data))] + [data + b"\x00"]
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for bad in damaged:
        with pytest.raises(Corruption):
            machine.restore(bad)
    assert machine.bounds == Bounds(b"", None, 2)
    assert list(machine.scan()) == [(b"k", b"v")]


HEADER = struct.Struct("<4sHI")
METADATA = encode_metadata(BOUNDS)
REFUSED: dict[str, tuple[bytes, type[Error]]] = {
    "another kind of file": (sealed(HEADER.pack(b"NOPE", 1, len(METADATA)) + METADATA), Corruption),
    "a newer version": (sealed(HEADER.pack(b"MRKV", 2, len(METADATA)) + METADATA), VersionMismatch),
    "metadata beyond the end": (sealed(HEADER.pack(b"MRKV", 1, 10_000) + METADATA), Corruption),
    "metadata with unknown flags": (
        sealed(HEADER.pack(b"MRKV", 1, 13) + struct.pack("<QBHH", 1, 4, 0, 0)),
        Corruption,
    ),
    "metadata with an end that is not there": (
        sealed(HEADER.pack(b"MRKV", 1, 14) + struct.pack("<QBHH", 1, 0, 0, 1) + b"x"),
        Corruption,
    ),
    "half a pair": (sealed(with_pairs()[:-4] + b"\x01"), Corruption),
    "a pair beyond the end": (
        sealed(with_pairs()[:-4] + struct.pack("<HI", 1, 2**32 - 1) + b"b"),
        Corruption,
    ),
    "a key over its limit": (sealed(with_pairs((b"b" * 481, b""))[:-4]), Corruption),
    "a value over its limit": (with_pairs((b"b", b"v" * ((1 << 20) + 1))), Corruption),
    "keys that descend": (with_pairs((b"c", b""), (b"b", b"")), Corruption),
    "a key twice": (with_pairs((b"c", b""), (b"c", b"")), Corruption),
    "a key below the bounds": (with_pairs((b"A", b"")), Corruption),
    "a key at the upper bound": (with_pairs((b"x", b"")), Corruption),
}


@pytest.mark.parametrize(("data", "error"), REFUSED.values(), ids=REFUSED)
def test_intact_bytes_that_are_no_snapshot_are_refused(data: bytes, error: type[Error]):
    with pytest.raises(error):
        decode_snapshot(data)


def test_a_range_that_outgrew_one_message(monkeypatch: pytest.MonkeyPatch):
    exact = encode_snapshot(BOUNDS, PAIRS)
    monkeypatch.setattr(kv_snapshot, "MAX_SNAPSHOT", len(exact))
    assert decode_snapshot(encode_snapshot(BOUNDS, PAIRS)) == (BOUNDS, PAIRS)
    monkeypatch.setattr(kv_snapshot, "MAX_SNAPSHOT", len(exact) - 1)
    with pytest.raises(SnapshotTooLarge):
        encode_snapshot(BOUNDS, PAIRS)
    with pytest.raises(SnapshotTooLarge):
        decode_snapshot(exact)

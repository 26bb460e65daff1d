"""Flipped bits in the state file: every one is noticed, and harms only the group whose bytes it hit."""

import logging
import struct
from pathlib import Path

import pytest

from multiraft.engine.errors import Corruption, Fatal, VersionMismatch
from multiraft.engine.statemachine.applied import MalformedRecord, Point, decode_point, encode_point
from multiraft.engine.statemachine.grouprecord import GroupRecord
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.opening import check_tally
from multiraft.engine.statemachine.overlay import OverlayStore
from multiraft.engine.statemachine.records import (
    FORMAT_VERSION,
    HEAD,
    HEAD_KEY,
    PREFIX,
    Kind,
    record_key,
    seal,
)
from multiraft.engine.statemachine.store import Applied
from multiraft.engine.statemachine.tally import Tallying
from multiraft.raft.state import ConfState
from tests.engine.statemachine.helpers import flush, flush_until_idle

DATA = [(b"key%02d" % number, b"value%d" % number) for number in range(20)]
POINT = Applied(9, 4, ConfState((1, 2, 3), (), (4,)), b"meta")


def filled() -> MemoryStateStore:
    """Groups 1 and 2 with data and applied records, group 3 with a checkpoint of two pieces."""
    store = MemoryStateStore()
    for group in (1, 2):
        store.group(group).load(DATA)
        store.set_applied(group, POINT)
    store.set_checkpoint(3, POINT, b"c" * 70_000)
    flush(store)
    return store


def readable(store: OverlayStore, group: int) -> bool:
    """Whether the group is intact; False if it reports damage of its own. Wrong bytes are neither."""
    try:
        check_contents(store, group)
    except Corruption as error:
        if error.group != group:
            raise
        return False
    return True


def check_contents(store: OverlayStore, group: int) -> None:
    if group == 3:
        assert store.checkpoint(3) == (POINT, b"c" * 70_000)
    else:
        assert store.applied(group) == POINT
        assert list(store.group(group).scan(b"", None)) == DATA
        assert [store.group(group).get(key) for key, _ in DATA] == [value for _, value in DATA]
    assert store.durable_applied(group) == 9


def test_every_flipped_bit_of_every_value_is_noticed_and_harms_one_group():
    contents = filled().crash().medium.contents
    owners = []
    for key, stored in contents.items():
        if key == HEAD_KEY:
            continue
        for bit in [*range(min(len(stored), 90) * 8), len(stored) * 8 - 1]:
            flipped = bytearray(stored)
            flipped[bit // 8] ^= 1 << bit % 8
            store = MemoryStateStore({**contents, key: bytes(flipped)})
            unreadable = [group for group in (1, 2, 3) if not readable(store, group)]
            assert len(unreadable) == 1
            owners += unreadable
    assert set(owners) == {1, 2, 3}


def test_a_truncated_value_is_noticed():
    contents = filled().crash().medium.contents
    for key, stored in contents.items():
        if key != HEAD_KEY:
            for length in (0, 3, len(stored) - 1):
                store = MemoryStateStore({**contents, key: stored[:length]})
                assert [readable(store, group) for group in (1, 2, 3)].count(False) == 1


def test_a_value_under_another_key_is_noticed():
    """The checksum covers the key: a page that landed in the wrong place does not pass."""
    contents = filled().crash().medium.contents
    first, second = [
        key for key in contents if key[8:] in (b"key01", b"key02") and PREFIX.unpack(key[:8])[0] == 1
    ]
    contents[first], contents[second] = contents[second], contents[first]
    assert not readable(MemoryStateStore(contents), 1)


def test_a_missing_piece_of_a_checkpoint_is_noticed():
    contents = filled().crash().medium.contents
    pieces = sorted(key for key in contents if key.startswith(record_key(Kind.CHECKPOINT, 3)))
    assert len(pieces) == 3
    for piece in pieces:
        assert not readable(MemoryStateStore({k: v for k, v in contents.items() if k != piece}), 3)


def test_a_group_with_a_damaged_record_can_be_replaced():
    """A snapshot from a peer must go in, whatever became of the records it replaces."""
    contents = filled().crash().medium.contents
    contents[record_key(Kind.GROUP, 1)] = b"damaged"
    store = MemoryStateStore(contents)
    assert not readable(store, 1)
    store.group(1).load(DATA)
    store.set_applied(1, POINT)
    store.set_install_marker(1, 5)
    flush(store)
    assert readable(store, 1)
    assert readable(store.crash(), 1)


def test_a_group_with_a_damaged_record_can_be_removed():
    contents = filled().crash().medium.contents
    contents[record_key(Kind.GROUP, 1)] = b"damaged"
    store = MemoryStateStore(contents)
    store.remove(1)
    flush(store)
    assert store.crash().groups() == [2, 3]


def test_a_record_that_is_damaged_under_a_flush_costs_its_own_group_only():
    """The flush has to read it; what it would have added stays out, and the group's state is not there."""
    store = filled()
    for group in (1, 2):
        store.group(group).put(b"more", b"x")
        store.set_applied(group, POINT._replace(index=12))
    store.medium.contents[record_key(Kind.GROUP, 1)] = b"damaged"
    taken = store.freeze()
    assert taken is not None
    store.write(taken)
    assert list(taken.damaged) == [1]
    assert store.flushed(taken) == {2: 12}
    assert not readable(store, 1)
    assert not readable(store.crash(), 1)
    check_tally(store.crash().medium, 2)


def test_a_damaged_record_stops_writes_to_its_group_only():
    contents = filled().crash().medium.contents
    contents[record_key(Kind.GROUP, 1)] = b"damaged"
    store = MemoryStateStore(contents)
    with pytest.raises(Corruption) as raised:
        store.group(1).put(b"key", b"value")
    assert raised.value.group == 1
    store.group(2).put(b"key", b"value")


def test_intact_bytes_that_are_no_applied_record_are_damage():
    contents = filled().crash().medium.contents
    key = record_key(Kind.GROUP, 1)
    contents[key] = seal(key, GroupRecord(1, point=b"\xc0").encode())
    assert not readable(MemoryStateStore(contents), 1)
    key = record_key(Kind.GROUP, 2)
    contents[key] = seal(key, b"short")
    assert not readable(MemoryStateStore(contents), 2)


@pytest.mark.parametrize("content", [b"", b"\x00" * 5, struct.pack("<IQ", 3, 0)])
def test_intact_bytes_that_are_no_checkpoint_are_damage(content: bytes):
    contents = filled().crash().medium.contents
    key = min(key for key in contents if key.startswith(record_key(Kind.CHECKPOINT, 3)))
    contents[key] = seal(key, content)
    assert not readable(MemoryStateStore(contents), 3)


def test_applied_records_there_and_back():
    point = Point(Applied(2**64 - 1, 7, ConfState((1, 2), (3,), (4,), (3,), True), b"m" * 1000), 2**64 - 1)
    assert decode_point(encode_point(point)) == point


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x90",
        encode_point(Point(POINT))[:-1],
        encode_point(Point(POINT)) + b"\x00",
        encode_point(Point(POINT._replace(index=-1))),
        encode_point(Point(POINT._replace(index=True))),
        encode_point(Point(POINT._replace(metadata="text"))),
        encode_point(Point(POINT._replace(conf_state=ConfState(("a",))))),
        encode_point(Point(POINT._replace(conf_state=ConfState((), auto_leave=1)))),
        encode_point(Point(POINT._replace(metadata=b"m" * (64 << 10)))),
    ],
)
def test_what_is_no_applied_record_is_refused(data: bytes):
    with pytest.raises(MalformedRecord):
        decode_point(data)


@pytest.mark.parametrize("dead", [False, True])
def test_a_damaged_head_costs_nothing_but_a_line_in_the_log(dead: bool, caplog: pytest.LogCaptureFixture):
    """What it says about free prefixes is found out from those in use, empty groups and the dead included."""
    before = filled()
    before.group(4).put(b"k", b"v")
    flush(before)
    before.group(4).delete(b"k")
    flush(before)  # group 4 is empty now, and has the highest prefix
    if dead:
        before.remove(4)
        flush(before)  # its prefix is to be reclaimed: whoever got it anew would lose its data
    contents = before.crash().medium.contents
    contents[HEAD_KEY] = b"damaged"
    with caplog.at_level(logging.ERROR):
        store = MemoryStateStore(contents)
    assert "head of the state store is damaged" in caplog.text
    store.group(5).put(b"five", b"5")
    store.group(4).put(b"four", b"4")
    flush(store)
    flush_until_idle(store)
    store = store.crash()
    assert [readable(store, group) for group in (1, 2, 3)] == [True, True, True]
    assert list(store.group(4).scan(b"", None)) == [(b"four", b"4")]
    assert list(store.group(5).scan(b"", None)) == [(b"five", b"5")]


def stored_keys(store: MemoryStateStore, group: int) -> list[bytes]:
    low = PREFIX.pack(store.group(group).stored_prefix())
    return [low + key for key, _ in DATA]


def test_a_key_that_vanished_is_noticed():
    store = filled().crash()
    contents, keys = store.medium.contents, stored_keys(store, 1)
    for key in keys:
        damaged = MemoryStateStore({k: v for k, v in contents.items() if k != key})
        with pytest.raises(Corruption, match="there are 19 keys, its record says 20") as raised:
            check_tally(damaged.medium, 1)
        assert raised.value.group == 1
        check_tally(damaged.medium, 2)


def test_an_older_value_that_came_back_is_noticed_and_not_forgotten():
    """As when a page of an earlier transaction is read: every byte is right, and the whole is not."""
    store = filled()
    old = dict(store.medium.contents)
    for key, value in DATA:
        store.group(1).put(key, b"new " + value)
    store.group(1).delete(DATA[3][0])
    store.set_applied(1, POINT._replace(index=10))
    flush(store)
    check_tally(store.medium, 1)
    contents = store.medium.contents
    for key in stored_keys(store, 1):
        damaged = MemoryStateStore({**contents, key: old[key]})
        damaged.group(1).put(key[8:], b"newest")
        damaged.set_applied(1, POINT._replace(index=11))
        for _ in range(2):
            with pytest.raises(Corruption):
                check_tally(damaged.medium, 1)
            flush_until_idle(damaged)


def test_exchanged_values_change_the_sum():
    """A checksum is linear: a plain sum over checksums would be the same for many such pairs."""
    for first in range(100):
        one, two = b"key%02d" % first, b"key%02d" % (first + 1)
        tallies = []
        for values in ((b"0", b"1"), (b"1", b"0")):
            tallying = Tallying()
            for key, value in zip((one, two), values, strict=True):
                tallying.add(seal(key, value))
            tallies.append(tallying.result())
        assert tallies[0] != tallies[1]


@pytest.mark.parametrize("version", [1, FORMAT_VERSION + 1])
def test_another_format_is_refused(tmp_path: Path, version: int):
    store = LmdbStateStore.open(tmp_path / "state", "none")
    newer = seal(HEAD_KEY, HEAD.pack(version, 1, 1))
    store.medium.commit(lambda writer: writer.put_many([(HEAD_KEY, newer)]))
    store.close()
    with pytest.raises(VersionMismatch, match=f"format {version}"):
        LmdbStateStore.open(tmp_path / "state", "none")
    with pytest.raises(VersionMismatch):
        LmdbStateStore.open(tmp_path / "state", "none")  # the first attempt left nothing open


def test_keys_without_a_head_are_no_state_store():
    with pytest.raises(Corruption, match="not a state store"):
        MemoryStateStore({b"someone": b"else's"})


def test_flipped_bits_in_the_file_of_lmdb_are_noticed(tmp_path: Path):
    """Through the real file: every bit of a value as it lies in the page."""
    path = tmp_path / "state"
    store = LmdbStateStore.open(path)
    store.group(1).load([(b"key", b"needle-in-the-page")])
    store.set_applied(1, POINT)
    flush(store)
    store.close()
    file = path / "data.mdb"
    intact = file.read_bytes()
    place = intact.index(b"needle-in-the-page")
    assert intact.count(b"needle-in-the-page") == 1
    for bit in range(-4 * 8, 18 * 8, 3):  # from the checksum in front of it to its end
        flipped = bytearray(intact)
        flipped[place + bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        store = LmdbStateStore.open(path)
        with pytest.raises(Corruption) as raised:
            store.group(1).get(b"key")
        assert raised.value.group == 1
        assert store.applied(1) == POINT
        store.close()


def test_a_file_that_is_not_lmdb_is_refused(tmp_path: Path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "data.mdb").write_bytes(b"x" * 8192)
    with pytest.raises(Fatal, match="state store"):
        LmdbStateStore.open(tmp_path / "state")

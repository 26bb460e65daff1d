"""The backup format: what is written is read, and nothing else is."""

import asyncio
import errno
import os
import random
import resource
import shutil

import pytest

import multiraft
from multiraft.engine.errors import (
    Corruption,
    DiskFull,
    Error,
    InvalidArgument,
    KeyTooLarge,
    StorageFailed,
    ValueTooLarge,
    VersionMismatch,
)
from multiraft.engine.offline import backupformat
from multiraft.engine.offline.backupformat import (
    MAGIC,
    BlockKind,
    Head,
    Totals,
    encode_block,
    encode_end,
    encode_head,
    encode_pairs,
    encode_range,
)
from multiraft.engine.offline.backupreader import BackupReader
from multiraft.engine.offline.backupwriter import BackupWriter
from multiraft.engine.offline.export import Export
from multiraft.engine.offline.findings import Findings
from multiraft.engine.offline.stopped import StoppedNode
from multiraft.engine.offline.verify import read_contents
from multiraft.engine.statemachine.commands import MAX_KEY, MAX_VALUE
from multiraft.shards.engine import Engine
from tests.engine.offline.sample import edit, stored

RANGES = [
    (b"", b"c", [(b"", b""), (b"a", bytes(MAX_VALUE)), (b"b", b"2")]),
    (b"c", b"d", []),
    (b"k", None, [(b"k%05d" % number, b"v" * 500) for number in range(1500)] + [(b"\xff" * MAX_KEY, b"x")]),
]
KEYS = sum(len(pairs) for _, _, pairs in RANGES)
BYTES = sum(len(key) + len(value) for _, _, pairs in RANGES for key, value in pairs)


def write(path, ranges=RANGES, name="shop"):
    with BackupWriter(path, name) as writer:
        for start, end, pairs in ranges:
            writer.begin_range(start, end)
            writer.add(pairs)
        return writer.finish()


def read(path):
    """Everything in a backup, as `RANGES` has it."""
    found: list[tuple[bytes, bytes | None, list[tuple[bytes, bytes]]]] = []
    with BackupReader(path) as reader:
        for part in reader.parts():
            if part.pairs:
                found[-1][2].extend(part.pairs)
            else:
                found.append((part.start, part.end, list(part.pairs)))
    return found


def blocks(*parts):
    """The bytes of a backup of these blocks, each with its right number and checksum."""
    return MAGIC + b"".join(encode_block(kind, number, body) for number, (kind, body) in enumerate(parts))


HEAD = (BlockKind.HEAD, encode_head(Head("shop", 1)))
NOTHING = (BlockKind.END, encode_end(Totals()))


@pytest.fixture
def whole(tmp_path):
    write(tmp_path / "whole")
    return tmp_path / "whole"


def test_what_is_written_is_read(tmp_path):
    assert write(tmp_path / "out") == Totals(len(RANGES), KEYS, BYTES)
    assert read(tmp_path / "out") == RANGES
    with BackupReader(tmp_path / "out") as reader:
        assert reader.head.cluster == "shop"
        contents = reader.check()
        assert contents.totals == Totals(len(RANGES), KEYS, BYTES)
        assert contents.ranges == [(start, end) for start, end, _ in RANGES]
        assert reader.check() == contents
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["out"]


def test_nothing_stands_there_before_it_is_whole(tmp_path):
    with BackupWriter(tmp_path / "out", "shop") as writer:
        writer.begin_range(b"", None)
        assert not (tmp_path / "out").exists()
        (temporary,) = tmp_path.iterdir()
        assert temporary.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "out").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("out", "link"):
        with pytest.raises(InvalidArgument, match="exists already"):
            BackupWriter(tmp_path / name, "shop")
    with BackupWriter(tmp_path / "late", "shop") as writer:
        (tmp_path / "late").write_bytes(b"mine")
        with pytest.raises(InvalidArgument):
            writer.finish()
    assert (tmp_path / "late").read_bytes() == (tmp_path / "out").read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == ["late", "link", "out"]


def test_what_no_store_holds_is_not_written(tmp_path):
    """A hostile node may send it."""
    with BackupWriter(tmp_path / "out", "shop") as writer:
        writer.begin_range(b"", None)
        with pytest.raises(KeyTooLarge):
            writer.add([(bytes(MAX_KEY + 1), b"")])
        with pytest.raises(ValueTooLarge):
            writer.add([(b"a", bytes(MAX_VALUE + 1))])
        with pytest.raises(KeyTooLarge):
            writer.begin_range(bytes(MAX_KEY + 1), None)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull):
        write(tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [10, 100_000])
def test_a_disk_that_takes_no_more_is_told_and_leaves_nothing(tmp_path, limit):
    """What is buffered when a write fails is not written again as the file is given up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(StorageFailed):
            write(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_a_backup_that_is_cut_off_anywhere_is_refused(whole, tmp_path):
    content = whole.read_bytes()
    chance = random.Random(1)
    ends = {
        0,
        1,
        7,
        8,
        9,
        27,
        28,
        len(content) - 1,
        len(content) - 24,
        *(chance.randrange(len(content)) for _ in range(60)),
    }
    for end in ends:
        (tmp_path / "cut").write_bytes(content[:end])
        with pytest.raises((Corruption, InvalidArgument)):
            read(tmp_path / "cut")


def test_a_flipped_bit_anywhere_is_refused(whole, tmp_path):
    content = whole.read_bytes()
    chance = random.Random(2)
    for place in [*range(60), *(chance.randrange(len(content)) for _ in range(100))]:
        broken = bytearray(content)
        broken[place] ^= 1 << chance.randrange(8)
        (tmp_path / "broken").write_bytes(broken)
        with pytest.raises((Corruption, InvalidArgument)):
            read(tmp_path / "broken")


RANGE_A = (BlockKind.RANGE, encode_range(b"a", b"c"))
PAIR_A = (BlockKind.PAIRS, encode_pairs([(b"a", b"1")]))
ONE = (BlockKind.END, encode_end(Totals(1, 0, 0)))


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD],
        [HEAD, (BlockKind.END, b"")],
        [HEAD, (BlockKind.END, encode_end(Totals(1)))],
        [HEAD, HEAD, NOTHING],
        [HEAD, (9, b""), NOTHING],
        [HEAD, NOTHING, NOTHING],
        [HEAD, PAIR_A, NOTHING],
        [HEAD, RANGE_A, (BlockKind.PAIRS, b""), ONE],
        [
            HEAD,
            RANGE_A,
            (BlockKind.PAIRS, encode_pairs([(b"c", b"")])),
            (BlockKind.END, encode_end(Totals(1, 1, 1))),
        ],
        [
            HEAD,
            RANGE_A,
            (BlockKind.PAIRS, encode_pairs([(b"A", b"")])),
            (BlockKind.END, encode_end(Totals(1, 1, 1))),
        ],
        [HEAD, RANGE_A, PAIR_A, PAIR_A, (BlockKind.END, encode_end(Totals(1, 2, 4)))],
        [HEAD, RANGE_A, (BlockKind.PAIRS, PAIR_A[1] + b"\x00"), ONE],
        [HEAD, RANGE_A, (BlockKind.PAIRS, b"\xff\xff\xff\xff\xff\xff"), ONE],
        [HEAD, RANGE_A, (BlockKind.PAIRS, b"\x01\x00\xff\xff\xff\xffa"), ONE],
        [HEAD, RANGE_A, RANGE_A, (BlockKind.END, encode_end(Totals(2)))],
        [HEAD, (BlockKind.RANGE, encode_range(b"a", None)), RANGE_A, (BlockKind.END, encode_end(Totals(2)))],
        [HEAD, (BlockKind.RANGE, encode_range(b"b", b"b")), ONE],
        [HEAD, (BlockKind.RANGE, encode_range(b"k" * 481, None)), ONE],
        [HEAD, (BlockKind.RANGE, b"\x02" + encode_range(b"a", b"b")[1:]), ONE],
        [HEAD, (BlockKind.RANGE, b"\x00" + encode_range(b"a", b"b")[1:]), ONE],
        [HEAD, (BlockKind.RANGE, b""), ONE],
        [RANGE_A, NOTHING],
        [(BlockKind.HEAD, b""), NOTHING],
        [(BlockKind.HEAD, encode_head(Head("shop", 1)) + b"x"), NOTHING],
        [(BlockKind.HEAD, encode_head(Head("shop", 1))[:-1] + b"\xff"), NOTHING],
    ],
)
def test_what_no_writer_makes_is_refused_though_its_checksums_are_right(tmp_path, parts):
    (tmp_path / "strange").write_bytes(blocks(*parts))
    with pytest.raises(Corruption):
        read(tmp_path / "strange")


def test_blocks_in_another_order_are_refused(tmp_path):
    first, second, third = (
        encode_block(kind, number, body) for number, (kind, body) in enumerate([HEAD, RANGE_A, ONE])
    )
    (tmp_path / "out").write_bytes(MAGIC + first + second + third)
    assert len(read(tmp_path / "out")) == 1
    for order in ((first, third), (first, second, second, third), (first, third, second)):
        (tmp_path / "out").write_bytes(MAGIC + b"".join(order))
        with pytest.raises(Corruption):
            read(tmp_path / "out")


def test_a_later_version_is_told(tmp_path):
    later = (BlockKind.HEAD, encode_head(Head("shop", 1, version=2)) + b"and more")
    (tmp_path / "later").write_bytes(blocks(later, NOTHING))
    with pytest.raises(VersionMismatch, match="format 2"):
        BackupReader(tmp_path / "later")


def test_a_claim_of_much_takes_no_memory(tmp_path):
    """A block says how long it is; more than any block has is refused before anything is read."""
    frame = backupformat.FRAME.pack(BlockKind.PAIRS, 0, 0, 2**32 - 1, 1)
    (tmp_path / "claim").write_bytes(blocks(HEAD) + frame + bytes(4))
    with pytest.raises(Corruption, match="frame"):
        read(tmp_path / "claim")


def test_what_is_no_file_is_no_backup(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("hello")
    for name in ("pipe", "text", "."):
        with pytest.raises(InvalidArgument):
            BackupReader(tmp_path / name)
    with pytest.raises(Error):
        BackupReader(tmp_path / "missing")


def exported(path):
    """All keys and values that a stopped node would serve."""
    found: dict[bytes, bytes] = {}
    with StoppedNode.open(path) as node:
        export = Export(node)
        for log in export.groups():
            if log.group > 1:
                machine, left_out = export.range_of(log)
                assert left_out == 0
                found |= dict(machine.scan())
                export.release(log)
    return found


def test_an_export_has_what_was_written(sample):
    path, held = sample
    assert exported(path) == held


def test_what_has_vanished_is_not_left_out_in_silence(node):
    key = next(key for key, _ in stored(node)["state"] if key[7] > 1)
    edit(node, "state", lambda transaction: transaction.delete(key))
    with pytest.raises(Corruption, match="keys, its record says"):
        exported(node)


def test_an_export_takes_the_log_where_the_state_is_behind(sample, node):
    """As after a kill: what was acknowledged stands in the log, and the state has none of it."""
    shutil.rmtree(node / "state")
    (node / "state").mkdir()
    (node / "state" / "data.mdb").touch()
    assert exported(node) == sample[1]


def test_an_export_of_machines_in_memory_begins_with_their_checkpoints(tmp_path):
    """Some ranges have one, for their logs were cut; others have nothing but their log."""
    config = multiraft.Config(durability="none", state_machine="memory", flush_ms=20, log_keep_entries=20)
    held = {}

    async def work():
        async with Engine.open(tmp_path / "node", ranges=2, config=config) as db:
            for number in range(120):
                name = b"key-%03d" % (number % 50) if number < 115 else b"\xff-%d" % number
                held[name] = b"value %d" % number
                await db.put(name, held[name])

    asyncio.run(work())
    with StoppedNode.open(tmp_path / "node") as node:
        _, state = read_contents(node, Findings())
    assert [one.checkpoint is not None for one in state.groups.values()].count(True) >= 1
    assert exported(tmp_path / "node") == held


def test_an_export_of_a_damaged_node_is_refused(node):
    with (node / "log" / "data.mdb").open("r+b") as file:
        file.truncate(8 * 4096)
    with pytest.raises(Corruption, match="is damaged in"):
        exported(node)

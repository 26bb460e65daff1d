"""What is stored reads back, and nothing else passes for it."""

import random

import pytest

from multiraft.engine.errors import Corruption
from multiraft.engine.logstore.blob import (
    BadBatch,
    BlobWriter,
    MetaRow,
    NewerFormat,
    Row,
    RowColumns,
    decode_blob,
)
from multiraft.engine.logstore.chunks import (
    BODY_MAX,
    VALUE_MAX,
    checksum_holds,
    chunk_count,
    chunk_key,
    cut,
    join,
    read_header,
    spans,
    split_key,
)
from multiraft.engine.logstore.metas import (
    BadMeta,
    MetaKind,
    SnapshotPoint,
    decode_birth,
    decode_members,
    decode_snapshot_point,
    encode_birth,
    encode_members,
    encode_snapshot_point,
)
from multiraft.engine.logstore.runs import BadRun, run_bounds, slice_run, term_changes
from multiraft.native.entries import decode_run, encode_runs
from multiraft.raft.entry import Entry
from multiraft.raft.state import ConfState, HardState

from .builders import make_birth, make_entries

RUNS = [b"", *encode_runs([make_entries(5, 3), make_entries(9, 1, size=0)])]


def small_blob() -> bytes:
    writer = BlobWriter()
    lengths = [len(run) for run in RUNS]
    writer.add_rows(
        RowColumns([7, 8, 9], [1, 2, 3], lengths, b"\1\2\3", [1, 2, 3, 4, 5, 6], [8, 1, 9, 2]), RUNS
    )
    writer.add_rows(RowColumns([4], [1], [len(RUNS[2])], b"\0", [], [], [2]), [RUNS[2]])
    writer.add_metas(
        [MetaRow(7, 1, 6, 0, MetaKind.TOMBSTONE, b""), MetaRow(8, 2, 5, 1, MetaKind.BIRTH, b"body!")]
    )
    return writer.finish(previous=5, head=2)


def test_blob_reads_back():
    blob = small_blob()
    contents = decode_blob(blob)
    assert (contents.previous, contents.head) == (5, 2)
    rows = list(contents.appended[0].read(6))
    at = rows[1].run_at
    assert rows == [
        Row(7, 1, 6, HardState(1, 2, 3), None, at, 0),
        Row(8, 2, 6, None, (8, 1), at, len(RUNS[1])),
        Row(9, 3, 6, HardState(4, 5, 6), (9, 2), at + len(RUNS[1]), len(RUNS[2])),
    ]
    assert blob[at:].startswith(RUNS[1] + RUNS[2])
    (moved,) = contents.rewritten[0].read(6)
    assert (moved.group, moved.origin, blob[moved.run_at :][: moved.run_length]) == (4, 2, RUNS[2])
    assert [meta.body for meta in contents.metas] == [b"", b"body!"]


def test_runs_stand_where_the_writer_said():
    writer = BlobWriter()
    at = writer.runs_at(1, rewritten=True)
    writer.add_rows(RowColumns([4], [1], [len(RUNS[1])], b"\0", [], [], [2]), [RUNS[1]])
    assert writer.finish(1, 1)[at:].startswith(RUNS[1])


def test_truncated_blob_is_refused_at_every_length():
    blob = small_blob()
    for length in range(len(blob)):
        with pytest.raises(BadBatch):
            decode_blob(blob[:length])
    with pytest.raises(BadBatch):
        decode_blob(blob + b"\0" * 8)


def test_damaged_blob_is_refused_or_decoded_but_never_breaks_the_decoder():
    blob = small_blob()
    draw = random.Random(1)
    for _ in range(3000):
        bad = bytearray(blob)
        for _ in range(draw.randint(1, 3)):
            bad[draw.randrange(len(bad))] = draw.randrange(256)
        try:
            contents = decode_blob(bytes(bad))
            for rows in (*contents.appended, *contents.rewritten):
                assert all(row.run_at + row.run_length <= len(bad) for row in rows.read(6))
        except (BadBatch, NewerFormat):
            pass


def test_newer_version_is_told_from_damage():
    blob = bytearray(small_blob())
    blob[0] += 1
    with pytest.raises(NewerFormat):
        decode_blob(bytes(blob))


@pytest.mark.parametrize("size", [0, 1, BODY_MAX - 1, BODY_MAX, BODY_MAX + 1, 3 * BODY_MAX])
def test_chunks_join_to_the_batch(size: int):
    blob = random.Random(size).randbytes(size)
    pairs = cut(blob, 77, 3)
    assert len(pairs) == chunk_count(size)
    assert [key for key, _ in pairs] == [chunk_key(77, number) for number in range(len(pairs))]
    assert all(len(value) <= VALUE_MAX and checksum_holds(value) for _, value in pairs)
    header = read_header(pairs[-1][1], 77, len(pairs) - 1)
    assert (header.run, header.chunks) == (3, len(pairs))
    assert join([value for _, value in pairs]) == blob


def test_every_flipped_bit_of_a_chunk_is_noticed():
    ((_, value),) = cut(small_blob(), 6, 1)
    for bit in range(8 * len(value)):
        bad = bytearray(value)
        bad[bit // 8] ^= 1 << bit % 8
        try:
            read_header(bytes(bad), 6, 0)
        except Corruption:
            continue
        assert not checksum_holds(bytes(bad))


def test_chunk_of_another_place_is_noticed():
    (_, first), (_, second) = cut(bytes(BODY_MAX + 1), 6, 1)
    for value, seq, number in [(first, 7, 0), (second, 6, 0), (first[:31], 6, 0), (b"", 6, 0)]:
        with pytest.raises(Corruption):
            read_header(value, seq, number)


def test_keys_ascend_and_read_back():
    places = [(1, 0), (1, 1), (1, 2**20 - 1), (2, 0), (2**43, 5)]
    keys = [chunk_key(*place) for place in places]
    assert keys == sorted(keys)
    assert [split_key(key) for key in keys] == places
    with pytest.raises(Corruption):
        split_key(b"strange")


def test_spans_cover_a_run_across_chunks():
    blob = random.Random(5).randbytes(3 * BODY_MAX)
    values = [value for _, value in cut(blob, 1, 1)]
    for offset, length in [(0, 1), (BODY_MAX - 1, 2), (5, 2 * BODY_MAX), (BODY_MAX, BODY_MAX), (9, 0)]:
        pieces = [values[number][start:stop] for number, start, stop in spans(offset, length)]
        assert b"".join(pieces) == blob[offset : offset + length]


def test_births_and_points_read_back():
    birth = make_birth(9, 4)
    assert decode_birth(9, 4, encode_birth(birth)) == birth
    conf = ConfState((1, 2), (1,), (3,), (2,), auto_leave=True)
    point = SnapshotPoint(2**64 - 1, 0, conf)
    assert decode_snapshot_point(encode_snapshot_point(point)) == point
    assert decode_members(encode_members(conf)) == conf


def test_metas_of_another_shape_are_refused():
    bodies = [
        b"",
        b"\xc1",
        b"\x80",
        b"\x90",
        b"\x93\xff\x01\x95\x90\x90\x90\x90\xc2",
        b"\x93\x01\x01\x95\x90\x90\x90\x91\xa1x\xc2",
        encode_members(ConfState((1,))) + b"\0",
        b"\xdd\x7f\xff\xff\xff" * 10,
        bytes(2 << 20),
    ]
    for body in bodies:
        for decode in (decode_snapshot_point, decode_members, lambda body: decode_birth(1, 1, body)):
            with pytest.raises(BadMeta):
                decode(body)


def test_slices_of_a_run_keep_the_entries_checksums():
    entries = [Entry(1 + index // 4, index, data=b"%d" % index * (index % 3)) for index in range(10, 22)]
    run = encode_runs([entries])[0]
    for low in range(10, 22):
        for high in range(low + 1, 23):
            piece = slice_run(run, low, high)
            assert decode_run(piece, Entry) == entries[low - 10 : high - 10]
    assert slice_run(run, 10, 22) is run


def test_bounds_and_terms_are_read_without_decoding():
    entries = [*make_entries(4, 2, 1), *make_entries(6, 1, 3), *make_entries(7, 2, 9)]
    buffer = b"before" + encode_runs([entries])[0]
    first, end = run_bounds(buffer, 6, len(buffer) - 6)
    assert (first, end) == (4, 9)
    assert term_changes(buffer, 6, first, end) == [(4, 1), (6, 3), (7, 9)]
    with pytest.raises(BadRun):
        run_bounds(buffer, 6, len(buffer) - 7)
    with pytest.raises(BadRun):
        run_bounds(buffer, 6, len(buffer))
    falling = bytearray(buffer)
    falling[6 + 16 + 2 * 16] = 0
    with pytest.raises(BadRun):
        term_changes(bytes(falling), 6, first, end)

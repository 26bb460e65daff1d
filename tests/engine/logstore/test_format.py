"""What is stored reads back, and nothing else passes for it."""

import random

import pytest

from multiraft.engine.errors import Corruption
from multiraft.engine.logstore.blob import (
    BadBatch,
    BlobWriter,
    MetaRow,
    NewerFormat,
    decode_blob,
)
from multiraft.engine.logstore.chunks import (
    BODY_MAX,
    HEADER_SIZE,
    VALUE_MAX,
    body_size,
    checksum_holds,
    chunk_count,
    chunk_key,
    cut,
    join,
    read_header,
    spans,
    split_key,
    stored_size,
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
from multiraft.engine.logstore.opening import runs_of
from multiraft.native.entries import encode_runs
from multiraft.native.errors import Refused
from multiraft.raft.state import ConfState

from .builders import make_birth, make_entries

RUNS = [b"", *encode_runs([make_entries(5, 3), make_entries(9, 1, size=0)])]


def small_blob() -> bytes:
    writer = BlobWriter()
    lengths = [len(run) for run in RUNS]
    writer.add_rows([7, 8, 9], [1, 2, 3], RUNS, lengths, b"\1\2\3", [1, 2, 3, 4, 5, 6], [8, 1, 9, 2])
    writer.add_rewritten(bytes(24) + RUNS[2] + bytes(5), 1)
    writer.add_metas(
        [MetaRow(7, 1, 6, 0, MetaKind.TOMBSTONE, b""), MetaRow(8, 2, 5, 1, MetaKind.BIRTH, b"body!")]
    )
    return writer.finish(previous=5, head=2)


def test_blob_reads_back():
    blob = small_blob()
    contents = decode_blob(blob)
    assert (contents.previous, contents.head) == (5, 2)
    appended, rewritten = contents.sections
    assert (appended.rewritten, appended.rows, rewritten.rewritten, rewritten.rows) == (False, 3, True, 1)
    runs = runs_of(blob, appended)
    at = runs[0][1]
    assert runs == [(8, at, len(RUNS[1])), (9, at + len(RUNS[1]), len(RUNS[2]))]
    assert blob[at:].startswith(RUNS[1] + RUNS[2])
    assert blob[rewritten.at :][: rewritten.size] == bytes(24) + RUNS[2] + bytes(5)
    assert [meta.body for meta in contents.metas] == [b"", b"body!"]


def test_a_section_stands_where_the_writer_said():
    writer = BlobWriter()
    at = writer.next_base
    section, base = writer.add_rows([4], [1], [RUNS[1]], [len(RUNS[1])], b"\0", [], [])
    assert base == at
    assert writer.finish(1, 1)[at:] == section


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
            for section in contents.sections:
                assert all(at + length <= len(bad) for _, at, length in runs_of(bytes(bad), section))
        except (BadBatch, NewerFormat, Refused):
            pass


def test_newer_version_is_told_from_damage():
    blob = bytearray(small_blob())
    blob[0] += 1
    with pytest.raises(NewerFormat):
        decode_blob(bytes(blob))


@pytest.mark.parametrize("value_max", [VALUE_MAX, 4080])
@pytest.mark.parametrize("size", [0, 1, BODY_MAX - 1, BODY_MAX, BODY_MAX + 1, 3 * BODY_MAX, 4040, 4041])
def test_chunks_join_to_the_batch(size: int, value_max: int):
    blob = random.Random(size).randbytes(size)
    pairs = cut(blob, 77, 3, value_max=value_max)
    assert len(pairs) == chunk_count(size, value_max)
    assert [key for key, _ in pairs] == [chunk_key(77, number) for number in range(len(pairs))]
    assert all(len(value) <= value_max and checksum_holds(value) for _, value in pairs)
    assert sum(len(value) for _, value in pairs) == stored_size(size, lambda taken: taken, value_max)
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


@pytest.mark.parametrize("value_max", [VALUE_MAX, 4080])
def test_spans_cover_a_run_across_chunks(value_max: int):
    blob, full = random.Random(5).randbytes(3 * BODY_MAX), value_max - HEADER_SIZE
    values = [value for _, value in cut(blob, 1, 1, value_max=value_max)]
    assert body_size(values[0]) == full
    for offset, length in [(0, 1), (full - 1, 2), (5, 2 * full), (full, full), (9, 0), (7, 2 * BODY_MAX)]:
        pieces = [values[number][start:stop] for number, start, stop in spans(offset, length, full)]
        assert b"".join(pieces) == blob[offset : offset + length]


def test_only_the_last_chunk_may_be_padded():
    """Where bytes of a batch stand follows from the length of its first value."""
    first, last = [bytes(value) for _, value in cut(bytes(5000), 6, 1, value_max=4080)]
    read_header(last + bytes(8), 6, 1)
    for other in (first + bytes(8), first[:-8]):
        with pytest.raises(Corruption):
            read_header(other, 6, 0)


@pytest.mark.parametrize("first", [None, b"", bytes(HEADER_SIZE), bytes(VALUE_MAX + 1)])
def test_a_batch_without_its_first_value_is_taken_for_one_of_long_values(first: bytes | None):
    assert body_size(first) == BODY_MAX


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

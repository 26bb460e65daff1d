"""Bytes: runs of entries, frames of messages, checksums."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from multiraft.engine.wire import make_entry, read_frame, row_of
from multiraft.native.checksum import crc32c
from multiraft.native.entries import decode_run, encode_runs
from multiraft.native.frames import HEADER_SIZE
from multiraft.native.messages import FIELDS, encode_messages
from multiraft.raft.entry import Entry
from multiraft.raft.messages import Message, MsgType

PAYLOAD = bytes(128)
ENTRIES = 1000
SHAPES = pytest.mark.parametrize("groups", [1, 100, 1000], ids="groups={}".format)
"""A thousand entries, in one run or in many."""


def runs_of(groups: int) -> list[list[Entry]]:
    each = ENTRIES // groups
    return [[Entry(3, index, data=PAYLOAD) for index in range(1, each + 1)] for _ in range(groups)]


def appends(groups: int) -> tuple[list[int], list[bytes]]:
    """The rows and bodies of one append message a group."""
    rows, bodies = [], encode_runs(runs_of(groups))
    for group, run in enumerate(bodies, 2):
        row = row_of(group, Message(MsgType.APP, 2, 1, 3, commit=1))
        row[FIELDS - 2] = len(run)
        rows += row
    return rows, bodies


@SHAPES
def test_encode_runs(benchmark: BenchmarkFixture, groups: int) -> None:
    benchmark(encode_runs, runs_of(groups))


@SHAPES
def test_decode_runs(benchmark: BenchmarkFixture, groups: int) -> None:
    encoded = encode_runs(runs_of(groups))
    benchmark(lambda: [decode_run(run, make_entry) for run in encoded])


@SHAPES
def test_encode_frame_of_appends(benchmark: BenchmarkFixture, groups: int) -> None:
    rows, bodies = appends(groups)
    frame = benchmark(encode_messages, 7, rows, bodies)
    benchmark.extra_info["frame_bytes"] = len(frame)


@SHAPES
def test_read_frame_of_appends(benchmark: BenchmarkFixture, groups: int) -> None:
    """Decode to the engine's own messages and entries, as every node does with every frame."""
    payload = encode_messages(7, *appends(groups))[HEADER_SIZE:]
    benchmark(read_frame, payload)


def test_encode_frame_of_answers(benchmark: BenchmarkFixture) -> None:
    """A thousand messages without entries."""
    rows = [row_of(group, Message(MsgType.APP_RESP, 1, 2, 3, index=9)) for group in range(1000)]
    flat = [number for row in rows for number in row]
    benchmark(encode_messages, 7, flat, [])


def test_read_frame_of_answers(benchmark: BenchmarkFixture) -> None:
    rows = [row_of(group, Message(MsgType.APP_RESP, 1, 2, 3, index=9)) for group in range(1000)]
    payload = encode_messages(7, [number for row in rows for number in row], [])[HEADER_SIZE:]
    benchmark(read_frame, payload)


@pytest.mark.parametrize("size", [64, 4096, 1 << 20], ids="bytes={}".format)
def test_checksum(benchmark: BenchmarkFixture, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    benchmark(crc32c, data[:size])

"""Batches cut into values, compared with plain Python."""

import random
import struct

import pytest

from multiraft.native.checksum import crc32c
from multiraft.native.chunks import CHUNK_HEADER_SIZE, cut_batch
from multiraft.native.errors import NativeError


def plain_cut(batch: bytes, seq: int, run: int, chain: int, full: int, least: int) -> list[bytes]:
    size = full - CHUNK_HEADER_SIZE
    bodies = [batch[at : at + size] for at in range(0, max(1, len(batch)), size)]
    values = []
    for number, body in enumerate(bodies):
        head = struct.pack("<8sQ5I", b"mr-log\r\n", seq, run, number, len(bodies), len(body), chain)
        values.append(head + struct.pack("<I", crc32c(head + body)) + body)
    values[-1] = values[-1].ljust(least, b"\0")
    return values


@pytest.mark.parametrize("full", [41, 100, 4080, 65520])
@pytest.mark.parametrize("least", [0, 30, 41])
def test_values_are_those_of_plain_python(full: int, least: int):
    draw = random.Random(full)
    body = full - CHUNK_HEADER_SIZE
    for size in {0, 1, body - 1, body, body + 1, 3 * body, draw.randrange(10 * body)}:
        batch = draw.randbytes(size)
        origin = (draw.getrandbits(44), draw.getrandbits(32), draw.getrandbits(32))
        assert cut_batch(batch, *origin, full, least) == plain_cut(batch, *origin, full, least)


def test_a_large_batch_is_cut_while_other_threads_run():
    batch = random.Random(1).randbytes(1_000_000)
    assert cut_batch(batch, 5, 1, 2, 65520, 2048) == plain_cut(batch, 5, 1, 2, 65520, 2048)


@pytest.mark.parametrize(("size", "full", "least"), [(1, 40, 0), (1, 0, 0), (1, 100, 101), (1 << 20, 41, 0)])
def test_what_cannot_be_cut_is_refused(size: int, full: int, least: int):
    with pytest.raises(NativeError):
        cut_batch(bytes(size), 1, 1, 0, full, least)

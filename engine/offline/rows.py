"""The rows of a log batch one by one, as :mod:`..logstore.blob` lays them out."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ...native.logindex import PART_HARD_STATE, PART_TRUNCATION
from ..logstore.blob import BadBatch, RowSection


class Row(NamedTuple):
    """What a batch says of one group: any of a run, a hard state and a truncation."""

    group: int
    replica: int
    origin: int
    """The batch that wrote it first; 0: this one."""
    at: int
    """Offset of the run in the batch."""
    length: int
    """Bytes of the run; 0: there is none."""
    hard_state: tuple[int, int, int] | None
    truncation: tuple[int, int] | None
    """Index and term; in a rewritten row the point that the log stands on."""


def rows_of(blob: bytes, section: RowSection) -> Iterator[Row]:
    """The rows of a section, in order. Raises `BadBatch` before the first if the section does not add up."""
    count, at = section.rows, section.at
    end = at + section.size
    groups, at = _numbers(blob, "Q", count, at, end)
    replicas, at = _numbers(blob, "Q", count, at, end)
    origins, at = _numbers(blob, "Q", count, at, end) if section.rewritten else ((0,) * count, at)
    lengths, at = _numbers(blob, "I", count, at, end)
    parts, at = _numbers(blob, "B", count, at, end)
    runs_at = at
    at += _padded(sum(lengths))
    hards = sum(part & PART_HARD_STATE != 0 for part in parts)
    cuts = sum(part & PART_TRUNCATION != 0 for part in parts)
    hard_numbers, at = _numbers(blob, "Q", 3 * hards, at, end)
    cut_numbers, at = _numbers(blob, "Q", 2 * cuts, at, end)
    if at != end:
        raise BadBatch("a section of rows does not add up")
    hard_states = iter(zip(*[iter(hard_numbers)] * 3, strict=True))
    truncations = iter(zip(*[iter(cut_numbers)] * 2, strict=True))
    for group, replica, origin, length, part in zip(groups, replicas, origins, lengths, parts, strict=True):
        hard = next(hard_states) if part & PART_HARD_STATE else None
        cut = next(truncations) if part & PART_TRUNCATION else None
        yield Row(group, replica, origin, runs_at, length, hard, cut)
        runs_at += length


def _numbers(blob: bytes, kind: str, count: int, at: int, end: int) -> tuple[tuple[int, ...], int]:
    """A column, and where the next one begins."""
    size = struct.calcsize(f"<{count}{kind}")
    if size > end - at:
        raise BadBatch("a column of rows is cut off")
    return struct.unpack_from(f"<{count}{kind}", blob, at), at + _padded(size)


def _padded(size: int) -> int:
    return size + -size % 8

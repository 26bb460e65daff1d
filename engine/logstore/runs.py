"""Looking into encoded runs without decoding them: where terms change, and the middle of a run.

The layout is that of `native.entries`. A piece that is cut out keeps the entries' own checksums, so copying
live entries to another batch can never hide damage.
"""

import struct
from itertools import pairwise

from ...native.entries import ENTRY_OVERHEAD, RUN_HEADER_SIZE

_HEADER = struct.Struct("<QII")
_TERM = struct.Struct("<Q")
_LENGTH_MASK = (1 << 24) - 1


class BadRun(ValueError):
    """A run's lengths do not add up."""


def run_bounds(buffer: bytes, at: int, length: int) -> tuple[int, int]:
    """(first index, index after the last) of the run in `buffer[at:at + length]`. Raises `BadRun`."""
    if length < RUN_HEADER_SIZE + ENTRY_OVERHEAD or at + length > len(buffer):
        raise BadRun("a run is cut off")
    first, count, payload = _HEADER.unpack_from(buffer, at)
    if not count or length != RUN_HEADER_SIZE + count * ENTRY_OVERHEAD + payload or first + count >= 1 << 64:
        raise BadRun("a run's header does not describe it")
    return first, first + count


def term_changes(buffer: bytes, at: int, first: int, end: int) -> list[tuple[int, int]]:
    """(index, term) where a term begins, for a run at `at` with the given bounds. Raises `BadRun`."""
    terms_at = at + RUN_HEADER_SIZE
    (first_term,) = _TERM.unpack_from(buffer, terms_at)
    (last_term,) = _TERM.unpack_from(buffer, terms_at + (end - first - 1) * ENTRY_OVERHEAD)
    changes = [(first, first_term)]
    if first_term == last_term:
        return changes  # terms never fall, so all are the same
    terms = [_TERM.unpack_from(buffer, terms_at + i * ENTRY_OVERHEAD)[0] for i in range(end - first)]
    for number, (before, term) in enumerate(pairwise(terms), start=1):
        if term < before:
            raise BadRun("a term is smaller than the one before it")
        if term > before:
            changes.append((first + number, term))
    return changes


def slice_run(run: bytes, low: int, high: int) -> bytes:
    """The run of the entries with index in [low, high), which are in it. Raises `BadRun`."""
    first, end = run_bounds(run, 0, len(run))
    assert first <= low < high <= end, (first, low, high, end)
    if (first, end) == (low, high):
        return run
    count = end - first
    words = struct.unpack_from("<" + "8xI4x" * count, run, RUN_HEADER_SIZE)
    lengths = [word & _LENGTH_MASK for word in words]
    payload_at = RUN_HEADER_SIZE + count * ENTRY_OVERHEAD
    if payload_at + sum(lengths) != len(run):
        raise BadRun("a run's entries are not as long as it says")
    skipped, kept = low - first, high - low
    start = payload_at + sum(lengths[:skipped])
    length = sum(lengths[skipped : skipped + kept])
    rows_at = RUN_HEADER_SIZE + skipped * ENTRY_OVERHEAD
    return b"".join(
        (
            _HEADER.pack(low, kept, length),
            run[rows_at : rows_at + kept * ENTRY_OVERHEAD],
            run[start : start + length],
        )
    )

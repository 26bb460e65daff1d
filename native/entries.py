"""Encoded runs: the one form in which consecutive entries of a group are logged and sent."""

from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from struct import error as struct_error
from struct import pack
from typing import Final, TypeVar

from ._native import ffi, lib
from .errors import RANGE, Damaged, damage, refusal
from .scratch import EntryColumns, Numbers, Output, Pool, entry_columns

E = TypeVar("E")

RUN_HEADER_SIZE: Final = lib.MR_RUN_HEADER
"""Bytes before the entries of a run."""

ENTRY_OVERHEAD: Final = lib.MR_RUN_ROW
"""Bytes that a run needs for each entry beside its payload."""

MAX_RUN_ENTRIES: Final = lib.MR_RUN_ENTRIES_MAX
"""Entries that a run may have: as many as a frame, so that an append of 1 MiB of small ones is one run."""

MAX_RUN_BYTES: Final = lib.MR_RUN_BYTES_MAX
"""Bytes that a run may have."""

MAX_ENTRY_BYTES: Final = lib.MR_ENTRY_BYTES_MAX
"""Bytes that the payload of an entry may have: a command of 4 MiB and its envelope."""

AnyEntry = tuple[int, int, int, bytes]
"""(term, index, type, data), or any named tuple of these four."""

_encode = lib.mr_runs_encode
_encode_released = lib.mr_runs_encode_released
_decode = lib.mr_run_decode
_open = lib.mr_run_open
_unpack = ffi.unpack

_MANY: Final = 512  # entries that take some 50 us, from where on it pays to let other threads run

_outputs: Final = Pool(Output, keep=8 << 20)
_ends: Final = Pool(Numbers, keep=1 << 17)


def encode_runs(runs: Sequence[Sequence[AnyEntry]]) -> list[bytes]:
    """Encode each sequence of consecutive entries; an empty sequence gives ``b""``.

    Raises TooMany (entries in a run), TooLarge (an entry or a run), OutOfOrder (indexes with a gap) or
    Malformed (a number that does not fit its field); nothing is encoded then.
    """
    flat = list(chain.from_iterable(runs))
    if not flat:
        return [b""] * len(runs)
    terms, indexes, types, datas = zip(*flat, strict=True)
    try:
        counts = pack(f"<{len(runs)}I", *map(len, runs))
        numbers = pack(f"<{3 * len(flat)}Q", *terms, *indexes, *map(len, datas))
        type_bytes = bytes(types)
    except (struct_error, ValueError) as cause:
        raise refusal(RANGE, "a term, an index or a type") from cause
    return _encode_columns(counts, len(runs), numbers, type_bytes, b"".join(datas))


def _encode_columns(counts: bytes, runs: int, numbers: bytes, types: bytes, payload: bytes) -> list[bytes]:
    entries = len(types)
    room = runs * RUN_HEADER_SIZE + entries * ENTRY_OVERHEAD + len(payload)
    output = _outputs.take(room)
    ends = _ends.take(runs + 1)
    try:
        places = ends.cells
        status = (_encode if entries < _MANY else _encode_released)(
            counts,
            runs,
            numbers,
            types,
            entries,
            payload,
            len(payload),
            output.cells,
            room,
            places,
            places + runs,
        )
        if status:
            raise refusal(status, f"entry {places[runs]}")
        view = output.view
        return [view[start:end] for start, end in pairwise((0, *_unpack(places, runs)))]
    finally:
        _ends.give(ends)
        _outputs.give(output)


def decode_run(run: bytes, make: Callable[[int, int, int, bytes], E]) -> list[E]:
    """The entries of ``run`` as ``make(term, index, type, data)``; ``b""`` has none.

    Every length and checksum is checked before the first ``make``. Raises Damaged.
    """
    if not run:
        return []
    columns = entry_columns.take(min(MAX_RUN_ENTRIES, len(run) // ENTRY_OVERHEAD + 1))
    try:
        found = columns.run
        status = _decode(run, len(run), found, columns.struct)
        if status:
            raise damage(status, found.damaged_index)
        terms, indexes, types, datas = entries_of(columns, found.count, run)
    finally:
        entry_columns.give(columns)
    return list(map(make, terms, indexes, types, datas))


def entries_of(
    columns: EntryColumns, count: int, source: bytes
) -> tuple[list[int], list[int], bytes, list[bytes]]:
    """Terms, indexes, types and payloads of the first ``count`` rows, decoded from ``source``."""
    starts = _unpack(columns.start, count)
    ends = _unpack(columns.end, count)
    return (
        _unpack(columns.term, count),
        _unpack(columns.index, count),
        columns.types[:count],
        [source[start:end] for start, end in zip(starts, ends, strict=True)],
    )


def run_header(run: bytes) -> tuple[int, int, int]:
    """``(first_index, count, last_term)`` of ``run``, by its lengths only.

    Checksums are not looked at. Raises Damaged.
    """
    columns = entry_columns.take(1)
    try:
        found = columns.run
        status = _open(run, len(run), found)
        if status:
            raise damage(status, found.damaged_index)
        return found.first_index, found.count, found.last_term
    finally:
        entry_columns.give(columns)


def part_of_run(run: bytes, low: int, high: int) -> bytes:
    """The run of the entries [low, high) of ``run``, as far as it is what it should be.

    Nothing is checked: where lengths are damaged the result is, too, and decoding it says so.
    """
    first, count = int.from_bytes(run[:8], "little"), int.from_bytes(run[8:12], "little")
    columns = run[RUN_HEADER_SIZE : RUN_HEADER_SIZE + ENTRY_OVERHEAD * count]
    sizes = [int.from_bytes(columns[at : at + 3], "little") for at in range(8, len(columns), ENTRY_OVERHEAD)]
    rows = slice(ENTRY_OVERHEAD * (low - first), ENTRY_OVERHEAD * (high - first))
    at = RUN_HEADER_SIZE + len(columns) + sum(sizes[: low - first])
    size = sum(sizes[low - first : high - first])
    return _header(low, high - low, size) + columns[rows] + run[at : at + size]


def mend_run(run: bytes, first: int, terms: Sequence[int]) -> tuple[bytes, list[int]]:
    """The run of entries from `first` on, of these terms, as far as `run` still has them; which it has not.

    `run` is as long as it was. An entry that is not as it was written has no payload in the result, and a
    checksum that is wrong on purpose: who reads it is told, now and whenever the run is copied.
    """
    # The run may have had more entries than are wanted, or be damaged where it says how many.
    counts = sorted({int.from_bytes(run[8:12], "little"), len(terms)})
    return min((_mend(run, first, terms, count) for count in counts), key=lambda made: len(made[1]))


def _mend(run: bytes, first: int, terms: Sequence[int], count: int) -> tuple[bytes, list[int]]:
    """As `mend_run`, for a run that had `count` entries."""
    columns, payloads, lost = [], [], []
    at = RUN_HEADER_SIZE + ENTRY_OVERHEAD * count
    for index, term in enumerate(terms, first):
        place = RUN_HEADER_SIZE + ENTRY_OVERHEAD * (index - first)
        row = run[place : place + ENTRY_OVERHEAD]
        size = int.from_bytes(row[8:11], "little")
        payload = run[at : at + size]
        at += size
        if row[:8] == pack("<Q", term) and _is_whole(_header(index, 1, size) + row + payload):
            columns.append(row)
            payloads.append(payload)
        else:
            columns.append(_lost_row(index, term))
            lost.append(index)
    joined = b"".join(payloads)
    return b"".join((_header(first, len(terms), len(joined)), *columns, joined)), lost


def _header(first: int, count: int, size: int) -> bytes:
    return pack("<QII", first, count, size)


def _is_whole(run: bytes) -> bool:
    try:
        decode_run(run, lambda *_: None)
    except Damaged:
        return False
    return True


def _lost_row(index: int, term: int) -> bytes:
    """The row of an empty entry with every bit of its checksum turned round."""
    (whole,) = encode_runs([[(term, index, 0, b"")]])
    row = whole[RUN_HEADER_SIZE:]
    return row[:-4] + bytes(~byte & 0xFF for byte in row[-4:])

"""Encoded runs: the one form in which consecutive entries of a group are logged and sent."""

from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from struct import error as struct_error
from struct import pack
from typing import Final, TypeVar

from ._native import ffi, lib
from .errors import RANGE, damage, refusal
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
_decode = lib.mr_run_decode
_open = lib.mr_run_open
_unpack = ffi.unpack

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
        status = _encode(
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

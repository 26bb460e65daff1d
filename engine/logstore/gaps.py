"""What a start makes of batches that are damaged or missing: entries that are lost, and replicas in doubt.

A checksum covers a whole chunk, with the columns that say which rows belong to whom. If it fails, the entries
in the chunk have checksums of their own, and a CRC is linear: count each damaged payload as what its own
checksum says that it was, and the chunk's checksum comes out right exactly if nothing else is damaged. Then
those entries are lost, and nothing else. If not, the batch may have said anything of the groups that the next
one names, or of any group: `native/csrc/mr_doubt.c` tells which ones can be believed all the same.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ...native.checksum import crc32c
from ...native.entries import ENTRY_OVERHEAD, RUN_HEADER_SIZE
from ...native.errors import Refused
from ...native.logdoubt import DOUBT_BIRTH, DOUBT_END, DOUBT_HARD, Doubted
from ...raft.entry import EntryId
from .blob import BadBatch, Contents, NewerFormat, decode_blob
from .chunks import body_size, checksum_error, join
from .opening import runs_of
from .port import Doubt, Loss

logger = logging.getLogger(__name__)

_ALL_BITS: Final = 0xFFFF_FFFF


class _Wrong(NamedTuple):
    """An entry whose payload is not the one that was written."""

    group: int
    index: int  # type: ignore[assignment]  # a field hides tuple.index, as meant
    start: int
    """Of the payload, in the batch."""
    end: int
    error: int
    """By what its checksum differs from the one that is stored."""


def explained(values: Sequence[bytes]) -> tuple[Contents, list[Loss]] | None:
    """A batch of which nothing but payloads is damaged, and the entries that are lost; None if more is."""
    errors = {number: error for number, value in enumerate(values) if (error := checksum_error(value))}
    blob = join(values)
    try:
        contents = decode_blob(blob)
        runs = [run for section in contents.sections for run in runs_of(blob, section)]
    except (BadBatch, NewerFormat, Refused):
        return None
    wrong = [one for group, at, length in runs for one in _wrong_entries(blob, group, at, length)]
    body = body_size(values[0])
    if not all(_explain(one, errors, body, len(blob)) for one in wrong):
        return None
    if any(errors.values()):
        return None
    return contents, [Loss(one.group, one.index, one.index) for one in wrong]


def _wrong_entries(blob: bytes, group: int, at: int, length: int) -> Iterator[_Wrong]:
    """The entries of a run whose checksums fail; a run that contradicts itself has none that explains it."""
    first, count = (
        int.from_bytes(blob[at : at + 8], "little"),
        int.from_bytes(blob[at + 8 : at + 12], "little"),
    )
    start, end = at + RUN_HEADER_SIZE + ENTRY_OVERHEAD * count, at + length
    if start > end:
        return
    for number in range(count):
        place = at + RUN_HEADER_SIZE + ENTRY_OVERHEAD * number
        row = blob[place : place + ENTRY_OVERHEAD]
        size = int.from_bytes(row[8:11], "little")
        if start + size > end:
            return
        index = first + number
        head = (index % 2**64).to_bytes(8, "little") + row[:12]
        error = crc32c(blob[start : start + size], crc32c(head)) ^ int.from_bytes(row[12:], "little")
        if error:
            yield _Wrong(group, index, start, start + size, error)
        start += size


def _explain(one: _Wrong, errors: dict[int, int], body: int, size: int) -> bool:
    """Take what an entry contributes out of the error of the one damaged chunk that it lies in."""
    touched = [number for number in range(one.start // body, -(-one.end // body)) if number in errors]
    if len(touched) != 1:
        return False
    (number,) = touched
    chunk_end = min(size, (number + 1) * body)
    if one.end <= chunk_end:
        errors[number] ^= _shifted(one.error, chunk_end - one.end)
        return True
    # It goes on in chunks that are whole: what is left of this chunk's error must be its own, as seen there.
    if _shifted(errors[number], one.end - chunk_end) != one.error:
        return False
    errors[number] = 0
    return True


def _shifted(error: int, count: int) -> int:
    """What a difference of two checksums becomes when as many equal bytes follow."""
    return crc32c(bytes(count), error ^ _ALL_BITS) ^ _ALL_BITS


def doubt_of(found: Doubted) -> Doubt:
    """What is to be made of a replica: what it promised, if that is known, and why it is in doubt."""
    known = not found.doubts & (DOUBT_HARD | DOUBT_END | DOUBT_BIRTH)
    promised = EntryId(found.last_term, found.last_index) if known else None
    if found.doubts & DOUBT_BIRTH:
        reason = "its birth stood in a batch of the log that cannot be read"
    elif known:
        reason = f"entries below {found.whole_from} stood in a batch of the log that cannot be read"
    else:
        reason = "a batch of the log cannot be read, and nothing later says what this replica had promised"
    return Doubt(found.group, found.replica, promised, found.whole_from, reason)

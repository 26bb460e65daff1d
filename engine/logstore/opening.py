"""Taking a stored batch apart: its checksums, its format, and what exactly is damaged in it."""

from ...native.entries import decode_run
from ...native.errors import Damaged, Refused
from ...native.logindex import Rows
from ..errors import Corruption, VersionMismatch
from .blob import BadBatch, Contents, NewerFormat, RowSection, decode_blob
from .chunks import body_size, checksum_holds, join, spans


def open_batch(seq: int, values: list[bytes]) -> tuple[bytes, Contents]:
    """Check a batch that is complete and take it apart. Raises `Corruption`, `VersionMismatch`."""
    blob = join(values)
    bad = [number for number, value in enumerate(values) if not checksum_holds(value)]
    if bad:
        raise _damage_at(seq, bad[0], blob, body_size(values[0]))
    try:
        return blob, decode_blob(blob)
    except NewerFormat as error:
        raise VersionMismatch(
            f"log batch {seq} has format {error.args[0]}, newer than this version"
        ) from error
    except BadBatch as error:
        raise Corruption(f"log batch {seq}: {error}") from error


def _damage_at(seq: int, chunk: int, blob: bytes, body: int) -> Corruption:
    """Name the entry that a damaged chunk holds, if what surrounds it can still be read."""
    text = f"chunk {chunk} of log batch {seq} is damaged"
    try:
        sections = decode_blob(blob).sections
        runs = [run for section in sections for run in runs_of(blob, section)]
    except (BadBatch, NewerFormat, Refused):
        return Corruption(text)
    for group, at, length in runs:
        if any(number == chunk for number, _, _ in spans(at, length, body)):
            try:
                decode_run(blob[at : at + length], _nothing)
            except Damaged as error:
                return Corruption(f"{text}: {error} of group {group}", group, error.index)
    return Corruption(text)


def runs_of(blob: bytes, section: RowSection) -> list[tuple[int, int, int]]:
    """(group, offset, length) of each run of a section. Raises `Refused` if the section does not add up."""
    part = blob[section.at : section.at + section.size]
    rows = Rows(part, section.at, section.rows, rewritten=section.rewritten)
    return [run for run in rows.runs() if run[2]]


def _nothing(_term: int, _index: int, _type: int, _data: bytes) -> None:
    """Entries are decoded for their checksums only."""

"""Reading the whole log back: every checksum, the chain of batches, then the index."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ...native.entries import decode_run
from ...native.errors import Damaged
from ..errors import Corruption, VersionMismatch
from .blob import BadBatch, Contents, NewerFormat, decode_blob
from .change import Index
from .chunks import checksum_holds, join, read_header, spans, split_key
from .environment import Environment
from .rebuild import Rebuild


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a scan found."""

    index: Index
    last_seq: int
    """The newest batch; 0 if there is none."""
    last_run: int


class _Stored(NamedTuple):
    """A batch as it was stored."""

    seq: int
    run: int
    values: list[bytes]


def recover(environment: Environment) -> Recovered:
    """Scan the log. Raises `Corruption` at the first damage, `VersionMismatch` at a newer format."""
    rebuild = Rebuild()
    oldest = previous = run = 0
    head = 0
    for stored in _batches(environment):
        blob, contents = open_batch(stored.seq, stored.values)
        if previous and contents.previous != previous:
            raise Corruption(f"log batch {contents.previous} is missing between {previous} and {stored.seq}")
        if stored.run < run:
            raise Corruption(f"log batch {stored.seq} is of run {stored.run}, the one before of run {run}")
        oldest = oldest or stored.seq
        previous, run, head = stored.seq, stored.run, contents.head
        rebuild.take(stored.seq, len(stored.values), sum(map(len, stored.values)), blob, contents)
    if oldest != head:
        raise Corruption(f"the log begins with batch {oldest}, it should with {head}")
    return Recovered(rebuild.finish(), previous, run)


def _batches(environment: Environment) -> Iterator[_Stored]:
    """The batches in order, with all their chunks."""
    values: list[bytes] = []
    for key, value in environment.scan():
        seq, number = split_key(key)
        header = read_header(value, seq, number)
        if number != len(values):
            raise Corruption(f"chunk {len(values)} of log batch {seq} is missing")
        values.append(bytes(value))
        if len(values) == header.chunks:
            yield _Stored(seq, header.run, values)
            values = []
    if values:
        raise Corruption("the newest log batch is not complete")


def open_batch(seq: int, values: list[bytes]) -> tuple[bytes, Contents]:
    """Check a batch that is complete and take it apart. Raises `Corruption`, `VersionMismatch`."""
    blob = join(values)
    bad = [number for number, value in enumerate(values) if not checksum_holds(value)]
    if bad:
        raise _damage_at(seq, bad[0], blob)
    try:
        return blob, decode_blob(blob)
    except NewerFormat as error:
        raise VersionMismatch(
            f"log batch {seq} has format {error.args[0]}, newer than this version"
        ) from error
    except BadBatch as error:
        raise Corruption(f"log batch {seq}: {error}") from error


def _damage_at(seq: int, chunk: int, blob: bytes) -> Corruption:
    """Name the entry that a damaged chunk holds, if what surrounds it can still be read."""
    text = f"chunk {chunk} of log batch {seq} is damaged"
    try:
        contents = decode_blob(blob)
        rows = [row for part in (*contents.appended, *contents.rewritten) for row in part.read(seq)]
    except (BadBatch, NewerFormat):
        return Corruption(text)
    for row in rows:
        if row.run_length and any(number == chunk for number, _, _ in spans(row.run_at, row.run_length)):
            try:
                decode_run(blob[row.run_at : row.run_at + row.run_length], _nothing)
            except Damaged as error:
                return Corruption(f"{text}: {error} of group {row.group}", row.group, error.index)
    return Corruption(text)


def _nothing(_term: int, _index: int, _type: int, _data: bytes) -> None:
    """Entries are decoded for their checksums only."""

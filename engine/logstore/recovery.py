"""Reading the whole log back: every checksum, the chain of batches, then the index."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from ...native.entries import decode_run
from ...native.errors import Damaged, Refused
from ...native.logindex import LogIndex, Rows
from ..errors import Corruption, VersionMismatch
from .blob import BadBatch, Contents, MetaRow, NewerFormat, RowSection, decode_blob
from .chunks import checksum_holds, join, link, read_header, spans, split_key
from .environment import Environment
from .metas import BadMeta, MetaKind, decode_birth, decode_members, decode_snapshot_point, encode_members


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a scan found."""

    index: LogIndex
    last_seq: int
    """The newest batch; 0 if there is none."""
    last_run: int
    chain: int
    """What `chunks.link` made of all batches."""


class _Stored(NamedTuple):
    """A batch as it was stored."""

    seq: int
    run: int
    chain: int
    values: list[bytes]


def recover(environment: Environment) -> Recovered:
    """Scan the log. Raises `Corruption` at the first damage, `VersionMismatch` at a newer format."""
    index = LogIndex()
    oldest = previous = run = head = chain = 0
    for stored in _batches(environment):
        blob, contents = open_batch(stored.seq, stored.values)
        if previous and contents.previous != previous:
            raise Corruption(f"log batch {contents.previous} is missing between {previous} and {stored.seq}")
        if stored.run < run:
            raise Corruption(f"log batch {stored.seq} is of run {stored.run}, the one before of run {run}")
        if previous and stored.chain != chain:
            raise Corruption(f"log batch {stored.seq} was not written behind this batch {previous}")
        oldest = oldest or stored.seq
        previous, run, head = stored.seq, stored.run, contents.head
        chain = link(stored.chain, stored.values)
        with _consistent(f"log batch {stored.seq}"):
            index.recover_batch(stored.seq, len(stored.values), sum(map(len, stored.values)))
            _take(index, stored.seq, blob, contents)
    if oldest != head:
        raise Corruption(f"the log begins with batch {oldest}, it should with {head}")
    with _consistent("the log"):
        index.recovered()
    return Recovered(index, previous, run, chain)


@contextmanager
def _consistent(where: str) -> Iterator[None]:
    """What contradicts itself is damage, and the group and entry are known mostly."""
    try:
        yield
    except Refused as error:
        raise Corruption(f"{where}: {error}", error.group or None, error.index or None) from error
    except BadMeta as error:
        raise Corruption(f"{where}: {error}") from error


def _take(index: LogIndex, seq: int, blob: bytes, contents: Contents) -> None:
    """Enter a batch in the index. A fresh META row acts just before the row of its write."""
    fresh = [meta for meta in contents.metas if meta.origin == seq]
    fresh.sort(key=lambda meta: meta.write)
    for section in contents.sections:
        part = blob[section.at : section.at + section.size]
        rows = Rows(part, section.at, section.rows, rewritten=section.rewritten)
        if not section.rewritten:
            for meta in fresh:
                index.recover_rows(seq, rows, min(meta.write, section.rows))
                _take_fresh(index, seq, meta)
            fresh = []
        index.recover_rows(seq, rows, section.rows)
    for meta in contents.metas:
        if meta.origin != seq:
            _take_rewritten(index, seq, meta)


def _take_fresh(index: LogIndex, seq: int, meta: MetaRow) -> None:
    """A META row in the batch that wrote it first: it acts on all that was before."""
    if meta.kind is MetaKind.TOMBSTONE:
        index.recover_tombstone(meta.group, meta.replica_id, seq, seq)
    elif meta.kind is MetaKind.BIRTH:
        decode_birth(meta.group, meta.replica_id, meta.body)
        index.recover_birth(meta.group, meta.replica_id, seq, seq, meta.body)
    elif meta.kind is MetaKind.SNAPSHOT_POINT:
        point = decode_snapshot_point(meta.body)
        members = encode_members(point.conf_state)
        index.recover_point(meta.group, meta.replica_id, seq, (point.index, point.term), members)
    else:
        raise BadMeta(f"{meta.kind.name} can only be rewritten")


def _take_rewritten(index: LogIndex, seq: int, meta: MetaRow) -> None:
    """A META row moved to this batch: it says what is, and acts on nothing."""
    if meta.kind is MetaKind.TOMBSTONE:
        index.recover_tombstone(meta.group, meta.replica_id, seq, meta.origin)
    elif meta.kind is MetaKind.BIRTH:
        decode_birth(meta.group, meta.replica_id, meta.body)
        index.recover_birth(meta.group, meta.replica_id, seq, meta.origin, meta.body)
    elif meta.kind is MetaKind.MEMBERS:
        decode_members(meta.body)
        index.recover_members(meta.group, meta.replica_id, seq, meta.origin, meta.body)
    else:
        raise BadMeta(f"{meta.kind.name} is never rewritten")


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
            yield _Stored(seq, header.run, header.chain, values)
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
        sections = decode_blob(blob).sections
        runs = [run for section in sections for run in runs_of(blob, section)]
    except (BadBatch, NewerFormat, Refused):
        return Corruption(text)
    for group, at, length in runs:
        if any(number == chunk for number, _, _ in spans(at, length)):
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

"""Reading the whole log back: every checksum, the chain of batches, then the index."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...native.errors import Refused
from ...native.logindex import LogIndex, Rows
from ..errors import Corruption
from .blob import Contents, MetaRow, decode_blob
from .checkpoint import Mark, Unfit, load_checkpoint
from .chunks import chunk_key, join, link, read_header, split_key
from .environment import Environment
from .metas import BadMeta, MetaKind, decode_birth, decode_members, decode_snapshot_point, encode_members
from .opening import open_batch
from .progress import Progress

logger = logging.getLogger(__name__)


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


@dataclass(slots=True)
class _Found:
    """How far a scan has come."""

    index: LogIndex
    seq: int = 0
    run: int = 0
    chain: int = 0
    head: int = 0


def recover(environment: Environment, checkpoint: Path | None = None) -> Recovered:
    """Scan the log, or what a checkpoint does not know of it.

    Raises `Corruption` at the first damage, `VersionMismatch` at a newer format. A checkpoint that cannot be
    used is logged and ignored.
    """
    found = None if checkpoint is None else _from_checkpoint(environment, checkpoint)
    if found is None:
        found = _Found(LogIndex())
        _scan(environment, found)
    return Recovered(found.index, found.seq, found.run, found.chain)


def _from_checkpoint(environment: Environment, path: Path) -> _Found | None:
    """What a checkpoint and the log behind it say; None if they do not fit together."""
    bounds = _bounds(environment)
    if bounds is None or not path.exists():
        return None
    index = LogIndex()
    try:
        marks = load_checkpoint(path, index, *bounds)
        found = _at(environment, index, marks.first)
        _scan(environment, found, marks.last)
        _check_count(environment, index)
    except (Unfit, Corruption, OSError) as error:
        logger.warning("the checkpoint of the log's index is ignored: %s", error)
        return None
    return found


def _check_count(environment: Environment, index: LogIndex) -> None:
    """Nothing is missing among the batches that were not read, about."""
    if environment.count != index.totals().chunks:
        raise Unfit("the log holds another number of values than it says")


def _bounds(environment: Environment) -> tuple[int, int] | None:
    """The oldest batch and the newest; None if there is none."""
    newest = environment.last_key()
    oldest = next((bytes(key) for key, _ in environment.scan()), None)
    return None if oldest is None or newest is None else (split_key(oldest)[0], split_key(newest)[0])


def _at(environment: Environment, index: LogIndex, mark: Mark) -> _Found:
    """A scan that has come to a batch, which must be the one that the mark means."""
    with environment.reading() as get:
        header = read_header(get(chunk_key(mark.seq, 0)) or b"", mark.seq, 0)
        values = []
        for number in range(header.chunks):
            value = get(chunk_key(mark.seq, number)) or b""
            read_header(value, mark.seq, number)
            values.append(bytes(value))
    if link(header.chain, values) != mark.chain:
        raise Unfit(f"batch {mark.seq} is another one")
    return _Found(index, mark.seq, header.run, mark.chain, decode_blob(join(values)).head)


def check_end(environment: Environment, mark: Mark) -> None:
    """Check that a batch is there; what it is chained to makes it one with all before it.

    Raises `Corruption`. Batch 0 is nothing.
    """
    if mark.seq == 0:
        return
    try:
        _at(environment, LogIndex(), mark)
    except Unfit as error:
        raise Corruption(f"the log has lost what was committed: {error}") from error


def _scan(environment: Environment, found: _Found, passed: Mark | None = None) -> None:
    """Take all batches behind those that were found; one of them must be `passed`."""
    index, start = found.index, found.seq
    progress = Progress(environment, start)
    for stored in _batches(environment, chunk_key(start + 1, 0) if start else b""):
        blob, contents = open_batch(stored.seq, stored.values)
        before = found.seq
        if before and contents.previous != before:
            raise Corruption(f"log batch {contents.previous} is missing between {before} and {stored.seq}")
        if stored.run < found.run:
            raise Corruption(f"log batch {stored.seq} is of run {stored.run}, that before of {found.run}")
        if before and stored.chain != found.chain:
            raise Corruption(f"log batch {stored.seq} was not written behind this batch {before}")
        found.seq, found.run, found.head = stored.seq, stored.run, contents.head
        found.chain = link(stored.chain, stored.values)
        if passed is not None and passed.seq == found.seq and passed.chain != found.chain:
            raise Unfit(f"batch {passed.seq} is another one")
        with _consistent(f"log batch {stored.seq}"):
            space = sum(environment.footprint(len(value)) for value in stored.values)
            index.recover_batch(stored.seq, len(stored.values), space)
            _take(index, stored.seq, blob, contents)
        progress.tell(stored.seq)
    oldest = index.oldest()
    first = 0 if oldest is None else oldest.seq
    if first != found.head:
        raise Corruption(f"the log begins with batch {first}, it should with {found.head}")
    with _consistent("the log"):
        index.recovered()


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


def _batches(environment: Environment, start: bytes) -> Iterator[_Stored]:
    """The batches in order from a key on, with all their chunks."""
    values: list[bytes] = []
    for key, value in environment.scan(start):
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

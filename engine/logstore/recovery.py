"""Reading the whole log back: every checksum, the chain of batches, then the index.

A batch that is damaged or missing ends nothing: which entries are lost with it, and which replicas cannot be
believed any more, is found out (see `gaps`), and the others go on.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from ...native.errors import Refused
from ...native.logdoubt import doubted, recover_gap
from ...native.logindex import LogIndex, Rows
from ..errors import Corruption
from .blob import Contents, MetaRow, groups_of
from .checkpoint import Mark, Unfit, load_checkpoint
from .chunks import VALUE_MAX, chunk_key, join, link, read_header, split_key
from .environment import Environment
from .gaps import doubt_of, explained
from .metas import BadMeta, MetaKind, decode_birth, decode_members, decode_snapshot_point, encode_members
from .opening import open_batch
from .port import Doubt, Loss
from .progress import Progress

logger = logging.getLogger(__name__)

_LEAP: Final = 1 << 20
"""So many batches never fail to be committed in a row: what is so far away has a damaged key."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a scan found."""

    index: LogIndex
    last_seq: int
    """The newest batch; 0 if there is none."""
    last_run: int
    chain: int
    """What `chunks.link` made of all batches."""
    damage: list[str]
    """What was found damaged or missing, a line each."""
    losses: list[Loss]
    """Entries that are lost, in logs that are whole otherwise."""
    doubts: list[Doubt]
    """Replicas that may have promised more than is known of them."""
    names: list[int] | None
    """The groups of the newest batch, if it could be read and they can be named."""
    head: int
    """What the newest batch that could be read calls the oldest."""
    gaps: int
    """How many places there are where batches are missing or cannot be read."""


class _Stored(NamedTuple):
    """What is stored under the keys of a batch."""

    seq: int
    values: dict[int, bytes]
    """By chunk number; one that is longer than any that was written is left out, as empty."""

    def chunks(self) -> tuple[int, int, list[bytes]]:
        """Run, chain and all values, as their headers say. Raises `Corruption`."""
        headers = [read_header(value, self.seq, number) for number, value in self.values.items()]
        if list(self.values) != list(range(len(headers))) or len(headers) != headers[0].chunks:
            raise Corruption(f"a chunk of log batch {self.seq} is missing")
        return headers[0].run, headers[0].chain, list(self.values.values())


@dataclass(slots=True)
class _Found:
    """How far a scan has come."""

    index: LogIndex
    seq: int = 0
    run: int = 0
    chain: int = 0
    head: int = 0
    gap: bool = False
    """Whether the newest batch, or what stood before the next one, cannot be read."""
    sound: int = 0
    """The newest batch that could be read."""
    names: list[int] | None = None
    gaps: int = 0
    begins_with_gap: bool = False
    damage: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def note_gap(self, what: str) -> None:
        """What stood behind the newest batch that could be read is missing."""
        logger.error("the log is damaged: %s", what)
        self.damage.append(what)
        self.gap = True
        self.gaps += 1

    def end_gap(self, last: int, names: Sequence[int] | None = None) -> None:
        """That goes up to batch `last`. The one behind, if there is one, may name the groups of just that."""
        alone = last == self.sound + 1
        recover_gap(self.index, self.sound + 1, last, names if alone else None)
        self.gap = False


def recover(environment: Environment, checkpoint: Path | None = None) -> Recovered:
    """Scan the log, or what a checkpoint does not know of it.

    Batches that are damaged are passed over, and kept beside the log. Raises `Corruption` where what is
    stored cannot be what damage has made of this log, `VersionMismatch` at a newer format. A checkpoint that
    cannot be used is logged and ignored.
    """
    found = None if checkpoint is None else _from_checkpoint(environment, checkpoint)
    if found is None:
        found = _scan_all(environment)
    doubts = [doubt_of(one) for one in doubted(found.index)]
    index, seq = found.index, found.seq
    return Recovered(
        index,
        seq,
        found.run,
        found.chain,
        found.damage,
        found.losses,
        doubts,
        found.names,
        found.head,
        found.gaps,
    )


def _scan_all(environment: Environment) -> _Found:
    """Scan the log from its beginning, which may be missing."""
    found = _Found(LogIndex())
    try:
        _scan(environment, found)
    except _NoBeginning as error:
        found = _Found(LogIndex(), begins_with_gap=True)
        found.note_gap(str(error))
        found.end_gap(error.oldest - 1)
        _scan(environment, found)
    return found


class _NoBeginning(Exception):
    """The oldest batches are missing, which only the newest one can tell."""

    def __init__(self, oldest: int, head: int) -> None:
        super().__init__(f"the log begins with batch {oldest}, it should with {head}")
        self.oldest = oldest


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
    except (Unfit, Corruption, _NoBeginning, OSError) as error:
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
    oldest = index.oldest()
    found = _Found(index, mark.seq, header.run, mark.chain, 0 if oldest is None else oldest.seq)
    found.sound = mark.seq
    try:
        blob, contents = open_batch(mark.seq, values)
    except Corruption as error:
        logger.error("the log is damaged: %s", error)  # noqa: TRY400 - what it said is known
        found.damage.append(str(error))
    else:
        found.head, found.names = contents.head, groups_of(blob, contents)
    return found


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
    start = found.seq
    progress = Progress(environment, start)
    for stored in _batches(environment, chunk_key(start + 1, 0) if start else b""):
        contents = _take_batch(environment, found, stored)
        if contents is None:
            continue
        if passed is not None and passed.seq == found.seq and passed.chain != found.chain:
            raise Unfit(f"batch {passed.seq} is another one")
        progress.tell(stored.seq)
    _check_beginning(found)
    if found.gap:
        found.end_gap(found.seq)
    with _consistent("the log"):
        found.index.recovered()


def _check_beginning(found: _Found) -> None:
    """The newest batch that could be read tells which one is the oldest. Raises `_NoBeginning`."""
    oldest = found.index.oldest()
    first = 0 if oldest is None else oldest.seq
    if first > found.head and not found.begins_with_gap:
        raise _NoBeginning(first, found.head)
    if first < found.head and not found.gap:
        raise Corruption(f"the log begins with batch {first}, it should with {found.head}")


def _take_batch(environment: Environment, found: _Found, stored: _Stored) -> Contents | None:
    """Take a batch behind those that were found; None if it cannot be read, which is noted."""
    if stored.seq > found.seq + _LEAP and found.seq:
        raise Corruption(f"the log holds a batch {stored.seq} behind batch {found.seq}, which is not its own")
    try:
        run, chain, values = stored.chunks()
        blob, contents, losses = _opened(stored.seq, values)
    except Corruption as error:
        _pass_over(environment, found, stored, error)
        return None
    _check_place(found, stored.seq, contents, run, chain)
    if found.gap:
        found.end_gap(contents.previous, contents.names)
    found.losses += losses
    found.damage += [f"entry {one.first} of group {one.group} is damaged" for one in losses]
    found.seq = found.sound = stored.seq
    found.run, found.head, found.names = run, contents.head, groups_of(blob, contents)
    found.chain = link(chain, values)
    with _consistent(f"log batch {stored.seq}"):
        space = sum(environment.footprint(len(value)) for value in values)
        found.index.recover_batch(stored.seq, len(values), space)
        _take(found.index, stored.seq, blob, contents)
    return contents


def _opened(seq: int, values: list[bytes]) -> tuple[bytes, Contents, list[Loss]]:
    """A batch, and which of its entries are lost. Raises `Corruption` if more than entries is damaged."""
    try:
        return *open_batch(seq, values), []
    except Corruption:
        told = explained(values)
        if told is None:
            raise
        return join(values), *told


def _check_place(found: _Found, seq: int, contents: Contents, run: int, chain: int) -> None:
    """A batch must be the one behind those that were found, but for what is known to be missing."""
    before = found.seq
    if run < found.run:
        raise Corruption(f"log batch {seq} is of run {run}, that before of {found.run}")
    if found.gap or not before:
        return
    if contents.previous != before:
        found.note_gap(f"log batch {contents.previous} is missing between {before} and {seq}")
    elif chain != found.chain:
        raise Corruption(f"log batch {seq} was not written behind this batch {before}")


def _pass_over(environment: Environment, found: _Found, stored: _Stored, error: Corruption) -> None:
    """Go on behind a batch that cannot be read. It takes its place until collection comes to it."""
    found.note_gap(str(error))
    values = list(stored.values.values())
    environment.set_aside(stored.seq, values)
    found.seq, found.names = stored.seq, None
    found.chain = link(found.chain, values)
    space = sum(environment.footprint(len(value)) for value in values)
    found.index.recover_batch(stored.seq, max(stored.values) + 1, space)


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
    """The batches in order from a key on, with whatever chunks there are."""
    stored: _Stored | None = None
    for key, value in environment.scan(start):
        seq, number = split_key(key)
        if stored is None or stored.seq != seq:
            if stored is not None:
                yield stored
            stored = _Stored(seq, {})
        stored.values[number] = bytes(value) if len(value) <= VALUE_MAX else b""
    if stored is not None:
        yield stored

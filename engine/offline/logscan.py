"""Every batch of a log: each checksum, each entry, and what they say together, around whatever is damaged."""

from collections.abc import Callable, Iterator
from typing import Final, Self

from ...native.entries import decode_run, run_header
from ...native.errors import Damaged
from ..errors import Corruption, VersionMismatch
from ..logstore.blob import BadBatch, Contents, MetaRow, NewerFormat, RowSection, decode_blob
from ..logstore.chunks import body_size, checksum_holds, chunk_key, join, read_header, spans, split_key
from ..logstore.metas import BadMeta, MetaKind, decode_birth
from .findings import Findings
from .grouplog import GroupLog, Segment
from .logfile import LogFile
from .rows import Row, rows_of

LOG_FILE: Final = "log/data.mdb"

Progress = Callable[[int], None]
"""Told how many stored keys were read so far, now and then."""


class LogContents:
    """What a scan found."""

    def __init__(self) -> None:
        self.groups: dict[int, GroupLog] = {}
        self.tombstones: dict[int, int] = {}
        """For each group that a replica was removed of: the highest replica id removed."""
        self.batches = 0
        self.entries = 0
        """Stored, dead ones that are not collected yet included."""


class _Batch:
    """A batch, as far as it could be read."""

    def __init__(self, seq: int, run: int, chunks: int) -> None:
        self.seq = seq
        self.run = run
        self.values: list[bytes] = []
        self.bad: dict[int, str] = {}
        """What is wrong with chunks, by their number."""
        self._chunks = chunks

    @property
    def whole(self) -> bool:
        """Whether all chunks are there and their checksums hold."""
        return not self.bad

    def add(self, number: int, value: bytes) -> None:
        """The next chunk that was found."""
        if number != len(self.values):
            self.bad[len(self.values)] = "is missing"
        if not checksum_holds(value):
            self.bad[number] = "fails its checksum"
        self.values.append(value)

    def end(self) -> Self:
        """There are no more."""
        if len(self.values) != self._chunks:
            self.bad.setdefault(len(self.values), "is missing")
        return self


def scan_log(file: LogFile, findings: Findings, progress: Progress = lambda _: None) -> LogContents:
    """Read a whole log. Raises `VersionMismatch` for a batch in a newer format."""
    scan = _Scan(findings)
    done = 0
    for batch in _batches(file, findings):
        scan.take(batch)
        done += len(batch.values)
        progress(done)
    if file.damage is not None:
        findings.add(LOG_FILE, file.damage)
    scan.finish()
    return scan.contents


def _batches(file: LogFile, findings: Findings) -> Iterator[_Batch]:
    """The batches in order, with the chunks that could be read."""

    def damaged(what: str, key: bytes | None) -> None:
        findings.add(LOG_FILE, what, key=key)

    batch: _Batch | None = None
    for key, value in file.items(on_damage=damaged):
        try:
            seq, number = split_key(key)
            header = read_header(value, seq, number)
        except Corruption as error:
            findings.add(LOG_FILE, str(error), key=key)
            continue
        if batch is None or seq != batch.seq:
            if batch is not None:
                yield batch.end()
            batch = _Batch(seq, header.run, header.chunks)
        batch.add(number, value)
    if batch is not None:
        yield batch.end()


class _Scan:
    """Takes batches in their order."""

    def __init__(self, findings: Findings) -> None:
        self.contents = LogContents()
        self._findings = findings
        self._oldest = self._previous = self._run = self._head = 0
        self._body = 0  # of the batch that is being taken

    def take(self, batch: _Batch) -> None:
        """Read one batch; one that is damaged gives what entries of it are whole."""
        self.contents.batches += 1
        blob = join(batch.values)
        self._body = body_size(batch.values[0])
        try:
            decoded = decode_blob(blob)
        except NewerFormat as error:
            if batch.whole:
                raise VersionMismatch(f"log batch {batch.seq} has format {error}, newer than this") from error
            decoded = None
        except BadBatch as error:
            self._add(f"batch {batch.seq}: {error}")
            decoded = None
        if decoded is not None and batch.whole:
            self._check_chain(batch, decoded)
        self._oldest = self._oldest or batch.seq
        self._previous = batch.seq
        if decoded is not None and self._is_explained(batch, blob, decoded):
            self._take_contents(batch.seq, blob, decoded)
            return
        for number, what in batch.bad.items():
            self._add(f"chunk {number} of batch {batch.seq} {what}", key=chunk_key(batch.seq, number))

    def finish(self) -> None:
        """That was all."""
        if self._head and self._oldest != self._head:
            self._add(f"the log begins with batch {self._oldest}, it should with {self._head}")
        for group, log in self.contents.groups.items():
            if log.birth is None:
                self._add("the group has a log, but no birth", group)
            for low, high in log.gaps():
                text = (
                    f"entries {low} to {high - 1} are missing" if high - low > 1 else "the entry is missing"
                )
                self._add(text, group, low)

    def _check_chain(self, batch: _Batch, decoded: Contents) -> None:
        if self._previous and decoded.previous != self._previous:
            self._add(f"batch {decoded.previous} is missing between {self._previous} and {batch.seq}")
        if batch.run < self._run:
            self._add(f"batch {batch.seq} is of run {batch.run}, the one before of run {self._run}")
        self._run, self._head = batch.run, decoded.head

    def _is_explained(self, batch: _Batch, blob: bytes, decoded: Contents) -> bool:
        """Whether what is bad lies in entries, which say so themselves: then the rest can be believed.

        Else nothing of the batch is: the damage may be in what says which rows belong to whom.
        """
        explained: set[int] = set()
        for row in [] if batch.whole else self._all_rows(batch.seq, blob, decoded):
            try:
                decode_run(blob[row.at : row.at + row.length], _nothing)
            except Damaged:
                explained.update(number for number, _, _ in spans(row.at, row.length, self._body))
        return explained.issuperset(batch.bad)

    def _all_rows(self, seq: int, blob: bytes, decoded: Contents) -> Iterator[Row]:
        for section in decoded.sections:
            yield from self._rows(seq, blob, section)

    def _take_contents(self, seq: int, blob: bytes, decoded: Contents) -> None:
        """Fresh META rows act just before the row of their write."""
        metas = decoded.metas
        fresh = sorted((meta for meta in metas if meta.origin == seq), key=lambda meta: meta.write)
        for section in decoded.sections:
            for number, row in enumerate(self._rows(seq, blob, section)):
                while not section.rewritten and fresh and fresh[0].write <= number:
                    self._take_meta(seq, fresh.pop(0))
                self._take_row(seq, blob, row)
            if not section.rewritten:
                for meta in fresh:
                    self._take_meta(seq, meta)
                fresh = []
        for meta in fresh:
            self._take_meta(seq, meta)
        for meta in metas:
            if meta.origin != seq:
                self._take_meta(seq, meta)

    def _rows(self, seq: int, blob: bytes, section: RowSection) -> Iterator[Row]:
        try:
            yield from rows_of(blob, section)
        except BadBatch as error:
            self._add(f"batch {seq}: {error}")

    def _take_row(self, seq: int, blob: bytes, row: Row) -> None:
        if not row.length and row.hard_state is None and row.truncation is None:
            return
        if not row.group or not row.replica:
            self._add(f"batch {seq}: a row names no replica")
            return
        log = self._log(row.group, row.replica)
        origin = row.origin or seq
        if row.length:
            self._take_run(seq, blob[row.at : row.at + row.length], row, log)
        if row.truncation is not None:
            log.cut(row.truncation, origin)
        if row.hard_state is not None:
            log.voted(row.hard_state, origin)

    def _take_run(self, seq: int, run: bytes, row: Row, log: GroupLog) -> None:
        try:
            first, count, _ = run_header(run)
        except Damaged as error:
            self._add(f"a run in batch {seq} is damaged: {error}", row.group, error.index or None)
            return
        self.contents.entries += count
        try:
            decode_run(run, _nothing)
        except Damaged as error:
            self._add(f"damaged in batch {seq}", row.group, error.index)
        segment = Segment(first, first + count, seq, row.at, row.length, self._body)
        if not row.origin:
            log.appended(segment)
        elif not log.rewritten(segment):
            self._add(f"rewritten in batch {seq}, though it is there already", row.group, first)

    def _take_meta(self, seq: int, meta: MetaRow) -> None:
        try:
            self._take_meta_row(seq, meta)
        except BadMeta as error:
            self._add(f"batch {seq}: {error}", meta.group)

    def _take_meta_row(self, seq: int, meta: MetaRow) -> None:
        contents = self.contents
        if meta.kind is MetaKind.TOMBSTONE:
            if meta.origin == seq:
                contents.groups.pop(meta.group, None)
            known = contents.tombstones.get(meta.group, 0)
            contents.tombstones[meta.group] = max(known, meta.replica_id)
        elif meta.kind is MetaKind.BIRTH:
            birth = decode_birth(meta.group, meta.replica_id, meta.body)
            self._log(meta.group, meta.replica_id).born(birth, meta.origin)
        elif meta.kind is MetaKind.SNAPSHOT_POINT:
            self._log(meta.group, meta.replica_id).stands_on(meta.body, meta.origin)
        else:
            self._log(meta.group, meta.replica_id).has_members(meta.body, meta.origin)

    def _log(self, group: int, replica: int) -> GroupLog:
        log = self.contents.groups.get(group)
        if log is None:
            log = self.contents.groups[group] = GroupLog(group, replica)
        elif log.replica != replica:
            self._add(f"rows of replica {replica} and of replica {log.replica}", group)
        return log

    def _add(
        self, what: str, group: int | None = None, index: int | None = None, key: bytes | None = None
    ) -> None:
        self._findings.add(LOG_FILE, what, group=group, index=index, key=key)


def _nothing(_term: int, _index: int, _type: int, _data: bytes) -> None:
    """Entries are decoded for their checksums only."""

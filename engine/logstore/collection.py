"""Garbage collection: what is still alive in the oldest batches moves into the one being staged.

Batches go oldest first and only when nothing in them is alive, so that nothing older can ever come back.
Liveness is judged by the index as of the batches handed to the writer. Everything moved keeps its origin.
"""

import logging
from dataclasses import dataclass

from ...native.errors import Refused
from ...native.logindex import LogIndex, Rows, State, Stored
from ...native.logrescue import LogRescue, RescuedMeta
from ..errors import Corruption
from .blob import BlobWriter, MetaRow
from .chunks import chunk_key, read_header
from .environment import Environment
from .metas import MetaKind
from .opening import open_batch, runs_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CollectionPolicy:
    """When old batches are collected, and how much of that work rides on one append."""

    factor: float = 3.0
    """Collect while stored bytes exceed this multiple of the live bytes ..."""
    slack: int = 8 << 20
    """... and these bytes."""
    batches: int = 12
    """At most so many batches are deleted with one append."""
    live_bytes: int = 96 << 10
    """No further batch is begun when so many live bytes, or as many as are appended, have been rewritten."""

    def wants(self, index: LogIndex) -> bool:
        """Whether too much of what is stored is dead."""
        totals = index.totals()
        return totals.stored_bytes > self.factor * totals.live_bytes + self.slack


class Collector:
    """Decides how much is collected with an append, and does it."""

    def __init__(self, environment: Environment, index: LogIndex, policy: CollectionPolicy) -> None:
        self._environment = environment
        self._index = index
        self._policy = policy
        self._rescue = LogRescue(index)
        self.damage: Corruption | None = None
        """Set once when an old batch cannot be read; nothing is collected from then on."""

    def collect(self, seq: int, blob: BlobWriter, newest: int) -> tuple[list[MetaRow], list[Stored]]:
        """Rewrite what lives in the oldest batches up to `newest` into batch `seq` and retire them.

        Returns META rows to add and the batches to delete. A batch is moved whole, so the bound on live
        bytes may be passed by one batch.
        """
        if self.damage is not None or not self._policy.wants(self._index):
            return [], []
        bound = max(self._policy.live_bytes, blob.size)
        rescue = self._rescue
        rescue.begin()
        dead = 0
        stored = self._index.oldest()
        while stored is not None and stored.seq <= newest and dead < self._policy.batches:
            if rescue.live_bytes >= bound or not self._examine(stored):
                break
            dead += 1
            stored = self._index.batch_after(stored.seq)
        metas = self._rewrite(blob)
        return metas, [self._index.retire(seq) for _ in range(dead)]

    def holders(self, batches: int) -> list[int]:
        """Groups whose oldest entries are in the oldest batches, so many of them; the most bytes first.

        To compact these spares collection the rewriting. A batch that cannot be read is left out.
        """
        held: dict[int, int] = {}
        stored = self._index.oldest()
        for _ in range(batches):
            if stored is None:
                break
            if stored.live:
                for group, length in self._runs_held(stored):
                    held[group] = held.get(group, 0) + length
            stored = self._index.batch_after(stored.seq)
        return sorted(held, key=lambda group: (-held[group], group))

    def _runs_held(self, stored: Stored) -> list[tuple[int, int]]:
        """(group, bytes) of each run in a batch that is a log's oldest."""
        try:
            blob, contents = open_batch(stored.seq, self._values(stored))
            runs = [run for section in contents.sections for run in runs_of(blob, section)]
        except (Corruption, Refused):
            return []
        return [(group, length) for group, at, length in runs if self._is_oldest(stored.seq, group, at)]

    def _is_oldest(self, seq: int, group: int, at: int) -> bool:
        log = self._index.log(group)
        if log is None or log.last_index < log.first_index:
            return False
        span = next(log.spans(log.first_index, log.first_index + 1))
        return (span.carrier, span.at) == (seq, at)

    def _examine(self, stored: Stored) -> bool:
        """Find what lives in a batch; False if the batch is damaged, and then nothing of it is taken."""
        if stored.live == 0:
            return True
        try:
            self._find_live(stored)
        except (Corruption, Refused) as error:
            self._rescue.drop()
            self.damage = error if isinstance(error, Corruption) else Corruption(str(error))
            logger.error("log collection stops at batch %d: %s", stored.seq, error)  # noqa: TRY400 - no bug of ours to trace
            return False
        self._rescue.keep()
        return True

    def _find_live(self, stored: Stored) -> None:
        blob, contents = open_batch(stored.seq, self._values(stored))
        rescue, seq = self._rescue, stored.seq
        for section in contents.sections:
            part = blob[section.at : section.at + section.size]
            rescue.take_rows(seq, Rows(part, section.at, section.rows, rewritten=section.rewritten))
        for group in sorted({meta.group for meta in contents.metas}):
            rescue.take_group(seq, group)
        for group in sorted({meta.group for meta in contents.metas if meta.kind is MetaKind.TOMBSTONE}):
            rescue.take_tombstone(seq, group)

    def _values(self, stored: Stored) -> list[bytes]:
        values = []
        with self._environment.reading() as get:
            for number in range(stored.chunks):
                value = get(chunk_key(stored.seq, number))
                if value is None:
                    raise Corruption(f"chunk {number} of log batch {stored.seq} is missing")
                read_header(value, stored.seq, number)
                values.append(bytes(value))
        return values

    def _rewrite(self, blob: BlobWriter) -> list[MetaRow]:
        """Write what was rescued into the batch and point the index at it; returns META rows to add."""
        metas = [self._meta_row(meta) for meta in self._rescue.metas()]
        rows = self._rescue.row_count
        if rows:
            blob.add_rewritten(self._rescue.write(blob.next_base), rows)
        return metas

    def _meta_row(self, meta: RescuedMeta) -> MetaRow:
        index = self._index
        if meta.kind == State.BIRTH:
            kind, body = MetaKind.BIRTH, index.log_at(meta.place).birth()
        elif meta.kind == State.MEMBERS:
            kind, body = MetaKind.MEMBERS, index.log_at(meta.place).members()
        else:
            index.move_tombstone(meta.group)
            return MetaRow(meta.group, meta.replica, meta.origin, 0, MetaKind.TOMBSTONE, b"")
        index.move_state(meta.place, meta.kind)
        return MetaRow(meta.group, meta.replica, meta.origin, 0, kind, body)

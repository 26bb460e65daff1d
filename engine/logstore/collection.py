"""Garbage collection: what is still alive in the oldest batches moves into the one being staged.

Batches go oldest first and only when nothing in them is alive, so that nothing older can ever come back.
Liveness is judged by the index as of the batches handed to the writer. Everything moved keeps its origin.
A batch that is damaged stops nothing: what can be read of it moves, and groups that lost entries are named.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...native.errors import Refused
from ...native.logindex import LogIndex, State, Stored
from ...native.logrescue import LogRescue, RescuedMeta
from ..errors import Corruption
from .blob import BlobWriter, MetaRow, groups_in
from .chunks import chunk_key
from .environment import Environment
from .metas import MetaKind
from .port import Loss
from .visit import Visit
from .wreck import Wreck

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CollectionPolicy:
    """When old batches are collected, and how much of that work rides on one append."""

    factor: float = 3.0
    """Collect while stored bytes exceed this multiple of the live bytes ..."""
    slack: int = 8 << 20
    """... and these bytes."""
    batches: int = 12
    """At most so many batches are looked at, and deleted, with one append."""
    live_bytes: int = 96 << 10
    """No further run is moved when so many live bytes, or as many as are appended, have been."""
    read_bytes: int = 1 << 20
    """No further value is read when so many bytes have been."""
    chunks: int = 256
    """No further batch is deleted when so many values have been."""

    def wants(self, index: LogIndex) -> bool:
        """Whether too much of what is stored is dead."""
        totals = index.totals()
        return totals.stored_bytes > self.factor * totals.live_bytes + self.slack


class Collected(NamedTuple):
    """What goes with an append."""

    metas: Sequence[MetaRow] = ()
    """To be written with it."""
    retired: Sequence[Stored] = ()
    """Batches to be deleted with it, oldest first."""
    wrecks: Sequence[Wreck] = ()
    """Those among them that could not be read: to be set aside before."""
    groups: Sequence[int] = ()
    """Of which something was moved."""

    def keys(self) -> list[bytes]:
        """The keys of the values to be deleted."""
        wrecked = {wreck.stored.seq: wreck.keys() for wreck in self.wrecks}
        keys: list[bytes] = []
        for stored in self.retired:
            if stored.seq in wrecked:
                keys += wrecked[stored.seq]
            else:
                keys += [chunk_key(stored.seq, number) for number in range(stored.chunks)]
        return keys


class Collector:
    """Decides how much is collected with an append, and does it."""

    def __init__(self, environment: Environment, index: LogIndex, policy: CollectionPolicy) -> None:
        self.damage: Corruption | None = None
        """Set once when the environment cannot lead to an old batch: nothing is collected from then on."""
        self._environment = environment
        self._index = index
        self._policy = policy
        self._rescue = LogRescue(index)
        self._visit: Visit | None = None
        self._passed = 0
        """The batch that was looked through last: nothing in it should be alive any more."""
        self._damaged = 0
        """The batch that was found damaged last."""
        self._wrecks: dict[int, Wreck] = {}
        """Batches whose remains were moved and that are not deleted yet, by sequence number."""
        self._losses: list[Loss] = []

    @property
    def wanted(self) -> bool:
        """Whether there is something to collect."""
        return self.damage is None and self._policy.wants(self._index)

    def take_losses(self) -> list[Loss]:
        """Entries that were found to be lost since the last call."""
        losses, self._losses = self._losses, []
        return losses

    def collect(self, blob: BlobWriter, newest: int) -> Collected:
        """Move what lives in the oldest batches, up to `newest`, into the one being staged; retire them.

        A batch of which much is alive takes several appends.
        """
        if not self.wanted:
            return Collected()
        self._rescue.begin()
        self._look(max(self._policy.live_bytes, blob.size), newest)
        metas, groups = self._rewrite(blob)
        retired = self._retire(newest)
        wrecks = [self._wrecks[stored.seq] for stored in retired if stored.seq in self._wrecks]
        return Collected(metas, retired, wrecks, groups)

    def committed(self, collected: Collected) -> None:
        """The append is durable."""
        for wreck in collected.wrecks:
            del self._wrecks[wreck.stored.seq]

    def rolled_back(self) -> None:
        """Appends never were: what they moved is where it was."""
        self._visit = None
        self._passed = 0

    # -- finding what is alive -------------------------------------------------------------------

    def _look(self, bound: int, newest: int) -> None:
        """Find what is alive, batch by batch, within the bounds of one append."""
        room = self._policy.read_bytes
        stored = self._index.oldest()
        for _ in range(self._policy.batches):
            if stored is None or stored.seq > newest:
                return
            if stored.live:
                if self._rescue.live_bytes >= bound or room <= 0:
                    return
                if stored.seq in (self._damaged, self._passed):
                    self._salvage(stored)
                    return
                visit = self._visit_to(stored)
                room -= stored.size
                if not self._look_through(visit, bound):
                    return
            stored = self._index.batch_after(stored.seq)

    def _visit_to(self, stored: Stored) -> Visit:
        if self._visit is None or self._visit.stored.seq != stored.seq:
            self._visit = Visit(self._environment, stored)
        return self._visit

    def _look_through(self, visit: Visit, bound: int) -> bool:
        """Look on in a batch; whether everything alive in it has been found now."""
        try:
            visit.read(self._policy.read_bytes)
            done = visit.is_read and visit.look(self._rescue, bound)
        except (Corruption, Refused) as error:
            self._rescue.drop()
            self._visit = None
            self._damaged = visit.stored.seq
            logger.error("log batch %d is damaged: %s", visit.stored.seq, error)  # noqa: TRY400 - no bug of ours to trace
            return False
        self._rescue.keep()
        if done:
            self._visit = None
            self._passed = visit.stored.seq
        return done

    def _salvage(self, stored: Stored) -> None:
        """Find what is alive in a batch that cannot be read."""
        if self._rescue.live_bytes:
            return  # in a rescue of its own, so that nothing is found twice
        try:
            wreck = Wreck(self._environment, stored)
        except Corruption as error:
            self.damage = error
            logger.error("log collection stops at batch %d: %s", stored.seq, error)  # noqa: TRY400 - no bug of ours to trace
            return
        losses = wreck.move(self._index, self._rescue)
        self._rescue.keep()
        self._wrecks[stored.seq] = wreck
        self._losses += losses
        for loss in losses:
            lost = f"entries {loss.first} to {loss.last} of group {loss.group}"
            logger.error("log batch %d: lost: %s", stored.seq, lost)

    # -- moving it -------------------------------------------------------------------------------

    def _retire(self, newest: int) -> list[Stored]:
        """Take the oldest batches out of the index as long as nothing in them is alive."""
        retired: list[Stored] = []
        chunks = 0
        oldest = self._index.oldest()
        while oldest is not None and oldest.seq <= newest and not oldest.live:
            if len(retired) == self._policy.batches or chunks >= self._policy.chunks:
                break
            retired.append(self._index.retire(oldest.seq))
            chunks += oldest.chunks
            oldest = self._index.oldest()
        return retired

    def _rewrite(self, blob: BlobWriter) -> tuple[list[MetaRow], list[int]]:
        """Write what was rescued into the batch and point the index at it.

        Returns META rows to add, and the groups of all that was rescued.
        """
        metas = [self._meta_row(meta) for meta in self._rescue.metas()]
        groups = [meta.group for meta in metas]
        rows = self._rescue.row_count
        if rows:
            section = self._rescue.write(blob.next_base)
            blob.add_rewritten(section, rows)
            groups += groups_in(section, rows)
        return metas, groups

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

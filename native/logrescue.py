"""What is still alive in the oldest batches of a log, on its way into the one being staged."""

from typing import NamedTuple

from ._native import ffi, lib
from .errors import index_refusal
from .logindex import LogIndex, Rows

TOMBSTONE = lib.MR_RESCUE_TOMBSTONE
"""The kind of a rescued tombstone; the others are `State.BIRTH` and `State.MEMBERS`."""


class RescuedMeta(NamedTuple):
    """A META row to be written again."""

    group: int
    replica: int
    origin: int
    place: int
    """Of the log in the index."""
    kind: int


class LogRescue:
    """Collects what lives in batch after batch, then writes it all. One use for each batch staged."""

    def __init__(self, index: LogIndex) -> None:
        self._index = index
        self._rescue = ffi.gc(lib.mr_rescue_new(), lib.mr_rescue_free)
        if self._rescue == ffi.NULL:
            raise MemoryError
        self._totals = ffi.new("struct mr_rescue_totals *")
        self._meta = ffi.new("struct mr_rescued_meta *")

    def begin(self) -> None:
        """Nothing is rescued yet."""
        lib.mr_rescue_begin(self._rescue, self._index.handle)

    def take_rows(self, seq: int, rows: Rows, bound: int) -> bool:
        """Find what lives in rows of batch `seq`, until `bound` live bytes have been found altogether.

        Returns whether all rows were looked at. Raises `Refused` for a damaged run.
        """
        self._check(lib.mr_rescue_rows(self._rescue, self._index.handle, seq, rows.struct, bound))
        return rows.position == rows.count

    def take_run(self, seq: int, group: int, at: int, run: bytes) -> None:
        """Let `run` take the place of one that stands at `at` of batch `seq` and cannot be read."""
        self._check(lib.mr_rescue_run(self._rescue, self._index.handle, seq, group, at, run, len(run)))

    def take_states(self, seq: int) -> None:
        """Find all small states and tombstones that batch `seq` carries; looks at every log."""
        self._check(lib.mr_rescue_states(self._rescue, self._index.handle, seq))

    def take_group(self, seq: int, group: int) -> None:
        """Find which small states of a group batch `seq` carries."""
        self._check(lib.mr_rescue_group(self._rescue, self._index.handle, seq, group))

    def take_tombstone(self, seq: int, group: int) -> None:
        """Find whether batch `seq` carries the group's tombstone."""
        self._check(lib.mr_rescue_tombstone(self._rescue, self._index.handle, seq, group))

    def keep(self) -> None:
        """All that was found since the last call is wanted."""
        lib.mr_rescue_keep(self._rescue)

    def drop(self) -> None:
        """What was found since the last `keep` is not."""
        lib.mr_rescue_drop(self._rescue)

    @property
    def live_bytes(self) -> int:
        """Bytes found alive."""
        lib.mr_rescue_totals(self._rescue, self._totals)
        found: int = self._totals.bytes
        return found

    @property
    def row_count(self) -> int:
        """Rows that `write` makes."""
        lib.mr_rescue_totals(self._rescue, self._totals)
        count: int = self._totals.runs + self._totals.states
        return count

    def metas(self) -> list[RescuedMeta]:
        """The META rows to be written; the caller moves their states in the index."""
        lib.mr_rescue_totals(self._rescue, self._totals)
        found = []
        for number in range(self._totals.metas):
            meta = self._meta
            lib.mr_rescue_meta(self._rescue, number, meta)
            found.append(RescuedMeta(meta.group, meta.replica, meta.origin, meta.place, meta.kind))
        return found

    def write(self, base: int) -> bytes:
        """The section of rewritten rows, to stand at `base` of the batch; the index points there now."""
        lib.mr_rescue_totals(self._rescue, self._totals)
        section = ffi.new("uint8_t[]", max(1, self._totals.section))
        self._check(lib.mr_rescue_write(self._rescue, self._index.handle, base, section))
        return ffi.buffer(section)[: self._totals.section]

    def _check(self, status: int) -> None:
        if status:
            raise index_refusal(status)

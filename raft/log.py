"""The log as the algorithm sees it: stable storage and the unstable part behind it, as one."""

from collections.abc import Iterator, Sequence

from .config import NO_LIMIT
from .entry import Entry, EntryId, encoded_sizes, limit_size
from .errors import Compacted, CorruptLog, Misuse, Unavailable
from .state import Snapshot
from .storage import Storage
from .unstable import Unstable


class RaftLog:
    """Positions and content of one replica's log.

    Invariants: ``applied <= applying <= committed <= last_index()``;
    ``first_index() - 1 <= applied``; ``unstable.offset <= last_index() + 1``.
    `applying` is the last index handed out to be applied, `applied` the last one reported as applied.
    `applying_size`, the encoded bytes between them, stays below `max_applying_size` but for one entry.
    """

    __slots__ = (
        "applied",
        "applying",
        "applying_paused",
        "applying_size",
        "committed",
        "max_applying_size",
        "storage",
        "unstable",
    )

    def __init__(self, storage: Storage, max_applying_size: int = NO_LIMIT) -> None:
        """Begin with what `storage` holds; nothing of it counts as committed yet."""
        self.storage = storage
        self.unstable = Unstable(storage.last_index() + 1)
        self.committed = self.applying = self.applied = storage.first_index() - 1
        self.max_applying_size = max_applying_size
        self.applying_size = 0
        self.applying_paused = False

    # -- reading ------------------------------------------------------------------------------------------

    def first_index(self) -> int:
        """Index of the first entry, present or to come."""
        snapshot = self.unstable.snapshot
        return self.storage.first_index() if snapshot is None else snapshot.index + 1

    def last_index(self) -> int:
        """Index of the last entry, durable or not."""
        unstable = self.unstable
        return unstable.offset + len(unstable.entries) - 1

    def last_id(self) -> EntryId:
        """Term and index of the last entry."""
        index = self.last_index()
        try:
            return EntryId(self.term(index), index)
        except (Compacted, Unavailable) as error:
            raise CorruptLog(f"the term of the last entry, at {index}, cannot be read", index) from error

    def term(self, index: int) -> int:
        """Term at `index`, in [first_index - 1, last_index]. Raises `Compacted`, `Unavailable`."""
        unstable = self.unstable
        if index < unstable.offset and unstable.snapshot is None:  # the common case: it is stable
            return self.storage.term(index)
        term = unstable.term(index)
        if term is not None:
            return term
        # The storage may still hold what the unstable part replaces: a longer log, or what a snapshot covers.
        if index >= unstable.offset:
            raise Unavailable(index, self.last_index())
        raise Compacted(index, self.first_index())

    def term_or_zero(self, index: int) -> int:
        """Term at `index`, or 0 where it is not known."""
        try:
            return self.term(index)
        except (Compacted, Unavailable):
            return 0

    def match_term(self, term: int, index: int) -> bool:
        """Whether the entry at `index` is known to be of `term`."""
        try:
            return self.term(index) == term
        except (Compacted, Unavailable):
            return False

    def is_up_to_date(self, term: int, index: int) -> bool:
        """Whether a log that ends with (`term`, `index`) holds at least what this one does (§5.4.1)."""
        last = self.last_id()
        return term > last.term or (term == last.term and index >= last.index)

    def entries(self, low: int, max_size: int | None) -> Sequence[Entry]:
        """Entries from `low` on, up to `max_size` encoded bytes but at least one. Raises `Compacted`."""
        unstable = self.unstable
        position = low - unstable.offset
        if position >= 0:  # the common case, in which the storage need not be asked at all
            return limit_size(unstable.entries[position:], max_size) or ()
        return self.slice(low, self.last_index() + 1, max_size)

    def slice(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        """Entries in [low, high), up to `max_size` encoded bytes but at least one. Raises `Compacted`."""
        self._check_bounds(low, high)
        return self._read(low, high, max_size) if low < high else ()

    def _read(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        """The same for a range that is not empty and does not reach beyond the last index."""
        unstable = self.unstable
        offset = unstable.offset
        if low >= offset:
            return limit_size(unstable.entries[low - offset : high - offset], max_size)
        cut = min(high, offset)
        try:
            stable = self.storage.entries(low, cut, max_size)
        except Unavailable as error:
            raise CorruptLog(f"storage lacks entries in [{low}, {cut})", error.index) from error
        if not stable or stable[0].index != low:
            raise CorruptLog(f"storage lacks entries in [{low}, {cut})", low)
        if high <= offset or len(stable) < cut - low:
            return stable
        return _extended(stable, unstable.entries[: high - offset], max_size)

    def _check_bounds(self, low: int, high: int) -> None:
        if low > high:
            raise Misuse(f"slice [{low}, {high}) of the log ends before it begins")
        first = self.first_index()
        if low < first:
            raise Compacted(low, first)
        last = self.last_index()
        if high > last + 1:
            raise CorruptLog(f"slice [{low}, {high}) reaches beyond the last index {last}", high - 1)

    def pages(self, low: int, high: int) -> Iterator[Sequence[Entry]]:
        """The entries in [low, high), page by page, so that a long tail is never held in memory at once."""
        page_size = None if self.max_applying_size == NO_LIMIT else self.max_applying_size
        while low < high:
            page = self.slice(low, high, page_size)
            yield page
            low += len(page)

    def snapshot(self) -> Snapshot:
        """A snapshot to send. May raise `SnapshotTemporarilyUnavailable`."""
        return self.unstable.snapshot or self.storage.snapshot()

    # -- appending and committing -------------------------------------------------------------------------

    def append(self, entries: list[Entry]) -> None:
        """Add `entries`, replacing whatever was there from the first one's index on."""
        if entries[0].index <= self.committed:
            raise CorruptLog(
                f"entries from {entries[0].index} would replace committed ones up to {self.committed}",
                entries[0].index,
            )
        self.unstable.truncate_and_append(entries)

    def maybe_append(
        self, prev_term: int, prev_index: int, entries: Sequence[Entry], committed: int
    ) -> int | None:
        """Take a leader's entries if they follow an entry that is here; the rules of §5.3 for followers.

        `committed` is the leader's. Returns the last index that now agrees with the leader's log; `None` if
        the entry at `prev_index` is missing or of another term.
        """
        if not self.match_term(prev_term, prev_index):
            return None
        last_new = prev_index + len(entries)
        if entries:
            fresh = self._without_known(prev_index, entries)
            if fresh:
                self.append(fresh)
        self.commit_to(min(committed, last_new))
        return last_new

    def _without_known(self, prev_index: int, entries: Sequence[Entry]) -> list[Entry]:
        """The entries from the first one that is not in the log already."""
        if prev_index != self.last_index():
            for position, entry in enumerate(entries):
                if not self.match_term(entry.term, entry.index):
                    return list(entries[position:])
            return []
        return list(entries)

    def find_conflict_by_term(self, index: int, term: int) -> EntryId:
        """The last place up to `index` whose entry is not newer than `term`: the best guess of agreement.

        The term of the answer is 0 where it is not known (compacted, or not there yet).
        """
        while index > 0:
            own = self.term_or_zero(index)
            if own <= term:
                return EntryId(own, index)
            index -= 1
        return EntryId(0, 0)

    def commit_to(self, index: int) -> None:
        """Move the commit index up to `index`; it never moves down. `CorruptLog` beyond the last index."""
        if index <= self.committed:
            return
        last = self.last_index()
        if index > last:
            raise CorruptLog(
                f"commit {index} is beyond the last index {last}: durable entries are lost", index
            )
        self.committed = index

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the log by `snapshot`."""
        self.committed = snapshot.index
        self.unstable.restore(snapshot)

    # -- applying -----------------------------------------------------------------------------------------

    def _appliable_index(self, *, allow_unstable: bool) -> int:
        """The last committed index that may be applied now."""
        return self.committed if allow_unstable else min(self.committed, self.unstable.offset - 1)

    def has_next_committed(self, *, allow_unstable: bool) -> bool:
        """Whether `next_committed` would hand out anything."""
        # What is committed is asked first: in the common case there is nothing, and that is the whole answer.
        if self.applying >= self.committed or self.applying_paused or self.unstable.snapshot is not None:
            return False
        return self.applying < self._appliable_index(allow_unstable=allow_unstable)

    def next_committed(self, *, allow_unstable: bool) -> list[Entry]:
        """Committed entries to be applied next, within what the apply budget leaves but at least one."""
        if not self.has_next_committed(allow_unstable=allow_unstable):
            return []
        low, high = self.applying + 1, self._appliable_index(allow_unstable=allow_unstable) + 1
        room = None if self.max_applying_size == NO_LIMIT else self.max_applying_size - self.applying_size
        try:
            return list(self._read(low, high, room))
        except Compacted as error:
            raise CorruptLog(
                f"entries in [{low}, {high}) were compacted before being applied", low
            ) from error

    def accept_applying(self, entries: Sequence[Entry], *, allow_unstable: bool) -> None:
        """Note that `entries` were handed out; pause if the budget is used up or did not reach for all."""
        self.applying = entries[-1].index
        if self.max_applying_size == NO_LIMIT:
            return
        self.applying_size += encoded_sizes(entries)
        self.applying_paused = (
            self.applying_size >= self.max_applying_size
            or self.applying < self._appliable_index(allow_unstable=allow_unstable)
        )

    def applied_to(self, index: int, size: int) -> None:
        """Note that everything up to `index` is applied, which frees `size` encoded bytes of the budget."""
        if not self.applied <= index <= self.committed:
            raise Misuse(f"applied index {index} is not in [{self.applied}, {self.committed}]")
        self.applied = index
        self.applying = max(self.applying, index)
        self.applying_size = max(0, self.applying_size - size)
        self.applying_paused = self.applying_size >= self.max_applying_size


def _extended(stable: Sequence[Entry], unstable: list[Entry], max_size: int | None) -> Sequence[Entry]:
    """`stable` and as many of the `unstable` entries behind it as the limit leaves room for."""
    if max_size is None:
        return [*stable, *unstable]
    room = max_size - encoded_sizes(stable)
    if room <= 0:
        return stable
    more = limit_size(unstable, room)
    if len(more) == 1 and encoded_sizes(more) > room:
        return stable  # the "at least one" is served already
    return [*stable, *more]

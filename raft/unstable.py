"""The part of a log that is not yet known to be durable."""

from .entry import Entry
from .state import Snapshot


class Unstable:
    """Entries, and perhaps a snapshot before them, on their way to stable storage.

    `entries[i]` has index ``offset + i``; a snapshot stands directly before `offset`. Whatever lies before
    `offset_in_progress`, and the snapshot if `snapshot_in_progress`, has been handed out to be written.

    Invariants: ``offset <= offset_in_progress <= offset + len(entries)``; everything before `offset` that the
    log consists of is stable, so that ``offset - 1`` is its last index when nothing is unstable.
    """

    __slots__ = ("entries", "offset", "offset_in_progress", "snapshot", "snapshot_in_progress")

    def __init__(self, offset: int) -> None:
        """Start empty behind a stable log that ends at `offset` - 1."""
        self.entries: list[Entry] = []
        self.offset = offset
        self.offset_in_progress = offset
        self.snapshot: Snapshot | None = None
        self.snapshot_in_progress = False

    def last_index(self) -> int:
        """Index of the log's last entry, unstable or, if there is none here, stable."""
        return self.offset + len(self.entries) - 1

    def term(self, index: int) -> int | None:
        """Term at `index` if it is known here."""
        position = index - self.offset
        if 0 <= position < len(self.entries):
            return self.entries[position].term
        if position == -1 and self.snapshot is not None:
            return self.snapshot.term
        return None

    def has_next_entries(self) -> bool:
        """Whether there are entries not handed out yet."""
        return self.offset + len(self.entries) > self.offset_in_progress

    def next_entries(self) -> list[Entry]:
        """The entries not handed out yet."""
        return self.entries[self.offset_in_progress - self.offset :]

    def next_snapshot(self) -> Snapshot | None:
        """The snapshot, if it is not handed out yet."""
        return None if self.snapshot_in_progress else self.snapshot

    def accept_in_progress(self) -> None:
        """Note that all entries and the snapshot are handed out."""
        self.offset_in_progress = self.offset + len(self.entries)
        self.snapshot_in_progress = self.snapshot is not None

    def stable_to(self, term: int, index: int) -> None:
        """Forget the entries up to `index`, which are durable, if the one there is still that of `term`.

        Otherwise the attestation is for entries that were replaced, or is a repetition, and changes nothing.
        """
        position = index - self.offset
        if position < 0 or position >= len(self.entries) or self.entries[position].term != term:
            return
        del self.entries[: position + 1]
        self.offset = index + 1
        self.offset_in_progress = max(self.offset_in_progress, self.offset)

    def stable_snapshot_to(self, index: int) -> None:
        """Forget the snapshot, which is durable, if it is still the one at `index`."""
        if self.snapshot is not None and self.snapshot.index == index:
            self.snapshot = None
            self.snapshot_in_progress = False

    def restore(self, snapshot: Snapshot) -> None:
        """Replace everything by `snapshot`."""
        self.offset = self.offset_in_progress = snapshot.index + 1
        self.entries = []
        self.snapshot = snapshot
        self.snapshot_in_progress = False

    def truncate_and_append(self, entries: list[Entry]) -> None:
        """Add `entries`, dropping whatever is here from the first one's index on."""
        first = entries[0].index
        position = first - self.offset
        if position == len(self.entries):
            self.entries.extend(entries)
        elif position <= 0:
            # Replaces everything here and perhaps stable entries, which the storage overwrites in its turn.
            self.entries = list(entries)
            self.offset = self.offset_in_progress = first
        else:
            assert position < len(self.entries), f"entries from {first} leave a gap"
            self.entries[position:] = entries
            self.offset_in_progress = min(self.offset_in_progress, first)

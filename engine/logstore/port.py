"""The log store as the engine sees it: what is written, what is read back, and when it is durable.

A turn stages all its writes as one batch (loop thread), the batch is committed (writer thread) and then
finished, or rolled back, on the loop thread again. Batches commit in the order in which they were staged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from ...native.nursery import WriteColumns
from ...raft.entry import Entry, EntryId
from ...raft.state import ConfState, HardState, Snapshot


class Birth(NamedTuple):
    """Why a replica exists here, and as what: durable before the replica says anything.

    A newborn group stands at snapshot point (index 1, term 1) with commit 1 and hard-state term 0.
    """

    group: int
    replica_id: int
    conf_state: ConfState
    peers: tuple[tuple[int, int], ...]
    """(replica id, node id) of every member."""
    start: bytes
    end: bytes | None
    epoch: int
    directory_index: int
    """Index of the directory's entry that created the group."""
    machine: str
    """Which state machine applies the entries: "kv" or "directory"."""


@dataclass(slots=True)
class GroupWrite:
    """What one turn makes durable for one replica.

    Parts take place in this order: birth, snapshot point, entries, truncation, hard state. A batch may hold
    several writes of one group; they take place one after the other.
    """

    group: int
    replica_id: int
    hard_state: HardState | None = None
    entries: Sequence[Entry] = ()
    """Consecutive; the group's entries from the first one's index on are replaced. They stay as they are."""
    run: bytes = b""
    """The encoded run of exactly these entries; empty if there are none."""
    snapshot_point: tuple[int, int, ConfState] | None = None
    """(index, term, members): the log is emptied and stands there, before `entries` are appended."""
    truncate: tuple[int, int] | None = None
    """(index, term): entries up to and including it are dropped; nothing happens if they are gone already."""
    birth: Birth | None = None
    """The replica begins to exist. A group has one replica here at a time."""
    tombstone: bool = False
    """The replica is removed, with all that was kept for it; nothing else may be in this write."""


class Loss(NamedTuple):
    """Entries of a group that cannot be read any more: the first of them and the last."""

    group: int
    first: int
    last: int


class Doubt(NamedTuple):
    """A replica whose log may lack what it had promised to hold: batches of the store cannot be read."""

    group: int
    replica_id: int
    promised: EntryId | None
    """Its last durable entry; term and vote are known then. None: nobody knows what it had promised."""
    whole_from: int
    """If that is known: the log holds the entries from here on; what came before is missing, or in doubt."""
    reason: str


class Batch(Protocol):
    """A staged batch."""

    @property
    def seq(self) -> int:
        """Its sequence number: greater than that of any batch before, never used again."""
        ...

    @property
    def size(self) -> int:
        """Bytes of the encoded batch."""
        ...

    @property
    def groups(self) -> Sequence[int]:
        """The group of each write, in order."""
        ...


class GroupLog(Protocol):
    """The log of one replica; `raft.Storage` and what the engine asks beyond it.

    It shows what has been staged, durable or not. Removing the replica makes it empty for good.
    """

    snapshot_source: Callable[[], Snapshot] | None
    """Where `snapshot` takes its answer from; None: a snapshot is temporarily unavailable."""

    @property
    def birth(self) -> Birth:
        """The birth that the replica came from."""
        ...

    @property
    def hard_state(self) -> HardState:
        """The hard state staged last."""
        ...

    def initial_state(self) -> tuple[HardState, ConfState]:
        """Hard state, and the members at the birth or at the last snapshot point."""
        ...

    def first_index(self) -> int:
        """Index of the first entry that is present, or would be."""
        ...

    def last_index(self) -> int:
        """Index of the last entry; first_index - 1 if there is none."""
        ...

    def term(self, index: int) -> int:
        """Term at `index`, in [first_index - 1, last_index]. Raises `Compacted`, `Unavailable`."""
        ...

    def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        """Entries in [low, high) up to `max_size` encoded bytes, but at least one.

        Raises `Compacted`, `Unavailable`, and `Corruption` if stored bytes are damaged.
        """
        ...

    def size(self) -> int:
        """Bytes of its entries as they are stored, about."""
        ...

    def snapshot(self) -> Snapshot:
        """What `snapshot_source` gives. Raises `SnapshotTemporarilyUnavailable` without one."""
        ...


B = TypeVar("B", bound=Batch)
"""The store's own kind of batch: it takes back only what it staged."""


class LogStore(Protocol[B]):
    """The logs of all replicas of a node."""

    def births(self) -> Mapping[int, Birth]:
        """Every replica that exists, by group."""
        ...

    def tombstones(self) -> Mapping[int, int]:
        """For each group that a replica was removed of: the highest replica id removed here."""
        ...

    def group(self, group: int) -> GroupLog:
        """The log of a group's replica. Raises `KeyError` if there is none."""
        ...

    @property
    def has_gaps(self) -> bool:
        """Whether batches were missing, or could not be read, when the store was opened."""
        ...

    @property
    def doubts(self) -> Sequence[Doubt]:
        """The replicas that may therefore lack what they had promised, those included that are not here."""
        ...

    def doubts_noted(self) -> None:
        """The doubts are noted durably elsewhere: from the next batch on the store may forget the damage.

        Nothing is staged before.
        """

    @property
    def crowded(self) -> bool:
        """Whether so much of what is stored is dead that it is being collected."""
        ...

    def holders(self, batches: int) -> Mapping[int, int]:
        """Groups whose oldest entries are in the oldest batches, so many of them: their bytes there.

        The most bytes first. Compacted, they spare collection the rewriting.
        """
        ...

    def take_losses(self) -> Sequence[Loss]:
        """Entries that collection has found unreadable since the last call; reading them raises `Corruption`.

        Of one group there may be several, and what lies between the ends of one may be sound.
        """
        ...

    def stage(self, writes: Sequence[GroupWrite], columns: Sequence[WriteColumns] = ()) -> B:
        """Take a batch: from now on reads show it. What stands in columns comes last. Loop thread.

        Raises `Closed` after `close` or an error that has not been rolled back; `Misuse` for a write that
        contradicts the log, and then nothing is staged.
        """
        ...

    def commit(self, batch: B, before_flush: Callable[[], None] | None = None) -> None:
        """Write the batch; durable on return (unless durability is "none"). Writer thread, in stage order.

        `before_flush` is called once on the way: when the batch is prepared and its flush is what is left, or
        at once if there is much to prepare. A commit that fails before does not call it.

        Raises `DiskFull`, `StorageFailed` or `Corruption`; nothing staged after it can commit then.
        """

    def reopen(self) -> None:
        """Open the files anew after a commit that failed for want of space. Loop thread.

        Raises `Corruption` if they do not hold exactly what was committed, and `DiskFull`, `StorageFailed`.
        """
        ...

    def copy(self) -> None:
        """Write what was committed to new files, flush and compare them. Any thread; nothing is in flight.

        After an input/output error nobody knows what of the old ones is on the disk. Raises as `reopen`.
        """
        ...

    def adopt(self) -> None:
        """Put what `copy` has written in the place of the old files. Loop thread. Raises as `reopen`."""
        ...

    def begin_run(self) -> B:
        """Stage the empty batch behind which others are taken again, when all were rolled back. Loop thread.

        Nothing of a failed commit can be taken for what follows it.
        """
        ...

    def settle(self) -> None:
        """What a commit need not wait for, and a pause between commits is good for. Writer thread.

        Raises `DiskFull` or `StorageFailed`.
        """

    def age(self) -> None:
        """Let go of what is kept to be read again soon, and was there at the last call already. Loop thread.

        Called about once a second.
        """

    def finish(self, batch: B) -> None:
        """The batch is committed: its bytes need no longer be kept in memory. Loop thread."""

    def roll_back(self, batches: Sequence[B]) -> None:
        """These batches, the newest ones, will never commit: reads show what was before. Loop thread.

        Then no batch is taken until `begin_run`.
        """

    def close(self) -> None:
        """Release the files. Nothing may be in flight."""

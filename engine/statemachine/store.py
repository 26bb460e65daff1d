"""What a state machine keeps its state in, and what the engine asks of a node's state store.

A node has one :class:`StateStore` for all its groups. A group has applied records if its machine is durable,
and checkpoints if it is not, never both. Writes go into memory and are visible at once; a flush brings
everything written so far to the disk in one transaction, together with the applied records that belong to it.

The steps of a flush: ``freeze`` (loop's thread), ``write`` (any thread; the loop goes on reading and writing
meanwhile), ``flushed`` (loop's thread). After a failed ``write`` the same flush is written again.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from ...raft.entry import EntryId
from .applied import Applied
from .flush import Flush
from .paging import Pair
from .staged import StagedData
from .view import StateView

__all__ = ["Applied", "Flush", "OrderedStore", "Pair", "StagedData", "StateStore", "StateView"]


class OrderedStore(Protocol):
    """The key space of one group."""

    @property
    def durable(self) -> bool:
        """Whether flushes of the node's state store bring it to the disk."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """The value, unflushed writes included. Raises Corruption if the stored bytes are damaged."""
        ...

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        ...

    def delete(self, key: bytes) -> bool:
        """Remove a key. Returns whether it was there."""
        ...

    def scan(self, start: bytes, stop: bytes | None, reverse: bool = False) -> Iterator[Pair]:
        """The pairs of ``[start, stop)`` in order; what ``paging`` promises under concurrent writes."""
        ...

    def clear(self) -> None:
        """Remove everything."""
        ...

    def load(self, items: Iterable[Pair]) -> None:
        """Replace everything at once. If ``items`` raises, nothing has changed."""
        ...


class StateStore(Protocol):
    """The state of all groups of a node. All methods but ``write`` belong to the loop's thread."""

    @property
    def pending_bytes(self) -> int:
        """About how many bytes of memory the writes take that wait for the next freeze."""
        ...

    @property
    def flushing(self) -> Flush | None:
        """The flush that was frozen and is not yet reported as flushed."""
        ...

    def group(self, group: int) -> OrderedStore:
        """The durable key space of a group."""
        ...

    def memory_group(self, group: int) -> OrderedStore:
        """The key space of a group whose state lives in memory only."""
        ...

    def groups(self) -> list[int]:
        """The groups that have an applied record or a checkpoint, ascending."""
        ...

    def half_done(self) -> set[int]:
        """The groups on the disk that a start has more to do for than to read: none may be put off.

        They have an install marker, a promise, a checkpoint, or a record that is damaged.
        Raises Corruption if the records cannot be listed.
        """
        ...

    def applied(self, group: int) -> Applied | None:
        """The applied record, unflushed ones included. Raises Corruption if the record is damaged."""
        ...

    def set_applied(self, group: int, applied: Applied) -> None:
        """State that the group's data, as written until now, is that of this point.

        Call it after the writes and before the next freeze: both are in the same flush. A record for another
        point than before takes the install marker with it.
        """
        ...

    def checkpoint(self, group: int) -> tuple[Applied, bytes] | None:
        """The last checkpoint of a machine that is not durable. Raises Corruption if it is damaged."""
        ...

    def set_checkpoint(self, group: int, applied: Applied, data: bytes) -> None:
        """Keep the state of a machine that is not durable, as of this point; bytes may be many MiB."""
        ...

    def install_marker(self, group: int) -> int | None:
        """The term of the message whose snapshot put the group at its present point, if the mark is set."""
        ...

    def set_install_marker(self, group: int, term: int | None) -> None:
        """Mark the point just set (by ``set_applied`` or ``set_checkpoint``) as an installed snapshot's.

        None removes the mark. Asserts that the point was set since the last freeze.
        """
        ...

    def promised(self, group: int) -> EntryId | None:
        """The last entry that the group's log held when it was damaged; None if it is whole.

        Raises Corruption if the record of that is damaged.
        """
        ...

    def set_promised(self, group: int, entry: EntryId | None) -> None:
        """Note, with the next flush, that the group's log is damaged, or whole again."""
        ...

    def remove(self, group: int) -> None:
        """Forget the group: data, records and checkpoint, with the next flush."""
        ...

    def discard(self, group: int) -> None:
        """Take back everything written to the group since the last freeze, its applied record included.

        For a machine that raised half-way through a command: what it wrote belongs to no point of the log
        and must not reach the disk. The log still holds what was taken back.
        """
        ...

    def freeze(self) -> Flush | None:
        """Take everything written so far out of the way of new writes; None if there is nothing to write.

        One flush at a time: asserts that the one before was reported by ``flushed``.
        """
        ...

    def write(self, flush: Flush) -> None:
        """Write the flush in one transaction. From any thread; again after a failure.

        Raises DiskFull or StorageFailed; then nothing of the flush is on the disk, or all of it.
        """
        ...

    def flushed(self, flush: Flush) -> Mapping[int, int]:
        """Take note that ``write`` returned. Returns the applied index of each group that moved."""
        ...

    def tidy(self) -> None:
        """Free some of what flushes have left in memory: all at once would take the loop too long."""
        ...

    def durable_applied(self, group: int) -> int:
        """The applied index that is on the disk (of the checkpoint if there is no record).

        0 if there is none, or if what says so is damaged: whatever the log has is needed then.
        """
        ...

    def durable_point(self, group: int) -> Applied | None:
        """The applied record that is on the disk (of the checkpoint if there is no other), None if none.

        Raises Corruption if it is damaged.
        """
        ...

    def view(self, group: int) -> StateView:
        """What the disk holds of the group now, to be read piece by piece and then closed.

        Raises Corruption if its record is damaged.
        """
        ...

    def stage(self) -> StagedData:
        """A place for the data of a snapshot that is coming in; to be adopted or abandoned in the end."""
        ...

    def staged(self, data: StagedData) -> Iterator[Pair]:
        """What has been staged, in order. Raises Corruption."""
        ...

    def take_over(self, group: int, data: StagedData) -> None:
        """Replace the data of a group, at once, by what was staged. The applied record must be set anew.

        It counts with the next flush, which also gives up the data that the group had.
        """
        ...

    def abandon(self, prefix: int) -> None:
        """Data under a prefix that was staged belongs to nobody: following flushes remove it."""
        ...

    @property
    def abandoned(self) -> int:
        """How many prefixes hold data that belongs to nobody and is still to be removed."""
        ...

    def reopen(self) -> None:
        """Open the file anew after a failed ``write``; what is unflushed stays.

        Raises Corruption if the file has lost a flush that had been reported.
        """
        ...

    def copy(self) -> None:
        """Write everything that is flushed to a new file, flush and compare it. Any thread, between writes.

        After an input/output error nobody knows what of the old one is on the disk. Raises DiskFull,
        StorageFailed and Corruption.
        """
        ...

    def adopt(self) -> None:
        """Put what ``copy`` has written in the place of the file; otherwise as ``reopen``."""
        ...

    def close(self) -> None:
        """Release the file. What was not flushed is lost."""
        ...

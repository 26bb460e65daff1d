"""The state store of a node over any medium: layers, records and the order of flushes."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from weakref import WeakValueDictionary

from ...raft.entry import EntryId
from ..errors import Corruption, StorageFailed
from .applied import Applied, Point
from .carryout import carry_out
from .flush import Flush, Pending
from .keyspace import Keyspace
from .medium import Medium, Writer
from .memory_group import MemoryGroup
from .opening import (
    groups_with_records,
    half_done,
    read_checkpoint,
    read_checkpoint_point,
    read_dead_prefixes,
    read_head,
    read_pairs,
    read_point,
    read_promised,
)
from .paging import Pair
from .recent import Recent
from .records import PREFIX, prefix_range, unseal
from .staged import StagedData
from .view import StateView

#: Keys of spent tables that are freed at once: in some 0.3 ms.
TIDY_KEYS: Final = 4096


class OverlayStore:
    """A :class:`~multiraft.engine.statemachine.store.StateStore`; the docstrings there are its contract."""

    def __init__(self, medium: Medium) -> None:
        head = read_head(medium)
        self.medium = medium
        self.pending_bytes = 0
        self._sequence = head.sequence  # of the last flush that was reported done
        self._dead = read_dead_prefixes(medium)
        # What was only staged is noted as dead before any head counts its prefix.
        self._next_prefix = max([head.next_prefix, *(prefix + 1 for prefix in self._dead)])
        self._spaces: WeakValueDictionary[int, Keyspace] = WeakValueDictionary()
        """Those that a machine holds, or that have layers: what a group at rest has is on the disk."""
        self._memory: dict[int, MemoryGroup] = {}
        self._changed: dict[int, Keyspace] = {}  # groups with an active layer
        self._frozen: dict[int, Keyspace] = {}  # groups with a frozen layer: those of the flush under way
        self._flush: Flush | None = None
        self._doubt: StorageFailed | None = None  # until the file is copied
        self._durable = Recent()
        """Applied indexes on the disk, of the groups that were asked for or flushed lately."""
        self._spent: deque[dict[bytes, bytes | None]] = deque()  # of tables that are on the disk
        self._promised: dict[int, EntryId | None] = {}  # to be flushed
        self._marked: dict[int, Point] = {}  # points with an install marker, as far as they are known

    @property
    def flushing(self) -> Flush | None:
        """The flush that was frozen and is not yet reported as flushed."""
        return self._flush

    def group(self, group: int) -> Keyspace:
        """The durable key space of a group."""
        space = self._spaces.get(group)
        if space is None:
            space = self._spaces[group] = Keyspace(self, group)
        return space

    def memory_group(self, group: int) -> MemoryGroup:
        """The key space of a group whose state lives in memory only."""
        return self._memory.setdefault(group, MemoryGroup())

    def groups(self) -> list[int]:
        """The groups that have an applied record or a checkpoint, ascending."""
        known = groups_with_records(self.medium)
        layers = [{} if self._flush is None else self._flush.groups, self._active_layers()]
        for layer in layers:
            for group, pending in layer.items():
                if pending.index() is not None:
                    known.add(group)
                elif pending.wipe:
                    known.discard(group)
        return sorted(known)

    def half_done(self) -> set[int]:
        """The groups on the disk with a mark, a promise, a checkpoint or a bad record. Raises Corruption."""
        return half_done(self.medium)

    def applied(self, group: int) -> Applied | None:
        """The applied record, unflushed ones included. Raises Corruption."""
        point = self._point(group)
        return None if point is None else point.applied

    def set_applied(self, group: int, applied: Applied) -> None:
        """State that the group's data, as written until now, is that of this point."""
        active = self._active(group)
        active.point = Point(applied, self._carried_mark(group, applied) if self._marked else 0)

    def checkpoint(self, group: int) -> tuple[Applied, bytes] | None:
        """The last checkpoint of a machine that is not durable. Raises Corruption."""
        found = self._checkpoint(group)
        return None if found is None else (found[0].applied, found[1])

    def set_checkpoint(self, group: int, applied: Applied, data: bytes) -> None:
        """Keep the state of a machine that is not durable, as of this point."""
        active = self._active(group)
        mark = self._carried_mark(group, applied) if self._marked else 0
        active.checkpoint = (Point(applied, mark), data)
        self.pending_bytes += len(data)

    def install_marker(self, group: int) -> int | None:
        """The term of the message whose snapshot put the group at its present point, if the mark is set."""
        point = self._present_point(group)
        if point is None or point.install_term == 0:
            return None
        self._marked[group] = point
        return point.install_term

    def set_install_marker(self, group: int, term: int | None) -> None:
        """Mark the point just set as an installed snapshot's; None removes the mark."""
        if term is None:
            self._remove_mark(group)
            return
        assert term > 0, "a message has a term"
        space = self._changed.get(group)
        assert space is not None, "set the installed point first"
        active = self._active(group)
        assert active.index() is not None, "set the installed point first"
        self._marked[group] = _set_mark(active, term)

    def promised(self, group: int) -> EntryId | None:
        """The last entry that the group's log held when it was damaged; None if it is whole."""
        layers = [self._promised, {} if self._flush is None else self._flush.promised]
        for layer in layers:
            if group in layer:
                return layer[group]
        return read_promised(self.medium, group)

    def set_promised(self, group: int, entry: EntryId | None) -> None:
        """Note, with the next flush, that the group's log is damaged, or whole again."""
        self._promised[group] = entry

    def remove(self, group: int) -> None:
        """Forget the group: data, records and checkpoint, with the next flush."""
        self.group(group).forget()
        self._memory.pop(group, None)
        self._marked.pop(group, None)

    def discard(self, group: int) -> None:
        """Take back everything written to the group since the last freeze, its applied record included."""
        self._marked.pop(group, None)
        space = self._changed.pop(group, None)
        if space is not None and space.active is not None:
            if space.active.adopts is not None:
                self.abandon(space.active.prefix)
            space.active = None

    def freeze(self) -> Flush | None:
        """Take everything written so far out of the way of new writes; None if there is nothing to write."""
        assert self._flush is None, "one flush at a time"
        self.pending_bytes = 0
        if not self._changed and not self._dead and not self._promised:
            return None
        groups = self._active_layers()
        for space in self._changed.values():
            space.frozen, space.active = space.active, None
        self._frozen, self._changed = self._changed, {}
        promised, self._promised = self._promised, {}
        self._flush = Flush(self._sequence + 1, self._next_prefix, groups, tuple(self._dead), promised)
        return self._flush

    def write(self, flush: Flush) -> None:
        """Write the flush in one transaction. From any thread; again after a failure."""
        if self._doubt is not None:
            raise StorageFailed(f"an earlier write to the state store failed: {self._doubt}") from self._doubt
        self.medium.commit(lambda writer: carry_out(flush, writer))

    def _commit_staged(self, work: Callable[[Writer], None]) -> None:
        """A commit that no flush is told of, so the next one is refused if this one was.

        After a failed flush of its file nobody knows what of it the disk holds, whatever later ones say.
        """
        try:
            self.medium.commit(work)
        except StorageFailed as error:
            self._doubt = error
            raise

    def flushed(self, flush: Flush) -> Mapping[int, int]:
        """Take note that ``write`` returned. Returns the applied index of each group that moved."""
        assert flush is self._flush, "not the flush under way"
        self._flush = None
        self._sequence = flush.sequence
        moved: dict[int, int] = {}
        buried: list[int] = []
        for group, pending in flush.groups.items():
            self._spent.append(pending.table.entries)
            self._frozen[group].flushed(damaged=group in flush.damaged)
            if group in flush.damaged:
                continue
            if pending.buries:
                buried.append(pending.buries)
            index = pending.index()
            if index is not None:
                moved[group] = index
            elif pending.wipe:
                self._durable.set(group, 0)
        self._frozen = {}
        self._dead = [prefix for prefix in self._dead if prefix not in flush.reclaimed] + buried
        self._durable.update(moved)
        return moved

    def tidy(self) -> None:
        """Free some of what flushes have left in memory."""
        spent, left = self._spent, TIDY_KEYS
        while spent and left > 0:
            entries = spent[0]
            left -= len(entries) + 1
            if left >= 0:
                spent.popleft()
                continue
            for _ in range(min(TIDY_KEYS, len(entries))):
                entries.popitem()

    def view(self, group: int) -> StateView:
        """What the disk holds of the group now, as long as it is looked at."""
        moment = self.medium.moment()
        try:
            return StateView(moment, group)
        except BaseException:
            moment.close()
            raise

    def stage(self) -> StagedData:
        """A place for data that is no group's yet."""
        return StagedData(self._commit_staged, self.allocate_prefix())

    def staged(self, data: StagedData) -> Iterator[Pair]:
        """What has been staged, in order."""
        start, stop = prefix_range(data.prefix)
        for key, stored in read_pairs(self.medium, start, stop):
            yield key[PREFIX.size :], unseal(key, stored, None)

    def take_over(self, group: int, data: StagedData) -> None:
        """Replace the group's data by what was staged; the flush that follows makes it so."""
        if data.empty:
            self.group(group).clear()
        else:
            self.group(group).adopt(data.prefix, data.tally)

    def abandon(self, prefix: int) -> None:
        """What lies under a prefix belongs to nobody: following flushes remove it."""
        self._dead.append(prefix)

    @property
    def abandoned(self) -> int:
        """How many prefixes hold data that belongs to nobody and is still to be removed."""
        return len(self._dead)

    def durable_applied(self, group: int) -> int:
        """The applied index that is on the disk (of the checkpoint if there is no record), 0 if none."""
        index = self._durable.get(group)
        if index is None:
            if group in self._frozen:
                return 0  # after a failure the file may show what it does not keep
            try:
                point = self.durable_point(group)
            except Corruption:
                return 0
            index = 0 if point is None else point.index
            self._durable.set(group, index)
        return index

    def durable_point(self, group: int) -> Applied | None:
        """Where in the log the state on the disk stands. Raises Corruption."""
        point = read_point(self.medium, group) or read_checkpoint_point(self.medium, group)
        return None if point is None else point.applied

    def reopen(self) -> None:
        """Open the file anew after a failed ``write``; what is unflushed stays."""
        self.medium.reopen()
        self._check_sequence()

    def copy(self) -> None:
        """Write everything that is flushed to a new file, flush and compare it. From any thread."""
        self.medium.copy()

    def adopt(self) -> None:
        """Put what ``copy`` has written in the place of the file."""
        self.medium.adopt()
        self._doubt = None
        self._check_sequence()

    def _check_sequence(self) -> None:
        sequence = read_head(self.medium).sequence
        if sequence < self._sequence:
            raise Corruption(f"the state store fell back from flush {self._sequence} to flush {sequence}")

    def close(self) -> None:
        """Release the file. What was not flushed is lost."""
        self.medium.close()

    def _active(self, group: int) -> Pending:
        """The group's layer for new writes."""
        space = self._changed.get(group) or self.group(group)
        return space.active or self.activate(space)

    def activate(self, space: Keyspace) -> Pending:
        """Give the group a layer for new writes."""
        space.active = active = Pending()
        self._changed[space.group] = space
        return active

    def allocate_prefix(self) -> int:
        """A data prefix that was never used. It becomes durable with the flush that uses it."""
        prefix = self._next_prefix
        self._next_prefix += 1
        return prefix

    def _active_layers(self) -> dict[int, Pending]:
        return {group: space.active for group, space in self._changed.items() if space.active is not None}

    def _layers(self, group: int) -> list[Pending]:
        """The group's layers in memory, newest first."""
        space = self._changed.get(group) or self._frozen.get(group)
        if space is None:
            return []
        return [pending for pending in (space.active, space.frozen) if pending is not None]

    def _point(self, group: int) -> Point | None:
        for pending in self._layers(group):
            if pending.point is not None or pending.wipe:
                return pending.point
        return read_point(self.medium, group)

    def _checkpoint(self, group: int) -> tuple[Point, bytes] | None:
        for pending in self._layers(group):
            if pending.checkpoint is not None or pending.wipe:
                return pending.checkpoint
        return read_checkpoint(self.medium, group)

    def _present_point(self, group: int) -> Point | None:
        """Where the group stands, by its applied record or else by its checkpoint."""
        for pending in self._layers(group):
            if pending.point is not None:
                return pending.point
            if pending.checkpoint is not None:
                return pending.checkpoint[0]
            if pending.wipe:
                return None
        return read_point(self.medium, group) or read_checkpoint_point(self.medium, group)

    def _carried_mark(self, group: int, applied: Applied) -> int:
        """The mark that a record for ``applied`` inherits: that of the same point, else none."""
        marked = self._marked.get(group)
        if marked is None:
            return 0
        if (marked.applied.index, marked.applied.term) == (applied.index, applied.term):
            return marked.install_term
        del self._marked[group]
        return 0

    def _remove_mark(self, group: int) -> None:
        if self.install_marker(group) is None:
            return
        del self._marked[group]
        applied = self.applied(group)
        if applied is not None:
            self.set_applied(group, applied)
        elif (checkpoint := self.checkpoint(group)) is not None:
            self.set_checkpoint(group, *checkpoint)


def _set_mark(active: Pending, term: int) -> Point:
    """Put the mark on every record of this layer. Returns the point marked."""
    marked: Point | None = None
    if active.checkpoint is not None:
        marked = Point(active.checkpoint[0].applied, term)
        active.checkpoint = (marked, active.checkpoint[1])
    if active.point is not None:
        marked = active.point = Point(active.point.applied, term)
    assert marked is not None
    return marked

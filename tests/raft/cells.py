"""What one replica can do in an exhaustive search: cells and the steps from one to another.

A cell is all that is one replica's own. A step depends on the cell and on what it is given, and on nothing
else, so each is computed once, with the real `RawNode`, and then looked up.
"""

import dataclasses
import random
from collections.abc import Hashable
from typing import Any, NamedTuple

from multiraft.raft import (
    ConfChange,
    Config,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MsgType,
    PeerNotFound,
    ProposalDropped,
    RawNode,
    Ready,
    Role,
    invariants,
)
from multiraft.raft.confchange import decode
from multiraft.raft.export import MessageRecord, ReplicaState, _message_record, message
from multiraft.raft.storage import MemoryStorage
from tests.raft.judge import follow
from tests.raft.watch import check_kept, remember

IDS = (1, 2, 3)
CHANGES = (EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2)
VOTE_REQUESTS = (MsgType.VOTE, MsgType.PRE_VOTE)


class Bounds(NamedTuple):
    """How far the search goes. What has a bound of 0 does not happen."""

    terms: int = 2
    entries: int = 3
    """Entries in any log, those that open a term included."""
    proposals: int = 1
    changes: int = 1
    crashes: int = 1
    campaigns: int = 2
    beats: int = 0
    doubles: int = 0
    batches: int = 0
    """Batches on their way to a disk at once; 0: each is written in the step that hands it out."""
    singly: int = 0
    """1: each append holds one entry, so that more of them are needed."""
    under_way: int = 6
    """Messages on their way at once: a state with more is not followed."""
    states: int = 10_000_000


class Disk(NamedTuple):
    """What a crash leaves: the log begins at index 1, nothing is compacted."""

    hard_state: HardState
    entries: tuple[Entry, ...]
    conf: ConfState
    """Of the state machine; a crash loses it."""


class Write(NamedTuple):
    """A batch on its way to the disk, and what is due when it is there."""

    hard_state: HardState | None
    entries: tuple[Entry, ...]
    due: tuple[MessageRecord, ...]


class Cell(NamedTuple):
    """One replica: the core's state, its disk, the work it handed out, and the last vote that left it."""

    state: ReplicaState
    disk: Disk
    writes: tuple[Write, ...]
    applying: tuple[tuple[Entry, ...], ...]
    promised: tuple[int, int]


class Result(NamedTuple):
    """What a step of one replica comes to, by number."""

    cell: int
    sent: tuple[int, ...]


class Numbers:
    """Gives each value a number, so that states are compared by small integers."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self.values: list[Any] = []

    def of(self, value: Hashable) -> int:
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class Storage(MemoryStorage):
    """A storage filled from a `Disk`."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.conf)
        self.append(disk.entries)
        self.set_hard_state(disk.hard_state)


class NoChance(random.Random):
    """Draws the lowest number: clocks are left out of the search."""

    def randrange(self, *_: int) -> int:  # type: ignore[override]  # as the core calls it
        return 0


class Cells:
    """What each replica does in each situation, computed with the real core, once."""

    def __init__(self, bounds: Bounds, change: ConfChange) -> None:
        self.bounds = bounds
        self.change = change
        self.cells, self.messages = Numbers(), Numbers()
        self._results: dict[tuple[int, str, int], Result | None] = {}

    def first(self, id_: int) -> int:
        """A replica of a group just created."""
        disk = Disk(HardState(), (), ConfState(IDS))
        raw = self._start(id_, disk)
        return self.cells.of(self._cell(raw, Cell(raw.export_state(), disk, (), (), (0, 0))))

    def step(self, cell: int, action: str, given: int = -1) -> Result | None:
        """What `action` makes of a cell; `None` if it cannot be done there."""
        key = cell, action, given
        if key not in self._results:
            self._results[key] = self._compute(self.cells.values[cell], action, given)
        return self._results[key]

    def _config(self, id_: int, storage: Storage) -> Config:
        size = 0 if self.bounds.singly else None
        return Config(id_, storage, 1000, 1, NoChance(), async_storage_writes=True, max_size_per_msg=size)

    def _start(self, id_: int, disk: Disk) -> RawNode:
        return RawNode(self._config(id_, Storage(disk)))

    def _compute(self, cell: Cell, action: str, given: int) -> Result | None:
        id_ = cell.state.id
        if action == "crash":
            # The state machine is not durable here: it begins anew, and is given everything again.
            cell = cell._replace(disk=cell.disk._replace(conf=ConfState(IDS)), writes=(), applying=())
            raw = self._start(id_, cell.disk)
            assert raw.raft.hard_state()[:2] == cell.disk.hard_state[:2], "a restart forgets term or vote"
            return Result(self.cells.of(self._cell(raw, self._hand_out(raw, cell, []))), ())
        raw = RawNode.from_state(self._config(id_, Storage(cell.disk)), cell.state)
        before = remember(raw.raft)
        sent: list[MessageRecord] = []
        after = self._act(raw, cell, action, given, sent)
        if after is None:
            return None
        after = self._hand_out(raw, after, sent)
        check_kept(before, raw.raft)
        if raw.raft.log.last_index() > self.bounds.entries or raw.raft.term > self.bounds.terms:
            return None
        number = self.cells.of(self._cell(raw, after))
        return Result(number, tuple(dict.fromkeys(map(self.messages.of, sent))))

    def _act(
        self, raw: RawNode, cell: Cell, action: str, given: int, sent: list[MessageRecord]
    ) -> Cell | None:
        """Do it; returns the cell with its work changed, `None` if there is nothing to do."""
        if action == "deliver":
            self._step(raw, message(self.messages.values[given]))
        elif action == "campaign":
            raw.campaign()
        elif action == "beat":
            if raw.raft.role is not Role.LEADER:
                return None
            raw.tick()
        elif action in ("propose", "change"):
            if raw.raft.role is not Role.LEADER:
                return None
            try:
                raw.propose(b"x") if action == "propose" else raw.propose_conf_change(self.change)
            except ProposalDropped:
                return None
        elif action == "persist":
            return self._persist(raw, cell, sent) if cell.writes else None
        else:
            return self._apply(raw, cell) if cell.applying else None
        return cell

    @staticmethod
    def _step(raw: RawNode, m: Message) -> None:
        try:
            raw.step(m)
        except (PeerNotFound, ProposalDropped):
            return  # a way in which a message may go nowhere

    def _persist(self, raw: RawNode, cell: Cell, sent: list[MessageRecord]) -> Cell:
        write, *others = cell.writes
        storage = raw.raft.config.storage
        assert isinstance(storage, Storage)
        storage.append(write.entries)
        hard_state = write.hard_state or cell.disk.hard_state
        storage.set_hard_state(hard_state)
        disk = cell.disk._replace(
            hard_state=hard_state, entries=tuple(storage.entries(1, storage.last_index() + 1, None))
        )
        promised = cell.promised
        for record in write.due:
            if record.type is MsgType.VOTE_RESP and not record.reject:
                promised = self._promise(promised, disk, record.term, record.to)
            if record.to != raw.raft.id:
                sent.append(record)
            else:
                self._step(raw, message(record))
        return cell._replace(disk=disk, writes=tuple(others), promised=promised)

    @staticmethod
    def _promise(promised: tuple[int, int], disk: Disk, term: int, candidate: int) -> tuple[int, int]:
        """A vote leaves: it must be durable, and the only one in its term."""
        durable = disk.hard_state
        assert durable.term > term or durable[:2] == (term, candidate), f"vote for {candidate} is not durable"
        assert promised[0] != term or promised[1] == candidate, f"votes for {promised} and {candidate}"
        return max(promised, (term, candidate))

    def _apply(self, raw: RawNode, cell: Cell) -> Cell:
        run, *others = cell.applying
        conf = cell.disk.conf
        for entry in run:
            change = decode(entry)
            if change is not None:
                conf = follow(conf, change)
                assert raw.apply_conf_change(change) == conf, "another configuration than it should be"
        raw.acknowledge_apply(run)
        return cell._replace(disk=cell.disk._replace(conf=conf), applying=tuple(others))

    def _hand_out(self, raw: RawNode, cell: Cell, sent: list[MessageRecord]) -> Cell:
        """Take out the work at once; what changes no configuration is applied at once, too."""
        while raw.has_ready():
            cell = self._queue(cell, raw.ready(), sent)
            while len(cell.writes) > self.bounds.batches:
                cell = self._persist(raw, cell, sent)
            while cell.applying and not any(entry.type in CHANGES for entry in cell.applying[0]):
                cell = self._apply(raw, cell)
        return cell

    @staticmethod
    def _queue(cell: Cell, ready: Ready, sent: list[MessageRecord]) -> Cell:
        requests = [m for m in ready.messages if m.type in VOTE_REQUESTS]
        sent += [_message_record(m) for m in ready.messages if m.type not in VOTE_REQUESTS]
        due = tuple(map(_message_record, [*requests, *ready.messages_after_append]))
        if due or ready.entries or ready.hard_state:
            write = Write(ready.hard_state, tuple(ready.entries), due)
            cell = cell._replace(writes=(*cell.writes, write))
        if ready.committed_entries:
            cell = cell._replace(applying=(*cell.applying, tuple(ready.committed_entries)))
        return cell

    def _cell(self, raw: RawNode, cell: Cell) -> Cell:
        """The cell after a step, checked, without what clocks have counted."""
        invariants.check(raw)
        invariants.check_whole_log(raw.raft.log)
        assert raw.raft.tracker.conf == cell.disk.conf, "the configuration in use is not the latest applied"
        state = dataclasses.replace(raw.export_state(), election_elapsed=0, heartbeat_elapsed=0)
        return cell._replace(state=state)

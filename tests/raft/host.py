"""The host of one replica under faults: its disk, its state machine, and what it still has to do."""

import random
from dataclasses import dataclass, field

from multiraft.raft import (
    ConfChangeError,
    Config,
    ConfState,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    PeerNotFound,
    ProposalDropped,
    RawNode,
    ReadDropped,
    Ready,
    Snapshot,
)
from multiraft.raft.confchange import decode
from tests.raft.judge import Judge

Durable = tuple[HardState, Snapshot, list[Entry], int, int]


class Disk(MemoryStorage):
    """A storage whose last writes are lost in a crash unless they were flushed.

    It serves the state machine as it is for a snapshot. A member's is born at index 1, a stranger's empty.
    """

    __slots__ = ("_flushed", "current")

    def __init__(self, conf_state: ConfState | None) -> None:
        super().__init__()
        self._flushed: Durable | None = None  # what a crash would leave, if that is not all
        if conf_state is not None:
            self.apply_snapshot(Snapshot(1, 1, conf_state))
            self.set_hard_state(HardState(0, 0, 1))
        self.current = MemoryStorage.snapshot(self)

    def snapshot(self) -> Snapshot:
        return self.current

    def write(self, ready: Ready) -> None:
        """Write what a Ready asks for, and flush it only if it asks for that."""
        if ready.must_sync or ready.snapshot is not None:
            self._flushed = None
        elif self._flushed is None:
            self._flushed = (
                self._hard_state,
                self._snapshot,
                list(self._entries),
                self._first_index,
                self._boundary_term,
            )
        if ready.snapshot is not None:
            self.apply_snapshot(ready.snapshot)
        self.append(ready.entries)
        if ready.hard_state is not None:
            before, self._hard_state = self._hard_state, ready.hard_state
            assert before.term <= ready.hard_state.term, f"{ready.hard_state} written after {before}"
            assert before.commit <= ready.hard_state.commit, f"{ready.hard_state} written after {before}"

    def checkpoint(self, machine: Snapshot, compact_to: int) -> None:
        """Make the state machine durable, and drop entries that it has applied."""
        self.create_snapshot(machine.index, machine.conf_state, machine.data)
        self.compact(compact_to)
        self._flushed = None

    def crash(self) -> Snapshot:
        """Lose what was not flushed; returns the state machine that is left."""
        if self._flushed is not None:
            self._hard_state, self._snapshot, self._entries, self._first_index, self._boundary_term = (
                self._flushed
            )
            self._flushed = None
        self.current = MemoryStorage.snapshot(self)
        # What is applied durably was committed, whether or not the hard state had heard of it.
        term, vote, commit = self._hard_state
        self._hard_state = HardState(term, vote, max(commit, self.current.index))
        return self.current

    def durable_hard_state(self) -> HardState:
        return self._hard_state if self._flushed is None else self._flushed[0]

    def holds(self, term: int, index: int) -> bool:
        entries, first = self._entries, self._first_index
        if self._flushed is not None:
            _, _, entries, first, _ = self._flushed
        position = index - first
        return position < 0 or (position < len(entries) and entries[position].term == term)


@dataclass
class Host:
    """One replica with its disk. What is in `writing`, `applying` and `machine` is lost in a crash."""

    id: int
    settings: dict[str, object]
    disk: Disk
    judge: Judge
    raw: RawNode = field(init=False)
    machine: Snapshot = field(init=False)
    writing: list[Ready] = field(default_factory=list)
    applying: list[list[Entry]] = field(default_factory=list)
    restarts: int = 0
    installed: int = 0
    replaced: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start, or start again, with what is durable."""
        self.writing.clear()
        self.applying.clear()
        self.restarts += 1
        self.machine = self.disk.crash()
        config = Config(
            id=self.id,
            storage=self.disk,
            random=random.Random(self.id * 1000 + self.restarts),
            applied=self.machine.index,
            **self.settings,  # type: ignore[arg-type]  # drawn by the seed, checked by validate
        )
        self.raw = RawNode(config)

    def rest(self) -> None:
        """Put the replica away as a value and take it up again."""
        self.raw = RawNode.from_state(self.raw.raft.config, self.raw.export_state())

    def do(self, name: str, *args: object, **kwargs: object) -> object:
        """Call the replica, and let the judge look at once; what is refused goes nowhere."""
        try:
            result = getattr(self.raw, name)(*args, **kwargs)
        except (PeerNotFound, ProposalDropped, ReadDropped):
            result = None
        self.judge.observe(self)
        return result

    def step(self, m: Message) -> None:
        """Take in a message."""
        self.do("step", m)

    def conf_index(self) -> int:
        snapshot = self.raw.raft.log.unstable.snapshot
        return self.machine.index if snapshot is None else snapshot.index

    def write(self, ready: Ready) -> None:
        """Write a Ready; its messages after the append are due then."""
        self.replaced += bool(ready.entries) and ready.entries[0].index <= self.disk.last_index()
        self.disk.write(ready)
        if ready.snapshot is not None:
            self.machine = self.disk.current = ready.snapshot
            self.installed += 1

    def apply(self, entries: list[Entry]) -> None:
        """Apply entries; those that a snapshot has overtaken are in the machine already."""
        for entry in entries:
            if entry.index <= self.machine.index:
                continue
            assert entry.index == self.machine.index + 1, f"{entry} applied after {self.machine.index}"
            assert self.disk.term(entry.index) == entry.term, f"{entry} applied before it is written here"
            change = decode(entry)
            self.judge.applies(self, entry, change)
            conf = self.machine.conf_state
            if change is not None:
                try:
                    conf = self.raw.apply_conf_change(change)
                except ConfChangeError:
                    conf = self.raw.raft.conf_state()  # cannot follow, here or anywhere: it changes nothing
            self.machine = Snapshot(entry.index, entry.term, conf, self.machine.data + entry.data)
            self.judge.observe(self)
        self.disk.current = self.machine

    def checkpoint(self, chance: random.Random) -> None:
        """Make the machine durable and compact the log, not beyond what the replica knows as applied."""
        machine, disk, applied = self.machine, self.disk, self.raw.raft.log.applied
        is_new = MemoryStorage.snapshot(disk).index < applied <= machine.index
        if is_new and machine.index <= disk.last_index() and disk.term(machine.index) == machine.term:
            disk.checkpoint(machine, chance.randint(disk.first_index(), applied))

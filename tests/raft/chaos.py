"""A whole group under faults, driven by one seed: the host of each replica, the network, and the judge.

Messages are lost, doubled and reordered, links are cut, replicas crash at any moment and come back with what
was durable and nothing else. The judge compares what every replica does with what all of them may do.
"""

import itertools
import random
from dataclasses import dataclass, field

from multiraft.raft import (
    Change,
    ChangeType,
    CommitNotice,
    ConfChange,
    Config,
    ConfState,
    Entry,
    FullWindow,
    HardState,
    MemoryStorage,
    Message,
    MsgType,
    RawNode,
    Ready,
    Role,
    Snapshot,
    Transition,
    invariants,
)
from multiraft.raft.confchange import decode
from multiraft.raft.errors import PeerNotFound, ProposalDropped
from multiraft.raft.log import RaftLog

VOTE_REQUESTS = (MsgType.VOTE, MsgType.PRE_VOTE)


class Judge:
    """What the group as a whole has done so far; every contradiction is an assertion."""

    def __init__(self) -> None:
        self.leaders: dict[int, int] = {}
        self.committed: dict[int, Entry] = {}
        self.highest_commit = 0

    def applied(self, entry: Entry) -> None:
        """State machine safety: no two replicas apply different entries at one index."""
        known = self.committed.setdefault(entry.index, entry)
        assert known == entry, f"{entry} applied where {known} was"

    def observe(self, raw: RawNode) -> None:
        """Election safety, and leader completeness."""
        raft = raw.raft
        self.highest_commit = max(self.highest_commit, raft.log.committed)
        if raft.role is Role.LEADER and raft.term not in self.leaders:
            self.leaders[raft.term] = raft.id
            for index, entry in self.committed.items():
                # Late votes may elect a leader of an old term; it owes nothing to the terms after its own.
                if index >= raft.log.first_index() and entry.term < raft.term:
                    assert raft.log.term_or_zero(index) == entry.term, f"leader {raft.id} lacks {entry}"
        if raft.role is Role.LEADER:
            assert self.leaders[raft.term] == raft.id, f"two leaders in term {raft.term}"

    @staticmethod
    def logs_match(first: RaftLog, second: RaftLog) -> None:
        """Log matching: where two logs hold the same term, they are the same up to there."""
        low = max(first.first_index(), second.first_index())
        high = min(first.last_index(), second.last_index())
        while high >= low and first.term(high) != second.term(high):
            high -= 1
        if high >= low:
            assert list(first.slice(low, high + 1, None)) == list(second.slice(low, high + 1, None))


class MachineStorage(MemoryStorage):
    """A storage that serves the state machine as it is; a member's is born at index 1, a stranger's empty."""

    __slots__ = ("current",)

    def __init__(self, conf_state: ConfState | None) -> None:
        super().__init__()
        if conf_state is not None:
            self.apply_snapshot(Snapshot(1, 1, conf_state))
            self.set_hard_state(HardState(0, 0, 1))
        self.current = MemoryStorage.snapshot(self)

    def snapshot(self) -> Snapshot:
        return self.current


@dataclass
class Host:
    """One replica with its disk. What is in `writing` and `machine` is lost in a crash."""

    id: int
    settings: dict[str, object]
    storage: MachineStorage
    raw: RawNode = field(init=False)
    machine: Snapshot = field(init=False)
    writing: list[Ready] = field(default_factory=list)
    applying: list[list[Entry]] = field(default_factory=list)
    restarts: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start, or start again, with what is durable."""
        self.writing.clear()
        self.applying.clear()
        self.restarts += 1
        self.machine = self.storage.current = MemoryStorage.snapshot(self.storage)
        # What is applied durably was committed, whether or not the hard state had heard of it.
        term, vote, commit = self.storage.initial_state()[0]
        self.storage.set_hard_state(HardState(term, vote, max(commit, self.machine.index)))
        config = Config(
            id=self.id,
            storage=self.storage,
            random=random.Random(self.id * 1000 + self.restarts),
            applied=self.machine.index,
            **self.settings,  # type: ignore[arg-type]  # drawn by the seed, checked by validate
        )
        self.raw = RawNode(config)

    def apply(self, entries: list[Entry], judge: Judge) -> None:
        for entry in entries:
            assert entry.index == self.machine.index + 1, f"{entry} applied after {self.machine.index}"
            assert self.storage.term(entry.index) == entry.term, f"{entry} applied before it is durable here"
            judge.applied(entry)
            change = decode(entry)
            conf = self.machine.conf_state if change is None else self.raw.apply_conf_change(change)
            self.machine = Snapshot(entry.index, entry.term, conf, self.machine.data + entry.data)
        self.storage.current = self.machine

    def write(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.storage.apply_snapshot(ready.snapshot)
            self.machine = self.storage.current = ready.snapshot
        self.storage.append(ready.entries)
        if ready.hard_state is not None:
            self.storage.set_hard_state(ready.hard_state)


class Chaos:
    """The group, its network and its faults, all from one seed."""

    def __init__(self, seed: int, *, members: int = 3, strangers: int = 0, **settings: object) -> None:
        self.random = random.Random(seed)
        self.judge = Judge()
        self.is_async = bool(settings.get("async_storage_writes"))
        conf = ConfState(tuple(range(1, members + 1)))
        self.hosts = {
            id_: Host(id_, settings, MachineStorage(conf if id_ <= members else None))
            for id_ in range(1, members + strangers + 1)
        }
        self.network: list[Message | tuple[int, CommitNotice]] = []
        self.cut: set[tuple[int, int]] = set()
        self.faults = True
        self.proposed = 0
        self.reads: dict[bytes, int] = {}
        self.reads_answered = 0

    # -- one step -----------------------------------------------------------------------------------------

    def step(self) -> None:
        """Do one thing, drawn by chance, and judge it."""
        host = self.random.choice(list(self.hosts.values()))
        draw = self.random.random()
        if draw < 0.45:
            self._deliver()
        elif draw < 0.65:
            self._take_ready(host)
        elif draw < 0.86:
            self._finish_work(host)
        elif draw < 0.93:
            host.raw.tick()
        elif draw < 0.99 and self.faults:
            self._propose(host)
        elif self.faults:
            self._fault(host)
        if host.raw.has_ready() and not self.is_async:
            self._take_ready(host)
        invariants.check(host.raw)
        self.judge.observe(host.raw)

    def _deliver(self) -> None:
        if not self.network:
            return
        position = self.random.randrange(min(len(self.network), 40 if self.faults else 1))
        m = self.network.pop(position)
        from_, to = (m.from_, m.to) if isinstance(m, Message) else (m[0], m[1].to)
        fault = self.random.random() if self.faults else 1.0
        lost = fault < 0.05 or (from_, to) in self.cut or to not in self.hosts
        if isinstance(m, Message) and m.type is MsgType.SNAP:
            self.hosts[from_].raw.report_snapshot(to, ok=not lost)
        if lost:
            return
        if fault < 0.1:
            self.network.append(m)
        raw = self.hosts[to].raw
        if not isinstance(m, Message):
            raw.step_commit_notice(from_, m[1].term, m[1].commit)
        else:
            self._step(raw, m)
        invariants.check(raw)
        self.judge.observe(raw)

    @staticmethod
    def _step(raw: RawNode, m: Message) -> None:
        try:
            raw.step(m)
        except (PeerNotFound, ProposalDropped):
            return  # both are ways in which a message may go nowhere

    def _take_ready(self, host: Host) -> None:
        if not host.raw.has_ready():
            return
        ready = host.raw.ready()
        self.network += [m for m in ready.messages if m.type not in VOTE_REQUESTS]
        self.network += [(host.id, notice) for notice in ready.commit_notices]
        for state in ready.read_states:
            self.reads_answered += 1
            asked_at = self.reads[state.context]
            assert state.index >= asked_at, f"read at {state.index}, {asked_at} was committed before"
        host.writing.append(ready)
        if ready.committed_entries:
            host.applying.append(ready.committed_entries)
        if not self.is_async:
            self._finish_work(host)

    def _finish_work(self, host: Host) -> None:
        """The disk gets one batch done, or the state machine one run of entries."""
        if not self.is_async:
            for ready in host.writing:
                host.write(ready)
                host.apply(ready.committed_entries, self.judge)
                self.network += [m for m in ready.messages if m.type in VOTE_REQUESTS]
                self.network += ready.messages_after_append
                host.raw.advance()
            host.writing.clear()
            host.applying.clear()
        elif host.writing and (not host.applying or self.random.random() < 0.6):
            ready = host.writing.pop(0)
            host.write(ready)
            self.network += [m for m in ready.messages if m.type in VOTE_REQUESTS]
            for m in ready.messages_after_append:
                if m.to == host.id:
                    self._step(host.raw, m)
                else:
                    self.network.append(m)
        elif host.applying:
            entries = host.applying.pop(0)
            host.apply(entries, self.judge)
            host.raw.acknowledge_apply(entries)

    def _propose(self, host: Host) -> None:
        draw = self.random.random()
        try:
            if draw < 0.7:
                self.proposed += 1
                host.raw.propose_batch([b"%d;" % self.proposed] * self.random.randint(1, 3))
            elif draw < 0.9:
                context = b"read %d" % len(self.reads)
                self.reads[context] = self.judge.highest_commit
                host.raw.read_index(context)
            elif len(self.hosts) > 3:
                host.raw.propose_conf_change(self._draw_change(host))
        except ProposalDropped:
            return  # no leader there at the moment

    def _draw_change(self, host: Host) -> ConfChange:
        if host.raw.raft.tracker.is_joint():
            return ConfChange()
        kinds = (ChangeType.ADD_VOTER, ChangeType.ADD_LEARNER, ChangeType.REMOVE)
        ids = self.random.sample(
            range(2, len(self.hosts) + 1), self.random.randint(1, 2)
        )  # 1 stays, to have a voter
        transition = self.random.choice(list(Transition))
        return ConfChange(tuple(Change(self.random.choice(kinds), id_) for id_ in ids), transition)

    def _fault(self, host: Host) -> None:
        draw = self.random.random()
        others = [id_ for id_ in self.hosts if id_ != host.id]
        if draw < 0.25:
            host.start()
        elif draw < 0.35:
            self.cut |= {(host.id, id_) for id_ in others} | {(id_, host.id) for id_ in others}
        elif draw < 0.55:
            self.cut.add((host.id, self.random.choice(others)))
        elif draw < 0.75:
            self.cut.clear()
        elif draw < 0.85:
            self._compact(host)
        elif draw < 0.9:
            host.raw.force_election()
        elif draw < 0.95:
            host.raw.transfer_leadership(self.random.choice(others))
        else:
            host.raw.report_unreachable(self.random.choice(others))
            for id_ in others:
                host.raw.report_snapshot(id_, ok=self.random.random() < 0.5)

    def _compact(self, host: Host) -> None:
        applied = host.raw.raft.log.applied
        storage = host.storage
        if MemoryStorage.snapshot(storage).index < applied <= host.machine.index:
            machine = host.machine
            if machine.index <= storage.last_index() and storage.term(machine.index) == machine.term:
                storage.create_snapshot(machine.index, machine.conf_state, machine.data)
                storage.compact(self.random.randint(storage.first_index(), applied))

    # -- the end ------------------------------------------------------------------------------------------

    def heal(self, steps: int = 30000) -> None:
        """Stop all faults; within `steps` steps everyone in the configuration must have applied the same."""
        self.faults = False
        self.cut.clear()
        for _ in range(steps):
            self.step()
            if self.random.random() < 0.01 and self._converged():
                break
        else:
            raise AssertionError("no convergence after the network healed")
        hosts = list(self.hosts.values())
        for first, second in itertools.pairwise(hosts):
            self.judge.logs_match(first.raw.raft.log, second.raw.raft.log)

    def _converged(self) -> bool:
        leaders = [host for host in self.hosts.values() if host.raw.raft.role is Role.LEADER]
        if not leaders:
            return False
        leader = max(leaders, key=lambda host: host.raw.raft.term)
        members = [self.hosts[id_] for id_ in leader.raw.raft.tracker.progress]
        applied = {host.machine.index for host in members}
        return len(applied) == 1 and applied == {leader.raw.raft.log.last_index()}


def settings_for(seed: int) -> dict[str, object]:
    """A configuration drawn by the seed, so that many seeds cover the combinations."""
    draw = random.Random(~seed)
    return {
        "election_tick": 10,
        "heartbeat_tick": 2,
        "async_storage_writes": draw.random() < 0.6,
        "pre_vote": draw.random() < 0.5,
        "check_quorum": draw.random() < 0.5,
        "commit_notices": draw.random() < 0.5,
        "max_size_per_msg": draw.choice([None, 0, 50]),
        "max_inflight_msgs": draw.choice([1, 3, 256]),
        "max_committed_size_per_ready": draw.choice([0, 30]),
        "max_uncommitted_size": draw.choice([0, 60]),
        "full_window_on_heartbeat": draw.choice(list(FullWindow)),
        "step_down_on_removal": draw.random() < 0.5,
    }

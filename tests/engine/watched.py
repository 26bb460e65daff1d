"""A node whose every step is watched: its log, its machines, what it says and what it applies."""

from typing import TYPE_CHECKING

from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.memory import MemoryEnvironment, MemoryLogStore
from multiraft.engine.replica import SYSTEM_GROUP
from multiraft.engine.statemachine.commands import HEADER_BYTES, Put, decode
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.turn import Effects
from multiraft.raft import invariants

from .harness import Host, Machine, birth, messages
from .judge import Disk

if TYPE_CHECKING:
    from .chaos import Chaos

CREATE = b"create/"
"""Keys of the directory: the group follows, the value is the node that calls its first election."""


class WatchedLog(MemoryLogStore):
    """A log store that tells the judge what it was given and what of it is durable."""

    def __init__(self, environment: MemoryEnvironment | None, disk: Disk, slack: int) -> None:
        self.disk = disk
        self.slack = slack
        disk.staged.clear()
        super().__init__(environment, collection=CollectionPolicy(factor=1.5, slack=slack))

    def stage(self, writes):
        batch = super().stage(writes)
        self.disk.staged[batch.seq] = list(writes)
        return batch

    def commit(self, batch) -> None:
        super().commit(batch)
        self.disk.commit(batch.seq)

    def crash(self) -> "WatchedLog":
        self.close()
        return WatchedLog(MemoryEnvironment(self.environment.values), self.disk, self.slack)


class FragileMachine(Machine):
    """A machine that raises when the seed says so, half-way through what it was given."""

    broken: "Chaos | None" = None

    def apply(self, commands):
        if self.broken is not None:
            super().apply(commands[: self.broken.random.randrange(len(commands))])
            raise RuntimeError("poisoned")
        return super().apply(commands)


class Directory(FragileMachine):
    """The system group's machine: creates groups, as the real directory does."""

    host: "FaultyHost"

    def apply(self, commands):
        results = super().apply(commands)
        for command in map(decode, (command[HEADER_BYTES:] for command in commands)):
            if isinstance(command, Put):
                self.tell([(command.key, command.value)])
        return results

    def restore(self, data):
        super().restore(data)
        self.tell(self.scan())

    def tell(self, pairs):
        for key, value in pairs:
            if key.startswith(CREATE):
                self.host.order(int(key[len(CREATE) :]), int(value))
        self.host.node.directory_index = self.version

    @property
    def version(self) -> int:
        return 1 + len(list(self.scan(prefix=CREATE)))


class FaultyHost(Host):
    """A node that is watched."""

    nodes: "Chaos"

    def __init__(self, nodes: "Chaos", node_id: int, log: WatchedLog, state: MemoryStateStore) -> None:
        super().__init__(nodes, node_id, log, state)
        self.seen: dict[int, int] = {}
        self.sleeps_until = 0
        directory = self.replica(SYSTEM_GROUP).machine
        self.node.directory_index = directory.version
        for key, _ in directory.scan(prefix=CREATE):
            assert int(key[len(CREATE) :]) in log.births(), f"node {node_id} has lost a birth: {key!r}"
        for group, replica in self.node.replicas.running.items():
            log.disk.check_log(group, log.group(group))
            nodes.judge.state(group, replica.applied.index, replica.machine.scan())
            self.seen[group] = replica.applied.index
        assert not self.node.replicas.lost, f"node {node_id}: {self.node.replicas.lost}"

    def order(self, group: int, designated: int) -> None:
        self.node.replicas.create([birth(group, self.node_id, len(self.nodes.disks), designated)])

    def turn(self) -> Effects:
        effects = super().turn()
        for frame in effects.frames:
            for one in messages(frame):
                self.nodes.judge.sent(self.node_id, one.group, one.message)
        for group in self.node.replicas.running:
            self.watch(group)
        for operation, value in effects.answers:
            self.nodes.judge.answered(operation, value)
        assert not self.hang_ups
        assert len(self.unwritten) <= self.nodes.config.batches_in_flight
        assert self.node.parking._bytes <= self.nodes.config.parked_bytes
        return effects

    def watch(self, group: int) -> None:
        replica, judge = self.replica(group), self.nodes.judge
        invariants.check(replica.raw)
        if replica.leads:
            judge.leads(group, replica.raw.raft)
        applied, before = replica.applied.index, self.seen.get(group, 1)
        assert applied >= before, f"group {group}: applied falls from {before} to {applied}"
        if applied == before:
            return
        if replica.installing is None or replica.installing.snapshot.index != applied:
            log = self.log.group(group)
            entries = log.entries(before + 1, applied + 1, None)
            judge.applied(self.node_id, group, replica.raw.raft.term, entries)
        if replica.quarantine is None:
            judge.state(group, applied, replica.machine.scan())
        self.seen[group] = applied

    def leads(self, group: int) -> bool:
        """Whether it believes to lead a group."""
        running = self.node.replicas.running
        return group in running and running[group].leads

    def term(self, group: int) -> int:
        """The term that its replica of a group is in; 0 if there is none."""
        running = self.node.replicas.running
        return running[group].raw.raft.term if group in running else 0

    def is_delicate(self) -> bool:
        """Whether something is on its way that takes more than one write."""
        births, running = self.node.replicas.births, self.node.replicas.running
        return births.unsettled or any(replica.installing is not None for replica in running.values())

    def is_quarantined(self) -> bool:
        return any(replica.quarantine is not None for replica in self.node.replicas.running.values())

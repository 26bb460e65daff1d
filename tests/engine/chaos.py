"""A cluster of real nodes under faults, all of it from one seed.

Time, disks and messages move only when the seed says so: batches become durable one by one, links lose,
double, delay and reorder, nodes pause and crash at any moment and come back with exactly what was durable.
Groups are created while this goes on, by a directory as the engine has one. :mod:`tests.engine.judge` looks
on after every turn.
"""

import random
from dataclasses import dataclass

from multiraft.engine.config import MIB, EngineConfig
from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.engine.outbox import OutFrame
from multiraft.engine.pending import Proposal, Read
from multiraft.engine.replica import SYSTEM_GROUP
from multiraft.engine.statemachine.commands import encode_cas, encode_delete, encode_put, envelope
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.native.frames import HEADER_SIZE

from .harness import Nodes, birth
from .judge import Disk, Judge, Operation
from .watched import CREATE, Directory, FaultyHost, FragileMachine, WatchedLog

GROUPS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Faults:
    """How often each kind of fault happens, per step; 0 for never."""

    crash: float = 0.0
    cut: float = 0.0
    hang_up: float = 0.0
    pause: float = 0.0
    poison: float = 0.0
    blackout: float = 0.0
    """All nodes crash at once."""
    lossy: bool = False
    """The network loses, doubles and reorders single frames and tells nobody, which TCP never does."""

    @classmethod
    def draw(cls, source: random.Random) -> "Faults":
        """Every run has some kinds only: all at once leave too little time between them."""

        def often(rate: float) -> float:
            return source.choice((0.0, rate / 3, rate, rate * 3))

        return cls(
            crash=often(0.002),
            cut=often(0.002),
            hang_up=often(0.003),
            pause=often(0.002),
            poison=source.choice((0.0, 0.0, 0.001)),
            blackout=source.choice((0.0, 0.0, 0.0005)),
            lossy=source.random() < 0.4,
        )


def draw_config(source: random.Random) -> EngineConfig:
    """Small limits, so that each of them is met."""
    append = source.choice((64, 300, MIB))
    return EngineConfig(
        tick_ms=100,
        beat_ms=200,
        election_timeout_ms=500,
        append_bytes=append,
        inflight_messages=source.choice((1, 2, 256)),
        inflight_bytes=source.choice((append, 4 * MIB)),
        uncommitted_bytes=source.choice((300, 16 * MIB)),
        apply_bytes=source.choice((50, 4 * MIB)),
        log_keep_bytes=source.choice((200, 4 * MIB)),
        log_keep_entries=source.choice((1, 2, 5, 1000)),
        flush_ms=source.choice((50, 200, 1000)),
        batches_in_flight=source.choice((1, 2, 4)),
        parked_bytes=source.choice((1000, 16 * MIB)),
        parked_ms=source.choice((300, 5000)),
        snapshot_ms=source.choice((1000, 4000)),
        state_machine=source.choice(("lmdb", "memory")),
    )


class Chaos(Nodes):
    """The nodes, what lies between them, those who use them, and the faults."""

    def __init__(self, seed: int, count: int) -> None:
        self.random = random.Random(seed)
        self.faults = Faults.draw(self.random)
        self.disks = {node: Disk() for node in range(1, count + 1)}
        self.judge = Judge(self.disks)
        self.links: dict[tuple[int, int], list[OutFrame]] = {}
        self.blocked: set[tuple[int, int]] = set()
        """(from, to): nothing gets through."""
        self.operations: list[Operation] = []
        self.steps = 0
        self.crashes = 0
        super().__init__(count, draw_config(self.random), seed)

    def add_host(self, node: int) -> None:
        """A node of a new cluster: the system group is born everywhere before anything else."""
        log = WatchedLog(None, self.disks[node], self.random.choice((2_000, 8 << 20)))
        born = birth(SYSTEM_GROUP, node, len(self.disks))
        batch = log.stage([GroupWrite(SYSTEM_GROUP, born.replica_id, birth=born)])
        log.commit(batch)
        log.finish(batch)
        FaultyHost(self, node, log, MemoryStateStore())

    def machine(self, host: FaultyHost, birth: Birth, metadata: bytes | None) -> FragileMachine:
        volatile = self.config.state_machine == "memory" and birth.group != SYSTEM_GROUP
        store = (host.state.memory_group if volatile else host.state.group)(birth.group)
        kind = Directory if birth.group == SYSTEM_GROUP else FragileMachine
        machine = kind.from_metadata(store, metadata) if metadata else kind(store)
        machine.host = host
        return machine

    # -- one step --------------------------------------------------------------------------------

    def step(self) -> None:
        self.steps += 1
        host = self.hosts[self.random.randint(1, len(self.hosts))]
        (action,) = self.random.choices(
            (self.take_turn, self.write, self.flush, self.carry, self.pass_moment, self.ask),
            (50, 18, 6, 28, 7, 14),
        )
        action(host)
        self.make_faults(host)

    def take_turn(self, host: FaultyHost) -> None:
        if host.sleeps_until <= self.steps:
            host.turn()
            self.send()

    def write(self, host: FaultyHost) -> None:
        host.write(self.random.randint(1, 2))

    def flush(self, host: FaultyHost) -> None:
        host.flush()

    def pass_moment(self, _host: FaultyHost) -> None:
        jump = self.faults.pause and self.random.random() < 0.02
        self.now += self.random.uniform(0.5, 5) if jump else self.random.uniform(0.01, 0.1)

    # -- the network -----------------------------------------------------------------------------

    def send(self) -> None:
        """What nodes have sent goes into the links."""
        wire, self.wire = self.wire, []
        for source, frame in wire:
            link = self.links.setdefault((source, frame.node), [])
            if not self.faults.lossy and len(link) > 30:
                self.hosts[source].inputs.frames_dropped.append((frame.node, frame.groups))
            else:
                link.append(frame)

    def carry(self, _host: FaultyHost) -> None:
        """Some frames of some links arrive; who sleeps reads none, and may act before it does."""
        awake = {node for node, host in self.hosts.items() if host.sleeps_until <= self.steps}
        ready = [pair for pair, frames in sorted(self.links.items()) if frames and pair[1] in awake]
        for pair in self.random.sample(ready, min(3, len(ready))):
            self._carry_on(pair, self.links[pair])

    def _carry_on(self, pair: tuple[int, int], link: list[OutFrame]) -> None:
        if pair in self.blocked:
            if self.faults.lossy:
                link.clear()
            return
        for _ in range(self.random.randint(1, len(link))):
            frame = link.pop(self.random.randrange(len(link)) if self.faults.lossy else 0)
            luck = self.random.random() if self.faults.lossy else 1.0
            if luck < 0.05:
                continue
            if luck < 0.1:
                link.append(frame)
            self.hosts[pair[1]].inputs.frames.append((pair[0], frame.data[HEADER_SIZE:]))

    def hang_up(self, first: int, second: int) -> None:
        """The connection of two nodes breaks, with everything on it; both notice."""
        for one, other in ((first, second), (second, first)):
            self.links.pop((one, other), None)
            self.hosts[one].inputs.peers_lost.append(other)

    # -- clients ---------------------------------------------------------------------------------

    def ask(self, host: FaultyHost) -> None:
        """A client asks a node for something, mostly the one that leads."""
        group = self.random.choice([*self.created() * 4, SYSTEM_GROUP, self.random.choice(GROUPS)])
        leaders = [other for other in self.hosts.values() if other.leads(group)]
        if self.random.random() < 0.9:
            if not leaders:
                return
            host = self.random.choice(leaders)
        deposed = len(leaders) > 1 and host.term(group) < max(leader.term(group) for leader in leaders)
        waiting = [one for one in self.operations[-80:] if one.host is host and not one.done]
        # A node that sleeps hears of requests now and then, or all of them would come before its successor.
        sleeps = host.sleeps_until > self.steps
        if len(waiting) < 8 and (deposed or not sleeps or self.random.random() < 0.05):
            self.operations.append(self._operation(group, host, 0.8 if deposed else 0.3))

    def _operation(self, group: int, host: FaultyHost, reads: float) -> Operation:
        number = len(self.operations)
        operation = Operation(number, group, host, after=self.judge.history(group).known)
        if group == SYSTEM_GROUP:
            create = encode_put(CREATE + b"%d" % self.random.choice(GROUPS), b"%d" % self._any_node())
            operation.commands = (envelope(7, 100 * number, 1, create),)
        elif self.random.random() < reads:
            operation.key = self._key()
        else:
            count = self.random.choice((1, 1, 1, 1, 2, 5))
            operation.commands = tuple(
                envelope(7, 100 * number + part, 1, self._change(group, number, part))
                for part in range(count)
            )
        self.submit(operation)
        return operation

    def submit(self, operation: Operation) -> None:
        inputs, key = operation.host.inputs, operation.key
        if key is None:
            inputs.proposals.append(Proposal(operation.group, operation.commands, operation))
        else:
            inputs.reads.append(Read(operation.group, lambda machine: machine.get(key), operation))

    def _any_node(self) -> int:
        return self.random.randint(1, len(self.hosts))

    def _key(self) -> bytes:
        return b"k%d" % self.random.randrange(4)

    def _change(self, group: int, number: int, part: int) -> bytes:
        key, value = self._key(), b"v%d.%d" % (number, part)
        kind = self.random.random()
        if kind < 0.5:
            return encode_put(key, value)
        if kind < 0.6:
            return encode_delete(key)
        return encode_cas(key, self.judge.history(group)._values.get(key), value)

    # -- faults ----------------------------------------------------------------------------------

    def make_faults(self, host: FaultyHost) -> None:
        faults, happens = self.faults, self.random.random
        other = self._any_node()
        if happens() < faults.crash * (10 if host.is_delicate() else 1):
            self.crash(host)
        elif happens() < faults.hang_up and other != host.node_id:
            self.hang_up(host.node_id, other)
        elif happens() < faults.pause:
            sleeper = self._leader_or(host)
            if faults.cut and self.random.random() < 0.5:  # it does not wake to the news of its successor
                self.cut_links(sleeper.node_id)
            sleeper.sleeps_until = self.steps + self.random.randint(20, self.random.choice((200, 1000, 3000)))
        elif happens() < faults.cut:
            self.cut_links(self._leader_or(host).node_id)
        elif happens() < faults.blackout:
            for one in list(self.hosts.values()):
                self.crash(one)
        elif happens() < faults.poison and host.node.replicas.running:
            group = self.random.choice(list(host.node.replicas.running))
            host.machine(group).broken = self

    def _leader_or(self, host: FaultyHost) -> FaultyHost:
        """Some node that leads a group, mostly: what happens to it has the most to upset."""
        leaders = [one for one in self.hosts.values() if any(map(one.leads, self.created()))]
        return self.random.choice([host, *leaders])

    def crash(self, host: FaultyHost) -> FaultyHost:
        self.crashes += 1
        for pair, link in self.links.items():
            if host.node_id in pair and not self.faults.lossy:
                link.clear()
        return host.crash()

    def cut_links(self, node: int) -> None:
        """Partitions come and go: of a whole node, of one link, in one direction."""
        if self.blocked:
            self.blocked.clear()
            return
        others = [other for other in self.hosts if other != node]
        if others and self.random.random() < 0.5:
            others = [self.random.choice(others)]
        for other in others:
            directions = [(node, other), (other, node)]
            if self.random.random() < 0.4:
                directions = [self.random.choice(directions)]
            self.blocked.update(directions)
            if not self.faults.lossy and self.random.random() < 0.5:
                self.hang_up(node, other)

    # -- what there is ---------------------------------------------------------------------------

    def created(self) -> list[int]:
        keys = self.judge.history(SYSTEM_GROUP)._values
        return [int(key[len(CREATE) :]) for key in keys if key.startswith(CREATE)]

    def lives(self, operation: Operation) -> bool:
        return self.hosts[operation.host.node_id] is operation.host

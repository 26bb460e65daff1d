"""Whole nodes without time, threads or sockets: a clock that the test moves, a disk that it lets write.

Every write is *held* until the test says so, so that "durable" is an event of its own; a crash takes what
was held. Messages are delivered by :meth:`Nodes.deliver`, or lost.
"""

import asyncio
import random
from collections.abc import Callable

from multiraft.engine.applying import Applied, ApplyWork, Outcome
from multiraft.engine.config import EngineConfig
from multiraft.engine.logstore.memory import MemoryLogStore
from multiraft.engine.logstore.port import Birth
from multiraft.engine.node import Node
from multiraft.engine.outbox import OutFrame
from multiraft.engine.pending import Answer, Proposal, Read
from multiraft.engine.removals import Removal
from multiraft.engine.replica import Replica
from multiraft.engine.snapshots.work import Work, Worked
from multiraft.engine.statemachine.commands import encode_put, envelope
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.protocol import StateMachine
from multiraft.engine.turn import Effects, Inputs
from multiraft.engine.wire import Received, read_frame
from multiraft.native.frames import HEADER_SIZE
from multiraft.raft.state import ConfState

from .streams import Streams

TICK = 0.1
CONFIG = EngineConfig(tick_ms=100, beat_ms=200, election_timeout_ms=500, flush_ms=300)


def birth(group: int, node: int, nodes: int = 3, designated: int = 1, machine: str = "kv") -> Birth:
    """A group with replica ids 11, 12 and so on, on nodes 1, 2 and so on."""
    members = sorted(range(1, nodes + 1), key=lambda one: one != designated)
    return Birth(
        group=group,
        replica_id=10 + node,
        conf_state=ConfState(tuple(10 + one for one in range(1, nodes + 1))),
        peers=tuple((10 + one, one) for one in members),
        start=b"",
        end=None,
        epoch=1,
        directory_index=1,
        machine=machine,
    )


def put(key: bytes, value: bytes, sequence: int = 1) -> bytes:
    """A command as it stands in an entry."""
    return envelope(7, sequence, 1, encode_put(key, value))


class Machine(KVMachine):
    """A key-value machine that can be made to fail."""

    fails = False

    def apply(self, commands):
        if self.fails:
            raise RuntimeError("the machine is broken")
        return super().apply(commands)


class Host:
    """One node with its stores: what the asyncio shell does, step by step."""

    def __init__(self, nodes: "Nodes", node_id: int, log: MemoryLogStore, state: MemoryStateStore) -> None:
        self.nodes = nodes
        nodes.hosts[node_id] = self
        self.node_id = node_id
        self.log = log
        self.state = state
        self.inputs = Inputs()
        self.unwritten: list = []
        """Batches handed over and not durable."""
        self.unflushed: list = []
        """Flushes, and what else is to be written to the state store, in order."""
        self.unread: list[Work] = []
        """What is to be read from it for snapshots."""
        self.applying: list[ApplyWork] = []
        """What machines are to apply outside the turn."""
        self.answers: list[Answer] = []
        self.hang_ups: list = []
        self.node = Node(node_id, nodes.config, log, state, self._machine, nodes.seed, nodes.now)
        self.node.directory_index = 1
        self.node.start()

    def _machine(self, birth: Birth, metadata: bytes | None) -> StateMachine:
        return self.nodes.machine(self, birth, metadata)

    def turn(self) -> Effects:
        inputs, self.inputs = self.inputs, Inputs()
        effects = self.node.turn(self.nodes.now, inputs)
        if effects.batch is not None:
            self.unwritten.append(effects.batch)
        if effects.flush is not None:
            self.unflushed.append(effects.flush)
        self.nodes.streams.carry_out(self, effects.streams)
        self.applying += effects.applies
        self.answers += effects.answers
        self.hang_ups += effects.hang_up
        self.nodes.wire += [(self.node_id, frame) for frame in effects.frames]
        return effects

    def write(self, most: int | None = None) -> None:
        """The disk does its work: every batch handed over becomes durable, or the oldest ones only."""
        ready = self.unwritten[:most]
        del self.unwritten[: len(ready)]
        for batch in ready:
            self.log.commit(batch)
            self.inputs.durable.append(batch)

    def flush(self, most: int | None = None) -> None:
        """The state store's thread does its work, or the oldest pieces of it only."""
        ready = self.unflushed[:most]
        del self.unflushed[: len(ready)]
        for one in ready:
            if isinstance(one, Work):
                self.inputs.worked.append(carried_out(one))
            else:
                self.state.write(one)
                self.inputs.flushed.append(one)

    def flush_staged(self) -> None:
        """It writes the chunks of snapshots, until it comes to a flush."""
        while self.unflushed and isinstance(self.unflushed[0], Work):
            self.flush(1)

    def read_state(self) -> None:
        """So does the thread that reads for snapshots."""
        ready, self.unread = self.unread, []
        self.inputs.worked += [carried_out(one) for one in ready]

    def finish_applies(self) -> None:
        """Machines that take their time have taken it."""
        ready, self.applying = self.applying, []
        for run, machine in ready:
            try:
                outcome: Outcome = asyncio.run(machine.async_apply(run.commands))
            except Exception as error:  # noqa: BLE001 - the node is told, whatever it is
                outcome = error
            self.inputs.applied.append(Applied(run, outcome))

    def replica(self, group: int) -> Replica:
        return self.node.replicas.running[group]

    def machine(self, group: int) -> Machine:
        return self.replica(group).machine

    def propose(self, group: int, *commands: bytes, token: object = "proposal") -> None:
        self.inputs.proposals.append(Proposal(group, commands, Ticket(token)))

    def read(self, group: int, key: bytes, token: object = "read") -> None:
        self.inputs.reads.append(Read(group, lambda machine: machine.get(key), Ticket(token)))

    def answer(self, token: object = "proposal") -> object:
        """The one answer that was given for a token."""
        (value,) = [answer.value for answer in self.answers if answer.token.name == token]
        return value

    def answered(self, token: object = "proposal") -> bool:
        return any(answer.token.name == token for answer in self.answers)

    def crash(self) -> "Host":
        """What comes back after a crash: only what was durable."""
        reborn = type(self)(self.nodes, self.node_id, self.log.crash(), self.state.crash())
        self.nodes.streams.crashed(self)
        self.nodes.wire = [
            (source, frame) for source, frame in self.nodes.wire if self.node_id not in {source, frame.node}
        ]
        for other in self.nodes.hosts.values():
            if other is not reborn:
                other.inputs.peers_lost.append(self.node_id)
        return reborn


def carried_out(work: Work) -> Worked:
    """What becomes of a piece of work."""
    try:
        return Worked(work.token, work.call())
    except Exception as error:  # noqa: BLE001 - the node is told, whatever it is
        return Worked(work.token, None, error)


class Ticket:
    """A token that reads well when a test fails."""

    def __init__(self, name: object) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Ticket({self.name!r})"


class Nodes:
    """Several hosts, the messages between them and the time they share."""

    def __init__(self, count: int = 3, config: EngineConfig = CONFIG, seed: int = 1) -> None:
        self.config = config
        self.seed = random.Random(seed)
        self.now = 100.0
        self.wire: list[tuple[int, OutFrame]] = []
        self.cut: set[int] = set()
        """Nodes that nothing reaches and that reach nobody."""
        self.streams = Streams(self)
        self.hosts: dict[int, Host] = {}
        for node in range(1, count + 1):
            self.add_host(node)

    def add_host(self, node: int) -> None:
        """A node with empty stores."""
        Host(self, node, MemoryLogStore(), MemoryStateStore())

    def machine(self, host: Host, birth: Birth, metadata: bytes | None) -> StateMachine:
        """The state machine of a replica."""
        volatile = self.config.state_machine == "memory"
        store = (host.state.memory_group if volatile else host.state.group)(birth.group)
        if metadata:
            return Machine.from_metadata(store, metadata)
        return Machine(store, birth.start, birth.end, birth.epoch)

    def __getitem__(self, node: int) -> Host:
        return self.hosts[node]

    def create(self, group: int, designated: int = 1, nodes: list[int] | None = None) -> None:
        """Order the births of a group on these nodes (all by default)."""
        for node in nodes or self.hosts:
            order = birth(group, node, len(self.hosts), designated)
            self.hosts[node].node.replicas.create([order])

    def remove(self, group: int, nodes: list[int] | None = None) -> None:
        """Order the replicas of a group away on these nodes (all by default)."""
        for node in nodes or self.hosts:
            self.hosts[node].node.replicas.removals.order([Removal(group, 10 + node)])

    def deliver(
        self,
        keep: Callable[[int, Received], bool] = lambda _node, _received: True,
        *,
        streams: bool = True,
    ) -> int:
        """Hand over what is on the wire; ``keep(target, received)`` may lose whole frames of messages."""
        wire, self.wire = self.wire, []
        for source, frame in wire:
            if source in self.cut or frame.node in self.cut:
                continue
            if all(keep(frame.node, received) for received in messages(frame)):
                self.hosts[frame.node].inputs.frames.append((source, frame.data[HEADER_SIZE:]))
        return len(wire) + (self.streams.deliver() if streams else 0)

    def settle(self, rounds: int = 60) -> None:
        """Turns, disks and messages until nothing happens any more; no time passes."""
        for _ in range(rounds):
            busy = False
            for host in self.hosts.values():
                effects = host.turn()
                busy |= effects.again or bool(host.unwritten) or bool(effects.frames)
                host.write()
                host.flush()
                host.read_state()
                busy |= bool(host.inputs)
            busy |= bool(self.deliver())
            if not busy:
                return

    def pass_time(self, seconds: float) -> None:
        """Let time pass in ticks, settling after each."""
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.settle()

    def leader(self, group: int) -> Host:
        """The one node that leads the group in its newest term."""
        holders = [host for host in self.hosts.values() if group in host.node.replicas.running]
        leading = [host for host in holders if host.replica(group).leads]
        return max(leading, key=lambda host: host.replica(group).raw.raft.term)


def messages(frame: OutFrame) -> list[Received]:
    """What a frame carries."""
    return list(read_frame(frame.data[HEADER_SIZE:])[1])


def sent(nodes: Nodes, source: int) -> list[Received]:
    """Everything that a node has put on the wire and that is not delivered."""
    return [one for node, frame in nodes.wire if node == source for one in messages(frame)]

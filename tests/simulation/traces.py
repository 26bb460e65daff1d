"""Traces by hand: nodes that say what a test wants them to say, so that a checker can be shown every wrong.

Three nodes hold replica 1 to 3 of one group each; what a test writes, turns and applies goes through a suite,
as in a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from multiraft.engine.config import EngineConfig
from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.engine.statemachine.applied import Applied
from multiraft.engine.statemachine.commands import encode_put, envelope
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.engine.statemachine.memory_group import MemoryGroup
from multiraft.raft.entry import Entry, EntryId
from multiraft.raft.messages import Message, MsgType
from multiraft.raft.state import ConfState, HardState, Role
from tests.simulation.checkers.base import Checker, Touched
from tests.simulation.checkers.chosen import Chosen
from tests.simulation.checkers.disk import Disks
from tests.simulation.checkers.models import Models
from tests.simulation.checkers.suite import Suite

GROUP = 2
NODES = (1, 2, 3)
CONF = ConfState(NODES)


def birth(node: int, group: int = GROUP) -> Birth:
    """Replica ids are node ids; the range holds every key."""
    peers = tuple((one, one) for one in NODES)
    return Birth(group, node, CONF, peers, b"", None, 1, 1, "kv")


def put(index: int, key: bytes = b"k", value: bytes | None = None, term: int = 1) -> Entry:
    """An entry that sets a key to a value of its own."""
    return command(index, encode_put(key, value or b"v%d" % index), term)


def command(index: int, body: bytes, term: int = 1) -> Entry:
    return Entry(term, index, data=envelope(7, index, 1, body))


@dataclass
class FakeLog:
    """A replica's log in memory, as the core asks it."""

    entries: list[Entry] = field(default_factory=list)
    point: tuple[int, int] = (1, 1)
    committed: int = 1
    unstable: Any = field(default_factory=lambda: SimpleNamespace(snapshot=None))

    def first_index(self) -> int:
        return self.point[0] + 1

    def last_index(self) -> int:
        return self.point[0] + len(self.entries)

    def term_or_zero(self, index: int) -> int:
        if index == self.point[0]:
            return self.point[1]
        inside = self.first_index() <= index <= self.last_index()
        return self.entries[index - self.first_index()].term if inside else 0

    term = term_or_zero

    def match_term(self, term: int, index: int) -> bool:
        return self.term_or_zero(index) == term

    def last_id(self) -> EntryId:
        return EntryId(self.term_or_zero(self.last_index()), self.last_index())


class FakeReplica:
    """A replica that is what its fields say."""

    def __init__(self, node: int, group: int = GROUP) -> None:
        self.birth = birth(node, group)
        self.group, self.replica_id = group, node
        self.nodes = dict(self.birth.peers)
        self.machine: Any = KVMachine(MemoryGroup())
        self.applied = Applied(1, 1, CONF, b"")
        self.installing: Any = None
        self.quarantine: Any = None
        self.rebuilding: Any = None
        self.silence: Any = None
        self.log = FakeLog()
        own = SimpleNamespace(match=0)
        self.raft = SimpleNamespace(
            id=node, term=0, vote=0, role=Role.FOLLOWER, log=self.log, uncommitted_size=0,
            tracker=SimpleNamespace(conf=CONF, votes={}, progress={node: own}),
        )  # fmt: skip
        self.raw = SimpleNamespace(raft=self.raft)

    @property
    def leads(self) -> bool:
        return self.raft.role is Role.LEADER


class Running(dict[int, Any]):
    """Its replicas, all of them objects."""

    @property
    def loaded(self) -> Running:
        return self


class FakeNode:
    """A node with such a replica."""

    def __init__(self, node_id: int, replica: FakeReplica) -> None:
        self.node_id = node_id
        self.replicas = SimpleNamespace(running=Running({replica.group: replica}), lost={})
        self.config = EngineConfig()
        self.durable = {replica.group: 1}
        self.state = SimpleNamespace(durable_applied=lambda group: self.durable[group], flushing=None)
        self.batches_in_flight = 0
        self.parking = SimpleNamespace(bytes=0)
        self.kept: dict[str, int] = {}
        self.log: Any = None

    def backlog(self) -> dict[str, int]:
        return dict(self.kept)


class Trace:
    """A cluster of three, each step of which a test spells out."""

    def __init__(self, make, group: int = GROUP) -> None:
        """`make` takes the shared parts by name and returns the checker under test, or several."""
        self.group = group
        self.disks, self.chosen = Disks(), Chosen()
        self.models = Models(self.chosen)
        made = make(self)
        checkers: list[Checker] = made if isinstance(made, list) else [made]
        self.checker = checkers[-1]
        self.suite = Suite(checkers, self.disks)
        self.replicas = {node: FakeReplica(node, group) for node in NODES}
        self.nodes = {node: FakeNode(node, replica) for node, replica in self.replicas.items()}
        self.excused: set[int] = set()
        self._batches = dict.fromkeys(NODES, 0)
        for node in NODES:
            self.commit(node, GroupWrite(group, node, birth=birth(node, group)))
            self.suite.started(node, self.nodes[node])

    # -- the disk --------------------------------------------------------------------------------

    def stage(self, node: int, *writes: GroupWrite) -> int:
        self._batches[node] += 1
        self.suite.staged(node, self._batches[node], writes)
        return self._batches[node]

    def commit(self, node: int, *writes: GroupWrite) -> None:
        self.suite.committed(node, self.stage(node, *writes))

    def write(
        self, node: int, *entries: Entry, term: int = 1, vote: int = 0, commit: int = 1, **parts
    ) -> None:
        """One durable write of the group's replica, and the turn that staged it."""
        state = HardState(term, vote, commit)
        self.commit(node, GroupWrite(self.group, node, hard_state=state, entries=list(entries), **parts))
        replica = self.replicas[node]
        replica.log.entries = list(self.disks.of(node).logs[self.group].entries)
        replica.log.point = self.disks.of(node).logs[self.group].point
        replica.raft.term, replica.raft.vote = term, vote
        self.turn(node)

    def everywhere(self, *entries: Entry, **more) -> None:
        for node in NODES:
            self.write(node, *entries, **more)

    # -- turns -----------------------------------------------------------------------------------

    def turn(self, node: int) -> None:
        self.suite.turned(node, self.nodes[node], self.touched(node))

    def touched(self, node: int) -> Touched:
        """What a turn may have changed."""
        return {self.group: self.nodes[node].replicas.running.get(self.group)}

    def lead(self, node: int, term: int) -> None:
        """The node leads from now on."""
        raft = self.replicas[node].raft
        raft.term, raft.vote, raft.role = term, node, Role.LEADER
        self.turn(node)

    def follow(self, node: int, term: int) -> None:
        raft = self.replicas[node].raft
        raft.term, raft.role = term, Role.FOLLOWER
        self.turn(node)

    def apply(self, node: int, *entries: Entry) -> None:
        """The node applies these entries, which need not be the right ones."""
        replica = self.replicas[node]
        replica.machine.apply([entry.data for entry in entries if entry.data])
        self.set_applied(node, entries[-1].index, entries[-1].term)

    def set_applied(self, node: int, index: int, term: int) -> None:
        replica = self.replicas[node]
        replica.applied = Applied(index, term, CONF, b"")
        replica.log.committed = max(replica.log.committed, index)
        self.turn(node)

    def say(self, node: int, kind: MsgType, to: int, term: int, **more) -> None:
        self.suite.sent(node, to, self.group, Message(kind, to, node, term, **more))

    def restart(self, node: int) -> None:
        """The process ends, and starts again with what its fields say."""
        self.suite.stopped(node)
        self.suite.started(node, self.nodes[node])

    def finish(self) -> None:
        self.suite.finished(self)

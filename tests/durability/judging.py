"""Whether what a crash has left of a cluster is what was promised."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import Error
from multiraft.engine.offline.stopped import StoppedNode
from multiraft.engine.offline.verify import verify_node
from multiraft.engine.replica import Replica
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.engine.transport.memory import MemoryNetwork
from tests.simulation.run import quiet

from .facts import Facts, Promise, number_of
from .nodes import NODES, OpenNode, apply_all, open_node, place_of, start_engine, wait_for
from .report import Corrupt, Lost


@dataclass
class Held:
    """What one replica holds, all of its log applied."""

    end: tuple[int, int]
    """(term, index) of the last entry."""
    values: dict[bytes, int]


@dataclass
class Group:
    """What there is of one range."""

    start: bytes
    stop: bytes | None
    members: tuple[int, ...]
    """Nodes."""
    held: dict[int, Held] = field(default_factory=dict)

    def winners(self) -> Iterator[tuple[int, Held]]:
        """Whoever may lead: of each majority the replica whose log Raft's vote prefers."""
        for majority in combinations(self.members, len(self.members) // 2 + 1):
            there = [(self.held[node].end, node) for node in majority if node in self.held]
            if there:
                _, node = max(there)
                yield node, self.held[node]


def judge(path: Path, facts: Facts, config: EngineConfig) -> None:
    """Open every node by itself and compare it with the facts. Raises `Lost`, `Corrupt`."""
    groups: dict[int, Group] = {}
    for node in NODES:
        try:
            with open_node(place_of(path, node), config) as opened:
                _judge_node(opened, facts, groups)
        except Error as error:
            raise Corrupt(f"node {node}: {error!r}") from error
    for key in facts.acknowledged:
        _judge_key(key, facts, groups)


def _judge_node(opened: OpenNode, facts: Facts, groups: dict[int, Group]) -> None:
    node_id, running = opened.node_id, opened.node.replicas.running
    replicas = opened.node.replicas
    if replicas.lost or replicas.rebuilding:
        raise Corrupt(f"node {node_id}: lost {replicas.lost}, without their state {[*replicas.rebuilding]}")
    if opened.identity.incarnation <= facts.incarnations.get(node_id, 0):
        raise Lost(f"node {node_id} starts with incarnation {opened.identity.incarnation} again")
    for (node, group), promise in facts.promises.items():
        if node == node_id and promise.term:
            if group not in running:
                raise Lost(f"node {node}: group {group} is not there, and has promised {promise}")
            _judge_promise(f"node {node}, group {group}", promise, running[group])
    for replica in opened.replicas():
        _judge_state(f"node {node_id}, group {replica.group}", replica, facts)
        birth = replica.birth
        members = tuple(node for _, node in birth.peers)
        group_ = groups.setdefault(birth.group, Group(birth.start, birth.end, members))
        group_.held[node_id] = _held(opened, replica)


def _judge_promise(where: str, promise: Promise, replica: Replica) -> None:
    raft = replica.raw.raft
    if raft.term < promise.term:
        raise Lost(f"{where}: term {raft.term}, promised was {promise}")
    if raft.term == promise.term and promise.vote and raft.vote != promise.vote:
        raise Lost(f"{where}: vote {raft.vote}, promised was {promise}")
    if raft.term == promise.term and raft.log.last_index() < promise.index:
        raise Lost(f"{where}: the log ends at {raft.log.last_index()}, promised was {promise}")


def _judge_state(where: str, replica: Replica, facts: Facts) -> None:
    """The state on the disk is the group's at the index which it says."""
    assert isinstance(replica.machine, KVMachine)
    index, found = replica.applied.index, replica.machine.digest()
    wanted = facts.digests.get((replica.group, index), 0 if index == 1 else None)
    if found != wanted:
        raise Corrupt(f"{where}: at index {index} the state is {found}, not {wanted}")


def _held(opened: OpenNode, replica: Replica) -> Held:
    log = opened.log.group(replica.group)
    last = log.last_index()
    assert isinstance(replica.machine, KVMachine)
    apply_all(opened, replica)
    values = {key: number_of(value) for key, value in replica.machine.scan()}
    return Held((log.term(last), last), values)


def _judge_key(key: bytes, facts: Facts, groups: dict[int, Group]) -> None:
    low, high = facts.bounds(key)
    mine = [one for one in groups.values() if one.start <= key and (one.stop is None or key < one.stop)]
    winners = [winner for group in mine for winner in group.winners()]
    if not winners:
        raise Lost(f"{key!r}: no range holds it, {low} was acknowledged")
    for node, held in winners:
        found = held.values.get(key, 0)
        if found < low:
            raise Lost(f"{key!r} would be {found} if node {node} leads, {low} was acknowledged")
        if found > high:
            raise Corrupt(f"{key!r} is {found} on node {node}, nobody wrote more than {high}")


# -- in other ways, for some of the states -----------------------------------------------------------


def verify_whole(path: Path) -> None:
    """`multiraft verify` finds nothing in any of the nodes. Before they are opened. Raises `Corrupt`."""
    for node in NODES:
        folder = path / f"node-{node}"
        if not (folder / "node").exists():
            continue
        with StoppedNode.open(folder) as stopped:
            findings = verify_node(stopped).findings
        if findings.count:
            raise Corrupt(f"node {node}: verify says {'; '.join(map(str, findings.kept))}")


def judge_alive(path: Path, facts: Facts, config: EngineConfig) -> None:
    """Start the cluster as users do and read every key through it. Raises `Lost`, `Corrupt`."""
    with quiet():
        try:
            asyncio.run(_read_alive(path, facts, config))
        except (Error, TimeoutError) as error:
            raise Corrupt(f"the cluster does not come back: {error!r}") from error


async def _read_alive(path: Path, facts: Facts, config: EngineConfig) -> None:
    network = MemoryNetwork()
    engines = [await start_engine(place_of(path, node, network), config=config) for node in NODES]
    try:
        await asyncio.gather(*[engine.joined() for engine in engines])
        if facts.acknowledged:
            await wait_for(lambda: engines[0].directory.ranges > 0)
        for key in facts.acknowledged:
            low, high = facts.bounds(key)
            found = number_of(await engines[0].get(key, timeout=10.0))
            if found < low:
                raise Lost(f"{key!r} is {found}, {low} was acknowledged")
            if found > high:
                raise Corrupt(f"{key!r} is {found}, nobody wrote more than {high}")
    finally:
        for engine in engines:
            await engine.close()

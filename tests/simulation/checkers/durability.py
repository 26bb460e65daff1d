"""Promises wait for the disk, and the disk keeps them (`design.md` §5).

What is durable is known from the batches alone. No vote, vote request or acknowledgement leaves before the
batch behind it is durable, nor does a replica count its own; nothing is said or run before the birth is
durable; a turn writes one batch; a log is cut only below what the state store holds; only what is durable
here is applied; and a store opened again shows what was committed to it, no more and no less.
"""

from __future__ import annotations

from collections.abc import Sequence

from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.node import Node
from multiraft.engine.replica import SYSTEM_GROUP, Replica
from multiraft.engine.statemachine.store import Flush
from multiraft.raft.entry import Entry
from multiraft.raft.messages import Message, MsgType
from multiraft.raft.raft import Raft
from multiraft.raft.state import Role
from multiraft.shards.directory_machine import DirectoryMachine

from .base import Checker, Touched
from .disk import Disk, Disks, ShadowLog

PROMISES = frozenset({MsgType.VOTE, MsgType.VOTE_RESP, MsgType.PRE_VOTE_RESP, MsgType.APP_RESP})


class Durability(Checker):
    """See the module."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks
        self._nodes: dict[int, Node] = {}
        self._staged: dict[int, int] = {}
        """By node how many batches it has staged since its last turn."""
        self._flushes: dict[int, Flush] = {}
        """By node the flush that was looked at last."""

    # -- what a start finds ----------------------------------------------------------------------

    def started(self, node_id: int, node: Node) -> None:
        self._nodes[node_id] = node
        self._staged[node_id] = 0
        disk = self._disks.of(node_id)
        if disk.excused:
            return
        if disk.staged:
            raise self.violation(f"node {node_id} runs before its batches {list(disk.staged)} are durable")
        if set(node.log.births()) != set(disk.logs) or dict(node.log.tombstones()) != disk.tombstones:
            raise self.violation(
                f"node {node_id} finds the groups {sorted(node.log.births())} and the tombstones "
                f"{dict(node.log.tombstones())}, durable are {sorted(disk.logs)} and {disk.tombstones}"
            )
        for group, shadow in disk.logs.items():
            self._check_found(f"node {node_id}, group {group}", node, shadow)

    def _check_found(self, where: str, node: Node, shadow: ShadowLog) -> None:
        log = node.log.group(shadow.birth.group)
        if log.birth != shadow.birth:
            raise self.violation(f"{where}: the birth {log.birth} is found, durable is {shadow.birth}")
        hard_state, conf_state = log.initial_state()
        if hard_state != shadow.hard_state or conf_state != shadow.conf_state:
            raise self.violation(
                f"{where}: {hard_state}, {conf_state} are found, durable are {shadow.hard_state}, "
                f"{shadow.conf_state}"
            )
        first, last = log.first_index(), log.last_index()
        if (first - 1, log.term(first - 1), last) != (*shadow.point, shadow.last):
            raise self.violation(
                f"{where}: a log of {first}..{last} is found, durable is "
                f"{shadow.point[0] + 1}..{shadow.last} behind term {shadow.point[1]}"
            )
        found = list(log.entries(first, last + 1, None)) if last >= first else []
        if found != shadow.entries:
            raise self.violation(f"{where}: {found} are found, durable are {shadow.entries}")

    def stopped(self, node_id: int) -> None:
        self._nodes.pop(node_id, None)

    # -- batches ---------------------------------------------------------------------------------

    def staged(self, node_id: int, seq: int, writes: Sequence[GroupWrite]) -> None:
        disk = self._disks.of(node_id)
        newest = max(disk.staged, default=disk.durable)
        if seq <= newest and not disk.excused:
            raise self.violation(f"node {node_id}: batch {seq} is staged after batch {newest}")
        self._staged[node_id] = self._staged.get(node_id, 0) + 1
        for write in writes:
            if write.truncate is not None and node_id in self._nodes:
                self._check_cut(node_id, write.group, write.truncate[0])
            if write.birth is not None and write.birth.replica_id <= disk.tombstones.get(write.group, 0):
                raise self.violation(f"node {node_id}: {write.birth} is born, and was removed before")

    def _check_cut(self, node_id: int, group: int, index: int) -> None:
        durable = self._nodes[node_id].state.durable_applied(group)
        if index > durable:
            raise self.violation(
                f"node {node_id}, group {group}: the log is cut up to {index}, the state store has {durable}"
            )

    def committed(self, node_id: int, seq: int) -> None:
        disk = self._disks.of(node_id)
        oldest = min(disk.staged)
        if seq != oldest:
            raise self.violation(f"node {node_id}: batch {seq} is durable before batch {oldest}")
        for write in disk.staged[seq]:
            log = disk.logs.get(write.group)
            if write.entries and log is not None:
                term = (write.hard_state or log.hard_state).term
                if write.entries[-1].term > term and not self._names_term(disk, seq, write):
                    raise self.violation(
                        f"node {node_id}, group {write.group}: {write.entries[-1]} becomes durable, and "
                        f"with it or before it only term {term}"
                    )

    @staticmethod
    def _names_term(disk: Disk, seq: int, one: GroupWrite) -> bool:
        """Whether another write of the group in the same batch says that its replica has reached the term."""
        hard_states = [write.hard_state for write in disk.staged[seq] if write.group == one.group]
        return any(state is not None and state.term >= one.entries[-1].term for state in hard_states)

    # -- what leaves -----------------------------------------------------------------------------

    def sent(self, node_id: int, to: int, group: int, message: Message) -> None:
        disk = self._disks.of(node_id)
        log = disk.logs.get(group)
        if log is None or log.birth.replica_id != message.from_:
            raise self.violation(
                f"node {node_id}, group {group}: {message.type.name} leaves as replica {message.from_}, and "
                f"the birth of that is not durable"
            )
        if message.type in PROMISES:
            self._check_promise(f"node {node_id}, group {group}", message, log, disk)

    def _check_promise(self, where: str, message: Message, log: ShadowLog, disk: Disk) -> None:
        where = f"{where}: {message.type.name} of term {message.term} leaves"
        term, vote, _ = log.hard_state
        granted = not message.reject
        names_own_term = message.type is not MsgType.PRE_VOTE_RESP or not granted
        if names_own_term and term < message.term:
            raise self.violation(f"{where}, durable is term {term}")
        if message.type is MsgType.VOTE or (message.type is MsgType.VOTE_RESP and granted):
            voted = message.from_ if message.type is MsgType.VOTE else message.to
            if term == message.term and vote != voted:
                raise self.violation(f"{where}, the vote for {voted} is not durable but one for {vote}")
        if message.type is MsgType.APP_RESP and granted and term == message.term:
            self._check_acknowledged(where, message.index, message.term, log, disk)

    def _check_acknowledged(self, where: str, index: int, term: int, log: ShadowLog, disk: Disk) -> None:
        """Everything up to `index` is durable, and not only on its way to replace something older."""
        if index > log.last:
            raise self.violation(f"{where} for index {index}, durable is {log.last}")
        for writes in disk.staged.values():
            for write in writes:
                if write.group != log.birth.group:
                    continue
                if write.hard_state is not None and write.hard_state.term > term:
                    return  # what a later term replaces was acknowledged before
                if write.entries and write.entries[0].index <= index:
                    raise self.violation(f"{where} for index {index}, which batch {list(disk.staged)} hold")

    # -- what counts and what is applied ---------------------------------------------------------

    def turned(self, node_id: int, node: Node, touched: Touched) -> None:
        disk = self._disks.of(node_id)
        if self._staged[node_id] > 1:
            raise self.violation(f"node {node_id} staged {self._staged[node_id]} batches in one turn")
        self._staged[node_id] = 0
        for group, replica in touched.items():
            if replica is None:
                continue
            log = disk.logs.get(group)
            if log is None or log.birth.replica_id != replica.replica_id:
                raise self.violation(f"node {node_id}: {group} runs, and its birth is not durable")
            raft = replica.raw.raft
            if raft.role is Role.LEADER or raft.role is Role.CANDIDATE:
                self._check_own(node_id, raft, log)
        if not disk.excused:
            self._check_births(node_id, node, disk)

    def _check_own(self, node_id: int, raft: Raft, log: ShadowLog) -> None:
        """A leader counts of its own log, and a candidate of its own vote, only what is durable."""
        where = f"node {node_id}, group {log.birth.group}, {raft.role.name.lower()} of term {raft.term}"
        if raft.tracker.votes.get(raft.id) or raft.role is Role.LEADER:
            term, vote, _ = log.hard_state
            if (term, vote) != (raft.term, raft.id):
                raise self.violation(f"{where}: durable are term {term} and a vote for {vote}")
        own = raft.tracker.progress.get(raft.id)
        if raft.role is Role.LEADER and own is not None:
            known = raft.log.term_or_zero(own.match)
            if own.match > log.last or (known and not log.holds(own.match, known)):
                raise self.violation(f"{where}: it counts its entry {own.match}, durable is {log.last}")

    def _check_births(self, node_id: int, node: Node, disk: Disk) -> None:
        """The directory's state is flushed only behind the births that it ordered.

        A flush is looked at in the turn that froze it, while the machine is as it was frozen.
        """
        flushing = node.state.flushing
        if flushing is None or flushing is self._flushes.get(node_id):
            return
        system = node.replicas.running.get(SYSTEM_GROUP)
        if system is None:
            return
        self._flushes[node_id] = flushing
        machine = system.machine
        if SYSTEM_GROUP not in flushing.groups or not isinstance(machine, DirectoryMachine):
            return
        missing = [
            birth.group
            for birth in machine.births_here()
            if birth.group not in disk.logs and birth.replica_id > disk.tombstones.get(birth.group, 0)
        ]
        if missing:
            raise self.violation(
                f"node {node_id}: the directory is flushed, and the births of {missing} are not durable"
            )

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        log, last = self._disks.log(node_id, replica.group), replica.applied
        if log is None or not log.holds(last.index, last.term):
            raise self.violation(
                f"node {node_id}, group {replica.group}: index {last.index} of term {last.term} is applied, "
                f"and not durable in the local log"
            )

"""The directory (`design.md` §9): what is covered stays so until it is deleted, nothing overlaps, all agree.

A model applies what the system group has chosen, so that every node's directory can be compared at its own
version. A range that the directory ordered is born on every node that it names, in the end, and nothing is
born that it did not order; ids are never used twice.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Sequence
from itertools import pairwise

from multiraft.engine.errors import InvalidArgument
from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.engine.node import Node
from multiraft.engine.replica import SYSTEM_GROUP, Replica
from multiraft.engine.statemachine.commands import open_envelope
from multiraft.raft.entry import Entry
from multiraft.shards.descriptor import RangeDescriptor
from multiraft.shards.directory import Directory as RealDirectory
from multiraft.shards.directory_commands import Create, Delete, Register, decode
from multiraft.shards.directory_machine import DirectoryMachine

from .base import Checker, Cluster, Kind, Operation, Outcome
from .chosen import FIRST, Chosen
from .disk import Disks
from .models import is_command

FIRST_GROUP = 2
EPOCH = 1


class DirectoryModel:
    """The directory at the end of what was chosen: simply a sorted list, and when each range was added."""

    def __init__(self) -> None:
        self.version = 0
        """Commands applied, refused ones included."""
        self.next_group = FIRST_GROUP
        self.cluster_uuid: bytes | None = None
        self.members: set[int] = set()
        """The nodes that founded the cluster."""
        self.stores: dict[int, bytes] = {}
        """The store uuid of each node that registered."""
        self.ranges: list[RangeDescriptor] = []
        """In the order of their groups, which is that of their creation."""
        self.by_group: dict[int, RangeDescriptor] = {}
        """Those that were deleted, too."""
        self.deleted_at: dict[int, int] = {}
        """By group the version at which its range was deleted."""
        self.counts = [0]
        """How many ranges there are at each version."""
        self.applied_at = [FIRST - 1]
        """The index of the command that made each version."""
        self._starts: list[tuple[bytes, int]] = []
        """Start and group, ascending."""

    def apply(self, entry: Entry) -> list[RangeDescriptor]:
        """Take the next chosen entry. Returns the ranges that it creates."""
        if not is_command(entry):
            return []
        self.version += 1
        created: list[RangeDescriptor] = []
        try:
            envelope = open_envelope(entry.data)
            if envelope.epoch == 0:
                created = self._execute(decode(envelope.body))
        except InvalidArgument:
            created = []
        self.ranges += created
        self.by_group |= {one.group: one for one in created}
        self.counts.append(len(self.ranges) - len(self.deleted_at))
        self.applied_at.append(entry.index)
        return created

    def alive_at(self, version: int) -> list[RangeDescriptor]:
        """The ranges of a version, by group."""
        deleted = self.deleted_at
        return [
            one
            for one in self.ranges
            if one.created <= version and (one.group not in deleted or deleted[one.group] > version)
        ]

    def _delete(self, command: Delete) -> None:
        known = [self.by_group[group] for group, _ in command.ranges if group in self.by_group]
        alive = {one.group: one for one in known if one.group not in self.deleted_at}
        if all(alive[group].epoch == epoch for group, epoch in command.ranges if group in alive):
            for group, one in alive.items():
                self.deleted_at[group] = self.version
                self._starts.remove((one.start, group))

    def _execute(self, command: Register | Create | Delete) -> list[RangeDescriptor]:
        if isinstance(command, Delete):
            self._delete(command)
            return []
        if isinstance(command, Register):
            if self.stores.setdefault(command.node, command.store_uuid) == command.store_uuid:
                self.cluster_uuid = self.cluster_uuid or command.cluster_uuid
            return []
        known = self.members | set(self.stores)
        if not known.issuperset(command.nodes) or command.replicas > len(command.nodes):
            return []
        missing = []
        for start, end in command.ranges:
            met = self.overlapping(start, end)
            if not met:
                missing.append((start, end))
            elif (met[0].start, met[0].end) != (start, end):
                return []
        return [self._create(start, end, command) for start, end in missing]

    def _create(self, start: bytes, end: bytes | None, command: Create) -> RangeDescriptor:
        """Placed round robin by the group's id, so that the first replicas spread over the nodes."""
        group, nodes = self.next_group, command.nodes
        self.next_group += 1
        homes = [nodes[(group + at) % len(nodes)] for at in range(command.replicas)]
        insort(self._starts, (start, group))
        return RangeDescriptor(group, start, end, EPOCH, tuple(enumerate(homes, 1)), self.version)

    def overlapping(self, start: bytes, end: bytes | None) -> list[RangeDescriptor]:
        """The ranges with a key in ``[start, end)``, in order."""
        first = max(bisect_left(self._starts, (start, 0)) - 1, 0)
        last = len(self._starts) if end is None else bisect_left(self._starts, (end, 0))
        near = [self.by_group[group] for _, group in self._starts[first:last]]
        return [one for one in near if one.end is None or one.end > start]


class Directory(Checker):
    """See the module."""

    def __init__(self, disks: Disks, chosen: Chosen, model: DirectoryModel | None = None) -> None:
        self.model = model or DirectoryModel()
        self._disks = disks
        self._chosen = chosen
        self._last = FIRST - 1
        """The index that the model stands at."""
        self._homes: dict[tuple[int, int], int] = {}
        """Where each replica was born, by group and replica id."""

    # -- the directory of each node --------------------------------------------------------------

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        machine = replica.machine
        if replica.group != SYSTEM_GROUP or not isinstance(machine, DirectoryMachine):
            return
        if entries[-1].index > self._last:
            self.model.members |= {node for _, node in replica.birth.peers}
            for entry in self._chosen[SYSTEM_GROUP].slice(self._last + 1, entries[-1].index + 1):
                self.model.apply(entry)
                self._last = entry.index
        self._check_index(node_id, replica, machine.directory)
        created = [one for one in reversed(self.model.ranges) if one.created > machine.version - len(entries)]
        for one in created:
            if self.model.deleted_at.get(one.group, machine.version + 1) <= machine.version:
                continue
            if one.created <= machine.version and machine.directory.by_group(one.group) != one:
                raise self.violation(
                    f"node {node_id}, version {machine.version}: {machine.directory.by_group(one.group)} "
                    f"where the model has {one}"
                )

    def started(self, node_id: int, node: Node) -> None:
        self._check_all(node_id, node)

    def installed(self, node_id: int, replica: Replica) -> None:
        if replica.group == SYSTEM_GROUP:
            self._check_whole(node_id, replica)

    def _check_all(self, node_id: int, node: Node) -> None:
        system = node.replicas.running.get(SYSTEM_GROUP)
        if system is not None:
            self._check_whole(node_id, system)

    def _check_whole(self, node_id: int, replica: Replica) -> None:
        machine = replica.machine
        if not isinstance(machine, DirectoryMachine) or replica.rebuilding is not None:
            return
        if replica.silence is not None:
            return  # it stands for a replica that knows nothing, at index 0
        directory = machine.directory
        self._check_index(node_id, replica, directory)
        found = directory.overlapping(b"", None)
        for before, one in pairwise(found):
            if before.end is None or before.end > one.start:
                raise self.violation(f"node {node_id}: {before} and {one} overlap")
        expected = self.model.alive_at(directory.version)
        if sorted(found) != expected:
            differing = sorted(set(found) ^ set(expected))
            raise self.violation(
                f"node {node_id}, version {directory.version}: it differs in {differing[:6]}"
            )

    def _check_index(self, node_id: int, replica: Replica, directory: RealDirectory) -> None:
        """The version belongs to the applied index, and the number of ranges to the version."""
        model, version, index = self.model, directory.version, replica.applied.index
        where = f"node {node_id}, version {version}, index {index}"
        if version > model.version or model.applied_at[version] > index:
            raise self.violation(f"{where}: the version is ahead of what is applied")
        if version < model.version and model.applied_at[version + 1] <= index:
            raise self.violation(f"{where}: the version is behind what is applied")
        if directory.ranges != model.counts[version]:
            raise self.violation(f"{where}: {directory.ranges} ranges, there are {model.counts[version]}")
        found = (directory.next_group, directory.cluster_uuid)
        expected = (model.next_group, model.cluster_uuid)
        if version == model.version and found != expected:
            raise self.violation(f"{where}: next group and cluster are {found}, the model has {expected}")

    # -- what is born ----------------------------------------------------------------------------

    def staged(self, node_id: int, seq: int, writes: Sequence[GroupWrite]) -> None:
        for write in writes:
            if write.birth is not None:
                self._check_birth(node_id, write.birth)

    def _check_birth(self, node_id: int, birth: Birth) -> None:
        known = self._disks.log(node_id, birth.group)
        if known is not None:
            raise self.violation(f"node {node_id}: {birth} is born where {known.birth} is")
        home = self._homes.setdefault((birth.group, birth.replica_id), node_id)
        if home != node_id:
            raise self.violation(
                f"replica {birth.replica_id} of group {birth.group}: nodes {home}, {node_id}"
            )
        if birth.group == SYSTEM_GROUP:
            return
        one = self.model.by_group.get(birth.group)
        if one is None:
            raise self.violation(f"node {node_id}: {birth} is born, and no directory ordered it")
        ordered = (one.replica_on(node_id), one.replicas, one.start, one.end, one.epoch, one.created)
        born = (birth.replica_id, birth.peers, birth.start, birth.end, birth.epoch, birth.directory_index)
        if born != ordered:
            raise self.violation(f"node {node_id}: {birth} is born, ordered was {one}")

    # -- clients, and the end --------------------------------------------------------------------

    def completed(self, op: Operation) -> None:
        """Who is told that ranges were created finds them in the directory."""
        if op.kind is Kind.CREATE_RANGES and op.outcome is Outcome.OK:
            bounds = {(one.start, one.end) for one in self.model.ranges}
            missing = [one for one in op.arguments if one not in bounds]
            if missing:
                raise self.violation(f"{op}: there is no {missing}")

    def finished(self, cluster: Cluster) -> None:
        nodes = [(node_id, node) for node_id, node in cluster.nodes.items() if node_id not in cluster.excused]
        for node_id, node in nodes:
            self._check_all(node_id, node)
        for node_id, node in nodes:
            self._check_present(node_id, node.replicas.running)

    def _check_present(self, node_id: int, running: Collection[int]) -> None:
        alive = self.model.alive_at(self.model.version)
        groups = {SYSTEM_GROUP, *(one.group for one in alive)}
        missing = [
            one.group for one in alive if one.replica_on(node_id) is not None and one.group not in running
        ]
        strange = [group for group in running if group not in groups]
        if missing or strange:
            raise self.violation(f"node {node_id}: {missing} are not there, {strange} are and should not be")

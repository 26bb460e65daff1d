"""The directory's state machine: what the system group replicates."""

from collections.abc import Callable, Iterable, Sequence
from itertools import starmap
from typing import Final

from ..engine.errors import ClusterMismatch, Corruption, InvalidArgument, InvalidRanges
from ..engine.logstore.port import Birth
from ..engine.removals import Removal
from ..engine.statemachine.commands import open_envelope
from ..engine.statemachine.store import OrderedStore
from .descriptor import RangeDescriptor, Replicas
from .directory import Directory, NodeRecord
from .directory_commands import Command, Create, Delete, Doomed, Register, decode
from .directory_store import (
    digest,
    meta_pair,
    node_pair,
    range_key,
    range_pair,
    read_directory,
)
from .keyrange import KeyRange

FIRST_EPOCH: Final = 1


class DirectoryMachine:
    """One replica of the directory. Commands: see ``directory_commands``, in the envelope of all commands.

    Results: the cluster uuid (bytes) for a registration, (created, existing) for a creation, (deleted,
    missing) for a deletion, and for every refusal an error that is *returned*: ClusterMismatch,
    InvalidRanges, KeyTooLarge, CommandTooLarge, InvalidArgument. A refused command changes nothing but the
    version.

    The **version** counts the commands ever applied, refused ones included, and is part of the state. A
    machine does not know log indexes, so this is what *directory index* means in births and frames: a range
    created at version v is known to every directory of version v or later.

    Args:
        store: the system group's key space; what it holds already is taken over. Raises Corruption.
        node_id: this node, to know its births by. The replicated state does not depend on it.
        members: the nodes of the bootstrap set, the same on every node.
        on_births: called with the births that a batch of commands or a snapshot causes on this node, before
            `on_change`. A replayed log repeats its births: who has the replica already ignores them.
        on_removals: called likewise, after `on_births`, with the replicas here whose ranges were deleted.
        on_reload: called after both when a snapshot has taken the directory's place: what was born for a
            later directory than the one before, and deleted before this one, only the log store can tell.
        on_change: called once after each batch and snapshot, with everything in place.
    """

    def __init__(
        self,
        store: OrderedStore,
        node_id: int,
        members: Sequence[int],
        *,
        on_births: Callable[[list[Birth]], None],
        on_removals: Callable[[list[Removal]], None],
        on_reload: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        self.directory = read_directory(store.scan(b"", None))
        """Always the same object: it may be held, and shows every change at once."""
        self._store = store
        self._node_id = node_id
        self._members = frozenset(members)
        self._on_births = on_births
        self._on_removals = on_removals
        self._on_reload = on_reload
        self._on_change = on_change

    @property
    def durable(self) -> bool:
        """Whether the store's flushes keep the state."""
        return self._store.durable

    @property
    def version(self) -> int:
        """How many commands were ever applied."""
        return self.directory.version

    def apply(self, commands: Sequence[bytes]) -> list[object]:
        """Apply commands (envelope and body) in order; one result for each."""
        births: list[Birth] = []
        removals: list[Removal] = []
        results = [self._apply_one(command, births, removals) for command in commands]
        self._store.put(*meta_pair(self.directory))
        self._tell(births, removals, lambda: None)
        return results

    def reload(self, metadata: bytes) -> None:
        """Go on from what is in the store now, and report the births and removals here that it brings.

        Raises Corruption, and leaves the directory as it was.
        """
        if metadata:
            raise Corruption("a directory with metadata")
        restored = read_directory(self._store.scan(b"", None))
        before = {birth.group: birth.replica_id for birth in self.births_here()}
        self.directory.become(restored)
        here = self.births_here()
        births = [birth for birth in here if birth.group not in before]
        for birth in here:
            before.pop(birth.group, None)
        self._tell(births, list(starmap(Removal, before.items())), self._on_reload)

    def metadata(self) -> bytes:
        """Nothing: all of it is in the store."""
        return b""

    def digest(self) -> int:
        """A 64-bit sum of the state: equal on replicas that have applied the same commands."""
        return digest(self._store.scan(b"", None))

    def births_here(self) -> list[Birth]:
        """The birth of every replica that belongs on this node, by group.

        For the check at start: where the log store knows neither the birth nor a tombstone, the replica was
        lost. That is damage, not a reason to create it anew.
        """
        return self._births(self.directory.on_node(self._node_id))

    def _births(self, descriptors: Iterable[RangeDescriptor]) -> list[Birth]:
        births = (one.birth_on(self._node_id) for one in descriptors)
        return [birth for birth in births if birth is not None]

    def _tell(self, births: list[Birth], removals: list[Removal], before_change: Callable[[], None]) -> None:
        if births:
            self._on_births(births)
        if removals:
            self._on_removals(removals)
        before_change()
        self._on_change()

    def _apply_one(self, data: bytes, births: list[Birth], removals: list[Removal]) -> object:
        self.directory.version += 1
        try:
            _, _, epoch, body = open_envelope(data)
            check_epoch(epoch)
            return self._execute(decode(body), births, removals)
        except (InvalidArgument, ClusterMismatch) as refusal:
            return refusal.with_traceback(None)

    def _execute(self, command: Command, births: list[Birth], removals: list[Removal]) -> object:
        match command:
            case Register():
                return self._register(command)
            case Create():
                return self._create(command, births)
            case Delete():
                return self._delete(command, removals)

    def _register(self, command: Register) -> bytes:
        check_store(self.directory, command)
        directory = self.directory
        record = NodeRecord(command.store_uuid, command.address)
        directory.nodes[command.node] = record
        self._store.put(*node_pair(command.node, record))
        if directory.cluster_uuid is None:
            directory.cluster_uuid = command.cluster_uuid
        return directory.cluster_uuid

    def _create(self, command: Create, births: list[Birth]) -> tuple[int, int]:
        directory = self.directory
        check_nodes(command, self._members.union(directory.nodes))
        missing = missing_ranges(directory, command.ranges)
        placements = rotations(command.nodes, command.replicas)
        created = [
            RangeDescriptor(
                group, one.start, one.end, FIRST_EPOCH, placements[group % len(placements)], directory.version
            )
            for group, one in enumerate(missing, directory.next_group)
        ]
        directory.add(created)
        directory.next_group += len(created)
        for descriptor in created:
            self._store.put(*range_pair(descriptor))
        births += self._births(created)
        return len(created), len(command.ranges) - len(created)

    def _delete(self, command: Delete, removals: list[Removal]) -> tuple[int, int]:
        directory = self.directory
        found = doomed_ranges(directory, command.ranges)
        directory.remove(one.group for one in found)
        for one in found:
            self._store.delete(range_key(one.start))
            replica = one.replica_on(self._node_id)
            if replica is not None:
                removals.append(Removal(one.group, replica))
        return len(found), len(command.ranges) - len(found)


def check_epoch(epoch: int) -> None:
    """Raises InvalidArgument: a command of a range ended up here."""
    if epoch != 0:
        raise InvalidArgument(f"the directory's commands have epoch 0, not {epoch}")


def check_store(directory: Directory, command: Register) -> None:
    """Whether a node is who it was before.

    Raises:
        ClusterMismatch: the node id belongs to another store; a wiped or copied node does not come back.
    """
    known = directory.nodes.get(command.node)
    if known is not None and known.store_uuid != command.store_uuid:
        raise ClusterMismatch(
            f"node {command.node} is registered with store {known.store_uuid.hex()}, not "
            f"{command.store_uuid.hex()}: its data was wiped, or another node has its id"
        )


def check_nodes(command: Create, known: frozenset[int]) -> None:
    """Whether the replicas can be placed.

    Raises:
        InvalidArgument: a node is not known, or there are fewer nodes than replicas.
    """
    strangers = [node for node in command.nodes if node not in known]
    if strangers:
        raise InvalidArgument(f"the cluster has no node {strangers[0]}")
    if command.replicas > len(command.nodes):
        raise InvalidArgument(f"{command.replicas} replicas need as many nodes, not {len(command.nodes)}")


def missing_ranges(directory: Directory, wanted: Sequence[KeyRange]) -> list[KeyRange]:
    """Those that do not exist yet; exactly the same bounds count as existing. ``wanted`` ascend.

    Raises:
        InvalidRanges: one overlaps an existing range of other bounds.
    """
    if wanted and not directory.overlapping(wanted[0].start, wanted[-1].end, limit=1):
        return list(wanted)
    missing: list[KeyRange] = []
    for one in wanted:
        found = directory.overlapping(one.start, one.end, limit=1)
        if not found:
            missing.append(one)
        elif found[0].bounds != one:
            raise InvalidRanges(f"the range {one} overlaps the existing range {found[0].bounds}")
    return missing


def doomed_ranges(directory: Directory, doomed: Sequence[Doomed]) -> list[RangeDescriptor]:
    """Those that are still there. Groups are never used again, so one that is gone was deleted before.

    Raises:
        InvalidRanges: a group has another epoch than the one at which it was retired.
    """
    found = {one.group: directory.by_group(one.group) for one in doomed}
    for group, epoch in doomed:
        known = found[group]
        if known is not None and known.epoch != epoch:
            raise InvalidRanges(f"group {group} has epoch {known.epoch}, not {epoch}")
    return [one for one in found.values() if one is not None]


def rotations(nodes: Sequence[int], replicas: int) -> list[Replicas]:
    """The placements that successive groups take in turn: each begins at the next node.

    So replicas, and the designated first ones, spread evenly over the nodes.
    """
    around = [*nodes, *nodes]
    return [tuple(enumerate(around[first : first + replicas], 1)) for first in range(len(nodes))]

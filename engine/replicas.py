"""The replicas of a node: how they come to life, how they come back, and which ones cannot run."""

import logging
import random
from collections.abc import Collection, Iterable
from itertools import count
from typing import Any

from ..native.grouptable import DormantRow, GroupTable
from ..native.restdigest import RestPoint
from ..raft.dormancy import state_of
from ..raft.entry import EntryId
from ..raft.errors import RaftError
from ..raft.rest import wake
from .births import Births
from .config import EngineConfig
from .errors import Corruption, Error, NotLeader, RangeDeleted
from .liveness import Liveness
from .logstore.port import Birth, GroupLog, LogStore
from .lostlogs import NOBODY, UNKNOWN, Silence, SupersededLog, check_log_holds, no_way_back
from .newborns import Newborns
from .pending import Answer
from .remains import Remains, bring_up, is_alone, stopped_by
from .removals import Removals
from .replica import Replica
from .resting import Resting, full_rest
from .roster import Roster, numbers_of
from .shared import Shared
from .statemachine.protocol import StateMachine
from .statemachine.store import Applied, StateStore
from .stores import BIRTH_POINT, MachineFactory, Stores
from .timers import Timers
from .waiting import Waiting

logger = logging.getLogger("multiraft.node")


class Replicas:
    """Running replicas by group, the births on their way, and the groups that are lost here."""

    def __init__(
        self,
        node_id: int,
        config: EngineConfig,
        log: LogStore[Any],
        state: StateStore,
        machines: MachineFactory,
        seed: random.Random,
    ) -> None:
        table = GroupTable()
        self.running = Roster(table, self._take_up, Waiting(config.election_ticks), self._start_waiting)
        self.lost: dict[int, Error] = {}
        """Groups whose replica here cannot run, and why."""
        self.remains: dict[int, Remains] = {}
        """What can still be read of those among them that are their groups' only ones."""
        self.silent: dict[int, Silence] = {}
        """Those among the running ones whose log has lost something: they take no part."""
        self.trouble: Error | None = None
        """Why the disk takes no writes of callers at present."""
        self._with_peers: set[int] = set()
        """Those among them that others hold as well."""
        self.rebuilding: dict[int, Replica] = {}
        """Those among the running ones whose state is lost."""
        self.births = Births()
        self.removals = Removals()
        self.timers = Timers(table)
        self.resting = Resting(self.timers)
        self.neighbours: set[int] = set()
        """The nodes that hold replicas of the same groups."""
        self.newborns = Newborns(table, node_id, config, self.resting, self.neighbours, seed)
        """Groups in their first election: they have a birth that is durable, and no replica yet."""
        self.liveness = Liveness(config.election_ticks, config.beat_ticks)
        self.node_id = node_id
        self._log = log
        self._state = state
        self.stores = Stores(log, state, machines)
        self._shared = Shared(state, config, seed, self.rebuilding, count(1))

    def start_all(self) -> None:
        """Bring back the replicas that the log store knows; one that is damaged is declared lost.

        The others wait on the disk (:mod:`.waiting`). Raises as `Stores.note_doubts` and `open_state`.
        """
        self.stores.note_doubts()
        births = self._log.births()
        urgent = self.stores.urgent(births.values())
        for birth in births.values():
            if birth.group in urgent:
                self._start_or_lose(birth)
            else:
                self.running.waiting.add(birth.group)
                self._note_neighbours(birth)

    def _start_waiting(self, group: int) -> Replica | None:
        return self._start_or_lose(self.birth(group))

    def _start_or_lose(self, birth: Birth) -> Replica | None:
        try:
            return self.start(birth)
        except Corruption as error:
            self.declare_lost(birth, error)
        except RaftError as error:
            last = self._log.group(birth.group).last_index()
            self.declare_lost(birth, stopped_by(error, birth, last))
        return None

    def start(self, birth: Birth) -> Replica:
        """Start one replica from what is durable.

        A state that is gone, damaged, or older than the log is made anew from a log that reaches back to the
        birth; else the replica starts without, and asks its peers for it.

        Raises:
            Corruption: the log has lost what was applied, or the state is lost and there is no peer.
            InvalidArgument: the machine keeps its state in another way than the one that wrote it.
        """
        log = self._log.group(birth.group)
        reaches_back = log.first_index() - 1 <= BIRTH_POINT[0]
        lost: Corruption | None = None
        try:
            machine, applied = self.stores.open_state(birth)
        except Corruption as error:
            if is_alone(birth) and not reaches_back:
                raise  # and what is left of it stays on the disk
            machine, applied = self.stores.start_afresh(birth)
            if not reaches_back:
                lost = error
            else:
                logger.warning("group %d: its state is made anew from the log: %s", birth.group, error)
        self.stores.finish_install(birth, applied)
        promised = self._state.promised(birth.group)
        if promised is not None:
            superseded = SupersededLog(log, promised)
            if not superseded.whole and not self.stores.cut_behind_state(birth, log, applied, promised):
                if promised == UNKNOWN or is_alone(birth):
                    raise Corruption(no_way_back(promised), birth.group)
                return self._start_silent(birth, superseded, machine)
            self._state.set_promised(birth.group, None)
        start = log.first_index() - 1
        if applied.index < start:
            lost = lost or Corruption(
                f"its state is at index {applied.index}, the log begins at {start + 1}",
                birth.group,
                applied.index,
            )
            if is_alone(birth):
                raise lost
            applied = Applied(start, log.term(start), log.initial_state()[1], machine.metadata())
        check_log_holds(birth.group, log, applied)
        replica = Replica(birth, log, machine, applied, self._shared)
        if lost is not None:
            replica.lose_state(lost)
        return self._run(replica)

    def _start_silent(self, birth: Birth, log: SupersededLog, machine: StateMachine) -> Replica:
        """A replica that takes no part: it counts as one that knows nothing, and keeps its term and vote."""
        nothing = Applied(0, 0, NOBODY, machine.metadata())
        replica = Replica(birth, log, machine, nothing, self._shared)
        replica.silence = self.silent[birth.group] = Silence(log)
        return self._run(replica)

    def _take_up(self, group: int, row: DormantRow) -> Replica | None:
        """Make the object of a replica that was put away; it rests on.

        If the stores do not have what it left there, it starts again as after a crash, and wakes.
        """
        birth = self._log.births()[group]
        rests = full_rest(birth, RestPoint(row.term, row.index), row.lead)
        replica = self._go_on(birth, row)
        if replica is None:
            self.resting.strike(group, rests)
            self.timers.remove(group)
            return self._start_or_lose(birth)
        self.running.add(replica)
        self.timers.take_up(replica)
        self.resting.take_up(replica, rests)
        return replica

    def birth(self, group: int) -> Birth:
        """How the replica here was born, whether it runs or waits. Raises KeyError without one."""
        return self._log.births()[group]

    def lay_down(self, birth: Birth, row: DormantRow) -> None:
        """A replica that waits need not start: it rests, and never had an object."""
        self.running.lay_down(birth.group, row)
        self.resting.lay_down(birth.group, full_rest(birth, RestPoint(row.term, row.index), row.lead))
        self._note_neighbours(birth)

    def grow_up(self, group: int, leader: DormantRow | None, lagging: Collection[int]) -> Replica | None:
        """Make a whole replica of a newborn; None if it cannot run.

        A ``leader`` goes on, with members that may lack its entry; otherwise this is what a restart makes.
        """
        birth = self._log.births()[group]
        replica = None if leader is None else self._go_on(birth, leader, lagging)
        if replica is None:
            return self._start_or_lose(birth)
        wake(replica.raw.raft)
        return self._run(replica)

    def _go_on(self, birth: Birth, row: DormantRow, lagging: Collection[int] = ()) -> Replica | None:
        """A replica as its row says, if that is what the stores have."""
        try:
            machine, applied = self.stores.open_state(birth)
        except Corruption:
            return None
        log = self._log.group(birth.group)
        if log.last_index() != row.index or not row.index - 1 <= applied.index <= row.index:
            return None
        fresh = applied.index == BIRTH_POINT[0] < row.index
        if fresh:  # its first leader's entry says nothing to a machine
            applied = applied._replace(index=row.index, term=log.term(row.index))
        elif applied.index != row.index:
            return None
        core = state_of(numbers_of(row), birth.replica_id, applied.conf_state, lagging)
        replica = Replica(birth, log, machine, applied, self._shared, core)
        replica.commands_applied = row.commands
        if fresh:
            replica.set_applied(*applied[:3])
        return replica

    def _run(self, replica: Replica) -> Replica:
        self.running.add(replica)
        self.timers.add(replica)
        self._note_neighbours(replica.birth)
        return replica

    def _note_neighbours(self, birth: Birth) -> None:
        self.neighbours.update([node for _, node in birth.peers if node != self.node_id])

    def silence(self, replica: Replica, error: Corruption) -> list[Answer]:
        """A replica has lost what its log had promised to hold: it waits for a snapshot from now on.

        Returns the answers to those who wait for it.
        """
        logger.error("group %d: its log is damaged, a snapshot is asked of a peer: %s", replica.group, error)
        answers = self.stop(replica, NotLeader(replica.group, replica.leader_node))
        log = self._log.group(replica.group)
        last = log.last_index()
        promised = EntryId(log.term(last), last)
        self._state.set_promised(replica.group, promised)
        self._start_silent(replica.birth, SupersededLog(log, promised), replica.machine)
        return answers

    def end_silence(self, replica: Replica) -> None:
        """If a snapshot has taken the place of the damaged log, durably, the replica takes part again."""
        silence = replica.silence
        if silence is not None and silence.log.whole and replica.raw.raft.log.unstable.snapshot is None:
            logger.warning("group %d: its log is whole again, by a snapshot", replica.group)
            replica.silence = None
            del self.silent[replica.group]
            self._state.set_promised(replica.group, None)

    def stop(self, replica: Replica, reason: Error) -> list[Answer]:
        """A replica runs no more; returns the answers to those who wait for it."""
        self.running.remove(replica)
        replica.stopped = True
        replica.drop_arrived()
        self.resting.end(replica)
        self.timers.remove(replica.group)
        self.rebuilding.pop(replica.group, None)
        self.silent.pop(replica.group, None)
        return replica.proposals.fail_all(reason) + replica.reads.fail_all(reason)

    def create(self, births: Iterable[Birth]) -> None:
        """Order replicas: the directory's machine calls this as it applies a creation.

        Repeating an order is harmless: a replica that runs, is on its way or was removed stays so.
        """
        removed, here = self._log.tombstones(), self._log.births()
        self.births.order(
            birth
            for birth in births
            if birth.group not in self.running
            and birth.group not in here  # at a start not all of them run yet
            and not self.expects(birth.group)
            and birth.group not in self.lost
            and removed.get(birth.group, 0) < birth.replica_id
            and self._may_be_born(birth)
        )

    def forget_loss(self, group: int) -> None:
        """The group is gone, and what was lost of it here with it."""
        self.lost.pop(group, None)
        self.remains.pop(group, None)
        self._with_peers.discard(group)

    def _may_be_born(self, birth: Birth) -> bool:
        """Whether nothing says that the replica was here before, and that its log has lost it."""
        if self._state.promised(birth.group) is None:
            return True
        self.declare_lost(birth, Corruption(no_way_back(UNKNOWN), birth.group))
        return False

    def expects(self, group: int) -> bool:
        """Whether a replica of this group is on its way."""
        return group in self.births or group in self.newborns

    def declare_lost(self, birth: Birth, error: Error, running: Replica | None = None) -> None:
        """A replica that should be here is not, or not any more: what is asked of it gets ``error``."""
        if not is_alone(birth):
            self._with_peers.add(birth.group)
        elif isinstance(error, Corruption):
            error = self._keep_readable(birth, error, running)
        logger.error("group %d: %s", birth.group, error)
        self.lost[birth.group] = error

    def _keep_readable(self, birth: Birth, error: Corruption, running: Replica | None) -> Corruption:
        """Have stale reads of a group's only replica answered, up to the damage; what to tell all others."""
        group = birth.group
        log = self._log.group(group) if group in self._log.births() else None
        try:
            if running is not None and not running.taken_back:
                found = Remains(running.machine, running.applied)
            else:
                found = self._reopen(birth, log)
            if log is not None:
                last = log.last_index() if running is None else running.raw.raft.log.committed
                found = bring_up(group, found, log, last, self._state, lambda: self._reopen(birth, log))
        except Error as failure:
            return Corruption(f"{error}; nothing of it can be read: {failure}", group, error.index)
        self.remains[group] = found
        return found.reason(error, group)

    def _reopen(self, birth: Birth, log: GroupLog | None) -> Remains:
        """What the state store has of a replica that does not run. Raises Corruption."""
        machine, applied = self.stores.open_state(birth)
        reaches_back = log is not None and log.first_index() - 1 <= applied.index
        recorded = self._state.applied(birth.group) or self._state.checkpoint(birth.group)
        if recorded is None and not reaches_back:
            raise Corruption("its state is gone", birth.group)
        return Remains(machine, applied)

    def fence(self, replica: Replica, error: Exception) -> list[Answer]:
        """Stop one replica for good; returns the answers to those who wait for it."""
        last = replica.raw.raft.log.last_index()
        self.declare_lost(replica.birth, stopped_by(error, replica.birth, last), replica)
        return self.stop(replica, self.lost[replica.group])

    def fail_all(self, error: Error) -> list[Answer]:
        """The node stops: the answers to everybody who waits."""
        answers: list[Answer] = []
        for replica in self.running.loaded.values():
            answers += replica.proposals.fail_all(error)
            answers += replica.reads.fail_all(error)
        return answers

    def backlog(self) -> dict[str, int]:
        """What all running replicas together keep for work under way, by what it is; who rests has none."""
        replicas = self.running.loaded.values()
        return {
            "reads": sum(len(one.reads) + len(one.raw.raft.reads) for one in replicas),
            "proposals": sum(len(one.proposals) for one in replicas),
            "uncommitted bytes": sum(one.raw.raft.uncommitted_size for one in replicas),
            "newborns": len(self.newborns),
            "removals": len(self.removals),
            "unstable entries": sum(len(one.raw.raft.log.unstable.entries) for one in replicas),
        }

    def state_here(self, group: int) -> StateMachine:
        """The machine that has a state of the group here, of whatever index.

        Raises:
            Error: there is none; NotLeader: others hold the group.
        """
        replica, remains = self.running.get(group), self.remains.get(group)
        if replica is not None and replica.rebuilding is None and replica.quarantine is None:
            return replica.machine
        if remains is not None:
            return remains.machine
        raise self.not_leading(group)

    def leader_node(self, group: int) -> int | None:
        """The node that leads the group, or will, as far as this one knows; None without one."""
        replica = self.running.loaded.get(group)
        if replica is not None:
            return replica.leader_node
        designated, row = self.newborns.leader_node(group), self.running.look(group)
        if designated is not None:
            return designated
        return None if row is None else dict(self._log.births()[group].peers).get(row.lead)

    def refusal(self, group: int) -> Error:
        """Why this node cannot serve the group now."""
        if self.running.follows_dormant(group):
            return NotLeader(group, self.leader_node(group))
        replica = self.running.get(group)
        if replica is not None:
            return replica.not_leader()
        if group in self.removals or group in self._log.tombstones():
            return RangeDeleted(f"group {group} was deleted")
        return self.lost.get(group) or NotLeader(group, self.leader_node(group))

    def not_leading(self, group: int) -> Error:
        """Why nobody leads the group here; a replica that was set aside may have peers that lead."""
        return NotLeader(group) if group in self._with_peers else self.refusal(group)

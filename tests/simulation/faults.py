"""Carries the faults of a plan out, and undoes all of them in the end."""

from collections.abc import Callable

from multiraft.engine.errors import DiskFull, StorageFailed

from .astray import propose_astray
from .cluster import Cluster
from .disk import Contents
from .network_faults import NetworkFaults
from .plan import Fault, Plan
from .poison import poison, sicken
from .state_loss import age_state, damage_state, lose_state


class Faults(NetworkFaults):
    """The hand that breaks things. Each kind is a method ``_kind(fault)`` that says whether it did."""

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        super().__init__(cluster, plan)
        self._copies: dict[int, tuple[int, Contents]] = {}
        """By node: the start at which an old copy of its disk was taken, and the copy."""
        self._kinds: dict[str, Callable[[Fault], bool]] = {
            fault.kind: getattr(self, "_" + fault.kind.replace(" ", "_")) for fault in plan.faults
        }

    def schedule(self) -> None:
        """From now on things go wrong as planned."""
        began = self.world.now
        for fault in self.plan.faults:
            self.world.at(began + fault.at, self._make, fault)

    def heal(self) -> None:
        """No more faults, and nothing is left of those that were."""
        self.over = True
        cluster = self.cluster
        for one in self._ports:
            for other in self._ports:
                self._mend(one, other)
        self.cluster.network.reset_slow(0.3)
        for node, disk in cluster.disks.items():
            disk.works()
            disk.trap = None
            disk.commit_s, disk.stalled_until = (0.0005, 0.005), 0.0
            process = cluster.processes.get(node)
            if process is not None and process.sick:
                cluster.crash(node)
            elif process is not None:
                process.mount.tear_share = 0.0
                process.loop.resume()
                process.loop.set_rate(1.0)
                process.strays.echo = process.strays.forge = 0.0
        cluster.hot = None
        cluster.tear_share, cluster.healed = 0.0, True
        cluster.end_impostors()
        for node in cluster.expected:
            cluster.start(node)

    def _make(self, fault: Fault) -> None:
        if not self.over and self._kinds[fault.kind](fault):
            self.cluster.tally.faults += 1

    # -- nodes -----------------------------------------------------------------------------------

    def _crash(self, fault: Fault, silently: bool = False) -> bool:
        node = self._victim(fault)
        if node is None:
            return False
        self.cluster.crash(node, silently=silently)
        self.cluster.restart(node, fault.lasts)
        return True

    def _power(self, fault: Fault) -> bool:
        return self._crash(fault, silently=True)

    def _away(self, fault: Fault) -> bool:
        """Down for so long that its peers' logs are cut."""
        node = self._victim(fault)
        if node is None:
            return False
        self.cluster.crash(node)
        self.cluster.restart(node, 4 * fault.lasts + 2)
        return True

    def _blackout(self, fault: Fault) -> bool:
        for node in list(self.cluster.processes):
            self.cluster.crash(node, silently=fault.luck[0] < 0.5)
            self.cluster.restart(node, fault.lasts * self.cluster.random.uniform(0.1, 1))
        return True

    def _trap(self, fault: Fault) -> bool:
        node = self._victim(fault)
        if node is not None:
            self.cluster.disks[node].trap = 1 + int(fault.luck[2] * 8)
        return node is not None

    def _close(self, fault: Fault) -> bool:
        node = self._victim(fault)
        if node is None or not self.cluster.close(node):
            return False
        self.cluster.restart(node, fault.lasts + 1.5)
        return True

    def _pause(self, fault: Fault, longest: float = 8.0) -> bool:
        node = self._victim(fault)
        if node is None:
            return False
        seconds = min(fault.lasts * 2, longest)
        self.cluster.note(node, "pauses", f"{seconds:.3f}")
        self.cluster.processes[node].loop.pause(seconds)
        return True

    def _late(self, fault: Fault) -> bool:
        return self._pause(fault, longest=0.8)

    def _clock(self, fault: Fault) -> bool:
        node = self._victim(fault)
        if node is None:
            return False
        loop = self.cluster.processes[node].loop
        loop.set_rate(0.7 + 0.7 * fault.luck[2])
        self._later(fault, loop.set_rate, 1.0)
        return True

    def _old_map(self, fault: Fault) -> bool:
        """A node asks a range for a write by a directory that is not, or no more, the present one."""
        return propose_astray(self.cluster, fault.number, fault.luck)

    # -- disks -----------------------------------------------------------------------------------

    def _slow_disk(self, fault: Fault) -> bool:
        node = self._victim(fault)
        if node is None:
            return False
        disk = self.cluster.disks[node]
        disk.commit_s = (0.01, 0.05 + 0.4 * fault.luck[2])
        self._later(fault, setattr, disk, "commit_s", (0.0005, 0.005))
        return True

    def _stall(self, fault: Fault) -> bool:
        """The disk hangs: what is being written stays so for a while."""
        node = self._victim(fault)
        if node is not None:
            self._hang(fault, node)
        return node is not None

    def _broken_disk(self, fault: Fault) -> bool:
        """Input/output errors: some pass after one write or two, others last and stop the node."""
        node = self._victim(fault)
        if node is None:
            return False
        disk = self.cluster.disks[node]
        disk.error = StorageFailed
        disk.refusals = 1 + int(fault.luck[3] * 2) if fault.luck[2] < 0.7 else None
        self.cluster.note(node, fault.kind, f"{disk.refusals} times" if disk.refusals else "")
        self._later(fault, disk.works)
        return True

    def _full_disk(self, fault: Fault) -> bool:
        """No space for a while but what the ballast gives back, which may be nothing."""
        node = self._victim(fault)
        if node is None:
            return False
        disk = self.cluster.disks[node]
        disk.error, disk.refusals = DiskFull, None
        disk.ballast_writes = int(fault.luck[2] * 12)
        self.cluster.note(node, fault.kind, f"{disk.ballast_writes} more transactions")
        self._later(fault, disk.works)
        return True

    def _flip(self, fault: Fault) -> bool:
        """A bit turns over at rest; the node meets it at once, or when it has started again."""
        node = self._victim(fault)
        if node is None or not self.cluster.may_lose(node):
            return False
        self.cluster.excuse(node)
        where = self.cluster.disks[node].flip()
        self.cluster.note(node, "flip", str(where))
        if fault.luck[2] < 0.7:
            self.cluster.crash(node)
            self.cluster.restart(node, fault.lasts)
        return where is not None

    def _wipe(self, fault: Fault) -> bool:
        node = self._victim(fault)
        if node is None or not self.cluster.may_lose(node) or not self._is_known(node):
            return False
        self.cluster.wipe(node)
        self.cluster.restart(node, fault.lasts)
        return True

    def _is_known(self, node: int) -> bool:
        """Whether every node has the node's store on record, so that nobody can be taken in."""
        known = len(self.cluster.engines) == len(self.cluster.ids)
        return known and all(node in engine.directory.nodes for engine in self.cluster.engines.values())

    def _copy(self, fault: Fault) -> bool:
        """First a copy of a disk is put aside; once its node has started again, the copy is started too."""
        for node, (starts, contents) in self._copies.items():
            if self.cluster.starts(node) > starts and self._is_seen(node):
                del self._copies[node]
                self.cluster.impostor(node, contents)
                return True
        node = self._victim(fault)
        if node in {None, 1} or node in self._copies:
            return False
        self._copies[node] = self.cluster.starts(node), self.cluster.disks[node].contents.copy()
        self.cluster.crash(node)
        self.cluster.restart(node, 0.1)
        return True

    def _is_seen(self, node: int) -> bool:
        """Whether everybody runs and has met the present life of the node: else the copy may come first."""
        engines = self.cluster.engines
        if len(engines) < len(self.cluster.ids):
            return False
        present = engines[node].assembly.identity.incarnation
        rosters = [one.assembly.transport.admission._roster for id_, one in engines.items() if id_ != node]
        known = [roster._newest.get(node) for roster in rosters]
        return all(process is not None and process.incarnation == present for process in known)

    # -- state stores ----------------------------------------------------------------------------

    def _state_loss(self, fault: Fault, lose: Callable[[Cluster, int, Fault], None]) -> bool:
        node = self.cluster.ids[int(fault.luck[0] * len(self.cluster.ids))]
        if node not in self.cluster.processes or not self.cluster.may_lose(node):
            return False
        lose(self.cluster, node, fault)
        return True

    def _lose_state(self, fault: Fault) -> bool:
        return self._state_loss(fault, lose_state)

    def _age_state(self, fault: Fault) -> bool:
        return self._state_loss(fault, age_state)

    def _damage_state(self, fault: Fault) -> bool:
        return self._state_loss(fault, damage_state)

    # -- state machines --------------------------------------------------------------------------

    def _sicken(self, fault: Fault) -> bool:
        node = self._victim(fault)
        return node is not None and sicken(self.cluster, node, fault)

    def _poison(self, fault: Fault) -> bool:
        node = self._victim(fault)
        return node is not None and poison(self.cluster, node, fault)

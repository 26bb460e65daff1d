"""What befalls the links between machines, and what travels on them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from .astray import ranges_led
from .cluster import FIRST_PORT, Cluster
from .plan import Fault, Plan, pick
from .sockets import Link

CLIENT_PORT: Final = 9000


class NetworkFaults:
    """Each kind is a method ``_kind(fault)`` that says whether it did anything."""

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.plan = plan
        self.over = False
        self._ports = [FIRST_PORT + node for node in cluster.ids]
        self._ports += [CLIENT_PORT + client for client in range(plan.remote)]

    def _later(self, fault: Fault, undo: Callable[..., None], *arguments: object) -> None:
        """Undo it when its time is over, unless everything was undone before: what is cut then stays cut."""
        self.world.after(fault.lasts, self._undo, undo, arguments)

    def _undo(self, undo: Callable[..., None], arguments: tuple[object, ...]) -> None:
        if not self.over:
            undo(*arguments)

    # -- whom it hits ----------------------------------------------------------------------------

    def _victim(self, fault: Fault) -> int | None:
        """A live node: mostly one that leads a group, for what happens to it has the most to upset."""
        live = self.cluster.nodes
        leaders = [
            node for node, one in live.items() if any(rep.leads for rep in one.replicas.running.glances())
        ]
        choices = leaders if leaders and fault.luck[1] < 0.5 else list(live)
        return pick(choices, fault.luck[0]) if choices else None

    def _pair(self, fault: Fault) -> tuple[int, int]:
        """Two machines, clients among them."""
        one = pick(self._ports[: len(self.cluster.ids)], fault.luck[0])
        return one, pick([port for port in self._ports if port != one], fault.luck[2])

    def _rest(self, port: int) -> list[int]:
        return [other for other in self._ports if other != port]

    # -- the network -----------------------------------------------------------------------------

    def _block(self, fault: Fault, ways: Iterable[tuple[int, int]]) -> bool:
        for source, target in ways:
            self.cluster.network.block(source, target)
            self._later(fault, self.cluster.network.unblock, source, target)
        self.cluster.note(0, fault.kind)
        return True

    def _isolate(self, fault: Fault) -> bool:
        node = self._victim(fault)
        if node is None:
            return False
        port = FIRST_PORT + node
        return self._block(
            fault, [way for other in self._rest(port) for way in ((port, other), (other, port))]
        )

    def _strand(self, fault: Fault) -> bool:
        """A leader is cut off from its peers for longer than they wait, and its clients do not notice.

        Meanwhile the others change their leader again. Its disk may hang, or it comes back over bad links.
        """
        node = self._victim(fault)
        if node is None:
            return False
        seconds = fault.lasts + 3 * self.plan.config.election_timeout_ms / 1000
        longer = replace(fault, lasts=seconds + 1.0)
        led = ranges_led(self.cluster, node)
        if led:
            wanted = pick(led, fault.luck[2])
            self.cluster.heat(node, int(wanted.start or b"0"), longer.lasts)  # ranges begin at their number
            self.world.after((0.5 + 0.4 * fault.luck[2]) * seconds, self._upset, wanted.group, node)
        here, others = FIRST_PORT + node, [FIRST_PORT + one for one in self.cluster.ids if one != node]
        ways = [way for other in others for way in ((here, other), (other, here))]
        match int(fault.luck[3] * 3):
            case 0:
                self._hang(longer, node)
            case 1:
                slower = replace(longer, lasts=seconds + 3.0)
                self._degrade(slower, ways, delay=(0.005, 0.1), lose=0.3, reorder=0.2)
        return self._block(replace(fault, lasts=seconds), ways)

    def _hang(self, fault: Fault, node: int) -> None:
        self.cluster.note(node, "disk hangs", f"{fault.lasts:.3f}")
        self.cluster.disks[node].stalled_until = self.world.now + fault.lasts

    def _upset(self, group: int, stranded: int) -> None:
        """The leader that has taken over is gone, and soon there is another term."""
        for node, one in self.cluster.nodes.items():
            if node != stranded and one.replicas.running.leads(group) and not self.over:
                self.cluster.crash(node)
                self.cluster.restart(node, 0.1)
                return

    def _one_way(self, fault: Fault) -> bool:
        node = self._victim(fault)
        if node is None:
            return False
        port = FIRST_PORT + node
        others = self._rest(port) if fault.luck[2] < 0.6 else [pick(self._rest(port), fault.luck[3])]
        outward = fault.luck[1] < 0.5
        return self._block(fault, [(port, other) if outward else (other, port) for other in others])

    def _cut(self, fault: Fault) -> bool:
        one, other = self._pair(fault)
        return self._block(fault, [(one, other), (other, one)])

    def _split(self, fault: Fault) -> bool:
        at = 1 + int(fault.luck[0] * (len(self._ports) - 1))
        ordered = sorted(self._ports, key=lambda port: (port * 7919 + int(fault.luck[1] * 1e6)) % 1009)
        left, right = ordered[:at], ordered[at:]
        return self._block(fault, [way for one in left for two in right for way in ((one, two), (two, one))])

    def _reset(self, fault: Fault) -> bool:
        one, other = self._pair(fault)
        broken = self.cluster.network.reset(one, other)
        self.cluster.note(0, "reset", f"{one} {other} {broken}")
        return broken > 0

    def _worsen(self, fault: Fault, **changes: object) -> bool:
        """Some links, or all of them, get worse for a while."""
        port = pick(self._ports, fault.luck[0])
        ends = self._ports if fault.luck[1] < 0.3 else [port]
        pairs = [(one, other) for one in ends for other in self._rest(one)]
        self._degrade(fault, [way for one, two in pairs for way in ((one, two), (two, one))], **changes)
        self.cluster.note(0, fault.kind, str(port))
        return True

    def _degrade(self, fault: Fault, ways: Iterable[tuple[int, int]], **changes: object) -> None:
        for source, target in ways:
            link = self.cluster.network.link(source, target)
            for name, value in changes.items():
                setattr(link, name, value)
            self._later(fault, self._mend_quality, source, target)

    def _slow_link(self, fault: Fault) -> bool:
        return self._worsen(fault, bytes_per_second=2e3 + 5e4 * fault.luck[2], window=2048)

    def _delay(self, fault: Fault) -> bool:
        longest = 0.01 + 0.4 * fault.luck[2] ** 2
        return self._worsen(fault, delay=(0.0002, longest), spike=0.05 * fault.luck[3])

    def _lossy(self, fault: Fault) -> bool:
        lose, double, reorder = (0.2 * fault.luck[2], 0.1 * fault.luck[3], 0.2 * fault.luck[0])
        return self._worsen(fault, lose=lose, double=double, reorder=reorder)

    def _echo(self, fault: Fault) -> bool:
        """What a node sent before is delivered again, whatever has happened since."""
        return self._stray(fault, "echo", 0.05 + 0.2 * fault.luck[2])

    def _forge(self, fault: Fault) -> bool:
        """What a node answers is delivered again in the name of another replica of the group."""
        return self._stray(fault, "forge", 0.05 + 0.2 * fault.luck[2])

    def _stray(self, fault: Fault, name: str, share: float) -> bool:
        node = self._victim(fault)
        if node is None:
            return False
        strays = self.cluster.processes[node].strays
        setattr(strays, name, share)
        self.cluster.note(node, fault.kind)
        self._later(fault, setattr, strays, name, 0.0)
        return True

    def _corrupt(self, fault: Fault) -> bool:
        return self._worsen(fault, corrupt=0.02 + 0.05 * fault.luck[2])

    def _mend_quality(self, source: int, target: int) -> None:
        link, fresh = self.cluster.network.link(source, target), Link()
        for name in ("delay", "spike", "bytes_per_second", "window", "lose", "double", "reorder", "corrupt"):
            setattr(link, name, getattr(fresh, name))

    def _mend(self, source: int, target: int) -> None:
        self._mend_quality(source, target)
        self.cluster.network.unblock(source, target)

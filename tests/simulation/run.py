"""One run from one seed: boot, faults, healing, rest; and what came of it."""

import gc
import logging
import shlex
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from multiraft.engine.replica import SYSTEM_GROUP

from .calm import Calm
from .checkers.base import Checker, Kind, Operation, Outcome, Violation
from .checkers.suite import everything
from .cluster import Cluster, group_members
from .endless import LONGEST_S, Endless, no_longer_than
from .endure import QUIET_S, Endurance
from .faults import Faults
from .loop import World, graveyard
from .plan import Plan
from .poison import quarantined, reports
from .trace import describe_violation
from .workload import Caller, Workload, range_of

BOOT_S = 20.0
"""Virtual seconds in which a cluster without faults has come together."""
RECONNECT_S = 12.0
"""Virtual seconds in which nodes have found each other again: a hello may take five, a dialer waits two."""
SETTLE_S = 40.0
"""Virtual seconds after the last fault in which everything has to work and to agree."""
PROBED = 8
"""Ranges, at most, that are written and read once more at the end."""


class Failure(NamedTuple):
    """What went wrong."""

    kind: str
    """The checker that objects, or the class of the error."""
    text: str
    where: str
    """The traceback."""

    def __str__(self) -> str:
        return self.text


def failure_of(error: BaseException) -> Failure:
    """An error as plain text, which can be sent from process to process."""
    kind = error.checker if isinstance(error, Violation) else type(error).__name__
    return Failure(kind, str(error) or repr(error), "".join(traceback.format_exception(error, limit=-12)))


@dataclass
class Result:
    """What a run came to."""

    plan: Plan
    digest: str
    steps: int
    seconds: float
    operations: int
    faults: int
    elections: int
    commits: int
    snapshots: int
    groups: int
    violation: Failure | None
    trace: list[str]


class Simulation:
    """A cluster, its clients, and what befalls them."""

    def __init__(self, plan: Plan, watch: Checker | None = None) -> None:
        self.plan = plan
        self.world = World(plan.seed)
        self.watch = watch or everything()
        self.cluster = Cluster(self.world, plan.nodes, plan.config, plan.options, self.watch)
        self.cluster.tear_share, self.cluster.pass_cost = plan.tear_share, plan.pass_cost
        self.cluster.leisure = plan.leisure
        self.cluster.hushed = plan.hushed and plan.lasting is None  # peace is promised to whoever is heard
        for disk in self.cluster.disks.values():
            disk.slack = plan.log_slack
        self.faults = Faults(self.cluster, plan)
        self.workload = Workload(self.cluster, plan)
        self._helper = Caller(self.workload, plan.clients, remote=False)
        self.workload._callers.append(self._helper)

    def run(self) -> None:
        """Everything, in order. Raises what went wrong first."""
        self._boot()
        self.faults.schedule()
        self.workload.schedule()
        self.world.run(self.world.now + self.plan.seconds)
        self.faults.heal()
        self.cluster.note(0, "heals")
        self._until(self._is_connected, RECONNECT_S, "nodes do not find each other")
        self._until(self._takes_writes, RECONNECT_S, "a disk that works again is not written to")
        if self.plan.lasting is not None:
            self._endure(Endurance(self.cluster, *self.plan.lasting))
        self.world.check(self.watch.healed, self.world.now)
        self._settle()
        self._probe()
        self._settle()
        Calm(self.cluster).check(self._until)
        self.watch.finished(self.cluster)

    def _endure(self, partition: Endurance) -> None:
        """The cluster works under a partition that stays."""
        self._until(lambda: self.workload.done, SETTLE_S, "clients are not done")
        partition.begin()
        self.world.run(self.world.now + partition.settled_after())
        partition.look()
        self.world.run(self.world.now + QUIET_S)
        partition.look()
        partition.end()
        self._until(self._is_connected, RECONNECT_S, "nodes do not find each other")

    def _boot(self) -> None:
        for node in self.cluster.ids:
            self.cluster.start(node)
        if self.plan.hot:
            return
        self._until(lambda: len(self.cluster.engines) == self.plan.nodes, BOOT_S, "nodes do not open")
        self._until(self._is_joined, BOOT_S, "nodes do not join")
        if self.plan.at_first:
            self._create(range(self.plan.at_first))

    def _is_connected(self) -> bool:
        """Whether every node that must be there reaches all the others; dialers may have waited a little."""
        whole = [node for node in self.cluster.expected if node not in self.cluster.excused]
        engines = self.cluster.engines
        return all(
            node in engines and {*whole} <= {node, *engines[node].assembly.transport.connected()}
            for node in whole
        )

    def _takes_writes(self) -> bool:
        """Whether no node waits for its disk any more; it looks again now and then only."""
        return not any(node.halted for node in self.cluster.nodes.values())

    def _is_joined(self) -> bool:
        return all(len(engine.directory.nodes) == self.plan.nodes for engine in self.cluster.engines.values())

    def _until(self, condition, seconds: float, complaint: str) -> None:
        deadline = self.world.now + seconds
        while not condition():
            if self.world.now >= deadline:
                raise Violation("liveness", f"after {seconds} s: {complaint}")
            self.world.run(self.world.now + 0.1)

    def _ask(self, kind: Kind, keys: tuple, arguments: tuple, node: int, seconds: float) -> Operation:
        """One operation, which has to succeed by then; asked again if it may be."""
        deadline = self.world.now + seconds
        while True:
            operation = Operation(0, self._helper.number, kind, keys, arguments)
            if kind is Kind.PUT:
                operation.arguments = (b"end%d" % len(self.workload.operations),)
            process = self.cluster.processes[node]
            self.workload.run(self._helper, process, process.engine, operation, 5.0)
            self._await_answer()
            if operation.outcome is Outcome.OK:
                return operation
            if self.world.now > deadline:
                raise Violation("liveness", f"{operation!r} did not succeed within {seconds} s")
            self.world.run(self.world.now + 0.2)

    def _await_answer(self) -> None:
        """To the very moment: whoever looks now and then only has nodes beat for most of the time."""
        if not self.world.run(self.world.now + 10.0, lambda: self._helper.busy is None):
            raise Violation("liveness", "after 10 s: no answer")

    def _ask_quarantined(self, key: bytes, group: int, node: int) -> None:
        """What is asked of a group that cannot apply is refused at once, and the caller told why."""
        operation = Operation(0, self._helper.number, Kind.GET, (key,))
        process = self.cluster.processes[node]
        self.workload.run(self._helper, process, process.engine, operation, 5.0)
        self._await_answer()
        if not reports(operation.error, group):
            raise Violation("quarantine", f"{operation!r}, and group {group} is quarantined")

    def _create(self, numbers: range) -> None:
        ranges = tuple(range_of(number, self.plan.groups) for number in numbers)
        whole = next(node for node in self.cluster.engines if node not in self.cluster.excused)
        self._ask(Kind.CREATE_RANGES, (), ranges, whole, BOOT_S)

    # -- the end ---------------------------------------------------------------------------------

    def _settle(self) -> None:
        deadline = self.world.now + SETTLE_S
        while complaints := self._complaints():
            if self.world.now >= deadline:
                raise Violation(
                    "liveness", f"{SETTLE_S} s after the last fault: " + "; ".join(complaints[:5])
                )
            self.world.run(self.world.now + 0.25)

    def _complaints(self) -> list[str]:
        """What keeps the cluster from being whole and at rest."""
        cluster = self.cluster
        found = [f"{one!r} waits" for one in self.workload.waiting]
        if not self.workload.done and not found:
            found = ["clients are not done"]
        found += [f"node {node} is not there" for node in cluster.expected if node not in cluster.engines]
        if found:
            return found
        nodes = cluster.nodes
        groups = {SYSTEM_GROUP: None}
        for node in nodes.values():
            groups.update(dict.fromkeys(node.replicas.running))
        for engine in cluster.engines.values():
            if engine.assembly._machines.directory is not None:
                groups.update(dict.fromkeys(engine.directory._groups))
        for group in groups:
            found += self._group_complaints(group)
        return found

    def _group_complaints(self, group: int) -> list[str]:
        nodes, excused = self.cluster.nodes, self.cluster.excused
        leaders, followed, applied = [], {}, {}
        for member in group_members(nodes, group):
            node = nodes.get(member)
            if node is not None and group in node.replicas.running.waiting:
                return [f"group {group} has not started on node {member}"]
            replica = None if node is None else node.replicas.running.get(group)
            if replica is None:
                if member not in excused:
                    return [f"group {group} is not on node {member}"]
                continue
            raft = replica.raw.raft
            if replica.leads:
                leaders.append(member)
            if member not in excused and replica.rebuilding is not None:
                return [f"group {group} has no state on node {member}"]
            if member not in excused:
                followed[member] = raft.term, raft.lead
                applied[member] = replica.applied.index, raft.log.last_index()
        if len(leaders) != 1 or len(set(followed.values())) > 1:
            return [f"group {group} is led by {leaders}: {followed}"]
        if quarantined(self.cluster, group):
            leader = nodes[leaders[0]].replicas.running[group]
            return [] if leader.quarantine else [f"group {group} has not met its poison on {leaders}"]
        reached = {index for pair in applied.values() for index in pair}
        return [f"group {group} is at {applied}"] if len(reached) > 1 else []

    def _probe(self) -> None:
        """The cluster works: what is asked for now succeeds."""
        nodes = self.cluster.expected
        step = max(1, self.plan.groups // PROBED)
        self._finish_deletions()
        self._create(range(self.plan.groups))
        for at, number in enumerate(range(0, self.plan.groups, step)):
            low, _ = range_of(number, self.plan.groups)
            key, node = (low or b"0") + b"/0", nodes[at % len(nodes)]
            if node in self.cluster.excused:
                node = next(one for one in nodes if one not in self.cluster.excused)
            group = self._group_of(key, node)
            if quarantined(self.cluster, group):
                self._ask_quarantined(key, group, node)
                continue
            written = self._ask(Kind.PUT, (key,), (), node, 10.0)
            read = self._ask(Kind.GET, (key,), (), node, 10.0)
            if read.result != written.arguments[0]:
                raise Violation("liveness", f"{read!r} after {written!r}")

    def _finish_deletions(self) -> None:
        """Whoever does not know what became of a deletion calls again; ranges may have retired."""
        whole = next(node for node in self.cluster.engines if node not in self.cluster.excused)
        for one in list(self.workload.operations):
            if one.kind is Kind.DELETE_RANGES and one.outcome is not Outcome.OK:
                self._ask(Kind.DELETE_RANGES, one.keys, one.arguments, whole, SETTLE_S)

    def _group_of(self, key: bytes, node: int) -> int:
        """What a node's directory says, which may be behind that of the node that ordered the ranges."""
        directory = self.cluster.engines[node].directory
        self._until(
            lambda: directory.lookup(key) is not None, SETTLE_S, f"node {node} knows no range of {key!r}"
        )
        found = directory.lookup(key)
        assert found is not None
        return found.group


@contextmanager
def quiet() -> Iterator[None]:
    """What nodes log about the faults of a run interests nobody; garbage is collected when it is over.

    Not in a process that collects none: it will soon end.
    """
    logger = logging.getLogger("multiraft")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    collecting = gc.isenabled()
    gc.disable()
    gc.freeze()  # only what the run leaves is looked at
    try:
        with graveyard(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            yield
            while (
                collecting and gc.collect()
            ):  # what a finalizer still held goes with the next pass, and never once frozen
                pass
    finally:
        gc.unfreeze()
        logger.setLevel(before)
        if collecting:
            gc.enable()


def varied(failed: Iterable[Result]) -> list[Result]:
    """Failures in such an order that the first of each checker comes before the second of any."""
    firsts: dict[str, Result] = {}
    others: list[Result] = []
    for result in failed:
        kind = result.violation.kind if result.violation is not None else ""
        if firsts.setdefault(kind, result) is not result:
            others.append(result)
    return [*firsts.values(), *others]


def command(seed: int) -> str:
    """What runs a seed again where this was started, whether or not an environment is activated."""
    interpreter, here = Path(sys.executable), Path.cwd()
    if interpreter.is_relative_to(here):
        interpreter = interpreter.relative_to(here)
    return f"{shlex.quote(str(interpreter))} -m tests.simulation --seeds {seed}:{seed + 1}"


def simulate(plan: Plan, last: int = 200, group: int | None = None) -> Result:
    """Carry a plan out; ``last``: how much of the trace of a failure to keep, and of which group alone."""
    began = time.process_time()
    with quiet():
        simulation = Simulation(plan)
        violation: Failure | None = None
        try:
            with no_longer_than(LONGEST_S, simulation.world.fail):
                simulation.run()
        except (Exception, Endless) as error:  # noqa: BLE001 - every way of failing counts
            violation = failure_of(error)
        cluster, tally = simulation.cluster, simulation.cluster.tally
        result = Result(
            plan=plan,
            digest=cluster.trace.digest(),
            steps=simulation.world.steps,
            seconds=0.0,
            operations=tally.operations,
            faults=tally.faults,
            elections=tally.elections,
            commits=tally.commits,
            snapshots=tally.snapshots,
            groups=tally.groups,
            violation=violation,
            trace=[],
        )
        if violation is not None:
            ending = describe_violation(simulation.world.now, violation.text)
            result.trace = [*cluster.trace.lines(last, group), ending]
        del simulation, cluster
    result.seconds = time.process_time() - began
    return result

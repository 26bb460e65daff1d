"""Clients: they ask as users do, wait as long as they like, and write down what they were told."""

import asyncio
from dataclasses import replace
from typing import Any

from multiraft.engine.errors import Error, OutcomeUnknown
from multiraft.shards.client import Client
from multiraft.shards.database import Database

from .checkers.base import Kind, Operation, Outcome
from .cluster import FIRST_PORT, Cluster
from .loop import NodeLoop
from .network_faults import CLIENT_PORT
from .node import Process
from .plan import Plan, Step, pick

THINK = 1e-6
"""Seconds between an answer and the next question of a client."""
RECREATED = 0.8
"""Share of the deletions whose keys the same client covers again at once."""
PAUSE = 0.05
"""How long a client waits that finds no node to ask."""


def cut_key(number: int) -> bytes:
    """Where range ``number`` begins; range 0 begins at the lowest key."""
    return b"%04d" % number if number else b""


def range_of(number: int, groups: int) -> tuple[bytes, bytes | None]:
    """The bounds of a range."""
    return cut_key(number), cut_key(number + 1) if number + 1 < groups else None


class Caller:
    """One client: one operation at a time, on a node of its own choice or through a connection."""

    def __init__(self, workload: "Workload", number: int, *, remote: bool) -> None:
        self.workload = workload
        self.number = number
        self.steps: list[Step] = []
        self.busy: Operation | None = None
        self.busy_at: Process | None = None
        """The process in which the operation runs."""
        self.connection: Client | None = None
        self.loop: NodeLoop | None = None
        if remote:
            self.loop = NodeLoop(workload.world, f"client {number}")
            workload.cluster.network.place(self.loop, CLIENT_PORT + number)

    def next(self) -> None:
        """Ask for the next thing, if nothing is under way and its time has come."""
        world = self.workload.world
        if self.busy is not None or not self.steps:
            return
        step = self.steps[0]
        due = self.workload.began + step.at
        if due > world.now:
            world.at(due, self.next)
            return
        if not self.workload.begin(self, step):
            world.after(PAUSE, self.next)
            return
        self.steps.pop(0)

    def ended(self) -> None:
        """The operation has come to an end."""
        self.busy = self.busy_at = None
        self.workload.world.after(THINK, self.next)


class Workload:
    """The clients of a cluster and what they do."""

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.plan = plan
        self.operations: list[Operation] = []
        self.began = 0.0
        self.stopped = False
        """Whether nothing new is asked for."""
        self._seen: dict[bytes, bytes | None] = {}
        """What some client believes to be the value of a key."""
        self._callers = [Caller(self, number, remote=number < plan.remote) for number in range(plan.clients)]
        for step in plan.steps:
            self._callers[step.client].steps.append(step)
        cluster.on_gone = self.process_gone

    def schedule(self) -> None:
        """From now on the clients do as planned."""
        self.began = self.world.now
        for caller in self._callers:
            caller.next()

    @property
    def waiting(self) -> list[Operation]:
        """What has no answer yet."""
        return [caller.busy for caller in self._callers if caller.busy is not None]

    @property
    def done(self) -> bool:
        """Whether every client has asked for everything and was answered."""
        return not any(caller.busy or caller.steps for caller in self._callers)

    # -- asking ----------------------------------------------------------------------------------

    def begin(self, caller: Caller, step: Step) -> bool:
        """Start an operation; False if there is nobody to ask."""
        process, database = self._database(caller, step)
        if process is None and caller.loop is None:
            return False
        operation = self._operation(caller, step)
        if step.kind is Kind.DELETE_RANGES and step.luck[2] < RECREATED:
            caller.steps.insert(1, replace(step, kind=Kind.CREATE_RANGES))
        self.run(caller, process, database, operation, step.timeout, step.luck[3])
        return True

    def run(
        self,
        caller: Caller,
        process: Process | None,
        database: Database | None,
        operation: Operation,
        patience: float,
        luck: float = 0.5,
    ) -> None:
        """Carry an operation out in a process, or over the caller's own connection."""
        caller.busy, caller.busy_at = operation, process
        operation.id = len(self.operations)
        operation.invoked = self.world.now
        self.operations.append(operation)
        self.cluster.tally.operations += 1
        self.world.check(self.cluster.watch.invoked, operation)
        self.cluster.note(0, "asks", f"client {caller.number} #{operation.id} {operation.kind}")
        loop = process.loop if process is not None else caller.loop
        loop.external(self._start, loop, caller, database, operation, patience, luck)

    def _start(self, loop, caller: Caller, database, operation: Operation, patience: float, luck: float):
        task = loop.create_task(self._carry_out(caller, database, operation, patience))
        if luck < 0.03:  # a caller that gives up
            loop.call_later(patience * luck * 20, task.cancel)

    async def _carry_out(self, caller: Caller, database, operation: Operation, patience: float) -> None:
        try:
            if database is None:
                database = await self._connect(caller, patience)
            result = await perform(database, operation, patience)
        except OutcomeUnknown as error:
            self._told(caller, operation, Outcome.UNKNOWN, error)
        except Error as error:
            outcome = Outcome.REFUSED if operation.writes else Outcome.FAILED
            if operation.kind is Kind.DELETE_RANGES:
                outcome = Outcome.UNKNOWN  # some of the ranges may have retired
            self._told(caller, operation, outcome, error)
        except asyncio.CancelledError as error:
            outcome = Outcome.UNKNOWN if operation.writes else Outcome.FAILED
            self._told(caller, operation, outcome, error)
        else:
            operation.result = result
            self._told(caller, operation, Outcome.OK)

    def _told(
        self, caller: Caller, operation: Operation, outcome: Outcome, error: BaseException | None = None
    ) -> None:
        if operation.outcome is not Outcome.PENDING:
            return
        operation.outcome = outcome
        operation.returned = self.world.now
        if error is not None:
            operation.error = f"{type(error).__name__}: {error}"
        self._learn(operation)
        self.cluster.note(
            0, "is told", f"client {caller.number} #{operation.id} {outcome} {operation.result!r}"
        )
        self.world.check(self.cluster.watch.completed, operation)
        caller.ended()

    def process_gone(self, process: Process) -> None:
        """Those who asked in this process will hear nothing."""
        for caller in self._callers:
            if caller.busy_at is process and caller.busy is not None:
                outcome = Outcome.UNKNOWN if caller.busy.writes else Outcome.FAILED
                self._told(caller, caller.busy, outcome, RuntimeError("the process is gone"))

    # -- whom to ask -----------------------------------------------------------------------------

    def _database(self, caller: Caller, step: Step) -> tuple[Process | None, Database | None]:
        if caller.loop is not None:
            return None, caller.connection if _is_open(caller.connection) else None
        ready = [one for one in self.cluster.processes.values() if one.engine is not None]
        process = pick(ready, step.luck[2]) if ready else None
        hot = self.cluster.hot
        if hot is not None and step.luck[2] < 0.4:
            process = next((one for one in ready if one.node_id == hot[0]), process)
        return process, None if process is None else process.engine

    async def _connect(self, caller: Caller, patience: float) -> Client:
        number = pick(self.cluster.ids, self.cluster.random.random())
        caller.connection = await Client.connect(f"127.0.0.1:{FIRST_PORT + number}", timeout=patience)
        return caller.connection

    # -- what to ask -----------------------------------------------------------------------------

    def _operation(self, caller: Caller, step: Step) -> Operation:
        kind, plan = step.kind, self.plan
        number = int(step.luck[0] ** 2 * plan.groups) if step.number % 3 else int(step.luck[0] * plan.groups)
        if self.cluster.hot is not None and step.luck[3] < 0.7:
            number = self.cluster.hot[1]
        low, high = range_of(number, plan.groups)
        keys = self.keys_of(number)
        key = pick(keys, step.luck[1])
        value = b"v%d" % step.number
        operation = Operation(0, caller.number, kind, (key,))
        match kind:
            case Kind.PUT:
                operation.arguments = (value * (1 + 40 * (step.number % 17 == 0)),)
            case Kind.CAS:
                new = value if step.luck[2] < 0.85 else None
                operation.arguments = (self._seen.get(key), new)
            case Kind.BATCH:
                operation.keys = tuple(keys)
                operation.arguments = tuple(
                    None if (step.number + at) % 5 == 0 else value + b".%d" % at for at in range(len(keys))
                )
            case Kind.SCAN:
                operation.keys = ()
                bounds = (low, high) if step.luck[1] < 0.7 else (b"", None)
                limit = None if step.number % 2 else 1 + step.number % 5
                operation.arguments = (*bounds, step.luck[2] < 0.3, limit)
            case Kind.CREATE_RANGES:
                count = 1 + int(step.luck[1] * 4)
                numbers = range(number, min(plan.groups, number + count))
                operation.keys = ()
                operation.arguments = tuple(range_of(one, plan.groups) for one in numbers)
            case Kind.DELETE_RANGES:
                numbers = range(number, min(plan.groups, number + 1 + int(step.luck[1] * 2)))
                operation.keys = tuple(key for one in numbers for key in self.keys_of(one))
                operation.arguments = (low, range_of(numbers[-1], plan.groups)[1])
        return operation

    def keys_of(self, number: int) -> list[bytes]:
        """The keys of a range that are used."""
        return [(cut_key(number) or b"0") + b"/%d" % one for one in range(self.plan.keys)]

    def _learn(self, operation: Operation) -> None:
        """What a client now believes the values to be; mostly right, as with users."""
        if operation.outcome is not Outcome.OK:
            return
        match operation.kind:
            case Kind.PUT | Kind.BATCH:
                self._seen.update(zip(operation.keys, operation.arguments, strict=True))
            case Kind.GET:
                self._seen[operation.keys[0]] = operation.result
            case Kind.DELETE | Kind.DELETE_RANGES:
                self._seen.update(dict.fromkeys(operation.keys))
            case Kind.CAS if operation.result:
                self._seen[operation.keys[0]] = operation.arguments[1]


def _is_open(client: Client | None) -> bool:
    return client is not None and client._ended is None


async def perform(database: Database, operation: Operation, patience: float) -> Any:
    """Ask a database for what an operation says; the result as :class:`Operation` describes it."""
    keys, arguments = operation.keys, operation.arguments
    match operation.kind:
        case Kind.PUT:
            await database.put(keys[0], arguments[0], timeout=patience)
        case Kind.GET:
            return await database.get(keys[0], timeout=patience)
        case Kind.STALE_GET:
            return await database.get(keys[0], consistency="stale", timeout=patience)
        case Kind.DELETE:
            return await database.delete(keys[0], timeout=patience)
        case Kind.CAS:
            return await database.compare_and_swap(keys[0], *arguments, timeout=patience)
        case _:
            return await perform_many(database, operation, patience)
    return None


async def perform_many(database: Database, operation: Operation, patience: float) -> Any:
    """The kinds that are about more than one key."""
    keys, arguments = operation.keys, operation.arguments
    match operation.kind:
        case Kind.BATCH:
            async with database.batch(timeout=patience) as batch:
                for key, value in zip(keys, arguments, strict=True):
                    if value is None:
                        batch.delete(key)
                    else:
                        batch.put(key, value)
        case Kind.SCAN:
            start, stop, reverse, limit = arguments
            pairs = database.scan(start, stop, reverse=reverse, limit=limit, timeout=patience)
            return tuple([pair async for pair in pairs])
        case Kind.CREATE_RANGES:
            between = arguments[0][0], arguments[-1][1]
            splits = [start for start, _ in arguments[1:]]
            created = await database.create_ranges(splits=splits, between=between, timeout=patience)
            return created.created, created.existing
        case Kind.DELETE_RANGES:
            return (await database.delete_ranges(arguments, timeout=patience)).deleted
        case _:
            raise AssertionError(operation.kind)
    return None

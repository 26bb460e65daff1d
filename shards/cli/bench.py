"""``multiraft bench``: measure what is started for the purpose, and check what it did."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .options import (
    Durability,
    DurabilityOption,
    ElectionTimeoutOption,
    StateMachine,
    StateMachineOption,
)
from .output import Fields, JsonOption, note, run_command
from .progress import Phases
from .running import run_async

if TYPE_CHECKING:
    from .bench_nodes import Settings

ELECTION_TIMEOUT_MS: Final = 1000

app = typer.Typer(help="Measure a cluster or a log store.", rich_markup_mode=None)


class Api(StrEnum):
    """How puts are handed to the engine."""

    SINGLE = "single"
    BATCH = "batch"


class Transport(StrEnum):
    """Where the nodes run, and what joins them."""

    MEMORY = "memory"
    TCP = "tcp"


NodesOption = Annotated[int, typer.Option(min=1, max=5, help="How many nodes.")]
ReplicatedNodesOption = Annotated[
    int, typer.Option("--nodes", min=3, max=5, help="How many nodes: one dies, and most have to live.")
]
GroupsOption = Annotated[int, typer.Option(min=1, help="Ranges, each a Raft group.")]
TransportOption = Annotated[
    Transport, typer.Option(help="memory: all nodes in this process; tcp: a process for each, on loopback.")
]


@app.callback()
def bench() -> None:
    """Measure what is started for the purpose; its data go to the directory for temporary files."""


@app.command("throughput")
def throughput(
    context: typer.Context,
    nodes: NodesOption = 3,
    groups: GroupsOption = 1000,
    payload: Annotated[int, typer.Option(min=8, max=1 << 20, metavar="BYTES", help="Size of a value.")] = 128,
    keys: Annotated[
        int | None, typer.Option(min=1, help="Keys over all groups.", show_default="a new one for each put")
    ] = None,
    clients: Annotated[int, typer.Option(min=1, help="Puts outstanding over all groups.")] = 4096,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="How long to measure, after a warm-up of up to 1 s.")
    ] = 5,
    api: Annotated[
        Api, typer.Option(help="single: a request for each put; batch: all puts of a group in one.")
    ] = Api.SINGLE,
    transport: TransportOption = Transport.MEMORY,
    durability: DurabilityOption = Durability.SYNC,
    state_machine: StateMachineOption = StateMachine.LMDB,
    _json: JsonOption = False,
) -> None:
    """Put as fast as the cluster answers, then compare all replicas.

    A closed loop: each answer starts the next put. With memory, the load generator calls the leaders of the
    ranges directly; with tcp it is the only client, connected to every node, and sends each put to the node
    that leads its range. The result is ok only if puts were acknowledged, and in the end every replica holds
    the same and has applied exactly what was acknowledged.
    """

    def work() -> Fields:
        from .bench_nodes import Settings  # noqa: PLC0415 # `--help` must not pay for it
        from .bench_throughput import Load, run_throughput  # noqa: PLC0415 # likewise

        settings = Settings(nodes, transport, durability, state_machine, ELECTION_TIMEOUT_MS)
        load = Load(groups, payload, keys, clients, seconds, api is Api.BATCH)
        with workspace() as root:
            return run_async(run_throughput(root, settings, load, note))

    run_command(context, work, _show)


@app.command("create")
def create(
    context: typer.Context,
    nodes: NodesOption = 3,
    ranges: Annotated[int, typer.Option(min=1, help="Ranges to create.")] = 1000,
    transport: TransportOption = Transport.MEMORY,
    durability: DurabilityOption = Durability.SYNC,
    election_timeout_ms: ElectionTimeoutOption = ELECTION_TIMEOUT_MS,
    _json: JsonOption = False,
) -> None:
    """Create ranges and wait until each has a leader and every replica has applied its first entry."""

    def work() -> Fields:
        from .bench_create import run_create  # noqa: PLC0415 # `--help` must not pay for it

        with workspace() as root, Phases() as phases:
            settings = _settings(nodes, transport, durability, election_timeout_ms)
            return run_async(run_create(root, settings, ranges, phases))

    run_command(context, work, _show)


@app.command("idle")
def idle(
    context: typer.Context,
    nodes: NodesOption = 3,
    groups: GroupsOption = 1000,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to look on.")] = 10,
    transport: TransportOption = Transport.MEMORY,
    durability: DurabilityOption = Durability.SYNC,
    election_timeout_ms: ElectionTimeoutOption = ELECTION_TIMEOUT_MS,
    _json: JsonOption = False,
) -> None:
    """Create groups, leave them alone, and see what they cost: CPU, messages, memory.

    The result is ok if meanwhile every node ticked and no leader changed.
    """

    def work() -> Fields:
        from .bench_idle import run_idle  # noqa: PLC0415 # `--help` must not pay for it

        with workspace() as root, Phases() as phases:
            settings = _settings(nodes, transport, durability, election_timeout_ms)
            return run_async(run_idle(root, settings, groups, seconds, phases))

    run_command(context, work, _show)


@app.command("failover")
def failover(
    context: typer.Context,
    nodes: ReplicatedNodesOption = 3,
    groups: GroupsOption = 1000,
    transport: TransportOption = Transport.MEMORY,
    durability: DurabilityOption = Durability.SYNC,
    election_timeout_ms: ElectionTimeoutOption = ELECTION_TIMEOUT_MS,
    _json: JsonOption = False,
) -> None:
    """Kill a node and write into every group that it led, until all of them take writes again.

    The times run from the kill to each acknowledgement. The result is ok if every group took its write, and
    another node then reads it.
    """

    def work() -> Fields:
        from .bench_failover import run_failover  # noqa: PLC0415 # `--help` must not pay for it

        with workspace() as root, Phases() as phases:
            settings = _settings(nodes, transport, durability, election_timeout_ms)
            return run_async(run_failover(root, settings, groups, phases))

    run_command(context, work, _show)


@app.command("restart")
def restart(
    context: typer.Context,
    nodes: NodesOption = 3,
    groups: GroupsOption = 1000,
    transport: TransportOption = Transport.MEMORY,
    durability: DurabilityOption = Durability.SYNC,
    election_timeout_ms: ElectionTimeoutOption = ELECTION_TIMEOUT_MS,
    _json: JsonOption = False,
) -> None:
    """Kill a node that holds a replica of every group, start it again, and read through it.

    All times begin with the start. Reads are linearizable, one of every group. The result is ok if each gave
    what was written before, and the node holds all its replicas.
    """

    def work() -> Fields:
        from .bench_restart import run_restart  # noqa: PLC0415 # `--help` must not pay for it

        with workspace() as root, Phases() as phases:
            settings = _settings(nodes, transport, durability, election_timeout_ms)
            return run_async(run_restart(root, settings, groups, phases))

    run_command(context, work, _show)


@app.command("logstore")
def logstore(
    context: typer.Context,
    groups: Annotated[int, typer.Option(min=1, help="Groups in a batch.")] = 1000,
    payload: Annotated[
        int, typer.Option(min=1, max=1 << 20, metavar="BYTES", help="Size of an entry.")
    ] = 128,
    entries: Annotated[int, typer.Option(min=1, max=1 << 16, help="Entries of each group in a batch.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long to append to each side.")] = 3,
    steady: Annotated[
        bool, typer.Option("--steady", help="Truncate the logs, so that old batches are collected.")
    ] = False,
    recover: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Open a log of N entries after a kill instead.")
    ] = None,
    _json: JsonOption = False,
) -> None:
    """Append to a log store and to a plain file in turn, or open a large log.

    Each batch is made and encoded in the same way for every side. The store makes it durable as in a node; a
    file gets its bytes with one write and one flush, appending or (preallocated) into space already written.
    Blocks of 0.2 s alternate; a ratio is the median over the rounds. The result is ok only if the store,
    opened again, has all that was appended.
    """

    def work() -> Fields:
        from ...engine.tuning import tune_process  # noqa: PLC0415 # `--help` must not pay for it
        from .bench_logstore import run_logstore  # noqa: PLC0415 # likewise
        from .bench_logstore_recover import run_recover  # noqa: PLC0415 # likewise
        from .logstore_load import Load  # noqa: PLC0415 # likewise

        tune_process()
        with workspace() as root, Phases() as phases:
            if recover is not None:
                return run_recover(root, groups, payload, recover, phases.phase("fill a log"))
            load = Load(groups, payload, entries, truncated=steady)
            return run_logstore(root, load, seconds, phases.phase("append in turn"))

    run_command(context, work, _show)


def _settings(
    nodes: int, transport: Transport, durability: Durability, election_timeout_ms: int
) -> "Settings":
    """A cluster with LMDB state machines."""
    from .bench_nodes import Settings  # noqa: PLC0415 # `--help` must not pay for it

    return Settings(nodes, transport, durability, StateMachine.LMDB, election_timeout_ms)


@contextmanager
def workspace() -> Iterator[Path]:
    """A directory for the nodes' data, which goes in the end."""
    with tempfile.TemporaryDirectory(prefix="multiraft-bench-") as root:
        yield Path(root)


def _show(fields: Fields) -> None:
    width = max(map(len, fields))
    for name, value in fields.items():
        print(f"{name.replace('_', ' '):<{width}}  {value}")

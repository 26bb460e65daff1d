"""``multiraft serve``: run one node of a cluster until it is told to stop."""

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    BeatOption,
    Durability,
    DurabilityOption,
    ElectionTimeoutOption,
    InsecureOption,
    StateMachine,
    StateMachineOption,
    TickOption,
    parse_peers,
)
from .output import Fields, JsonOption, note, run_command
from .running import run_async

if TYPE_CHECKING:
    from ..engine import Opening


def serve(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option(readable=False, metavar="DIR", help="The data directory of the node, made if missing."),
    ],
    node_id: Annotated[int, typer.Option(metavar="N", help="The id of this node, 1..2^32-1.")] = 1,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where peers and clients connect. [default: from --peer]"),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="N=HOST:PORT", help="A node of the cluster; give the option once for each."),
    ] = None,
    cluster: Annotated[
        str, typer.Option(metavar="NAME", help="The name that all nodes share.")
    ] = "multiraft",
    insecure: InsecureOption = False,
    durability: DurabilityOption = Durability.SYNC,
    state_machine: StateMachineOption = StateMachine.LMDB,
    election_timeout_ms: ElectionTimeoutOption = 1000,
    beat_ms: BeatOption = 500,
    tick_ms: TickOption = 100,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more to standard error.")] = False,
    exit_with_parent: Annotated[bool, typer.Option("--exit-with-parent", hidden=True)] = False,
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    _json: JsonOption = False,
) -> None:
    """Run a node until Ctrl-C or SIGTERM.

    All nodes of a cluster are started with the same --peer options and the same --cluster; a majority of
    them must run. A new cluster has no ranges yet: make some with "multiraft ranges create".
    """
    peers = parse_peers(peer or [])
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(message)s"
    )

    def work() -> Fields:
        from ...engine.config import EngineConfig  # noqa: PLC0415 # `--help` must not pay for it
        from ..engine import Engine  # noqa: PLC0415 # likewise

        config = EngineConfig(
            tick_ms=tick_ms,
            beat_ms=beat_ms,
            election_timeout_ms=election_timeout_ms,
            durability=durability.value,
            state_machine=state_machine.value,
            tune_process=True,
        )
        opening = Engine.open(
            data,
            node_id=node_id,
            listen=listen or peers.get(node_id),
            peers=peers,
            cluster=cluster,
            config=config,
            insecure=insecure,
        )
        return run_async(_run_node(opening, ready_fd, exit_with_parent=exit_with_parent))

    run_command(context, work)


async def _run_node(opening: "Opening", ready_fd: int | None, *, exit_with_parent: bool) -> Fields:
    """Run the node until a signal, or the end of standard input, stops it.

    Raises:
        Error: the node cannot start, or has stopped by itself.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if exit_with_parent:
        loop.add_reader(0, _read_input, loop, stop)
    async with opening as engine:
        note(f"node {engine.node_id} listens on {engine.address} (process {os.getpid()})")
        if ready_fd is not None:
            os.write(ready_fd, f"ready {engine.address}\n".encode())
            os.close(ready_fd)
        told = loop.create_task(stop.wait())
        failed = loop.create_task(engine.stopped())
        await asyncio.wait([told, failed], return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            told.cancel()
            raise failed.result()
        failed.cancel()
        return {"node": engine.node_id, "address": engine.address}


def _read_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Standard input is a pipe from the process that started this one: its end is that process's end."""
    if not os.read(0, 4096):
        loop.remove_reader(0)
        stop.set()

"""``multiraft serve``: run one node of a cluster until it is told to stop."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    LARGEST_NODE_ID,
    BeatOption,
    Durability,
    DurabilityOption,
    ElectionTimeoutOption,
    InsecureOption,
    StateMachine,
    StateMachineOption,
    TickOption,
    check_data_directory,
    data_directory,
    listen_address,
    parse_peers,
)
from .output import Fields, JsonOption, run_command
from .running import run_async

if TYPE_CHECKING:
    from ...engine.config import EngineConfig


def _cluster_name(name: str) -> str:
    if not name:
        raise typer.BadParameter('the name "" is empty')
    return name


NodeDirectory = Annotated[
    Path,
    typer.Option(
        parser=data_directory, metavar="DIR", help="The data directory of the node, made if missing."
    ),
]
ClusterName = Annotated[
    str, typer.Option(callback=_cluster_name, metavar="NAME", help="The name that all nodes share.")
]


def serve(
    context: typer.Context,
    data: NodeDirectory,
    node_id: Annotated[
        int, typer.Option(min=1, max=LARGEST_NODE_ID, metavar="N", help="The id of this node.")
    ] = 1,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where peers and clients connect. [default: from --peer]"),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="N=HOST:PORT", help="A node of the cluster; give the option once for each."),
    ] = None,
    cluster: ClusterName = "multiraft",
    insecure: InsecureOption = False,
    durability: DurabilityOption = Durability.SYNC,
    state_machine: StateMachineOption = StateMachine.LMDB,
    election_timeout_ms: ElectionTimeoutOption = 1000,
    beat_ms: BeatOption = 500,
    tick_ms: TickOption = 100,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more to standard error.")] = False,
    ranges: Annotated[int | None, typer.Option(min=0, hidden=True)] = None,
    exit_with_parent: Annotated[bool, typer.Option("--exit-with-parent", hidden=True)] = False,
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    _json: JsonOption = False,
) -> None:
    """Run a node until Ctrl-C or SIGTERM.

    All nodes of a cluster are started with the same --peer options and the same --cluster; a majority of
    them must run. A new cluster has no ranges yet: make some with "multiraft ranges create".
    """
    peers = parse_peers(peer or [])
    address = listen_address(node_id, listen, peers)
    check_data_directory(data)

    def work() -> Fields:
        from ..engine import Engine  # noqa: PLC0415 # `--help` must not pay for it
        from .serving import log_to_stderr, serve_until_stopped  # noqa: PLC0415 # likewise

        log_to_stderr(verbose=verbose)
        opening = Engine.open(
            data,
            node_id=node_id,
            listen=address,
            peers=peers,
            cluster=cluster,
            config=_config(durability, state_machine, election_timeout_ms, beat_ms, tick_ms),
            ranges=ranges,
            insecure=insecure,
        )
        return run_async(serve_until_stopped(opening, ready_fd, exit_with_parent=exit_with_parent))

    run_command(context, work)


def _config(
    durability: Durability, state_machine: StateMachine, election_timeout_ms: int, beat_ms: int, tick_ms: int
) -> "EngineConfig":
    from ...engine.config import EngineConfig  # noqa: PLC0415 # `--help` must not pay for it

    return EngineConfig(
        tick_ms=tick_ms,
        beat_ms=beat_ms,
        election_timeout_ms=election_timeout_ms,
        durability=durability.value,
        state_machine=state_machine.value,
        tune_process=True,
    )

"""Options that several commands have, and how their values are read."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Durability(StrEnum):
    """When a write counts as done."""

    SYNC = "sync"
    NONE = "none"


class StateMachine(StrEnum):
    """Where the key-value machines keep their data."""

    LMDB = "lmdb"
    MEMORY = "memory"


DurabilityOption = Annotated[
    Durability, typer.Option(help="sync: acknowledged writes are on disk; none: nothing is ever synced.")
]
StateMachineOption = Annotated[
    StateMachine, typer.Option(help="Where the key-value machines keep their data.")
]
ElectionTimeoutOption = Annotated[
    int, typer.Option(min=1, metavar="MS", help="Election timeouts are drawn from [T, 2T) milliseconds.")
]
BeatOption = Annotated[int, typer.Option(min=1, metavar="MS", help="How often a leader beats.")]
TickOption = Annotated[int, typer.Option(min=1, metavar="MS", help="The length of a Raft tick.")]

DataOption = Annotated[
    Path | None, typer.Option(readable=False, metavar="DIR", help="A data directory, opened in this process.")
]
NodeOption = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="A running node.")]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Allow plaintext on addresses other than loopback.")
]


def parse_peers(texts: list[str]) -> dict[int, str]:
    """Read ``N=HOST:PORT`` options.

    Raises:
        typer.BadParameter: one is malformed, or two name the same node.
    """
    from ...engine.errors import InvalidArgument  # noqa: PLC0415 # `--help` must not pay for it
    from ...engine.transport.address import parse_address  # noqa: PLC0415 # likewise

    peers: dict[int, str] = {}
    for text in texts:
        number, equals, address = text.partition("=")
        if not equals or not (number.isascii() and number.isdigit()):
            raise typer.BadParameter(f"{text!r} is not N=HOST:PORT", param_hint="--peer")
        if int(number) in peers:
            raise typer.BadParameter(f"node {int(number)} is named twice", param_hint="--peer")
        try:
            parse_address(address)
        except InvalidArgument as error:
            raise typer.BadParameter(str(error), param_hint="--peer") from error
        peers[int(number)] = address
    return peers

"""Options that several commands have, and how their values are read."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from ...engine.transport.address import Address


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

LARGEST_NODE_ID: Final = 2**32 - 1
OWN_FILES: Final = frozenset({"node", "LOCK", "log", "state"})
"""What a data directory holds: ``LOCK`` comes first, ``node`` tells whose it is."""
NOT_COUNTED: Final = frozenset({"lost+found"})
"""What a directory may hold and still count as empty: a fresh file system has it."""

TimeoutOption = Annotated[
    float, typer.Option(min=0.001, max=86_400, metavar="SECONDS", help="How long to wait.")
]


def data_directory(text: str) -> Path:
    """Read a data directory's path. Raises typer.BadParameter: it is empty, which would mean "."."""
    if not text:
        raise typer.BadParameter('an empty path names no directory; "." is the current one')
    return Path(text)


DataOption = Annotated[
    Path | None,
    typer.Option(parser=data_directory, metavar="DIR", help="A data directory, opened in this process."),
]
NodeOption = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="A running node.")]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Allow plaintext on addresses other than loopback.")
]


def check_data_directory(path: Path) -> None:
    """Make sure that a node may move in: the directory is a node's own already, empty, or not there.

    Raises:
        typer.BadParameter: it holds something else.
    """
    try:
        names = {one.name for one in path.iterdir()} - NOT_COUNTED
    except OSError:
        return  # not there, or not to be read: who opens it finds the words
    if names and not names & OWN_FILES:
        raise typer.BadParameter(
            f"{path} is not empty and holds no node: name a directory of the node's own", param_hint="--data"
        )


def check_address(text: str, option: str) -> "Address":
    """Read the HOST:PORT of an option. Raises typer.BadParameter: it is none."""
    from ...engine.errors import InvalidArgument  # noqa: PLC0415 # `--help` must not pay for it
    from ...engine.transport.address import parse_address  # noqa: PLC0415 # likewise

    try:
        return parse_address(text)
    except InvalidArgument as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def parse_peers(texts: list[str]) -> dict[int, str]:
    """Read ``N=HOST:PORT`` options.

    Raises:
        typer.BadParameter: one is malformed, or two name the same node or the same address.
    """
    peers: dict[int, str] = {}
    owners: dict[Address, int] = {}
    for text in texts:
        number, equals, address = text.partition("=")
        if not equals or not (number.isascii() and number.isdigit()):
            raise typer.BadParameter(f"{text!r} is not N=HOST:PORT", param_hint="--peer")
        node = int(number) if len(number) <= len(str(LARGEST_NODE_ID)) else LARGEST_NODE_ID + 1
        if not 1 <= node <= LARGEST_NODE_ID:
            raise typer.BadParameter(f"{text!r}: a node id is 1..{LARGEST_NODE_ID}", param_hint="--peer")
        if node in peers:
            raise typer.BadParameter(f"node {node} is named twice", param_hint="--peer")
        other = owners.setdefault(check_address(address, "--peer"), node)
        if other != node:
            raise typer.BadParameter(
                f"nodes {other} and {node} have the same address {address}", param_hint="--peer"
            )
        peers[node] = address
    return peers


def listen_address(node_id: int, listen: str | None, peers: Mapping[int, str]) -> str:
    """Where a node listens: ``--listen``, or its own ``--peer``.

    Raises:
        typer.BadParameter: there is neither, or it is malformed or another node's.
    """
    if listen is None:
        if node_id not in peers:
            raise typer.BadParameter(
                f"give the address of node {node_id}: --listen HOST:PORT or --peer {node_id}=HOST:PORT",
                param_hint="--listen",
            )
        return peers[node_id]
    address = check_address(listen, "--listen")
    for node, text in peers.items():
        if node != node_id and check_address(text, "--peer") == address:
            raise typer.BadParameter(f"{listen} is the address of node {node}", param_hint="--listen")
    return listen

"""What a command works on: a data directory that it opens itself, or a running node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .options import check_address, check_data_directory
from .output import CommandFailed

if TYPE_CHECKING:
    from ..client import Client
    from ..database import Database


@dataclass(frozen=True)
class Target:
    """The options ``--data``, ``--node`` and ``--insecure`` of a command: exactly one of the first two.

    Making one raises typer.BadParameter if they cannot be meant so.
    """

    data: Path | None
    node: str | None
    insecure: bool = False
    create: bool = False
    """Whether a data directory that is not there is made."""
    ranges: int | None = None
    """Ranges that a new data directory begins with; by default one that covers everything."""

    def __post_init__(self) -> None:
        if (self.data is None) == (self.node is None):
            raise typer.BadParameter(
                "name either a data directory or a running node", param_hint="--data/--node"
            )
        if self.node is not None:
            check_address(self.node, "--node")
        if self.data is not None and self.create:
            check_data_directory(self.data)

    @asynccontextmanager
    async def open(self) -> "AsyncIterator[Database]":
        """Open the directory or connect to the node, for as long as the context lasts.

        Raises:
            CommandFailed: the directory is not there.
            Error: see ``Engine.open`` and ``Client.connect``.
        """
        from ..client import Client  # noqa: PLC0415 # `--help` must not pay for it
        from ..engine import Engine  # noqa: PLC0415 # likewise

        if self.node is not None:
            async with Client.connect(self.node, insecure=self.insecure) as client:
                yield client
            return
        assert self.data is not None, "checked above"
        if not self.create and not (self.data / "node").exists():
            raise CommandFailed(f"{self.data}: there is no data directory of a node")
        async with Engine.open(self.data, ranges=self.ranges) as engine:
            yield engine


@asynccontextmanager
async def connected(node: str, timeout: float, *, insecure: bool) -> "AsyncIterator[Client]":  # noqa: ASYNC109 # a typed error
    """A client of a running node; connecting and everything inside the context may take ``timeout`` seconds.

    Raises:
        Unavailable: the node says nothing in time.
        Error: see ``Client.connect``.
    """
    import asyncio  # noqa: PLC0415 # `--help` must not pay for it

    from ...engine.errors import Unavailable  # noqa: PLC0415 # likewise
    from ..client import Client  # noqa: PLC0415 # likewise

    try:
        async with (
            asyncio.timeout(timeout),
            Client.connect(node, timeout=timeout, insecure=insecure) as client,
        ):
            yield client
    except TimeoutError:
        raise Unavailable(f"{node} did not answer within {timeout:g} s") from None

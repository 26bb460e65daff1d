"""What the transport's tests share: a handler that records, hellos, and running a coroutine strictly."""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine
from typing import Any

from multiraft.engine.errors import Error
from multiraft.engine.transport.hello import Hello, HelloKind
from multiraft.engine.transport.kinds import FrameKind
from multiraft.engine.transport.port import ClientSession
from multiraft.engine.transport.tcp import TcpOptions, TcpTransport

TIMEOUT = 20.0
DIGEST = b"\x07" * 32
_NONCES = itertools.count(1)


class LoopChoice:
    """Which event loop :func:`run` takes; set by the fixture ``every_loop``."""

    factory: Callable[[], asyncio.AbstractEventLoop] | None = None


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test; an exception that only the loop saw, or a task that is left, fails it."""
    unseen: list[dict[str, Any]] = []

    async def strictly() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        async with asyncio.timeout(TIMEOUT):
            await main
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=LoopChoice.factory) as runner:
        runner.run(strictly())
    assert not unseen, unseen


def peer_hello(node: int, **changes: object) -> Hello:
    """The hello of a new process of a node."""
    fields = {
        "kind": HelloKind.PEER,
        "bootstrap_digest": DIGEST,
        "node_id": node,
        "store_uuid": node.to_bytes(16),
        "incarnation": 1,
        "nonce": next(_NONCES),
    }
    return Hello(**(fields | changes))


class Recorder:
    """A handler that notes every call, and lets a test wait for one."""

    def __init__(self, refuse: Error | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.refuse = refuse
        """What ``admit`` raises."""
        self._changed = asyncio.Event()

    def admit(self, hello: Hello) -> None:
        self._note("admit", hello.node_id)
        if self.refuse is not None:
            raise self.refuse

    def peer_connected(self, node: int, hello: Hello) -> None:
        self._note("connected", node, hello.incarnation)

    def peer_lost(self, node: int) -> None:
        self._note("lost", node)

    def frame_received(self, node: int, kind: FrameKind, payload: bytes) -> None:
        self._note("frame", node, kind, payload)

    def refused(self, node: int, error: Error) -> None:
        self._note("refused", node, error)

    def client_frame(self, session: ClientSession, kind: FrameKind, payload: bytes) -> None:
        self._note("request", session, kind, payload)

    def client_lost(self, session: ClientSession) -> None:
        self._note("client lost", session)

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of that name so far."""
        return [call[1:] for call in self.calls if call[0] == name]

    async def until(self, name: str, count: int = 1) -> list[tuple[Any, ...]]:
        """Wait until there were so many calls of that name; all of them."""
        await self.until_true(lambda: len(self.of(name)) >= count)
        return self.of(name)

    async def until_true(self, condition: Callable[[], bool]) -> None:
        """Wait for something that changes with a call only."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _note(self, *call: object) -> None:
        self.calls.append(call)
        self._changed.set()


class Node:
    """A TCP transport on loopback with its recorder."""

    def __init__(
        self,
        node: int,
        peers: dict[int, str],
        listen: str = "127.0.0.1:0",
        options: TcpOptions | None = None,
        refuse: Error | None = None,
        hello: Hello | None = None,
    ) -> None:
        self.hello = hello or peer_hello(node)
        self.seen = Recorder(refuse)
        self.transport = TcpTransport(
            node, listen, peers, lambda: self.hello, random=random.Random(node), options=options
        )

    async def start(self) -> "Node":
        await self.transport.start(self.seen)
        return self

    @property
    def address(self) -> str:
        found = self.transport.address
        assert found is not None
        return found

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def __aenter__(self) -> "Node":
        return await self.start()

    async def __aexit__(self, *_exception: object) -> None:
        await self.transport.close()


UNUSED = "127.0.0.1:1"
"""The address of a peer that dials and is never dialed."""

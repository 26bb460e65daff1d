"""Client connections: requests and replies, refusals, slow readers, and every way to end."""

import asyncio
import socket

import pytest

from multiraft.engine.errors import (
    ClusterMismatch,
    Error,
    InvalidArgument,
    Overloaded,
    Unavailable,
    VersionMismatch,
)
from multiraft.engine.transport import client as client_module
from multiraft.engine.transport.client import ClientConnection, connect_client
from multiraft.engine.transport.framing import BadStream
from multiraft.engine.transport.hello import Hello, HelloKind
from multiraft.engine.transport.kinds import MIB, FrameKind
from multiraft.engine.transport.tcp import TcpOptions
from multiraft.native.frames import seal

from .support import UNUSED, Node, peer_hello, run

pytestmark = pytest.mark.usefixtures("every_loop")

HOST = "127.0.0.1"


def reply(payload: bytes) -> bytes:
    return seal(FrameKind.REPLY, payload)


async def first_session(node: Node, client: ClientConnection):
    """The node's end of a client's connection."""
    assert client.send(seal(FrameKind.REQUEST, b"who am I"))
    return (await node.seen.until("request", len(node.seen.of("request")) + 1))[-1][0]


def test_requests_and_replies_keep_their_order():
    """A thousand of each, through the iteration."""

    async def main() -> None:
        async with Node(1, {}) as node:
            client = await connect_client(HOST, node.port)
            assert client.hello.node_id == 1
            for number in range(1000):
                assert client.send(seal(FrameKind.REQUEST, b"%d" % number))
            requests = await node.seen.until("request", 1000)
            session = requests[0][0]
            assert session.hello.kind is HelloKind.CLIENT
            for number, (sender, kind, payload) in enumerate(requests):
                assert (sender, kind, payload) == (session, FrameKind.REQUEST, b"%d" % number)
                assert session.send(reply(payload))
            replies = [await anext(client) for _ in range(1000)]
            assert replies == [(FrameKind.REPLY, b"%d" % number) for number in range(1000)]
            await client.close()
            await client.close()
            assert await node.seen.until("client lost") == [(session,)]
            assert not session.send(reply(b"too late"))
            assert [frame async for frame in client] == []

    run(main())


def test_replies_may_go_to_a_callback():
    """The load generator's way; the end is reported too."""

    async def main() -> None:
        frames: asyncio.Queue[bytes] = asyncio.Queue()
        ends: asyncio.Queue[Error | None] = asyncio.Queue()
        async with Node(1, {}) as node:
            client = await connect_client(
                HOST,
                node.port,
                on_frame=lambda _, payload: frames.put_nowait(payload),
                on_lost=ends.put_nowait,
            )
            session = await first_session(node, client)
            assert session.send(reply(b"you"))
            assert await frames.get() == b"you"
            await client.close()
            assert await ends.get() is None
            again = await connect_client(HOST, node.port, on_lost=ends.put_nowait)
        assert isinstance(await ends.get(), Unavailable)
        assert again.closed
        assert not again.send(b"")

    run(main())


def test_a_lost_connection_ends_the_iteration_with_its_reason():
    """What came before is still handed out."""

    async def main() -> None:
        async with Node(1, {}) as node:
            client = await connect_client(HOST, node.port)
            session = await first_session(node, client)
            assert session.send(reply(b"last words"))
            session.close()
            assert await anext(client) == (FrameKind.REPLY, b"last words")
            with pytest.raises(Unavailable, match="lost"):
                await anext(client)
            await client.close()

    run(main())


@pytest.mark.parametrize(
    ("server", "own", "kind"),
    [
        ({"cluster_uuid": b"u" * 16}, {"cluster_uuid": b"v" * 16}, ClusterMismatch),
        ({}, {"bootstrap_digest": b"x"}, ClusterMismatch),
        ({"protocol_min": 3, "protocol_max": 4}, {}, VersionMismatch),
    ],
)
def test_a_client_that_does_not_fit_is_refused(server: dict, own: dict, kind: type[Error]):
    """With the node's typed error; nothing reaches its handler."""

    async def main() -> None:
        async with Node(1, {}, hello=peer_hello(1, **server)) as node:
            with pytest.raises(kind):
                await connect_client(HOST, node.port, hello=Hello(HelloKind.CLIENT, **own))
            assert not node.seen.calls

    run(main())


def test_a_client_that_knows_nothing_is_welcome():
    """And one that knows the cluster, and an administrator."""

    async def main() -> None:
        uuid = b"u" * 16
        async with Node(1, {}, hello=peer_hello(1, cluster_uuid=uuid)) as node:
            for hello in (None, Hello(HelloKind.CLIENT, cluster_uuid=uuid), Hello(HelloKind.ADMIN)):
                client = await connect_client(HOST, node.port, hello=hello)
                assert client.hello.cluster_uuid == uuid
                await client.close()

    run(main())


def test_nobody_there_is_unavailable():
    """The error names the address."""

    async def main() -> None:
        with socket.socket() as reserved:
            reserved.bind((HOST, 0))
            port = reserved.getsockname()[1]
            with pytest.raises(Unavailable, match=f"{HOST}:{port}"):
                await connect_client(HOST, port)

    run(main())


def test_who_never_answers_is_unavailable():
    """The deadline covers the hello, not the connect alone."""

    async def main() -> None:
        with socket.socket() as silent:
            silent.bind((HOST, 0))
            silent.listen()
            with pytest.raises(Unavailable):
                await connect_client(HOST, silent.getsockname()[1], timeout=0.05)

    run(main())


def test_a_cancelled_connect_leaves_nothing():
    """The caller's own deadline works as well."""

    async def main() -> None:
        with socket.socket() as silent:
            silent.bind((HOST, 0))
            silent.listen()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connect_client(HOST, silent.getsockname()[1])

    run(main())


def test_what_answers_may_not_be_a_node():
    """Another program's answer is a typed error."""

    async def main() -> None:
        async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example.org ESMTP ready\r\n")
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

        async with await asyncio.start_server(speak, HOST, 0) as server:
            with pytest.raises(BadStream):
                await connect_client(HOST, server.sockets[0].getsockname()[1])

    run(main())


def test_plaintext_off_this_machine_must_be_asked_for():
    """Before anything is sent."""

    async def main() -> None:
        with pytest.raises(InvalidArgument, match="insecure"):
            await connect_client("192.0.2.1", 7)

    run(main())


@pytest.mark.parametrize("kind", [FrameKind.MESSAGES, FrameKind.CHUNK, FrameKind.REPLY, FrameKind.HELLO])
def test_a_client_cannot_speak_as_a_peer(kind: FrameKind):
    """It may send requests only; anything else closes its connection, with the reason."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as node:
            client = await connect_client(HOST, node.port)
            assert client.send(seal(kind, b"x"))
            with pytest.raises(InvalidArgument, match="not allowed"):
                await anext(client)
            await node.seen.until("client lost")
            assert not node.seen.of("frame")
            assert not node.seen.of("request")

    run(main())


def test_a_client_that_does_not_read_is_cut_off():
    """Its queue is bounded: the node closes it and goes on."""

    async def main() -> None:
        async with Node(1, {}, options=TcpOptions(client_queue_bytes=MIB)) as node:
            client = await connect_client(HOST, node.port)
            session = await first_session(node, client)
            client._connection.pause_reading()
            answer = reply(bytes(100_000))
            for _ in range(1000):
                if not session.send(answer):
                    break
                await asyncio.sleep(0)
            else:
                pytest.fail("100 MB were queued for a client that reads nothing")
            await node.seen.until("client lost")
            assert not session.send(answer)
            client.abort()

    run(main())


def test_a_client_reads_no_faster_than_it_takes(monkeypatch: pytest.MonkeyPatch):
    """What waits to be iterated over is bounded, and nothing is lost by that."""
    monkeypatch.setattr(client_module, "RECEIVE_QUEUE_BYTES", 1000)

    async def main() -> None:
        async with Node(1, {}) as node:
            client = await connect_client(HOST, node.port)
            session = await first_session(node, client)
            size, count = 200_000, 60
            for number in range(count):
                assert session.send(reply(number.to_bytes(size)))
            most = 0
            for number in range(count):
                _, payload = await anext(client)
                assert int.from_bytes(payload) == number
                most = max(most, client._held_bytes)
            assert most <= 3 * size  # what one read of the socket brings, and one frame
            await client.close()

    run(main())


def test_clients_leave_room_for_peers():
    """They get a typed error at their limit; a peer still gets in."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}, options=TcpOptions(connections=3)) as one:
            clients = [await connect_client(HOST, one.port) for _ in range(2)]
            with pytest.raises(Overloaded, match="clients"):
                await connect_client(HOST, one.port)
            async with Node(2, {1: one.address}):
                await one.seen.until("connected")
            for client in clients:
                await client.close()

    run(main())


def test_an_error_of_the_node_closes_its_clients():
    """Closing a node ends every session, and each client learns of it."""

    async def main() -> None:
        async with Node(1, {}) as node:
            clients = [await connect_client(HOST, node.port) for _ in range(5)]
        assert len(node.seen.of("client lost")) == 5
        for client in clients:
            with pytest.raises(Unavailable):
                await anext(client)

    run(main())

"""Who does not fit is refused with a typed error on both sides; strangers cannot do harm."""

import asyncio
import logging
from typing import Any

import pytest

from multiraft.engine.errors import ClusterMismatch, Error, InvalidArgument, VersionMismatch
from multiraft.engine.transport.framing import FrameReader
from multiraft.engine.transport.hello import Hello, HelloKind, encode_hello
from multiraft.engine.transport.kinds import MIB, FrameKind
from multiraft.engine.transport.memory import MemoryNetwork
from multiraft.engine.transport.refusal import decode_refusal, encode_refusal
from multiraft.engine.transport.tcp import TcpOptions
from multiraft.native.frames import seal

from .support import UNUSED, Node, Recorder, peer_hello, run

pytestmark = pytest.mark.usefixtures("every_loop")

UUID, OTHER = b"u" * 16, b"v" * 16

MISFITS: list[Any] = [
    pytest.param({"cluster_uuid": UUID}, {"cluster_uuid": OTHER}, ClusterMismatch, id="cluster"),
    pytest.param({}, {"bootstrap_digest": b"other"}, ClusterMismatch, id="digest"),
    pytest.param({}, {"protocol_min": 8, "protocol_max": 9}, VersionMismatch, id="newer"),
    pytest.param({"protocol_min": 8, "protocol_max": 9}, {}, VersionMismatch, id="older"),
]


@pytest.mark.parametrize(("ones", "twos", "kind"), MISFITS)
def test_a_mismatch_is_seen_on_both_sides(
    ones: dict, twos: dict, kind: type[Error], caplog: pytest.LogCaptureFixture
):
    """The listener logs what it refuses, the dialer is told with type and text."""

    async def main() -> None:
        one = Node(1, {2: UNUSED}, hello=peer_hello(1, **ones))
        async with one, Node(2, {1: one.address}, hello=peer_hello(2, **twos)) as two:
            (node, error), *_ = await two.seen.until("refused")
            assert node == 1
            assert type(error) is kind
            assert str(error) in caplog.text
            assert not one.seen.of("connected")
            assert not two.seen.of("connected")

    with caplog.at_level(logging.WARNING, "multiraft"):
        run(main())


@pytest.mark.parametrize(("ones", "twos", "kind"), MISFITS)
def test_a_mismatch_is_the_same_in_memory(ones: dict, twos: dict, kind: type[Error]):
    """The in-memory transport judges by the same rules."""

    async def main() -> None:
        network, seen = MemoryNetwork(), {1: Recorder(), 2: Recorder()}
        hellos = {1: peer_hello(1, **ones), 2: peer_hello(2, **twos)}
        for node in (1, 2):
            await network.join(node, lambda node=node: hellos[node]).start(seen[node])
        ((node, error),) = await seen[2].until("refused")
        assert node == 1
        assert type(error) is kind
        assert not seen[1].of("connected")
        assert not seen[2].of("connected")

    run(main())


def test_a_node_that_is_not_expected_is_refused():
    """An unknown peer, and one that answers at the address of another."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one, Node(3, {1: one.address}) as three:
            (_, error), *_ = await three.seen.until("refused")
            assert type(error) is ClusterMismatch
            assert "does not expect node 3" in str(error)
        async with Node(1, {3: UNUSED}) as one, Node(3, {2: one.address}) as three:
            (node, error), *_ = await three.seen.until("refused")
            assert node == 2
            assert type(error) is ClusterMismatch
            assert "does not expect node 1" in str(error)
            # The listener had let it in, and learns from the dialer that it did not stay.
            (_, told), *_ = await one.seen.until("refused")
            assert str(told) == str(error)
            await one.seen.until("lost")

    run(main())


def test_the_handler_has_the_last_word_on_either_side():
    """A store uuid that the system group does not know: the other side gets the handler's own error."""

    async def main() -> None:
        wiped = ClusterMismatch("that store is not the one of node 2")
        async with Node(1, {2: UNUSED}, refuse=wiped) as one, Node(2, {1: one.address}) as two:
            (_, error), *_ = await two.seen.until("refused")
            assert (type(error), str(error)) == (ClusterMismatch, str(wiped))
        async with Node(1, {2: UNUSED}) as one, Node(2, {1: one.address}, refuse=wiped) as two:
            assert (await two.seen.until("refused"))[0] == (1, wiped)
            (node, error), *_ = await one.seen.until("refused")
            assert (node, type(error), str(error)) == (2, ClusterMismatch, str(wiped))
            assert not error.replaced

    run(main())


def test_a_dialer_that_refuses_a_replaced_peer_leaves_that_to_the_peer():
    """The peer is told; the dialer's handler, which might stop the node over a mismatch, is not."""

    async def main() -> None:
        wiped = ClusterMismatch("that store is not the one of node 1", replaced=True)
        async with Node(1, {2: UNUSED}) as one, Node(2, {1: one.address}, refuse=wiped) as two:
            (node, error), *_ = await one.seen.until("refused")
            assert (node, type(error), str(error)) == (2, ClusterMismatch, str(wiped))
            assert error.replaced
            assert not two.seen.of("refused")

    run(main())


def test_a_refused_node_is_admitted_once_the_reason_is_gone():
    """The dialer keeps trying: no restart is needed after the cause was repaired."""

    async def main() -> None:
        one = Node(1, {2: UNUSED}, refuse=ClusterMismatch("not yet"))
        async with one, Node(2, {1: one.address}) as two:
            await two.seen.until("refused")
            one.seen.refuse = None
            await two.seen.until("connected")
            await one.seen.until("connected")

    run(main())


def test_the_copy_of_a_data_directory_is_refused_and_the_first_stays():
    """Equal incarnation, another process: it is told so, and stays out when the first is gone, too."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one:
            first = await Node(2, {1: one.address}, hello=peer_hello(2, incarnation=4)).start()
            await one.seen.until("connected")
            async with Node(2, {1: one.address}, hello=peer_hello(2, incarnation=4)) as copy:
                (_, error), *_ = await copy.seen.until("refused")
                assert type(error) is ClusterMismatch
                assert "copied" in str(error)
                assert one.transport.connected() == [2]
                await first.transport.close()
                await one.seen.until("lost")
                await copy.seen.until("refused", len(copy.seen.of("refused")) + 1)
                assert one.transport.connected() == []

    run(main())


async def call(node: Node, *frames: bytes) -> bytes:
    """Connect as a stranger, send, and read until the node closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        for frame in frames:
            writer.write(frame)
        return await reader.read()
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def refusal(answer: bytes) -> Error:
    ((kind, payload),) = FrameReader().feed(answer)
    assert kind is FrameKind.REFUSED
    return decode_refusal(payload)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="another protocol"),
        pytest.param(seal(FrameKind.HELLO, bytes(4097)), id="hello over 4 KiB"),
        pytest.param(seal(FrameKind.HELLO, b""), id="empty hello"),
        pytest.param(seal(FrameKind.HELLO, b"\x91" * 4096), id="nested arrays"),
        pytest.param(seal(FrameKind.MESSAGES, b"x"), id="messages before the hello"),
        pytest.param(seal(FrameKind.REQUEST, b"x"), id="request before the hello"),
        pytest.param(seal(FrameKind.CHUNK, bytes(MIB)), id="snapshot before the hello"),
        pytest.param(seal(FrameKind.HELLO, encode_hello(peer_hello(2)))[:-1] + b"\xff", id="damaged hello"),
    ],
)
def test_a_stranger_is_told_and_closed(sent: bytes):
    """No traceback, no crash, no memory; the node goes on."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one:
            assert isinstance(refusal(await call(one, sent)), Error)
            assert not one.seen.calls
            async with Node(2, {1: one.address}):
                await one.seen.until("connected")

    run(main())


def test_a_refusal_instead_of_a_hello_closes():
    """It makes no sense, and no harm."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one:
            frame = seal(FrameKind.REFUSED, encode_refusal(ClusterMismatch("you")))
            assert await call(one, frame) == b""
            assert not one.seen.calls

    run(main())


@pytest.mark.parametrize("start", [b"", b"MRF1"])
def test_who_says_nothing_is_closed(start: bytes):
    """A hello has a deadline, and an unfinished one does not move it."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}, options=TcpOptions(hello_s=0.05)) as one:
            assert await call(one, start) == b""

    run(main())


def test_damage_on_an_admitted_connection_ends_it():
    """A peer whose frames are damaged is told so, and its connection is closed."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one:
            damaged = bytearray(seal(FrameKind.MESSAGES, b"payload"))
            damaged[-1] ^= 1
            answer = await call(one, seal(FrameKind.HELLO, encode_hello(peer_hello(2))), bytes(damaged))
            await one.seen.until("lost")
            assert not one.seen.of("frame")
            assert "checksum" in str(refusal(answer))

    run(main())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not a frame"),
        (seal(FrameKind.HELLO, b"\x00"), "not an array"),
        (seal(FrameKind.HELLO, encode_hello(Hello(HelloKind.CLIENT))), "not a node"),
        (seal(FrameKind.PING, b""), "not allowed"),
    ],
)
def test_what_answers_may_not_be_a_node(answer: bytes, words: str):
    """The dialer refuses an answer that is no hello of a peer, and its handler is told."""

    async def main() -> None:
        async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            await asyncio.gather(writer.drain(), return_exceptions=True)
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with Node(2, {1: f"127.0.0.1:{port}"}) as two:
                (node, error), *_ = await two.seen.until("refused")
                assert node == 1
                assert isinstance(error, InvalidArgument)
                assert words in str(error)

    run(main())

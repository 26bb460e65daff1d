"""Nodes over real loopback sockets: they find each other, stay in order, and come back."""

import asyncio
import socket

import pytest

from multiraft.engine.errors import AddressInUse, InvalidArgument
from multiraft.engine.transport.hello import Hello
from multiraft.engine.transport.kinds import MIB, FrameKind
from multiraft.engine.transport.tcp import TcpOptions, TcpTransport
from multiraft.native.frames import seal

from .support import UNUSED, Node, peer_hello, run

pytestmark = pytest.mark.usefixtures("every_loop")


def message(number: int, size: int = 0) -> bytes:
    return seal(FrameKind.MESSAGES, number.to_bytes(4) + bytes(size))


def test_two_nodes_connect_and_frames_keep_their_order():
    """Both are told, and what one sends the other gets, in order."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one, Node(2, {1: one.address}) as two:
            assert await one.seen.until("connected") == [(2, 1)]
            assert await two.seen.until("connected") == [(1, 1)]
            assert one.transport.connected() == [2]
            assert two.transport.connected() == [1]
            for number in range(500):
                assert one.transport.send(2, message(number))
                assert two.transport.send(1, message(number, size=1000))
            for node, other in ((one, 2), (two, 1)):
                frames = await node.seen.until("frame", 500)
                assert [(sender, kind) for sender, kind, _ in frames] == [(other, FrameKind.MESSAGES)] * 500
                assert [int.from_bytes(payload[:4]) for _, _, payload in frames] == list(range(500))
        assert two.seen.of("lost") == [(1,)]
        assert one.seen.of("lost") == [(2,)]
        assert one.transport.connected() == []

    run(main())


def test_three_nodes_form_a_full_mesh():
    """Each pair has one connection; the higher node id dials."""

    async def main() -> None:
        async with (
            Node(1, {2: UNUSED, 3: UNUSED}) as one,
            Node(2, {1: one.address, 3: UNUSED}) as two,
            Node(3, {1: one.address, 2: two.address}) as three,
        ):
            for node in (one, two, three):
                await node.seen.until("connected", 2)
            assert one.transport.connected() == [2, 3]
            assert two.transport.connected() == [1, 3]
            assert three.transport.connected() == [1, 2]

    run(main())


def test_small_frames_are_not_held_back():
    """TCP_NODELAY is set on both ends."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one, Node(2, {1: one.address}) as two:
            await one.seen.until("connected")
            await two.seen.until("connected")
            for node in (one, two):
                for link in node.transport._links.values():
                    endpoint = link.connection._transport.get_extra_info("socket")
                    assert endpoint.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(main())


def test_sending_to_who_is_not_there_says_so():
    """An unknown node, one that is down, and one that was closed."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one:
            assert not one.transport.send(2, message(1))
            assert not one.transport.send(9, message(1))
        assert not one.transport.send(2, message(1))

    run(main())


def test_a_full_queue_drops_and_never_blocks():
    """The other side does not read: send says False at the bound, and memory stays there."""

    async def main() -> None:
        bound = 4 * MIB
        options = TcpOptions(peer_queue_bytes=bound)
        async with Node(1, {2: UNUSED}, options=options) as one, Node(2, {1: one.address}) as two:
            await one.seen.until("connected")
            await two.seen.until("connected")
            two.transport._links[1].connection.pause_reading()
            frame, accepted = message(7, size=MIB), 0
            # What the kernel's own buffers take comes on top of the bound, and not at once.
            for _ in range(100):
                accepted += one.transport.send(2, frame)
                await asyncio.sleep(0)
            assert accepted < 50
            assert not one.transport.send(2, frame)
            connection = one.transport._links[2].connection
            waiting = connection._queue.waiting + connection._transport.get_write_buffer_size()
            assert waiting <= bound
            two.transport._links[1].connection.resume_reading()
            await two.seen.until("frame", accepted)
            assert one.transport.send(2, frame)

    run(main())


def test_urgent_frames_overtake_what_is_queued():
    """Beats do not wait behind megabytes of appends."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one, Node(2, {1: one.address}) as two:
            await one.seen.until("connected")
            for number in range(20):
                assert one.transport.send(2, message(number, size=MIB))
            assert one.transport.send(2, message(99), urgent=True)
            frames = await two.seen.until("frame", 21)
            order = [int.from_bytes(payload[:4]) for _, _, payload in frames]
            assert order[0] == 99
            assert order[1:] == list(range(20))

    run(main())


def test_a_peer_that_restarts_is_found_again():
    """The dialer keeps trying; both learn of the loss first, and the new incarnation is announced."""

    async def main() -> None:
        first = await Node(1, {2: UNUSED}).start()
        address = first.address
        async with Node(2, {1: address}) as two:
            await two.seen.until("connected")
            await first.transport.close()
            await two.seen.until("lost")
            again = Node(1, {2: UNUSED}, listen=address, hello=peer_hello(1, incarnation=2))
            async with again:
                assert await two.seen.until("connected", 2) == [(1, 1), (1, 2)]
                await again.seen.until("connected")
                assert two.transport.send(1, message(5))
                assert (await again.seen.until("frame"))[0][2][:4] == (5).to_bytes(4)

    run(main())


def test_the_dialer_may_start_first():
    """Whoever comes up later is found."""

    async def main() -> None:
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{reserved.getsockname()[1]}"
        async with Node(2, {1: address}) as two, Node(1, {2: UNUSED}, listen=address):
            await two.seen.until("connected")

    run(main())


def test_a_dialer_that_restarts_replaces_its_dead_connection():
    """The listener has not noticed that the old process is gone: the new one wins and the old is dropped."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one:
            old = Node(2, {1: one.address}, hello=peer_hello(2, incarnation=1))
            new = Node(2, {1: one.address}, hello=peer_hello(2, incarnation=2))
            async with old:
                await one.seen.until("connected")
                async with new:
                    assert await one.seen.until("connected", 2) == [(2, 1), (2, 2)]
                    assert [call[0] for call in one.seen.calls if call[0] != "admit"] == [
                        "connected",
                        "lost",
                        "connected",
                    ]
                    await old.seen.until("refused")  # it dials again, with an incarnation that is over
                    assert one.transport.connected() == [2]
                    assert one.transport.send(2, message(3))
                    await new.seen.until("frame")

    run(main())


def test_quiet_nodes_ping_each_other():
    """A frame without content is a sign of life; nothing is cut off while both live."""

    async def main() -> None:
        options = TcpOptions(round_s=0.01, quiet_rounds=1000)
        async with (
            Node(1, {2: UNUSED}, options=options) as one,
            Node(2, {1: one.address}, options=options) as two,
        ):
            for node, other in ((one, 2), (two, 1)):
                frames = await node.seen.until("frame", 3)
                assert set(frames) == {(other, FrameKind.PING, b"")}
            assert not one.seen.of("lost")

    run(main())


def test_a_peer_that_vanishes_without_a_word_is_cut_off():
    """No bytes for so many rounds: the connection is closed and dialed anew."""

    async def main() -> None:
        hasty = TcpOptions(round_s=0.01, quiet_rounds=3)
        mute = TcpOptions(round_s=1000)
        async with Node(1, {2: UNUSED}, options=mute) as one, Node(2, {1: one.address}, options=hasty) as two:
            await two.seen.until("lost")
            await two.seen.until("connected", 2)

    run(main())


def test_hanging_up_tells_the_peer_why_and_reconnects():
    """The error arrives with its type; afterwards the two talk again."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one, Node(2, {1: one.address}) as two:
            for speaker, listener, node in ((one, two, 2), (two, one, 1)):
                await speaker.seen.until_true(lambda s=speaker, n=node: s.transport.connected() == [n])
                speaker.transport.hang_up(node, InvalidArgument("that was no message"))
                assert not speaker.transport.send(node, message(1))
                assert speaker.transport.connected() == []
                (refusal,) = await listener.seen.until("refused")
                assert type(refusal[1]) is InvalidArgument
                assert str(refusal[1]) == "that was no message"
                await speaker.seen.until("lost")
            await one.seen.until("connected", 3)
            one.transport.hang_up(7, InvalidArgument("nobody there"))

    run(main())


def test_a_port_in_use_is_a_typed_error():
    """It names the address, and nothing is left behind."""

    async def main() -> None:
        async with Node(1, {}) as one:
            second = Node(1, {}, listen=one.address)
            with pytest.raises(AddressInUse, match=one.address):
                await second.start()
            await second.transport.close()

    run(main())


def test_an_address_of_another_machine_is_an_invalid_argument():
    """Nothing here has it."""

    async def main() -> None:
        transport = TcpTransport(1, "192.0.2.1:0", {}, lambda: peer_hello(1), insecure=True)
        with pytest.raises(InvalidArgument, match=r"192\.0\.2\.1"):
            await transport.start(Node(1, {}).seen)
        await transport.close()

    run(main())


@pytest.mark.parametrize(
    ("listen", "peers"), [("0.0.0.0:0", {}), ("127.0.0.1:0", {1: "192.0.2.1:7"}), ("nonsense", {})]
)
def test_plaintext_off_this_machine_is_refused_at_once(listen: str, peers: dict[int, str]):
    """Listening and dialing alike, unless it was asked for by name."""
    with pytest.raises(InvalidArgument):
        TcpTransport(2, listen, peers, lambda: peer_hello(2))
    if listen != "nonsense":
        TcpTransport(2, listen, peers, lambda: peer_hello(2), insecure=True)


def test_peers_that_are_dialed_for_snapshots_only_have_to_be_on_this_machine_too():
    with pytest.raises(InvalidArgument):
        TcpTransport(1, "127.0.0.1:0", {2: "192.0.2.1:7"}, lambda: peer_hello(1))
    TcpTransport(1, "127.0.0.1:0", {1: "192.0.2.1:7"}, lambda: peer_hello(1))


def test_a_node_without_a_listener_has_no_address():
    """The embedded default opens no port."""

    async def main() -> None:
        transport = TcpTransport(1, None, {}, lambda: peer_hello(1))
        await transport.start(Node(1, {}).seen)
        assert transport.address is None
        await transport.close()
        await transport.close()

    run(main())


def test_closing_while_dialing_leaves_nothing():
    """No task, no socket, whatever the dialer was at."""

    async def main() -> None:
        with socket.socket() as silent:  # accepts by its backlog and never answers
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            async with Node(3, {1: address, 2: UNUSED}) as three:
                accepted, _ = await asyncio.to_thread(silent.accept)
                accepted.close()
                assert three.transport.connected() == []
        assert not three.transport._connections

    run(main())


def test_closing_at_the_moment_of_connecting_leaves_nothing():
    """The dialer is cancelled when its socket is connected and it has not been told yet."""

    async def main() -> None:
        closing: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
        async with Node(1, {2: UNUSED}) as one:
            two = Node(2, {1: one.address})

            def close_and_speak() -> Hello:
                closing.put_nowait(asyncio.ensure_future(two.transport.close()))
                return two.hello

            two.transport._hello_source = close_and_speak
            async with two:
                await (await closing.get())
                assert not two.transport._connections

    run(main())


def test_what_was_queued_is_sent_before_closing():
    """A clean stop of a node does not lose its last frames."""

    async def main() -> None:
        async with Node(1, {2: UNUSED}) as one:
            async with Node(2, {1: one.address}) as two:
                await two.seen.until("connected")
                for number in range(100):
                    assert two.transport.send(1, message(number, size=10_000))
            assert len(await one.seen.until("frame", 100)) == 100

    run(main())


def test_connections_have_a_limit():
    """One more is told so and closed; when one has gone there is room again."""

    async def main() -> None:
        options = TcpOptions(connections=3)
        async with Node(1, {}, options=options) as one:
            open_ones = [await asyncio.open_connection("127.0.0.1", one.port) for _ in range(3)]
            await asyncio.sleep(0)
            reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
            refusal = await reader.read()
            assert b"Overloaded" in refusal
            writer.close()
            for _, each in open_ones:
                each.close()
                await each.wait_closed()

    run(main())

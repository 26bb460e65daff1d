"""The in-memory transport: the same frames and rules as TCP, repeatable, with links that can be cut."""

import asyncio

import pytest

from multiraft.engine.errors import ClusterMismatch, InvalidArgument
from multiraft.engine.transport.hello import Hello
from multiraft.engine.transport.kinds import MIB, FrameKind
from multiraft.engine.transport.memory import MemoryNetwork, MemoryTransport
from multiraft.native.frames import seal

from .support import Recorder, peer_hello, run


def message(number: int, size: int = 0) -> bytes:
    return seal(FrameKind.MESSAGES, number.to_bytes(4) + bytes(size))


class MemoryNode:
    def __init__(self, network: MemoryNetwork, hello: Hello) -> None:
        self.seen = Recorder()
        self.transport: MemoryTransport = network.join(hello.node_id, lambda: hello)

    async def start(self) -> "MemoryNode":
        await self.transport.start(self.seen)
        return self


async def cluster(network: MemoryNetwork, nodes: int) -> list[MemoryNode]:
    """Connected nodes 1..n."""
    made = [await MemoryNode(network, peer_hello(node)).start() for node in range(1, nodes + 1)]
    for node in made:
        await node.seen.until("connected", nodes - 1)
    return made


def numbers(node: MemoryNode) -> list[int]:
    return [int.from_bytes(payload[:4]) for _, _, payload in node.seen.of("frame")]


def test_nodes_connect_and_frames_keep_their_order():
    """Nothing is delivered from inside send, and nothing overtakes."""

    async def main() -> None:
        one, two, three = await cluster(MemoryNetwork(), 3)
        assert one.transport.connected() == [2, 3]
        for number in range(100):
            assert one.transport.send(2, message(number))
            assert one.transport.send(3, message(number, size=100_000))
        assert not two.seen.of("frame")
        await two.seen.until("frame", 100)
        await three.seen.until("frame", 100)
        assert numbers(two) == numbers(three) == list(range(100))
        for node in (one, two, three):
            await node.transport.close()

    run(main())


def test_two_runs_are_the_same():
    """The order of all calls on all nodes depends on nothing but the order of sending."""
    traces = []

    async def main() -> None:
        nodes = await cluster(MemoryNetwork(), 3)
        for round_number in range(20):
            for node in nodes:
                for other in node.transport.connected():
                    node.transport.send(
                        other, message(round_number, size=other), urgent=round_number % 3 == 0
                    )
            await asyncio.sleep(0)
        for node in nodes:
            await node.seen.until("frame", 40)
        traces.append([node.seen.calls for node in nodes])

    run(main())
    run(main())
    assert traces[0] == traces[1]


def test_a_full_queue_drops():
    """At the bound send says False; after delivery there is room again."""

    async def main() -> None:
        one, two = await cluster(MemoryNetwork(queue_bytes=10 * MIB), 2)
        accepted = sum(one.transport.send(2, message(number, size=MIB)) for number in range(50))
        assert accepted == 9
        assert not one.transport.send(9, message(0))
        await two.seen.until("frame", accepted)
        assert one.transport.send(2, message(1, size=MIB))

    run(main())


def test_a_cut_link_loses_what_is_on_its_way_and_can_be_healed():
    """Both sides are told; the others stay connected."""

    async def main() -> None:
        network = MemoryNetwork()
        one, two, three = await cluster(network, 3)
        assert one.transport.send(2, message(1))
        network.cut(2, 1)
        assert one.seen.of("lost") == [(2,)]
        assert two.seen.of("lost") == [(1,)]
        assert not one.transport.send(2, message(2))
        assert one.transport.connected() == [3]
        assert one.transport.send(3, message(3))
        await three.seen.until("frame")
        network.heal(1, 2)
        await one.seen.until("connected", 3)
        assert one.transport.send(2, message(4))
        await two.seen.until("frame")
        assert numbers(two) == [4]

    run(main())


def test_a_muted_link_loses_frames_in_one_direction_only():
    """Nobody is told: that is the point."""

    async def main() -> None:
        network = MemoryNetwork()
        one, two = await cluster(network, 2)
        network.mute(1, 2)
        assert one.transport.send(2, message(1))
        assert two.transport.send(1, message(2))
        await one.seen.until("frame")
        network.unmute(1, 2)
        assert one.transport.send(2, message(3))
        await two.seen.until("frame")
        assert numbers(two) == [3]
        assert not two.seen.of("lost")

    run(main())


def test_a_restarted_node_comes_back_and_its_old_self_does_not():
    """The incarnation decides, as over TCP."""

    async def main() -> None:
        network = MemoryNetwork()
        one, two = await cluster(network, 2)
        await two.transport.close()
        assert one.seen.of("lost") == [(2,)]
        again = await MemoryNode(network, peer_hello(2, incarnation=2)).start()
        assert await one.seen.until("connected", 2) == [(2, 1), (2, 2)]
        await again.transport.close()
        stale = await MemoryNode(network, peer_hello(2, incarnation=1)).start()
        ((node, error),) = await stale.seen.until("refused")
        assert (node, type(error)) == (1, ClusterMismatch)

    run(main())


def test_a_node_is_on_a_network_once():
    """Two processes under one node id cannot both be reached."""

    async def main() -> None:
        network = MemoryNetwork()
        await cluster(network, 2)
        with pytest.raises(InvalidArgument, match="node 2"):
            await MemoryNode(network, peer_hello(2)).start()

    run(main())


def test_a_damaged_frame_breaks_the_link_and_it_comes_back():
    """The sender is told why, both lose the link, and both find each other again."""

    async def main() -> None:
        one, two = await cluster(MemoryNetwork(), 2)
        damaged = bytearray(message(1))
        damaged[-1] ^= 1
        assert one.transport.send(2, bytes(damaged))
        await two.seen.until("connected", 2)
        await one.seen.until("connected", 2)
        ((node, error),) = one.seen.of("refused")
        assert node == 2
        assert "checksum" in str(error)
        assert not two.seen.of("frame")

    run(main())


def test_hanging_up_is_the_same_as_over_tcp():
    """The other side gets the error, both are told of the loss, the link comes back."""

    async def main() -> None:
        one, two = await cluster(MemoryNetwork(), 2)
        one.transport.hang_up(2, InvalidArgument("no message"))
        one.transport.hang_up(7, InvalidArgument("nobody there"))
        await one.seen.until("connected", 2)
        ((node, error),) = two.seen.of("refused")
        assert (node, type(error), str(error)) == (1, InvalidArgument, "no message")
        assert one.seen.of("lost") == [(2,)]
        assert two.seen.of("lost") == [(1,)]

    run(main())


def test_the_handler_may_refuse_on_either_side():
    """The dialer is told in both cases, the listener when it was refused."""

    async def main() -> None:
        for refusing in (1, 2):
            network, nodes = MemoryNetwork(), {}
            for node in (1, 2):
                nodes[node] = MemoryNode(network, peer_hello(node))
            nodes[refusing].seen.refuse = ClusterMismatch("wiped")
            for node in nodes.values():
                await node.start()
            ((_, error),) = await nodes[2].seen.until("refused")
            assert str(error) == "wiped"
            assert nodes[1].transport.connected() == nodes[2].transport.connected() == []
            nodes[refusing].seen.refuse = None
            network.heal(1, 2)
            await nodes[1].seen.until("connected")

    run(main())

"""Sockets of the simulation behave like TCP, and their faults do what their names say."""

import asyncio

import pytest

from multiraft.engine.transport.kinds import FrameKind
from multiraft.native.frames import seal
from tests.simulation.loop import NodeLoop, World
from tests.simulation.network import Network

ONE, TWO = 7001, 7002


class End(asyncio.Protocol):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: list[Exception | None] = []
        self.pauses = 0
        self.socket: asyncio.Transport

    def connection_made(self, transport) -> None:
        self.socket = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc) -> None:
        self.lost.append(exc)

    def pause_writing(self) -> None:
        self.pauses += 1

    def resume_writing(self) -> None:
        self.pauses -= 1


class Pair:
    """Two machines, the second listens, and a connection from the first."""

    def __init__(self) -> None:
        self.world = World(1)
        self.network = Network(self.world)
        self.loops = {port: NodeLoop(self.world, str(port)) for port in (ONE, TWO)}
        for port, loop in self.loops.items():
            self.network.place(loop, port)
        self.near, self.far = End(), End()
        self.tasks: list[asyncio.Task] = []
        self.loops[TWO].call_soon(self.start, TWO, self.loops[TWO].create_server(lambda: self.far, None, TWO))
        self.world.run(0.01)

    def start(self, port: int, coroutine) -> None:
        self.tasks.append(self.loops[port].create_task(coroutine))

    def dial(self) -> "asyncio.Task":
        loop = self.loops[ONE]
        loop.call_soon(self.start, ONE, loop.create_connection(lambda: self.near, "127.0.0.1", TWO))
        self.pass_time(0.1)
        return self.tasks[-1]

    def pass_time(self, seconds: float) -> None:
        self.world.run(self.world.now + seconds)

    def do(self, port: int, call, *arguments) -> None:
        self.loops[port].call_soon(call, *arguments)


@pytest.fixture
def pair() -> Pair:
    """A connection that stands."""
    made = Pair()
    made.dial()
    return made


def test_bytes_arrive_in_order_in_both_directions(pair: Pair):
    for number in range(50):
        pair.do(ONE, pair.near.socket.write, b"%02d" % number)
    pair.do(TWO, pair.far.socket.write, b"answer")
    pair.pass_time(0.1)
    assert pair.far.data == b"".join(b"%02d" % number for number in range(50))
    assert pair.near.data == b"answer"


def test_a_closed_end_sends_what_it_has_and_both_are_told(pair: Pair):
    pair.do(ONE, pair.near.socket.write, b"last")
    pair.do(ONE, pair.near.socket.close)
    pair.pass_time(0.1)
    assert pair.far.data == b"last"
    assert pair.near.lost == [None]
    assert pair.far.lost == [None]


def test_an_aborted_end_resets_the_other(pair: Pair):
    pair.do(ONE, pair.near.socket.abort)
    pair.pass_time(0.1)
    assert pair.near.lost == [None]
    assert isinstance(pair.far.lost[0], ConnectionResetError)


def test_what_a_cut_link_holds_back_arrives_when_it_heals(pair: Pair):
    pair.network.block(ONE, TWO)
    pair.do(ONE, pair.near.socket.write, b"held")
    pair.do(TWO, pair.far.socket.write, b"through")
    pair.pass_time(5)
    assert (pair.near.data, pair.far.data) == (b"through", b"")
    pair.network.unblock(ONE, TWO)
    pair.pass_time(0.1)
    assert pair.far.data == b"held"


def test_nobody_connects_through_a_cut_link_until_it_heals():
    pair = Pair()
    pair.network.block(TWO, ONE)
    task = pair.dial()
    pair.pass_time(3)
    assert not task.done()
    pair.network.unblock(TWO, ONE)
    pair.pass_time(2)
    assert task.done()
    assert pair.near.socket is not None


def test_where_nobody_listens_a_connection_is_refused():
    pair = Pair()
    pair.network.process_ended(pair.loops[TWO], silently=False)
    assert isinstance(pair.dial().exception(), ConnectionRefusedError)


def test_a_killed_process_is_noticed_at_once_a_dead_machine_when_it_is_back(pair: Pair):
    other = Pair()
    other.dial()
    pair.network.process_ended(pair.loops[TWO], silently=False)
    other.network.process_ended(other.loops[TWO], silently=True)
    for one in (pair, other):
        one.pass_time(0.1)
        one.do(ONE, one.near.socket.write, b"?")
        one.pass_time(1)
    assert isinstance(pair.near.lost[0], ConnectionResetError)
    assert other.near.lost == []
    other.network.place(NodeLoop(other.world, "two again"), TWO)
    other.do(ONE, other.near.socket.write, b"?")
    other.pass_time(1)
    assert isinstance(other.near.lost[0], ConnectionResetError)


def test_a_reset_tells_both_ends(pair: Pair):
    assert pair.network.reset(ONE, TWO) == 1
    pair.pass_time(0.1)
    assert isinstance(pair.near.lost[0], ConnectionResetError)
    assert isinstance(pair.far.lost[0], ConnectionResetError)


def test_a_slow_link_fills_the_buffer_of_the_sender_and_drains_it(pair: Pair):
    link = pair.network.link(ONE, TWO)
    link.bytes_per_second, link.window = 1000.0, 100
    pair.do(ONE, pair.near.socket.set_write_buffer_limits, 200)
    for _ in range(10):
        pair.do(ONE, pair.near.socket.write, b"x" * 100)
    pair.pass_time(0.05)
    assert pair.near.pauses == 1
    assert pair.near.socket.get_write_buffer_size() > 200
    pair.pass_time(20)
    assert pair.near.pauses == 0
    assert len(pair.far.data) == 1000


def test_a_reader_that_pauses_loses_nothing(pair: Pair):
    pair.do(TWO, pair.far.socket.pause_reading)
    pair.do(ONE, pair.near.socket.write, b"waits")
    pair.pass_time(1)
    assert pair.far.data == b""
    pair.do(TWO, pair.far.socket.resume_reading)
    pair.pass_time(1)
    assert pair.far.data == b"waits"


def frames_received(pair: Pair, **faults: float) -> list[int]:
    link = pair.network.link(ONE, TWO)
    for name, value in faults.items():
        setattr(link, name, value)
    size = len(seal(FrameKind.MESSAGES, b"0000"))
    for number in range(200):
        pair.do(ONE, pair.near.socket.write, seal(FrameKind.MESSAGES, b"%04d" % number))
    pair.pass_time(2)
    data = pair.far.data
    return [int(data[at + size - 4 : at + size]) for at in range(0, len(data), size)]


def test_a_lossy_link_loses_single_frames(pair: Pair):
    received = frames_received(pair, lose=0.3)
    assert 100 < len(received) < 180
    assert received == sorted(received)


def test_a_lossy_link_doubles_frames(pair: Pair):
    received = frames_received(pair, double=0.3)
    assert len(received) > 220
    assert set(received) == set(range(200))


def test_a_lossy_link_changes_the_order(pair: Pair):
    received = frames_received(pair, reorder=0.5)
    assert received != sorted(received)
    assert sorted(received) == list(range(200))


def test_a_frame_that_others_overtake_counts_as_under_way(pair: Pair):
    link = pair.network.link(ONE, TWO)
    link.delay, link.reorder = (1.0, 1.0), 1.0
    pair.do(ONE, pair.near.socket.write, seal(FrameKind.MESSAGES, b"late"))
    pair.pass_time(0.01)
    pair.network.reset_slow(0.3)
    pair.pass_time(60)
    assert pair.far.data == b""
    assert pair.far.lost


def test_requests_are_never_doubled(pair: Pair):
    link = pair.network.link(ONE, TWO)
    link.double = 1.0
    pair.do(ONE, pair.near.socket.write, seal(FrameKind.REQUEST, b"once"))
    pair.pass_time(1)
    assert pair.far.data == seal(FrameKind.REQUEST, b"once")


def test_a_corrupt_link_turns_bits_over(pair: Pair):
    link = pair.network.link(ONE, TWO)
    link.corrupt = 1.0
    pair.do(ONE, pair.near.socket.write, b"\0" * 100)
    pair.pass_time(1)
    assert len(pair.far.data) == 100
    assert sum(byte.bit_count() for byte in pair.far.data) == 1

"""The answering side: a client's write takes the short way, and the long one when it is refused."""

import asyncio

import pytest

from multiraft.engine.errors import (
    ClusterMismatch,
    Corruption,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    ProposalDropped,
    RangeMoved,
)
from multiraft.engine.transport.kinds import FrameKind
from multiraft.native.frames import HEADER_SIZE
from multiraft.shards.requests import Op, Request, decode_replies, encode_request
from multiraft.shards.service import Service

WRITE = Request(7, Op.WRITE, 1000, [b"a", b"a", b"body"])


class Operations:
    """Stands for the engine: the short way gives ``future``, the long way answers 5."""

    def __init__(self, future):
        self.future = future
        self.long_way = 0

    def write_here(self, low, high, body):
        return self.future

    async def client_request(self, op, fields, timeout):  # noqa: ASYNC109 # the signature of the engine
        self.long_way += 1
        return [5]


class Session:
    def __init__(self):
        self.replies = []
        self.answered = asyncio.Event()
        self.closed = False

    def send(self, frame):
        self.replies += decode_replies(frame[HEADER_SIZE:])
        self.answered.set()
        return True

    def close(self):
        self.closed = True


async def answer(value):
    """What a client gets for a write whose short way ends with ``value`` (None: there is no short way)."""
    loop = asyncio.get_running_loop()
    operations = Operations(None if value is None else loop.create_future())
    service, session = Service(lambda _: None, dict, lambda: True, lambda _: None), Session()
    service.serve(None, operations)
    service.client_frame(session, FrameKind.REQUEST, encode_request(WRITE))
    if value is not None:
        operations.future.set_result(value)
    await session.answered.wait()
    await service.close()
    (reply,) = session.replies
    assert reply.id == WRITE.id
    return reply, operations.long_way


def test_a_write_that_this_node_can_append_is_answered_with_its_result():
    reply, long_way = asyncio.run(answer([True]))
    assert (reply.fields, reply.error, long_way) == ([True], None, 0)


def test_a_write_that_belongs_elsewhere_takes_the_long_way():
    reply, long_way = asyncio.run(answer(None))
    assert (reply.fields, long_way) == ([5], 1)


def test_a_node_that_has_lost_its_directory_answers_all_the_same(monkeypatch):
    """The short way cannot even look for the range: the error must not reach the connection."""

    def lost(*_):
        raise Corruption("the log store has lost the system group")

    monkeypatch.setattr(Operations, "write_here", lost)
    reply, long_way = asyncio.run(answer(None))
    assert (reply.fields, long_way) == ([5], 1)


@pytest.mark.parametrize("refusal", [NotLeader(2), ProposalDropped("x"), RangeMoved("x")])
@pytest.mark.parametrize("whole", [True, False])
def test_an_explicit_refusal_is_tried_again_by_the_node(refusal, whole):
    """Nothing happened: the node finds out who serves the range now, the client need not know."""
    reply, long_way = asyncio.run(answer(refusal if whole else [refusal]))
    assert (reply.fields, long_way) == ([5], 1)


def test_every_other_error_is_the_clients():
    reply, long_way = asyncio.run(answer(Overloaded("full")))
    assert isinstance(reply.error, Overloaded)
    assert long_way == 0


def test_a_fault_of_ours_is_answered_too(monkeypatch):
    """The client must not wait for an answer that never comes."""

    async def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(Operations, "client_request", broken)
    reply, _ = asyncio.run(answer(None))
    assert isinstance(reply.error, OutcomeUnknown)


def test_a_client_that_sends_noise_is_cut_off():
    async def work():
        service, session = Service(lambda _: None, dict, lambda: True, lambda _: None), Session()
        service.serve(None, Operations(None))
        service.client_frame(session, FrameKind.REQUEST, b"\xc1")
        assert session.closed
        await service.close()

    asyncio.run(work())


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
def test_only_a_node_that_was_replaced_or_is_new_stops_over_a_mismatch(joined, replaced):
    """A node of another cluster that listens at a peer's address must not stop a node that is in order."""
    stopped: list[Exception] = []
    service = Service(lambda _: None, dict, lambda: joined, stopped.append)
    error = ClusterMismatch("not one of ours", replaced=replaced)
    service.refused(2, error)
    assert stopped == ([error] if replaced or not joined else [])


class Peers:
    """Stands for the host: proposals are answered by ``future``; what is sent to peers is kept."""

    def __init__(self):
        self.future = asyncio.get_running_loop().create_future()
        self.sent: list[tuple[int, bytes]] = []
        self.full = False

    def propose(self, _group, _commands):
        return self.future

    def send(self, node, frame):
        if not self.full:
            self.sent.append((node, frame))
        return not self.full


async def next_pass():
    """Let what was queued for the end of this pass of the loop go out."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def connected_service(peers):
    service = Service(lambda _: None, dict, lambda: True, lambda _: None)
    service.serve(peers, Operations(None))
    service.peer_connected(2, None)
    return service


def test_an_answer_that_comes_after_its_connection_is_not_sent_over_the_next_one():
    """The next connection counts its requests from the beginning: it would answer another one."""

    async def work():
        peers = Peers()
        service = connected_service(peers)
        propose = Request(1, Op.PROPOSE, 1000, [5, b"command"])
        service.peer_frame(2, FrameKind.REQUEST, encode_request(propose))
        service.peer_lost(2)
        service.peer_connected(2, None)
        peers.future.set_result([True])
        await next_pass()
        assert peers.sent == []
        service.peer_frame(2, FrameKind.REQUEST, encode_request(propose))
        await next_pass()
        ((node, frame),) = peers.sent
        (reply,) = decode_replies(frame[HEADER_SIZE:])
        assert (node, reply.id, reply.fields) == (2, 1, [True])

    asyncio.run(work())


def test_a_request_that_was_not_sent_in_time_is_not_sent_over_the_next_connection():
    """Its caller has been told that nobody knows what became of it."""

    async def work():
        peers = Peers()
        service = connected_service(peers)
        asked = service.channels[2].ask(Op.PROPOSE, 1000, [5, b"command"])
        service.peer_lost(2)
        service.peer_connected(2, None)
        await next_pass()
        assert isinstance((await asked).error, OutcomeUnknown)
        assert peers.sent == []

    asyncio.run(work())


def test_a_connection_whose_queue_was_full_takes_requests_again():
    async def work():
        peers = Peers()
        channel = connected_service(peers).channels[2]
        peers.full = True
        refused = channel.ask(Op.PROPOSE, 1000, [5, b"one"])
        await next_pass()
        assert isinstance((await refused).error, OutcomeUnknown)
        peers.full = False
        channel.ask(Op.PROPOSE, 1000, [5, b"two"])
        await next_pass()
        assert [node for node, _ in peers.sent] == [2]

    asyncio.run(work())

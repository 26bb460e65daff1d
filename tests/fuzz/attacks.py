"""What strangers, clients and a lying member may write to a node's socket: each attack is one connection."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from multiraft.engine.errors import Error
from multiraft.engine.transport.framing import FrameReader
from multiraft.engine.transport.hello import Hello, HelloKind, encode_hello
from multiraft.engine.transport.kinds import PEER_LIMITS, FrameKind
from multiraft.engine.transport.refusal import decode_refusal
from multiraft.native.checksum import crc32c
from multiraft.native.entries import encode_runs
from multiraft.native.frames import seal
from multiraft.native.messages import FIELDS, encode_messages
from multiraft.shards.requests import decode_replies
from tests.fuzz import samples_python as samples
from tests.fuzz.mutate import mutations

CLIENT = seal(FrameKind.HELLO, encode_hello(Hello(HelloKind.CLIENT)))
PATIENCE = 30.0
"""Seconds until a connection that should be closed counts as a finding."""
STRANGE = (0, 1, 2, 3, 10, 11, 255, 2**31, 2**32, 2**63, 2**64 - 1)


@dataclass
class Target:
    """A node under attack, and the identity that the attacker has got hold of."""

    host: str
    port: int
    member: Hello
    draw: random.Random
    admitted: int = 0
    """How often the node took us for the member."""


Attack = Callable[[Target], Awaitable[int]]


async def send(target: Target, *parts: bytes, end: bool = True) -> list[tuple[FrameKind, bytes]]:
    """Write it all, and read until the node closes; ``end`` closes our sending half first.

    Raises:
        TimeoutError: the node keeps a connection open that it should have closed.
    """
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        async with asyncio.timeout(PATIENCE):
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                if end:
                    writer.write_eof()
                answer = await reader.read(-1)
            except ConnectionError:
                return []
    finally:
        writer.close()
    return _understood(answer)


def _understood(answer: bytes) -> list[tuple[FrameKind, bytes]]:
    """What the node said, all of which must be right: frames, refusals, replies."""
    frames = FrameReader()
    found = frames.feed(answer)
    if found:
        frames.admit(PEER_LIMITS)
        found += frames.feed(b"")
    for kind, payload in found:
        if kind is FrameKind.REFUSED:
            assert isinstance(decode_refusal(payload), Error)
        elif kind is FrameKind.REPLY:
            decode_replies(payload)
    return found


async def noise(target: Target) -> int:
    data = target.draw.randbytes(target.draw.randrange(1, 5000))
    assert all(kind is FrameKind.REFUSED for kind, _ in await send(target, data, end=False))
    return 1


async def damaged_stream(target: Target) -> int:
    """A client's stream with changes anywhere, in pieces."""
    source = mutations(samples.streams(), target.draw.randrange(2**32), 4000)
    data = next(source)[1:]
    cut = target.draw.randrange(len(data) + 1)
    await send(target, data[:cut], data[cut:])
    return 1


async def half_a_frame(target: Target) -> int:
    """The header claims much more than comes."""
    payload = bytes(target.draw.randrange(5 << 20))
    await send(target, CLIENT, seal(FrameKind.REQUEST, payload)[: target.draw.randrange(1, 2000)])
    return 1


async def too_long(target: Target) -> int:
    """A header that is right in itself, over the limit of its kind."""
    size = target.draw.choice([5 * 1024, 6 << 20, 64 << 20])
    header = seal(target.draw.choice([1, 3]), b"")[:8] + size.to_bytes(4, "little") + bytes(8)
    before = b"" if size < 1 << 20 else target.draw.choice([b"", CLIENT])
    answer = await send(target, before, header + crc32c(header).to_bytes(4, "little"), end=False)
    assert answer[-1][0] is FrameKind.REFUSED
    return 1


async def wrong_checksum(target: Target) -> int:
    frame = bytearray(seal(FrameKind.REQUEST, samples.requests()[0]))
    frame[target.draw.randrange(len(frame))] ^= 1 << target.draw.randrange(8)
    answer = await send(target, CLIENT, bytes(frame), end=False)
    assert answer[-1][0] is FrameKind.REFUSED
    return 1


async def wrong_order(target: Target) -> int:
    """Frames before the hello, a second hello, and kinds that a client may not send."""
    kind = target.draw.choice([FrameKind.MESSAGES, FrameKind.CHUNK, FrameKind.PING, FrameKind.REPLY])
    first = target.draw.choice([b"", CLIENT])
    answer = await send(target, first, seal(kind, b""), end=False)
    assert answer[-1][0] is FrameKind.REFUSED
    assert (await send(target, CLIENT, CLIENT, end=False))[-1][0] is FrameKind.REFUSED
    return 2


async def strange_requests(target: Target) -> int:
    """Right frames of a client with operations and fields of every kind."""
    source = mutations(samples.requests(), target.draw.randrange(2**32), 500)
    payloads = [next(source) for _ in range(20)]
    await send(target, CLIENT, *(seal(FrameKind.REQUEST, payload) for payload in payloads))
    return len(payloads)


async def strange_messages(target: Target) -> int:
    """Right frames of a member: groups, replicas, types and numbers of every kind."""
    await _as_member(target, [seal(FrameKind.PING, b""), *(_rows(target.draw) for _ in range(20))])
    return 20


async def damaged_messages(target: Target) -> int:
    """A member's payloads with changes anywhere."""
    source = mutations([one[1:] for one in samples.frames()], target.draw.randrange(2**32), 4000)
    for _ in range(4):
        await _as_member(target, [seal(FrameKind.MESSAGES, next(source))])
    return 4


async def strange_peer_requests(target: Target) -> int:
    """What a member asks, and answers to what nobody asked."""
    asked = mutations(samples.requests(), target.draw.randrange(2**32), 500)
    answered = mutations(samples.replies(), target.draw.randrange(2**32), 500)
    frames = [seal(FrameKind.REQUEST, next(asked)), seal(FrameKind.REPLY, next(answered))]
    await _as_member(target, frames)
    return 2


async def _as_member(target: Target, frames: Sequence[bytes]) -> None:
    target.member = replace(target.member, incarnation=target.member.incarnation + 1)
    answer = await send(target, seal(FrameKind.HELLO, encode_hello(target.member)), *frames)
    target.admitted += any(kind is FrameKind.HELLO for kind, _ in answer)


def _rows(draw: random.Random) -> bytes:
    rows: list[int] = []
    bodies: list[bytes] = []
    for _ in range(draw.randrange(6)):
        first = draw.randrange(1, 2**40)
        run = (
            encode_runs([[(draw.randrange(9), first, draw.randrange(4), b"x")]])[0]
            if draw.random() < 0.5
            else b""
        )
        extra = draw.choice([b"", b"context", samples.rows()[-1][5:]])
        fields = [draw.choice(STRANGE) for _ in range(FIELDS - 2)]
        fields[0] = draw.choice(
            [one for one in STRANGE if one not in {1, 10, 11}]
        )  # groups that are not there
        fields[3] = draw.choice([3, 4, 5, 6, 7, 8, 9, 15, 19, 200, 201]) | draw.choice([0, 256])
        rows += [*fields, len(run), len(extra)]
        bodies += [run, extra]
    return encode_messages(draw.choice(STRANGE), rows, bodies)


ATTACKS: list[Attack] = [
    noise,
    damaged_stream,
    half_a_frame,
    too_long,
    wrong_checksum,
    wrong_order,
    strange_requests,
    strange_messages,
    damaged_messages,
    strange_peer_requests,
]

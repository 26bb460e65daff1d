"""The frame reader: nothing damaged, oversized or early gets through, however the bytes arrive."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine.transport import framing
from multiraft.engine.transport.framing import BadStream, Frame, FrameReader
from multiraft.engine.transport.kinds import (
    GREETING_LIMITS,
    HELLO_LIMIT,
    MIB,
    PEER_LIMITS,
    RECEIVER_LIMITS,
    REPLY_LIMITS,
    REQUEST_LIMITS,
    SENDER_LIMITS,
    FrameKind,
    Limits,
)
from multiraft.native.checksum import crc32c
from multiraft.native.frames import HEADER_SIZE, seal

SAMPLES: list[Frame] = [
    (FrameKind.MESSAGES, b"first"),
    (FrameKind.PING, b""),
    (FrameKind.REQUEST, bytes(range(256))),
    (FrameKind.MESSAGES, b"s" * 70_000),
    (FrameKind.REPLY, b"last"),
]


def sealed(frames: list[Frame]) -> bytes:
    return b"".join(seal(kind, payload) for kind, payload in frames)


def header(kind: int, length: int) -> bytes:
    """A header with right checksums of its own that announces a payload of any length."""
    start = struct.pack("<4sBBHIII", b"MRF1", 1, kind, 0, length, 0, 0)
    return start + struct.pack("<I", crc32c(start))


def reader(limits: Limits = PEER_LIMITS) -> FrameReader:
    """A reader whose greeting is over."""
    made = FrameReader()
    made.admit(limits)
    return made


def test_whole_frames_come_out_of_one_call():
    """All that is complete, in order, and nothing is kept."""
    tested = reader()
    assert tested.feed(sealed(SAMPLES)) == SAMPLES
    assert tested.held == 0


def test_single_bytes_give_the_same_frames():
    """Each frame comes out with its last byte."""
    tested = reader()
    out = [frame for byte in sealed(SAMPLES) for frame in tested.feed(bytes([byte]))]
    assert out == SAMPLES
    assert tested.held == 0


@given(st.lists(st.integers(1, 5000), max_size=60))
def test_the_cut_does_not_matter(cuts: list[int]):
    """Whatever pieces the stream comes in, the frames are the same."""
    stream, tested, out = sealed(SAMPLES), reader(), []
    for size in [*cuts, len(stream)]:
        piece, stream = stream[:size], stream[size:]
        out += tested.feed(piece)
    assert out == SAMPLES


def test_no_truncation_is_a_frame():
    """A frame that misses its end is kept, not handed out and not an error."""
    whole = seal(FrameKind.MESSAGES, b"some payload")
    for length in range(len(whole)):
        tested = reader()
        assert tested.feed(whole[:length]) == []
        assert tested.held == length
        assert tested.feed(whole[length:]) == [(FrameKind.MESSAGES, b"some payload")]


def test_no_flipped_bit_gets_through():
    """Every bit of header and payload is covered by a checksum, or changes nothing but the waiting."""
    whole = seal(FrameKind.MESSAGES, b"some payload")
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            with pytest.raises(BadStream):
                reader().feed(bytes(damaged))


@pytest.mark.parametrize("limits", [GREETING_LIMITS, PEER_LIMITS, REQUEST_LIMITS, REPLY_LIMITS])
@pytest.mark.parametrize("kind", FrameKind)
def test_a_header_over_the_limit_is_refused_before_its_payload_comes(kind: FrameKind, limits: Limits):
    """24 bytes are enough to say no, and one payload byte less is a yes."""
    tested = FrameReader() if limits is GREETING_LIMITS else reader(limits)
    allowed = limits.get(kind)
    with pytest.raises(BadStream, match="limit" if allowed is not None else "not allowed"):
        tested.feed(header(kind, (allowed or 0) + 1))
    assert tested.held == 0
    if allowed:
        assert reader(limits).feed(header(kind, allowed)) == []


def test_the_limits_are_those_of_the_design():
    """Entries of 4 MiB and chunks with one large value fit with what is around them; hellos have 4 KiB."""
    assert PEER_LIMITS[FrameKind.MESSAGES] == 5 * MIB
    assert 2 * MIB < SENDER_LIMITS[FrameKind.CHUNK] < 3 * MIB
    assert max(RECEIVER_LIMITS.values()) == HELLO_LIMIT
    assert not (PEER_LIMITS.keys() | REQUEST_LIMITS.keys()) & {FrameKind.CHUNK, FrameKind.OFFER}
    assert max(GREETING_LIMITS.values()) == HELLO_LIMIT == 4096
    assert FrameKind.MESSAGES not in REQUEST_LIMITS


def test_a_kind_that_nobody_knows_is_refused():
    """Also one that a later version may add."""
    with pytest.raises(BadStream, match="kind 99"):
        reader().feed(seal(99, b""))


def test_a_broken_reader_stays_broken():
    """After damage there is no telling where the next frame begins."""
    tested = reader()
    with pytest.raises(BadStream):
        tested.feed(b"x" * HEADER_SIZE)
    with pytest.raises(BadStream):
        tested.feed(sealed(SAMPLES))
    assert tested.held == 0


def test_damage_behind_a_good_frame_hands_nothing_out():
    """The connection is closed anyway: no half of a call is acted on."""
    with pytest.raises(BadStream):
        reader().feed(seal(FrameKind.MESSAGES, b"good") + b"x" * HEADER_SIZE)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_what_follows_the_hello_waits_for_its_limits(size: int):
    """In the greeting one frame comes out per call; the rest is judged by the limits set after it."""
    stream = seal(FrameKind.HELLO, b"hello") + sealed(SAMPLES)
    tested, out = FrameReader(), []
    admitted = False
    for start in range(0, len(stream), size):
        frames = tested.feed(stream[start : start + size])
        while frames:
            out += frames
            if not admitted:
                assert frames == [(FrameKind.HELLO, b"hello")]
                tested.admit(PEER_LIMITS)
                admitted = True
            frames = tested.feed(b"")
    assert out == [(FrameKind.HELLO, b"hello"), *SAMPLES]


def test_a_second_hello_is_refused():
    """The greeting is over when it is over."""
    with pytest.raises(BadStream, match="not allowed"):
        reader().feed(seal(FrameKind.HELLO, b"again"))


def test_single_bytes_take_linear_time(monkeypatch: pytest.MonkeyPatch):
    """A header is looked at twice at most: when it is complete, and when its payload is."""
    opened = []
    real = framing.open_header

    def counted(buffer: bytes | bytearray, offset: int = 0) -> tuple[int, int, int]:
        opened.append(offset)
        return real(buffer, offset)

    monkeypatch.setattr(framing, "open_header", counted)
    tested = reader()
    out = [frame for byte in sealed(SAMPLES) for frame in tested.feed(bytes([byte]))]
    assert out == SAMPLES
    assert len(opened) <= 2 * len(SAMPLES)


def test_no_more_is_held_than_one_frame_and_one_read():
    """A sender that never stops cannot make the reader grow."""
    tested = reader()
    frame = seal(FrameKind.MESSAGES, b"m" * 100_000)
    stream, piece = frame * 20, 65_536
    for start in range(0, len(stream), piece):
        tested.feed(stream[start : start + piece])
        assert tested.held <= len(frame)

"""Frame headers: equality with the twin, golden bytes, every bit and every byte."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.native.checksum import crc32c
from multiraft.native.errors import BadFrame, Malformed, TooLarge
from multiraft.native.frames import HEADER_SIZE, MAX_PAYLOAD, VERSION, open_header, seal
from tests.native import models
from tests.native.strategies import with_one_bit_flipped

FRAME = seal(3, b"payload")


def resealed(header: bytes) -> bytes:
    """The 20 bytes with the checksum that makes them look right."""
    return header + struct.pack("<I", models.crc32c(header))


@given(kind=st.integers(1, 255), payload=st.binary(max_size=100))
def test_a_frame_is_what_the_twin_makes_and_opens(kind: int, payload: bytes):
    frame = seal(kind, payload)
    assert frame == models.seal(kind, payload)
    assert open_header(frame) == (kind, len(payload), crc32c(payload))


def test_golden_bytes():
    header = bytes.fromhex("4d524631 01 03 0000 07000000 7069e3f4 00000000 4314ab28")
    assert seal(3, b"payload") == header + b"payload"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_at_any_offset(kind: type):
    buffer = kind(b"????" + FRAME + b"!!!!")
    assert open_header(buffer, 4) == (3, 7, crc32c(b"payload"))


def test_the_payload_need_not_be_there():
    assert open_header(FRAME[:HEADER_SIZE])[1] == 7


def test_a_header_cut_anywhere_is_short():
    for length in range(HEADER_SIZE):
        with pytest.raises(BadFrame) as caught:
            open_header(FRAME[:length])
        assert caught.value.reason == "MR_SHORT"


@pytest.mark.parametrize("offset", [len(FRAME), len(FRAME) + 100])
def test_an_offset_behind_the_buffer_is_short(offset: int):
    with pytest.raises(BadFrame):
        open_header(FRAME, offset)


def test_no_flipped_bit_of_the_header_is_accepted():
    for damaged in with_one_bit_flipped(FRAME, range(HEADER_SIZE)):
        with pytest.raises(BadFrame):
            open_header(damaged)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (struct.pack("<4sBBHIII", b"MRF2", VERSION, 3, 0, 7, 0, 0), "MR_MAGIC"),
        (struct.pack("<4sBBHIII", b"MRF1", VERSION + 1, 3, 0, 7, 0, 0), "MR_VERSION"),
        (struct.pack("<4sBBHIII", b"MRF1", VERSION, 0, 0, 7, 0, 0), "MR_RESERVED"),
        (struct.pack("<4sBBHIII", b"MRF1", VERSION, 3, 1, 7, 0, 0), "MR_RESERVED"),
        (struct.pack("<4sBBHIII", b"MRF1", VERSION, 3, 256, 7, 0, 0), "MR_RESERVED"),
        (struct.pack("<4sBBHIII", b"MRF1", VERSION, 3, 0, 7, 0, 1), "MR_RESERVED"),
        (struct.pack("<4sBBHIII", b"MRF1", VERSION, 3, 0, MAX_PAYLOAD + 1, 0, 0), "MR_TOO_LARGE"),
    ],
)
def test_a_header_with_a_right_checksum_and_a_wrong_field(header: bytes, reason: str):
    with pytest.raises(BadFrame) as caught:
        open_header(resealed(header))
    assert caught.value.reason == reason


def test_the_largest_payload_that_a_header_may_announce():
    header = struct.pack("<4sBBHIII", b"MRF1", VERSION, 3, 0, MAX_PAYLOAD, 5, 0)
    assert open_header(resealed(header)) == (3, MAX_PAYLOAD, 5)


def test_a_payload_over_the_limit_is_refused():
    with pytest.raises(TooLarge):
        seal(3, bytes(MAX_PAYLOAD + 1))


@pytest.mark.parametrize("kind", [0, 256])
def test_kinds_are_a_byte_and_not_zero(kind: int):
    with pytest.raises(Malformed):
        seal(kind, b"")

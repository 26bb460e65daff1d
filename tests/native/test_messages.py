"""Frames of messages: equality with the twin, no damage accepted, every limit."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiraft.engine.transport.kinds import PEER_LIMITS, FrameKind
from multiraft.native.checksum import crc32c
from multiraft.native.entries import MAX_ENTRY_BYTES, MAX_RUN_ENTRIES, decode_run, encode_runs
from multiraft.native.errors import BadFrame, Malformed, TooLarge, TooMany
from multiraft.native.frames import HEADER_SIZE, open_header
from multiraft.native.messages import (
    FIELDS,
    MAX_BYTES,
    MAX_ENTRIES,
    MAX_ROWS,
    MESSAGES,
    REJECT,
    ROW_SIZE,
    decode_messages,
    encode_messages,
)
from tests.native import models
from tests.native.strategies import U64, messages, with_one_bit_flipped

PAYLOAD_HEADER = 16
EMPTY = [1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0]
SAMPLE: list[models.Message] = [
    (1, 2, 3, 3, False, 4, 5, 6, 7, 8, [(4, 7, 0, b"one"), (4, 8, 1, b"")], b""),
    (9, 10, 11, 16, True, 12, 13, 14, 15, 16, [], b"context"),
    (2**64 - 1, 1, 2, 4, True, 5, 0, 0, 0, 3, [], b""),
    (17, 18, 19, 3, False, 20, 21, 22, 23, 24, [(20, 23, 2, b"two")], b"both"),
]


def plain(*entry: object) -> tuple[object, ...]:
    """The entry as a tuple."""
    return entry


def encode(directory_index: int, messages: list[models.Message]) -> bytes:
    """A frame, by the real encoder."""
    rows: list[int] = []
    bodies: list[bytes] = []
    for group, to, from_, type_, reject, term, log_term, index, commit, hint, entries, extra in messages:
        run = encode_runs([entries])[0]
        flags = type_ | (REJECT if reject else 0)
        rows += (group, to, from_, flags, term, log_term, index, commit, hint, len(run), len(extra))
        bodies += (part for part in (run, extra) if part)
    return encode_messages(directory_index, rows, bodies)


def decoded(payload: bytes) -> tuple[int, list[tuple[object, ...]]]:
    """What the real decoder finds, in the form of the input, after a look at the runs."""
    directory_index, found = decode_messages(payload, plain)
    for *_, entries, run, _extra in found:
        assert decode_run(run, plain) == entries
    return directory_index, [(*message[:11], message[12]) for message in found]


@given(directory_index=U64, messages=messages())
def test_a_frame_is_what_the_twin_makes_and_decodes_to_what_it_was(
    directory_index: int, messages: list[models.Message]
):
    frame = encode(directory_index, messages)
    assert frame == models.encode_messages(directory_index, messages)
    kind, length, checksum = open_header(frame)
    payload = frame[HEADER_SIZE:]
    assert (kind, length, checksum) == (MESSAGES, len(payload), crc32c(payload))
    assert decoded(payload) == (directory_index, messages)


def test_types_of_what_is_decoded():
    message = decode_messages(encode(1, SAMPLE)[HEADER_SIZE:], plain)[1][1]
    assert message[4] is True
    assert message[10:] == ([], b"", b"context")


def test_messages_do_not_share_their_empty_lists():
    rows = decode_messages(encode(1, [SAMPLE[1], SAMPLE[2]])[HEADER_SIZE:], plain)[1]
    assert rows[0][10] is not rows[1][10]


def test_golden_bytes_of_a_row():
    """The layout is between versions: it never changes without a new frame version."""
    frame = encode(5, [(1, 2, 3, 4, True, 6, 7, 8, 9, 10, [], b"!")])
    row = struct.pack("<8Q", 1, 2, 3, 6, 7, 8, 9, 10) + struct.pack("<3I", 0x104, 0, 1)
    assert frame[HEADER_SIZE:] == struct.pack("<QII", 5, 1, 0) + row + b"!"
    assert len(row) == ROW_SIZE


def test_an_empty_frame_tells_the_directory_index():
    assert decode_messages(encode_messages(8, [], [])[HEADER_SIZE:], plain) == (8, [])


# ---- damage ----


def test_a_payload_cut_anywhere_is_refused():
    payload = encode(1, SAMPLE)[HEADER_SIZE:]
    for length in range(len(payload)):
        with pytest.raises(BadFrame):
            decode_messages(payload[:length], plain)


def test_trailing_bytes_are_refused():
    with pytest.raises(BadFrame) as caught:
        decode_messages(encode(1, SAMPLE)[HEADER_SIZE:] + b"\0", plain)
    assert caught.value.reason == "MR_LENGTH"


def test_no_flipped_bit_of_lengths_counts_or_runs_is_accepted():
    """Beside the frame's checksum, which guards the other fields, these are checked on their own."""
    payload = encode(1, SAMPLE)[HEADER_SIZE:]
    guarded = [*range(8, 16)]
    for row in range(len(SAMPLE)):
        start = PAYLOAD_HEADER + row * ROW_SIZE
        guarded += [*range(start + 66, start + ROW_SIZE)]  # upper flags and both lengths
    start = PAYLOAD_HEADER + len(SAMPLE) * ROW_SIZE
    guarded += range(start, start + len(models.encode_run(SAMPLE[0][10])))
    for damaged in with_one_bit_flipped(payload, guarded):
        with pytest.raises(BadFrame):
            decode_messages(damaged, plain)


@settings(max_examples=300)
@given(data=st.data())
def test_mutations_are_refused_or_decode_to_something_sane(data: st.DataObject):
    payload = bytearray(encode(1, SAMPLE)[HEADER_SIZE:])
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        _, found = decode_messages(bytes(payload), plain)
    except BadFrame:
        return
    assert len(found) == len(SAMPLE)
    assert sum(len(run) + len(extra) for *_, run, extra in found) == len(payload) - 16 - ROW_SIZE * len(found)


@given(garbage=st.binary(max_size=300))
def test_garbage_never_crashes(garbage: bytes):
    try:
        decode_messages(garbage, plain)
    except BadFrame:
        pass
    else:
        assert garbage[8:16] == bytes(8), "only an empty frame needs no structure"


def test_nothing_is_made_of_a_bad_frame():
    payload = bytearray(encode(1, SAMPLE)[HEADER_SIZE:])
    payload[-5] ^= 1  # in the last message's run
    made: list[object] = []
    with pytest.raises(BadFrame, match="message 3"):
        decode_messages(bytes(payload), lambda *entry: made.append(entry))
    assert made == []


def test_counts_that_nothing_stands_behind():
    for rows, entries, reason in [
        (1, 0, "MR_SHORT"),
        (MAX_ROWS, 0, "MR_SHORT"),
        (MAX_ROWS + 1, 0, "MR_TOO_MANY"),
        (2**32 - 1, 0, "MR_TOO_MANY"),
        (0, 1, "MR_LENGTH"),
        (0, MAX_ENTRIES + 1, "MR_TOO_MANY"),
    ]:
        with pytest.raises(BadFrame) as caught:
            decode_messages(struct.pack("<QII", 1, rows, entries), plain)
        assert caught.value.reason == reason


@pytest.mark.parametrize("flags", [0x200, 0x8000_0000])
def test_unknown_flags_are_refused(flags: int):
    row = struct.pack("<8Q", *range(8)) + struct.pack("<3I", flags, 0, 0)
    with pytest.raises(BadFrame) as caught:
        decode_messages(struct.pack("<QII", 1, 1, 0) + row, plain)
    assert caught.value.reason == "MR_RESERVED"


# ---- limits ----


def test_as_many_messages_as_a_frame_holds_and_one_more():
    frame = encode_messages(1, EMPTY * MAX_ROWS, [])
    assert len(decode_messages(frame[HEADER_SIZE:], plain)[1]) == MAX_ROWS
    with pytest.raises(TooMany):
        encode_messages(1, EMPTY * (MAX_ROWS + 1), [])


def test_as_many_entries_as_a_frame_holds_and_one_more():
    run = encode_runs([[(1, index, 0, b"") for index in range(MAX_RUN_ENTRIES)]])[0]
    row = [1, 2, 3, 3, 1, 0, 0, 0, 0, len(run), 0]
    full = MAX_ENTRIES // MAX_RUN_ENTRIES
    frame = encode_messages(1, row * full, [run] * full)
    assert sum(len(message[10]) for message in decode_messages(frame[HEADER_SIZE:], plain)[1]) == MAX_ENTRIES
    with pytest.raises(TooMany):
        encode_messages(1, row * (full + 1), [run] * (full + 1))


def test_the_largest_entry_fits_alone():
    run = encode_runs([[(1, 1, 0, bytes(MAX_ENTRY_BYTES))]])[0]
    frame = encode_messages(1, [1, 2, 3, 3, 1, 0, 0, 0, 0, len(run), 0], [run])
    assert decode_messages(frame[HEADER_SIZE:], plain)[1][0][11] == run


def test_the_largest_payload_and_one_byte_more():
    extra = bytes(MAX_BYTES - PAYLOAD_HEADER - ROW_SIZE)
    frame = encode_messages(1, [1, 2, 3, 7, 1, 0, 0, 0, 0, 0, len(extra)], [extra])
    assert open_header(frame)[:2] == (MESSAGES, MAX_BYTES)
    assert len(decode_messages(frame[HEADER_SIZE:], plain)[1][0][12]) == len(extra)
    with pytest.raises(TooLarge):
        encode_messages(1, [1, 2, 3, 7, 1, 0, 0, 0, 0, 0, len(extra) + 1], [extra, b"!"])


@pytest.mark.parametrize(
    ("row", "bodies"),
    [
        ([1] * (FIELDS - 1), []),
        ([1] * FIELDS, []),
        ([1, 2, 3, 3, 1, 0, 0, 0, 0, 0, 4], [b"abc"]),
        ([1, 2, 3, 3, 1, 0, 0, 0, 0, 0, 2], [b"abc"]),
        ([1, 2, 3, 3, 1, 0, 0, 0, 0, 3, 0], [b"abc"]),
        ([1, 2, 3, 0x200, 1, 0, 0, 0, 0, 0, 0], []),
        ([-1, 2, 3, 3, 1, 0, 0, 0, 0, 0, 0], []),
        ([2**64, 2, 3, 3, 1, 0, 0, 0, 0, 0, 0], []),
        ([1, 2, 3, 3, 1, 0, 0, 0, 0, 2**64 - 1, 2], []),
        ([1, 2, 3, 3, 1, 0, 0, 0, 0, 2, 2**64 - 1], [b"abc"]),
    ],
)
def test_contradicting_numbers_are_refused(row: list[int], bodies: list[bytes]):
    with pytest.raises(Malformed):
        encode_messages(1, row, bodies)


def test_lengths_that_turn_over_are_refused():
    run = encode_runs([[(1, 1, 0, b"x")]])[0]
    size = len(run)
    for rows, body in [
        ([(2**64 - 1, 1)], b""),
        ([(size, 2**64 - size), (size, 0)], run),
        ([(size, 2**64 - 1)], run),
    ]:
        numbers = [number for lengths in rows for number in (1, 2, 3, 3, 1, 0, 0, 0, 0, *lengths)]
        with pytest.raises(Malformed) as caught:
            encode_messages(1, numbers, [body])
        assert caught.value.reason == "MR_LENGTH"


def test_a_payload_over_the_limit_is_refused_unread():
    with pytest.raises(BadFrame) as caught:
        decode_messages(bytes(MAX_BYTES + 1), plain)
    assert caught.value.reason == "MR_TOO_LARGE"


def test_the_transport_knows_this_kind_and_lets_the_largest_payload_through():
    assert FrameKind.MESSAGES == MESSAGES
    assert PEER_LIMITS[FrameKind.MESSAGES] >= MAX_BYTES


def test_the_error_names_the_message():
    with pytest.raises(Malformed, match="message 2 of 3"):
        encode_messages(1, [*EMPTY, *EMPTY, 1, 2, 3, 0x200, 1, 0, 0, 0, 0, 0, 0], [])

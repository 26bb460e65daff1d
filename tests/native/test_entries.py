"""Encoded runs: equality with the twin, no damage accepted, every limit."""

import random
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.native._native import ffi, lib
from multiraft.native.entries import (
    ENTRY_OVERHEAD,
    MAX_ENTRY_BYTES,
    MAX_RUN_BYTES,
    MAX_RUN_ENTRIES,
    RUN_HEADER_SIZE,
    AnyEntry,
    decode_run,
    encode_runs,
    run_header,
)
from multiraft.native.errors import NAMES, Damaged, Malformed, NativeError, OutOfOrder, TooLarge, TooMany
from tests.native import models
from tests.native.strategies import runs, with_one_bit_flipped

SAMPLE = [(3, 7, 0, b"hello"), (3, 8, 1, b""), (4, 9, 255, bytes(range(30)))]


class Kind(IntEnum):
    """As the core's entry types."""

    NORMAL = 0
    CHANGE = 1


class Named(NamedTuple):
    """As the core's entries."""

    term: int
    index: int  # type: ignore[assignment] # a field hides tuple.index, as meant
    type: Kind
    data: bytes


def plain(*entry: object) -> tuple[object, ...]:
    """The entry as a tuple."""
    return entry


@given(batch=st.lists(runs(), max_size=5))
def test_a_batch_encodes_as_the_twin_does_and_decodes_to_what_it_was(batch: list[list[models.Entry]]):
    encoded = encode_runs(batch)
    assert encoded == [models.encode_run(run) for run in batch]
    assert [decode_run(run, plain) for run in encoded] == batch


@given(run=runs().filter(bool))
def test_the_header_tells_first_index_count_and_last_term(run: list[models.Entry]):
    assert run_header(encode_runs([run])[0]) == (run[0][1], len(run), run[-1][0])


def test_golden_bytes():
    """The layout is on disks: it never changes without a new format version."""
    assert encode_runs([SAMPLE[:2]])[0] == bytes.fromhex(
        """
        0700000000000000 02000000 05000000
        0300000000000000 05000000 b070e0c2
        0300000000000000 00000001 7462cfa2
        68656c6c6f
        """
    )


def test_named_tuples_and_enums_go_in_and_out():
    run = [Named(1, 5, Kind.CHANGE, b"x"), Named(2, 6, Kind.NORMAL, b"y")]
    decoded = decode_run(
        encode_runs([run])[0], lambda *entry: Named(entry[0], entry[1], Kind(entry[2]), entry[3])
    )
    assert decoded == run
    assert decoded[0].type is Kind.CHANGE


def test_no_runs_and_empty_runs():
    assert encode_runs([]) == []
    assert encode_runs([[], []]) == [b"", b""]
    assert encode_runs([[], SAMPLE, [], ()]) == [b"", models.encode_run(SAMPLE), b"", b""]
    assert decode_run(b"", plain) == []
    with pytest.raises(Damaged) as caught:
        run_header(b"")
    assert caught.value.index == 0


# ---- damage ----


@pytest.mark.parametrize("decode", [lambda cut: decode_run(cut, plain), run_header], ids=["run", "header"])
def test_a_run_cut_anywhere_is_damaged(decode: Callable[[bytes], object]):
    run = models.encode_run(SAMPLE)
    for length in range(1, len(run)):
        with pytest.raises(Damaged) as caught:
            decode(run[:length])
        assert caught.value.index == (0 if length < RUN_HEADER_SIZE else 7)
        assert caught.value.reason in {"MR_SHORT", "MR_LENGTH"}


def test_no_flipped_bit_is_accepted():
    run = models.encode_run(SAMPLE)
    for damaged in with_one_bit_flipped(run, range(len(run))):
        with pytest.raises(Damaged):
            decode_run(damaged, plain)


@given(run=runs().filter(bool), garbage=st.binary(min_size=1, max_size=40), data=st.data())
def test_no_insertion_is_accepted(run: list[models.Entry], garbage: bytes, data: st.DataObject):
    encoded = models.encode_run(run)
    place = data.draw(st.integers(0, len(encoded)))
    with pytest.raises(Damaged):
        decode_run(encoded[:place] + garbage + encoded[place:], plain)


@given(garbage=st.binary(min_size=1, max_size=200))
def test_garbage_is_damaged(garbage: bytes):
    with pytest.raises(Damaged):
        decode_run(garbage, plain)


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_damage_names_the_first_entry_that_cannot_be_trusted(victim: int):
    run = bytearray(models.encode_run(SAMPLE))
    run[RUN_HEADER_SIZE + ENTRY_OVERHEAD * victim] ^= 1  # its term
    with pytest.raises(Damaged) as caught:
        decode_run(bytes(run), plain)
    assert (caught.value.index, caught.value.reason) == (7 + victim, "MR_CHECKSUM")


def test_a_renumbered_run_is_damaged():
    """Entries of one place in the log cannot pass for those of another."""
    run = models.encode_run(SAMPLE)
    moved = struct.pack("<Q", 8) + run[8:]
    with pytest.raises(Damaged) as caught:
        decode_run(moved, plain)
    assert (caught.value.index, caught.value.reason) == (8, "MR_CHECKSUM")


def test_nothing_is_made_of_a_damaged_run():
    run = bytearray(models.encode_run(SAMPLE))
    run[-1] ^= 1
    made: list[object] = []
    with pytest.raises(Damaged):
        decode_run(bytes(run), lambda *entry: made.append(entry))
    assert made == []


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ((1, 0, 0), "MR_LENGTH"),
        ((1, MAX_RUN_ENTRIES + 1, 0), "MR_TOO_MANY"),
        ((1, 2**32 - 1, 2**32 - 1), "MR_TOO_MANY"),
        ((1, 1, 2**32 - 1), "MR_LENGTH"),
        ((2**64 - 1, 2, 0), "MR_ORDER"),
    ],
)
def test_impossible_headers(header: tuple[int, int, int], reason: str):
    run = struct.pack("<QII", *header) + bytes(
        2 * ENTRY_OVERHEAD if header[1] == 2 else ENTRY_OVERHEAD * (header[1] == 1)
    )
    for decode in (lambda found: decode_run(found, plain), run_header):
        with pytest.raises(Damaged) as caught:
            decode(run)
        assert caught.value.reason == reason


def test_bytes_that_no_entry_claims_are_damage():
    """Even if the header was made to count them."""
    run = models.encode_run(SAMPLE)
    longer = run[:12] + struct.pack("<I", 35 + 4) + run[16:] + b"more"
    with pytest.raises(Damaged) as caught:
        decode_run(longer, plain)
    assert caught.value.reason == "MR_LENGTH"


def test_lengths_that_overflow_the_payload():
    """The table's lengths may add up to anything; the payload is what is there."""
    run = bytearray(models.encode_run(SAMPLE))
    struct.pack_into("<I", run, RUN_HEADER_SIZE + 8, 0xFFFFFF)
    with pytest.raises(Damaged) as caught:
        decode_run(bytes(run), plain)
    assert (caught.value.index, caught.value.reason) == (7, "MR_LENGTH")


# ---- limits ----


def test_the_largest_entry_and_one_byte_more():
    run = encode_runs([[(1, 1, 0, bytes(MAX_ENTRY_BYTES))]])[0]
    assert decode_run(run, lambda *entry: len(entry[3])) == [MAX_ENTRY_BYTES]
    with pytest.raises(TooLarge, match="entry 3"):
        encode_runs([SAMPLE, [(1, 2, 0, b""), (1, 3, 0, bytes(MAX_ENTRY_BYTES + 1))]])


def test_a_decoded_entry_is_held_to_the_limit_too():
    run = struct.pack("<QIIQII", 1, 1, MAX_ENTRY_BYTES + 1, 1, MAX_ENTRY_BYTES + 1, 0)
    with pytest.raises(Damaged) as caught:
        decode_run(run + bytes(MAX_ENTRY_BYTES + 1), plain)
    assert caught.value.reason == "MR_TOO_LARGE"


def test_the_longest_run_and_one_entry_more():
    run = [(1, index, 0, b"") for index in range(MAX_RUN_ENTRIES)]
    assert decode_run(encode_runs([run])[0], plain) == run
    with pytest.raises(TooMany):
        encode_runs([[*run, (1, MAX_RUN_ENTRIES, 0, b"")]])


def test_the_largest_run_in_bytes():
    entries = MAX_RUN_BYTES // (4 << 20)
    run = [(1, index, 0, bytes(4 << 20)) for index in range(entries)]  # the headers are too much
    with pytest.raises(TooLarge):
        encode_runs([run])
    assert run_header(encode_runs([run[:-1]])[0]) == (0, entries - 1, 1)


def test_a_run_over_the_limit_is_damaged():
    with pytest.raises(Damaged) as caught:
        decode_run(bytes(MAX_RUN_BYTES + 1), plain)
    assert caught.value.reason == "MR_TOO_LARGE"


@pytest.mark.parametrize("indexes", [(5, 7), (5, 5), (5, 4), (2**64 - 1, 0)])
def test_indexes_of_a_run_follow_each_other(indexes: tuple[int, int]):
    with pytest.raises(OutOfOrder, match=f"entry {indexes[1]}"):
        encode_runs([SAMPLE, [(1, index, 0, b"") for index in indexes]])


@pytest.mark.parametrize(
    "entry", [(-1, 1, 0, b""), (2**64, 1, 0, b""), (1, 2**64, 0, b""), (1, 1, 256, b""), (1, 1, -1, b"")]
)
def test_numbers_that_do_not_fit_are_refused(entry: AnyEntry):
    with pytest.raises(Malformed) as caught:
        encode_runs([[entry]])
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, NativeError)


@pytest.mark.parametrize("data", [None, "text", 5])
def test_payloads_must_be_bytes(data: object):
    with pytest.raises(TypeError):
        encode_runs([[(1, 1, 0, data)]])  # type: ignore[list-item] # that is the test


def test_a_view_of_wide_items_is_refused():
    """Its length counts items: the payload would be longer than it says."""
    view: Any = memoryview(bytes(8)).cast("Q")
    with pytest.raises(Malformed) as caught:
        encode_runs([[(1, 1, 0, view)]])
    assert caught.value.reason == "MR_LENGTH"


@pytest.mark.parametrize("counts", [(1,), (3,), (1, 2), (2, 2**32 - 1)])
def test_counts_that_do_not_add_up_are_refused_by_the_encoder_itself(counts: tuple[int, ...]):
    """Not reachable from ``encode_runs``: C checks what it is given."""
    numbers = struct.pack("<6Q", 1, 1, 1, 2, 0, 0)
    target = ffi.new("uint8_t[]", 200)
    cells = ffi.new("uint64_t[]", 3)
    packed = struct.pack(f"<{len(counts)}I", *counts)
    status = lib.mr_runs_encode(
        packed, len(counts), numbers, b"\0\0", 2, b"", 0, target, 200, cells, cells + 2
    )
    assert NAMES[status] == "MR_LENGTH"
    assert bytes(ffi.buffer(target)[:]) == bytes(200), "a failed call has written nothing"


def test_many_runs_of_all_sizes_in_one_call():
    """Buffers grow, shrink back and are used again."""
    random_ = random.Random(1)
    for count in (1, 700, 3, 2000):
        batch: list[Sequence[AnyEntry]] = []
        for _ in range(count):
            first = random_.randrange(2**40)
            batch.append(
                [
                    (9, first + i, i % 3, random_.randbytes(random_.choice((0, 1, 128, 300))))
                    for i in range(random_.randrange(4))
                ]
            )
        assert [decode_run(run, plain) for run in encode_runs(batch)] == [list(run) for run in batch]

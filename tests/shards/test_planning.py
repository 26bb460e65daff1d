"""Even cuts, given cuts, and the pieces of a proposal."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine.errors import Error, InvalidArgument, InvalidRanges, KeyTooLarge
from multiraft.shards.directory_commands import MAX_BODY, create_body
from multiraft.shards.keyrange import Interval
from multiraft.shards.planning import CHUNK_BYTES, chunks, even_cuts, ranges_from_splits

keys = st.binary(max_size=12)


def test_even_cuts_of_the_whole_key_space_are_short():
    assert even_cuts(4, b"", None) == [b"\x40", b"\x80", b"\xc0"]
    assert even_cuts(1, b"", None) == []
    assert even_cuts(256, b"", None) == [bytes([number]) for number in range(1, 256)]


def test_even_cuts_stay_between_the_bounds():
    assert even_cuts(2, b"a", b"c") == [b"b"]
    assert even_cuts(3, b"\xff", None) == [b"\xff" + b"\x55" * 7, b"\xff" + b"\xaa" * 7]


@given(st.integers(1, 300), keys, st.one_of(st.none(), keys))
def test_even_cuts_make_as_many_ranges_as_asked_for_or_refuse(count: int, start: bytes, end: bytes | None):
    low, high = (int.from_bytes(key[:8].ljust(8, b"\0"), "big") for key in (start, end or b""))
    width = (high if end is not None else 1 << 64) - low
    if (end is not None and end <= start) or (width < count and count > 1):
        with pytest.raises(InvalidRanges):
            even_cuts(count, start, end)
        return
    cuts = even_cuts(count, start, end)
    ranges = ranges_from_splits(cuts, (start, end))
    assert len(ranges) == count
    assert all(len(cut) <= 8 and not cut.endswith(b"\0") for cut in cuts)


@given(st.integers(1, 64), st.integers(0, 2**32), st.integers(64, 2**32))
def test_even_cuts_differ_in_width_by_at_most_one(count: int, low: int, width: int):
    bounds = [number.to_bytes(8, "big") for number in (low, low + width)]
    cuts = [bounds[0], *even_cuts(count, *bounds), bounds[1]]
    places = [int.from_bytes(cut.ljust(8, b"\0"), "big") for cut in cuts]
    widths = {after - before for before, after in pairwise(places)}
    assert max(widths) - min(widths) <= 1


@pytest.mark.parametrize(
    ("count", "start", "end"),
    [
        (2, b"user:0001-a", b"user:0001-z"),  # the same first eight bytes
        (3, b"\0\0\0\0\0\0\0\1", b"\0\0\0\0\0\0\0\3"),
        (2, b"\xff" * 9, None),
    ],
)
def test_an_interval_that_is_too_narrow_is_refused_with_a_way_out(
    count: int, start: bytes, end: bytes | None
):
    with pytest.raises(InvalidRanges, match="name the keys to split at"):
        even_cuts(count, start, end)
    assert even_cuts(1, start, end) == []


@pytest.mark.parametrize(
    ("count", "start", "end", "error"),
    [
        (2, b"b", b"a", InvalidRanges),
        (1, b"a", b"a", InvalidRanges),
        (0, b"", None, InvalidRanges),
        (-1, b"", None, InvalidRanges),
        (2, b"k" * 481, None, KeyTooLarge),
        (2, b"", b"k" * 481, KeyTooLarge),
        (2, "a", None, InvalidArgument),
    ],
)
def test_even_cuts_refuse_what_makes_no_sense(
    count: int, start: bytes, end: bytes | None, error: type[Error]
):
    with pytest.raises(error):
        even_cuts(count, start, end)


def test_splits_need_neither_order_nor_uniqueness():
    assert ranges_from_splits([b"m", b"c", b"m"]) == [(b"", b"c"), (b"c", b"m"), (b"m", None)]
    assert ranges_from_splits([], (b"a", b"b")) == [(b"a", b"b")]
    assert ranges_from_splits(iter([b"ab"]), (b"a", b"b")) == [(b"a", b"ab"), (b"ab", b"b")]


@pytest.mark.parametrize(
    ("splits", "between", "error"),
    [
        ([b""], (b"", None), InvalidRanges),  # the first range would be empty
        ([b"b"], (b"a", b"b"), InvalidRanges),
        ([b"a"], (b"b", None), InvalidRanges),
        ([b"x"], (b"z", b"a"), InvalidRanges),
        ([b"k" * 481], (b"", None), KeyTooLarge),
        ([], (b"", b"k" * 481), KeyTooLarge),
        (["m"], (b"", None), InvalidArgument),
    ],
)
def test_splits_outside_the_interval_are_refused(splits: list[bytes], between: Interval, error: type[Error]):
    with pytest.raises(error):
        ranges_from_splits(splits, between)


def test_chunks_are_full_and_keep_the_order():
    ranges = ranges_from_splits(even_cuts(2500, b"", None))
    pieces = list(chunks(ranges))
    assert [len(piece) for piece in pieces] == [1000, 1000, 500]
    assert [one for piece in pieces for one in piece] == ranges
    assert list(chunks([])) == []


@given(st.lists(st.integers(0, 470), min_size=1, max_size=1500))
def test_chunks_fit_their_commands(paddings: list[int]):
    """Whatever the lengths of the keys: each piece is a valid command and has no room for one more range."""
    cuts = [number.to_bytes(8, "big") + b"p" * padding for number, padding in enumerate(paddings, 1)]
    ranges = ranges_from_splits(cuts)
    pieces = list(chunks(ranges))
    assert [one for piece in pieces for one in piece] == ranges
    sizes = [len(create_body(piece, 3, [1, 2, 3])) for piece in pieces]
    assert max(sizes) < CHUNK_BYTES + 100 < MAX_BODY
    room = 7 + 2 * 480
    assert all(
        size > CHUNK_BYTES - room or len(piece) == 1000
        for size, piece in zip(sizes[:-1], pieces, strict=False)
    )

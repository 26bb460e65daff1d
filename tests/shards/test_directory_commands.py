"""The directory's commands as bytes: both ways, and what is refused."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine.errors import CommandTooLarge, Error, InvalidArgument, InvalidRanges, KeyTooLarge
from multiraft.shards import directory_commands
from multiraft.shards.directory_commands import (
    MAX_BODY,
    MAX_RANGES,
    Create,
    Delete,
    Doomed,
    Register,
    create_body,
    decode,
    delete_body,
    register_body,
)
from multiraft.shards.keyrange import KeyRange

UUID = b"u" * 16
RANGE = [b"a", b"b"]


def test_a_registration_survives_encoding():
    body = register_body(2**32 - 1, b"s" * 16, "höst:1", UUID)
    assert decode(body) == Register(2**32 - 1, b"s" * 16, "höst:1", UUID)


def test_a_creation_survives_encoding_and_comes_out_in_order():
    body = create_body([(b"m", None), KeyRange(b"", b"c")], 2, [3, 1])
    assert decode(body) == Create(2, (3, 1), (KeyRange(b"", b"c"), KeyRange(b"m", None)))


def test_a_deletion_survives_encoding():
    doomed = (Doomed(2**64 - 1, 3), Doomed(2, 2**64 - 1))
    assert decode(delete_body(doomed)) == Delete(doomed)


def test_the_largest_command_fits():
    key = b"k" * 115
    keys = [key + number.to_bytes(2, "big") for number in range(MAX_RANGES)]
    body = create_body([(one, one + b"\xff") for one in keys], 3, [1, 2, 3])
    assert MAX_BODY * 0.9 < len(body) <= MAX_BODY
    command = decode(body)
    assert isinstance(command, Create)
    assert len(command.ranges) == MAX_RANGES


REFUSED = {
    "empty interval": ([2, 1, [1], [[b"a", b"a"]]], InvalidRanges),
    "interval upside down": ([2, 1, [1], [[b"b", b"a"]]], InvalidRanges),
    "overlap within the command": ([2, 1, [1], [[b"a", b"c"], [b"b", b"d"]]], InvalidRanges),
    "the same interval twice": ([2, 1, [1], [RANGE, RANGE]], InvalidRanges),
    "overlap with an unbounded range": ([2, 1, [1], [[b"x", b"y"], [b"b", None]]], InvalidRanges),
    "no ranges": ([2, 1, [1], []], InvalidRanges),
    "1,001 ranges": ([2, 1, [1], [[b"%05d" % n, b"%05d" % (n + 1)] for n in range(1001)]], InvalidRanges),
    "start too long": ([2, 1, [1], [[b"k" * 481, None]]], KeyTooLarge),
    "end too long": ([2, 1, [1], [[b"a", b"k" * 481]]], KeyTooLarge),
    "body too long": ([2, 1, [1], [[b"a", b"k" * MAX_BODY]]], CommandTooLarge),
    "no replicas": ([2, 0, [1], [RANGE]], InvalidArgument),
    "negative replicas": ([2, -1, [1], [RANGE]], InvalidArgument),
    "replicas that are a truth": ([2, True, [1], [RANGE]], InvalidArgument),
    "node 0": ([2, 1, [0], [RANGE]], InvalidArgument),
    "node above u32": ([2, 1, [2**32], [RANGE]], InvalidArgument),
    "a node twice": ([2, 1, [1, 1], [RANGE]], InvalidArgument),
    "a node that is text": ([2, 1, ["1"], [RANGE]], InvalidArgument),
    "a range that is a number": ([2, 1, [1], [7]], InvalidArgument),
    "a range of three keys": ([2, 1, [1], [[b"a", b"b", b"c"]]], InvalidArgument),
    "keys that are text": ([2, 1, [1], [["a", "b"]]], InvalidArgument),
    "no start": ([2, 1, [1], [[None, b"b"]]], InvalidArgument),
    "a field too many": ([2, 1, [1], [RANGE], 0], InvalidArgument),
    "a map": ({2: 1}, InvalidArgument),
    "a list of nothing": ([], InvalidArgument),
    "a number": (2, InvalidArgument),
    "an unknown operation": ([4, 1, [1], [RANGE]], InvalidArgument),
    "an extension": ([2, 1, [1], msgpack.ExtType(1, b"")], InvalidArgument),
    "an array that is too long": ([2, 1, [1] * 2001, [RANGE]], InvalidArgument),
    "nothing to delete": ([3, []], InvalidRanges),
    "1,001 ranges to delete": ([3, [[2, 1]] * 1001], InvalidRanges),
    "the system group to be deleted": ([3, [[1, 0]]], InvalidArgument),
    "a negative epoch": ([3, [[2, -1]]], InvalidArgument),
    "a group without its epoch": ([3, [[2]]], InvalidArgument),
    "a group that is text": ([3, [["2", 1]]], InvalidArgument),
    "a short store uuid": ([1, 1, b"s", "h:1", UUID], InvalidArgument),
    "a short cluster uuid": ([1, 1, UUID, "h:1", b""], InvalidArgument),
    "no address": ([1, 1, UUID, "", UUID], InvalidArgument),
    "a long address": ([1, 1, UUID, "ö" * 151, UUID], InvalidArgument),
    "an address of bytes": ([1, 1, UUID, b"h:1", UUID], InvalidArgument),
    "registered node 0": ([1, 0, UUID, "h:1", UUID], InvalidArgument),
    "registered truth": ([1, True, UUID, "h:1", UUID], InvalidArgument),
}


@pytest.mark.parametrize(("fields", "error"), REFUSED.values(), ids=REFUSED)
def test_what_no_command_says_is_refused_by_its_type(fields: object, error: type[Error]):
    with pytest.raises(error) as caught:
        decode(msgpack.packb(fields))
    assert type(caught.value) is error


def test_an_interval_that_overlaps_is_named():
    body = msgpack.packb(REFUSED["overlap within the command"][0])
    with pytest.raises(InvalidRanges, match=r"\[b'b', b'd'\) overlaps the range \[b'a', b'c'\)"):
        decode(body)


BODY = create_body([(b"a", b"b"), (b"b", None)], 3, [1, 2, 3])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        *(BODY[:length] for length in range(len(BODY))),
        BODY + b"\xc0",
        b"\xc1",
        b"\x91" * 100_000,  # nested beyond any stack
        b"\xdd\xff\xff\xff\xff" * 50_000,  # each claims four billion elements
        b"\xc6\xff\xff\xff\xff",
        b"\x95\x01\x01\xc4\x10" + UUID + b"\xa1\xff" + b"\xc4\x10" + UUID,  # the address is no UTF-8
    ],
)
def test_bytes_that_are_no_command_are_refused(body: bytes):
    with pytest.raises(InvalidArgument):
        decode(body)


@given(st.one_of(st.binary(max_size=100), st.tuples(st.integers(0, len(BODY) - 1), st.binary(max_size=3))))
def test_decoding_raises_nothing_else_and_what_it_takes_is_valid(noise: bytes | tuple[int, bytes]):
    if isinstance(noise, bytes):
        body = noise
    else:
        place, patch = noise
        body = BODY[:place] + patch + BODY[place + len(patch) :]
    try:
        command = decode(body)
    except InvalidArgument:
        return
    if isinstance(command, Create):
        again = create_body(command.ranges, command.replicas, command.nodes)
    else:
        again = register_body(*command)
    assert decode(again) == command


@pytest.mark.parametrize(
    ("ranges", "replicas", "nodes", "error"),
    [
        ([], 1, [1], InvalidRanges),
        ([(b"", None)] * 3000, 1, [1], InvalidRanges),
        ([(b"k" * 481, None)], 1, [1], KeyTooLarge),
        ([("a", None)], 1, [1], InvalidArgument),
        ([(b"a", None)], 2**64, [1], InvalidArgument),
        ([(b"a", object())], 1, [1], InvalidArgument),
    ],
)
def test_encoding_refuses_what_decoding_would(
    ranges: list[tuple[bytes, bytes | None]], replicas: int, nodes: list[int], error: type[Error]
):
    with pytest.raises(error):
        create_body(ranges, replicas, nodes)


def test_encoding_refuses_an_address_that_is_no_text():
    with pytest.raises(InvalidArgument):
        register_body(1, UUID, "\ud800", UUID)


BOUND = st.sampled_from([b"", b"a", b"b", b"c", b"k" * 480, b"k" * 481, None, "a", 7])
PAIRS = st.lists(st.one_of(st.tuples(BOUND, BOUND), st.just([b"a"]), st.just(b"ab")), min_size=1, max_size=4)


@given(pairs=PAIRS)
def test_ranges_in_order_are_told_by_columns_as_they_are_one_by_one(pairs: list[object]):
    body = msgpack.packb((2, 1, (1,), pairs))
    with pytest.MonkeyPatch.context() as patch:
        quick = _answer(body)
        patch.setattr(directory_commands, "_are_in_order", lambda _: False)
        assert quick == _answer(body)


def _answer(body: bytes) -> object:
    try:
        return decode(body)
    except Error as error:
        return type(error), str(error)

"""What fuzzing has found, each as one plain test; the rows are in ``docs/bugs-found.md``."""

import pytest

from multiraft.engine.errors import Corruption
from multiraft.engine.statemachine.applied import MalformedRecord, decode_point
from multiraft.shards import directory_store
from multiraft.shards.requests import FRAME_ITEMS, Malformed, cut, decode_replies, decode_requests
from tests.fuzz.hostile import cost, nested

MIB = 1024 * 1024
BOMB = nested(6000, 1000) + b"\x01" * 8000
"""13 kB that claim 1,000 arrays in each other, each of 6,000 items: 48 MB."""


def refused(decode, data, error):
    """A check for :func:`cost`."""

    def check(_):
        with pytest.raises(error):
            decode(data)

    return check


@pytest.mark.parametrize(
    ("decode", "item"), [(decode_requests, b"\x93\x01\x06\x00"), (decode_replies, b"\x92\x01\x00")]
)
def test_a_frame_has_a_limited_number_of_items(decode, item: bytes):
    assert len(decode(item * FRAME_ITEMS)) == FRAME_ITEMS
    with pytest.raises(Malformed):
        decode(item * (FRAME_ITEMS + 1))


def test_who_sends_keeps_to_the_number_of_items():
    item = b"\x92\x01\x00"
    assert list(cut([item] * (FRAME_ITEMS + 1))) == [item * FRAME_ITEMS, item]


def test_nested_claims_of_an_applied_record_take_little_memory():
    assert cost(refused(decode_point, BOMB, MalformedRecord), BOMB).bytes < 16 * MIB


def test_nested_claims_of_a_directory_pair_take_little_memory():
    check = refused(directory_store.read_directory, [(b"c", BOMB)], Corruption)
    assert cost(check, BOMB).bytes < 16 * MIB

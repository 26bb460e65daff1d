"""The request protocol: round trips, and bytes that no honest peer sends."""

from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine import errors
from multiraft.engine.errors import Error, NotLeader, Overloaded
from multiraft.shards.requests import (
    FRAME_BYTES,
    Malformed,
    Op,
    Request,
    cut,
    decode_replies,
    decode_requests,
    encode_failure,
    encode_reply,
    encode_request,
)

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary() | st.text()
fields = st.lists(scalars, max_size=8)
requests = st.builds(
    Request,
    st.integers(0, 2**64 - 1),
    st.sampled_from([int(op) for op in Op]),
    st.integers(0, 2**32),
    fields,
)


@given(st.lists(requests, max_size=5))
def test_requests_come_back_as_they_were(given_requests):
    payload = b"".join(map(encode_request, given_requests))
    assert decode_requests(payload) == given_requests


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), fields), max_size=5))
def test_replies_come_back_as_they_were(replies):
    payload = b"".join(encode_reply(id_, values) for id_, values in replies)
    assert [(one.id, one.fields) for one in decode_replies(payload)] == replies


@given(st.binary(max_size=200))
def test_noise_is_malformed_or_a_request_and_never_anything_else(noise):
    for decode in (decode_requests, decode_replies):
        with suppress(Malformed):
            decode(noise)


@given(requests, st.data())
def test_a_truncated_request_is_malformed(request, data):
    item = encode_request(request)
    with pytest.raises(Malformed):
        decode_requests(item[: data.draw(st.integers(1, len(item) - 1))])


@pytest.mark.parametrize(
    "item",
    [
        [1, 2, 3, []],
        [1, 2, 3, {}],
        [1, 2, 3, [[[]]]],
        [1, 2, 3, msgpack.ExtType(1, b"")],
        {},
        7,
        [],
        [1],
        ["x", 2, 3],
        [1, "x", 3],
        [1, 2, "x"],
        [1, 2],
        [True, 2, 3],
    ],
)
def test_what_is_no_flat_item_is_malformed(item):
    with pytest.raises(Malformed):
        decode_requests(msgpack.packb(item))


def test_an_array_that_claims_millions_of_fields_costs_nothing():
    """Five bytes must not make the decoder reserve room for four billion objects."""
    with pytest.raises(Malformed):
        decode_requests(b"\xdd\xff\xff\xff\xff")


def test_every_error_keeps_its_type_on_its_way():
    """The caller of another node decides by the class what to do next."""
    for cls in vars(errors).values():
        if isinstance(cls, type) and issubclass(cls, Error):
            arguments = {NotLeader: (7, 2), errors.Quarantined: (7, 2, "why")}.get(cls, ("why",))
            error = cls(*arguments)
            (reply,) = decode_replies(encode_failure(9, error))
            assert type(reply.error) is cls
            assert str(reply.error) == str(error)


def test_what_an_error_carries_beside_its_text_arrives():
    (reply,) = decode_replies(encode_failure(9, NotLeader(7, None)))
    assert isinstance(reply.error, NotLeader)
    assert (reply.error.group, reply.error.hint) == (7, None)
    (reply,) = decode_replies(encode_failure(9, errors.Quarantined(7, 12, "the machine raised")))
    assert isinstance(reply.error, errors.Quarantined)
    assert (reply.error.group, reply.error.index, reply.error.reason) == (7, 12, "the machine raised")
    (reply,) = decode_replies(encode_failure(9, Overloaded("full", 0.5)))
    assert isinstance(reply.error, Overloaded)
    assert reply.error.retry_after == 0.5


def test_an_error_of_a_newer_version_is_an_error_still():
    (reply,) = decode_replies(msgpack.packb([1, 1, "FromTheFuture", "text"]))
    assert type(reply.error) is Error
    assert "FromTheFuture" in str(reply.error)


@given(st.lists(st.integers(0, FRAME_BYTES * 2), max_size=12))
def test_frames_hold_items_in_order_and_stay_small(sizes):
    items = [bytes([number]) * size for number, size in enumerate(sizes)]
    payloads = list(cut(items))
    assert b"".join(payloads) == b"".join(items)
    for payload in payloads:
        assert len(payload) <= FRAME_BYTES or payload in items

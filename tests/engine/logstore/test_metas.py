"""Births whose placement was read before: the same answers as for one that was not, and the same objects."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine.logstore import metas
from multiraft.engine.logstore.metas import BadMeta, decode_birth, encode_birth
from multiraft.engine.logstore.port import Birth

from .builders import make_birth

BODY = encode_birth(make_birth(9, 4))


def answer(read: Callable[[], Birth]) -> Birth | None:
    """The birth, None for a refusal."""
    try:
        return read()
    except BadMeta:
        return None


def decode_cold(body: bytes) -> Birth | None:
    """What comes of a body if nothing was read before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metas, "_PLACEMENTS", metas._Placements())
        return answer(lambda: decode_birth(9, 4, body))


def test_births_that_are_placed_alike_share_what_is_alike():
    one, other = (decode_birth(group, 1, encode_birth(make_birth(group))) for group in (7, 8))
    assert one.conf_state is other.conf_state
    assert one.peers is other.peers


@given(place=st.integers(0, len(BODY) - 1), value=st.integers(0, 255), cut=st.integers(0, 3))
def test_a_changed_body_says_the_same_whatever_was_read_before(place: int, value: int, cut: int):
    body = BODY[:place] + bytes((value,)) + BODY[place + 1 : len(BODY) - cut]
    decode_birth(9, 4, BODY)
    assert answer(lambda: decode_birth(9, 4, body)) == decode_cold(body)


@given(place=st.integers(0, len(BODY) - 1), value=st.integers(0, 255))
def test_a_changed_body_teaches_nothing_wrong(place: int, value: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metas, "_PLACEMENTS", metas._Placements())
        answer(lambda: decode_birth(9, 4, BODY[:place] + bytes((value,)) + BODY[place + 1 :]))
        assert decode_birth(9, 4, BODY) == make_birth(9, 4)


def test_only_so_many_placements_are_remembered(monkeypatch: pytest.MonkeyPatch):
    known = metas._Placements()
    monkeypatch.setattr(metas, "_PLACEMENTS", known)
    for node in range(1000):
        body = metas._pack([[[1], [], [], [], False], [[1, node]], b"", None, 1, 1, "kv"])
        for _ in range(2):
            assert decode_birth(1, 1, body).peers == ((1, node),)
        assert len(known._by_bytes) <= metas._PLACEMENTS_MAX

"""Sorting in pieces is sorting."""

import random
from unittest.mock import patch

import pytest

from multiraft.engine.statemachine import pieces
from multiraft.engine.statemachine.pieces import sorted_pieces

ORDERS = {
    "random": lambda keys: random.Random(1).sample(keys, len(keys)),
    "ascending": sorted,
    "descending": lambda keys: sorted(keys, reverse=True),
    "striped": lambda keys: [key for start in range(40) for key in keys[start::40]],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [0, 1, 20, 33, 100, 5000])
def test_pieces_are_the_keys_in_order(order: str, count: int):
    keys = dict.fromkeys(ORDERS[order]([b"%05d" % (number * number) for number in range(count)]))
    with patch.object(pieces, "PIECE_KEYS", 16):
        found = list(sorted_pieces(keys))
    assert [key for piece in found for key in piece] == sorted(keys)
    assert all(len(piece) <= 32 for piece in found), "no sort is a long one"

"""What is wrong with replicas, as nodes tell of them."""

import pytest

from tests.chaos.verdict import difference

START = b"00003/".hex()


@pytest.mark.parametrize(
    ("replicas", "words"),
    [
        ([[9, 4, 77], [9, 4, 77], [9, 0, 77]], None),  # commands are counted since a node's start
        ([[9, 4, 77], [9, 4, 77]], "has 2 replicas, not 3"),
        ([[9, 4, 77], [8, 4, 77], [9, 4, 77]], "is applied up to [8, 9]"),
        ([[9, 4, 77], [9, 4, 78], [9, 4, 77]], "differ at index 9"),
    ],
)
def test_replicas_must_be_all_there_equally_far_and_equal(replicas, words):
    found = difference(START, replicas, 3)
    if words is None:
        assert found is None
    else:
        assert "00003/" in found
        assert words in found

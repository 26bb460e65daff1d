"""Sorting in pieces: one sort of many keys would hold the interpreter, and the loop, until it is done."""

from bisect import bisect_right
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

#: So many keys are sorted in about a millisecond.
PIECE_KEYS: Final = 4096

#: Keys looked at for each piece that is cut: with more, pieces differ less in size.
SAMPLES: Final = 8


def sorted_pieces(keys: Collection[bytes]) -> Iterator[list[bytes]]:
    """Distinct keys in ascending order, in lists of about ``PIECE_KEYS``; between two other threads may run.

    A sample of the keys tells where to cut (Frazer and McKellar's samplesort).
    """
    if len(keys) <= 2 * PIECE_KEYS:
        yield sorted(keys)
        return
    count = len(keys) // PIECE_KEYS
    sample = sorted(islice(keys, 0, None, max(1, len(keys) // (count * SAMPLES))))
    cuts = sample[SAMPLES::SAMPLES]
    pieces: list[list[bytes]] = [[] for _ in range(len(cuts) + 1)]
    for key in keys:
        pieces[bisect_right(cuts, key)].append(key)
    for number, piece in enumerate(pieces):
        pieces[number] = []
        if len(piece) == len(keys):
            yield sorted(piece)
        else:
            yield from sorted_pieces(piece)

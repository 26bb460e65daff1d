"""Values for property tests: entries, runs and messages; and systematic damage."""

from collections.abc import Iterable, Iterator

from hypothesis import strategies as st

U64 = st.integers(0, 2**64 - 1) | st.integers(0, 300) | st.just(2**64 - 1)
BYTE = st.integers(0, 255)
DATA = st.binary(max_size=40)


@st.composite
def runs(draw: st.DrawFn, max_entries: int = 6):
    """A list of (term, index, type, data) with consecutive indexes; may be empty."""
    rows = draw(st.lists(st.tuples(U64, BYTE, DATA), max_size=max_entries))
    first = draw(st.integers(0, 2**64 - 1 - max(0, len(rows) - 1)))
    return [(term, first + i, kind, data) for i, (term, kind, data) in enumerate(rows)]


def messages():
    """A list of messages as ``models.encode_messages`` takes them."""
    return st.lists(
        st.tuples(U64, U64, U64, BYTE, st.booleans(), U64, U64, U64, U64, U64, runs(max_entries=3), DATA),
        max_size=5,
    )


def with_one_bit_flipped(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """``data`` once for each bit of the bytes at ``places``, with that bit flipped."""
    for place in places:
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            yield bytes(damaged)

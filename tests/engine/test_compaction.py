"""Where a log is cut: never beyond what only the log could bring back."""

from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine.compaction import LogSize, cut_index


def size_of(*grown: tuple[int, int]) -> LogSize:
    size, first = LogSize(), 2
    for last, length in grown:
        size.grew(first, last, length)
        first = last + 1
    return size


def cut(size: LogSize, **changes: int) -> int | None:
    settings = {"first": 2, "applied": 1000, "durable": 1000, "keep_bytes": 10**9, "keep_entries": 100}
    return cut_index(size, **(settings | changes))


def test_a_log_within_its_limits_is_left_alone():
    assert cut(LogSize(), applied=100, durable=100) is None


def test_entries_beyond_the_limit_are_cut():
    assert cut(LogSize()) == 900


def test_bytes_beyond_the_limit_are_cut():
    size = size_of(*((index, 70_000) for index in range(2, 102)))
    assert cut(size, applied=101, durable=101, keep_bytes=700_000) == 91


def test_nothing_is_cut_beyond_what_is_durable_in_the_state_store():
    """A crash would leave a state that the log no longer reaches back to."""
    assert cut(LogSize(), durable=500) == 500
    assert cut(LogSize(), durable=1) is None


def test_a_rewritten_tail_counts_once():
    size = size_of((10, 70_000), (20, 70_000))
    for _ in range(3):
        size.grew(11, 15, 70_000)
    assert size.total == 140_000
    size.cut(15)
    assert size.total == 0
    size.grew(16, 20, 70_000)
    size.clear()
    assert size.total == 0


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 200_000)), max_size=60),
    st.integers(1, 10**6),
    st.integers(1, 100),
    st.integers(0, 2000),
    st.integers(0, 2000),
)
def test_a_cut_stays_between_the_logs_start_and_what_is_durable(
    steps, keep_bytes, keep_entries, durable, applied
):
    size, last = LogSize(), 1
    for more, length in steps:
        size.grew(last + 1, last + more, length)
        last += more
    index = cut_index(
        size, first=2, applied=applied, durable=durable, keep_bytes=keep_bytes, keep_entries=keep_entries
    )
    assert index is None or 2 <= index <= min(durable, applied)

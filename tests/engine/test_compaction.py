"""Where a log is cut: never beyond what only the log could bring back."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine.compaction import LogSize, Retention, cut_index

KEEP = Retention(bytes=10**9, entries=100, seconds=1000.0)


def size_of(*grown: tuple[int, int], now: float = 0.0) -> LogSize:
    size, first = LogSize(), 2
    for last, length in grown:
        size.grew(first, last, length, now)
        first = last + 1
    return size


def cut(
    size: LogSize,
    *,
    applied: int = 1000,
    keep_to: int = 1000,
    now: float = 0.0,
    keep: Retention = KEEP,
) -> int | None:
    return cut_index(size, first=2, applied=applied, keep_to=keep_to, keep=keep, now=now)


def test_a_log_within_its_limits_is_left_alone():
    assert cut(LogSize(), applied=100, keep_to=100) is None


def test_entries_beyond_the_limit_are_cut():
    assert cut(LogSize()) == 900


def test_bytes_beyond_the_limit_are_cut():
    size = size_of(*((index, 70_000) for index in range(2, 102)))
    assert cut(size, applied=101, keep_to=101, keep=replace(KEEP, bytes=700_000)) == 91


def test_nothing_is_cut_beyond_what_is_durable_in_the_state_store():
    """A crash would leave a state that the log no longer reaches back to."""
    assert cut(LogSize(), keep_to=500) == 500
    assert cut(LogSize(), keep_to=1) is None


def test_a_rewritten_tail_counts_once():
    size = size_of((10, 70_000), (20, 70_000))
    for _ in range(3):
        size.grew(11, 15, 70_000, 0.0)
    assert size.total == 140_000
    size.cut(15)
    assert size.total == 0
    size.grew(16, 20, 70_000, 0.0)
    size.clear()
    assert size.total == 0


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 200_000)), max_size=60),
    st.integers(1, 10**6),
    st.integers(1, 100),
    st.integers(0, 2000),
    st.integers(0, 2000),
    st.integers(0, 3000),
)
def test_a_cut_stays_between_the_logs_start_and_what_is_durable(
    steps, keep_bytes, keep_entries, durable, applied, now
):
    size, last = LogSize(), 1
    for more, length in steps:
        size.grew(last + 1, last + more, length, float(last))
        last += more
    keep = Retention(keep_bytes, keep_entries, seconds=500.0)
    index = cut_index(size, first=2, applied=applied, keep_to=durable, keep=keep, now=now)
    assert index is None or 2 <= index <= min(durable, applied)


def test_entries_that_have_lain_too_long_are_cut_and_younger_ones_are_not():
    size = LogSize(keep_s=1600.0)
    for index in range(2, 102):
        size.grew(index, index, 10, 50.0 * index)
    assert size.index_older_than(50.0 * 2) == 0
    for index in range(4, 100):
        found = size.index_older_than(50.0 * index)
        assert index - 4 <= found < index, "marks are short in time as well"
    keep = replace(KEEP, seconds=1600.0)
    assert cut(size, keep=keep, now=5050.0, applied=101, keep_to=101) in range(64, 69)
    assert cut(size, keep=keep, now=7000.0, applied=101, keep_to=101) == 101


def test_a_log_that_is_found_counts_as_new_and_can_be_cut_anywhere():
    size = LogSize()
    size.found(2, 1001, 10_000_000, now=70.0)
    assert size.total == 10_000_000
    assert size.grew_at == 70.0
    assert size.index_older_than(70.0) == 0
    assert 490 < size.index_to_keep(5_000_000) < 510
    assert size.index_older_than(71.0) == 1001
    size.cut(1001)
    assert size.total == 0


def test_bytes_behind_an_index_are_never_too_few():
    size = size_of(*((index, 30_000) for index in range(2, 102)))
    for index in range(1, 102):
        assert (101 - index) * 30_000 <= size.bytes_behind(index) <= (101 - index) * 30_000 + 60_000

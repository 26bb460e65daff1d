"""Lost writes in hand-made histories, the keys' budgets, and what is kept of a history."""

import random

import pytest

from multiraft.engine.errors import Closed, NotLeader, OutcomeUnknown, Unavailable
from tests.chaos.history import History, by_key, fail, lost_writes, read_lines, succeed, write_lines
from tests.chaos.keys import LAST_READS, OPERATIONS, UNKNOWN, Keys, range_start
from tests.chaos.values import full, mark, mark_of
from tests.chaos.verdict import judge
from tests.simulation.checkers.base import Kind, Operation, Outcome

K = b"k"


def put(invoked, returned, value, outcome=Outcome.OK):
    return Operation(0, 0, Kind.PUT, (K,), (value,), invoked, returned, outcome)


def delete(invoked, returned, was_there=True, outcome=Outcome.OK):
    return Operation(0, 1, Kind.DELETE, (K,), (), invoked, returned, outcome, was_there)


def cas(invoked, returned, expected, new, swapped, outcome=Outcome.OK):
    return Operation(0, 2, Kind.CAS, (K,), (expected, new), invoked, returned, outcome, swapped)


def batch(invoked, returned, value, outcome=Outcome.OK):
    return Operation(0, 3, Kind.BATCH, (b"other", K), (b"x", value), invoked, returned, outcome)


KEPT = [
    ([], None),
    ([put(1, 2, b"a")], b"a"),
    ([put(1, 2, b"a"), put(3, 4, b"b")], b"b"),
    ([put(1, 5, b"a"), put(2, 4, b"b")], b"a"),  # they overlap: either may be the last
    ([put(1, 5, b"a"), put(2, 4, b"b")], b"b"),
    ([put(1, 2, b"a"), delete(3, 4)], None),
    ([put(1, 2, b"a"), delete(0, 3)], None),
    ([put(1, 2, b"a"), delete(3, 4, was_there=False, outcome=Outcome.UNKNOWN)], None),
    ([put(1, 2, b"a", Outcome.UNKNOWN), put(3, 4, b"b")], b"a"),  # it may happen later
    ([put(1, None, b"a", Outcome.PENDING), put(3, 4, b"b")], b"a"),
    ([put(1, 2, b"a"), cas(3, 4, b"a", b"b", swapped=True)], b"b"),
    ([put(1, 2, b"a"), cas(3, 4, b"x", b"b", swapped=False)], b"a"),
    ([put(1, 2, b"a"), put(3, 4, b"b", Outcome.REFUSED)], b"a"),
    ([put(1, 2, b"a"), batch(3, 4, b"b")], b"b"),
    ([put(1, 2, b"a"), batch(3, 4, None)], None),
]
LOST = [
    ([put(1, 2, b"a")], None, 1),
    ([put(1, 2, b"a"), put(3, 4, b"b")], b"a", 1),
    ([put(1, 2, b"a"), put(3, 4, b"b")], None, 2),
    ([put(1, 2, b"a"), put(3, 4, b"b")], b"from nowhere", 2),
    ([delete(1, 2), put(3, 4, b"a")], None, 1),
    ([put(1, 2, b"a"), delete(3, 4)], b"a", 1),
    ([put(1, 2, b"a"), delete(3, 4, was_there=False)], None, 1),  # that one removed nothing
    ([put(1, 2, b"a"), delete(3, 4, outcome=Outcome.REFUSED)], None, 1),
    ([put(1, 2, b"a"), cas(3, 4, b"a", b"b", swapped=True)], b"a", 1),
    ([put(1, 2, b"a"), put(3, 4, b"b", Outcome.REFUSED)], b"b", 1),  # refused, and there all the same
    ([put(1, 2, b"a"), batch(3, 4, b"b")], b"a", 1),
    ([put(1, 2, b"a"), batch(3, 4, None)], b"a", 1),
    ([put(1, 2, b"a", Outcome.UNKNOWN), put(3, 4, b"b")], None, 1),
]


@pytest.mark.parametrize(("operations", "final"), KEPT)
def test_what_may_be_there_in_the_end_is_not_lost(operations, final):
    assert lost_writes(K, operations, final) == []


@pytest.mark.parametrize(("operations", "final", "count"), LOST)
def test_acknowledged_writes_that_are_gone_are_counted(operations, final, count):
    assert len(lost_writes(K, operations, final)) == count


def test_the_verdict_names_lost_writes_and_impossible_reads():
    history = [put(1, 2, b"a"), put(3, 4, b"b")]
    stale = Operation(2, 1, Kind.GET, (K,), (), 5, 6, Outcome.OK, b"a")
    good, lost = judge(history, {K: b"b"}), judge([*history, stale], {K: b"a"})
    assert (good.lost, good.linearizable, good.problems) == (0, True, [])
    assert (lost.lost, lost.linearizable, len(lost.problems)) == (1, False, 2)


def test_half_a_batch_of_unknown_outcome_is_found_out():
    unknown = Operation(0, 3, Kind.BATCH, (b"other", K), (b"x", b"b"), 3, 4, Outcome.UNKNOWN)
    history = [put(1, 2, b"a"), unknown]
    sees_it = Operation(0, 1, Kind.GET, (b"other",), (), 5, 6, Outcome.OK, b"x")
    sees_it_not = Operation(0, 1, Kind.GET, (K,), (), 7, 8, Outcome.OK, b"a")
    assert judge([*history, sees_it], {K: b"b"}).linearizable
    assert judge([*history, sees_it_not], {K: b"a"}).linearizable
    assert not judge([*history, sees_it, sees_it_not], {K: b"a"}).linearizable
    swaps = Operation(0, 1, Kind.CAS, (b"other",), (b"x", b"y"), 5, 6, Outcome.OK, True)
    assert not judge([*history, swaps, sees_it_not], {K: b"a"}).linearizable
    fails = Operation(0, 1, Kind.CAS, (b"other",), (b"x", b"y"), 5, 6, Outcome.OK, False)
    assert judge([*history, fails, sees_it_not], {K: b"a"}).linearizable


@pytest.mark.parametrize(
    ("kind", "error", "outcome"),
    [
        (Kind.PUT, OutcomeUnknown("late"), Outcome.UNKNOWN),
        (Kind.PUT, TimeoutError(), Outcome.UNKNOWN),
        (Kind.PUT, NotLeader(2), Outcome.REFUSED),
        (Kind.PUT, Closed("no connection"), Outcome.REFUSED),
        (Kind.GET, Unavailable("late"), Outcome.FAILED),
        (Kind.GET, TimeoutError(), Outcome.FAILED),
    ],
)
def test_an_error_says_what_became_of_the_operation(kind, error, outcome):
    operation = History().begin(1, kind, (K,))
    fail(operation, error)
    assert operation.outcome is outcome
    assert operation.returned >= operation.invoked


def test_a_history_is_kept_and_read_back(tmp_path):
    history = History()
    succeed(history.begin(1, Kind.PUT, (K,), (b"1.1.0.",)), None)
    succeed(history.begin(1, Kind.GET, (K,)), b"1.1.0.")
    succeed(history.begin(2, Kind.CAS, (K,), (None, b"2.1.5.")), False)
    fail(history.begin(3, Kind.BATCH, (b"other", K), (None, b"3.1.0.")), OutcomeUnknown("late"))
    history.begin(4, Kind.DELETE, (K,))
    write_lines(tmp_path / "history", history.operations)
    again = read_lines(tmp_path / "history")
    assert list(map(repr, again)) == list(map(repr, history.operations))
    assert len(by_key(again)[K]) == 5


def test_values_keep_their_marks_and_others_are_found_out():
    one = mark(3, 14, 1000)
    value = full(one)
    assert value is not None
    assert mark_of(value) == one
    assert mark_of(full(mark(1, 10, 0))) == b"1.10.0."
    assert mark_of(None) is full(None) is None
    damaged = bytearray(value)
    damaged[500] ^= 1
    for wrong in (bytes(damaged), value[:-1], value + b"\0", b"", b"1.2."):
        assert mark_of(wrong) not in {None, one}


def test_keys_give_way_before_they_are_too_much_for_a_checker():
    keys = Keys(4, [0, 1, 2], random.Random(1))
    counts: dict[bytes, int] = {}
    for step in range(40_000):
        used = (keys.one_left() or keys.one(),) if step % 10 == 0 else (keys.one(),)
        if step % 7 == 0:
            used = keys.several()
            assert len({key.split(b"/")[0] for key in used}) == 1
        for key in used:
            counts[key] = counts.get(key, 0) + 1
        keys.used(used)
    assert OPERATIONS - LAST_READS <= max(counts.values()) < OPERATIONS
    assert set(counts) <= set(keys.all)
    assert {key[:6] for key in keys.all} == {range_start(number) for number in range(3)}


def test_a_key_gives_way_after_a_few_unknown_outcomes():
    keys = Keys(0, [0], random.Random(1))
    key = keys.one()
    for _ in range(UNKNOWN):
        keys.used((key,))
        keys.unknown((key,))
    assert all(keys.one() != key for _ in range(200))
    assert keys.one_left() is not None

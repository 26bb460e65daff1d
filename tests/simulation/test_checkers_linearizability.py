"""The linearizability checker: what it must find and let pass, and that it agrees with brute force."""

import random
from math import inf

import pytest

from tests.simulation.checkers.base import Kind, Operation, Outcome, Violation
from tests.simulation.checkers.linearizability import Linearizability, TooHard, check
from tests.simulation.histories import KEY, Clients, brute_force, good_history, spoilt

ALL = "put get get delete cas"


def history(build) -> list[Operation]:
    clients = Clients()
    build(clients)
    return clients.operations


def stale_read(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.put(b"b", 3, 4)
    c.get(b"a", 5, 6)


def lost_write(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.get(None, 3, 4)


def back_and_forth(c: Clients) -> None:
    c.put(b"a", 1, 9)
    c.put(b"b", 1, 9)
    c.get(b"a", 2, 3)
    c.get(b"b", 4, 5)
    c.get(b"a", 6, 7)


def value_from_nowhere(c: Clients) -> None:
    c.get(b"x", 1, 2)


def value_from_the_future(c: Clients) -> None:
    c.get(b"a", 1, 2)
    c.put(b"a", 3, 4)


def unknown_write_seen_and_gone(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.unknown(b"u", 3, 4)
    c.get(b"u", 5, 6)
    c.get(b"a", 7, 8)


def two_swaps_of_one_value(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.add("cas", (3, 6), b"a", b"b", result=True)
    c.add("cas", (4, 5), b"a", b"c", result=True)


def swap_that_failed_without_reason(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.add("cas", (3, 4), b"a", b"b", result=False)


def deleted_twice(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.add("delete", (3, 4), result=True)
    c.add("delete", (5, 6), result=True)


def unknown_delete_twice(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.add("delete", (3, None)).outcome = Outcome.UNKNOWN
    c.get(None, 5, 6)
    c.put(b"b", 7, 8)
    c.add("delete", (9, 10), result=False)
    c.get(b"b", 11, 12)


def half_of_a_batch_undone(c: Clients) -> None:
    op = c.add("batch", (1, 2), b"1", None)
    op.keys = (KEY, b"other")
    c.get(None, 3, 4)


BAD = [
    stale_read,
    lost_write,
    back_and_forth,
    value_from_nowhere,
    value_from_the_future,
    unknown_write_seen_and_gone,
    two_swaps_of_one_value,
    swap_that_failed_without_reason,
    deleted_twice,
    unknown_delete_twice,
    half_of_a_batch_undone,
]


@pytest.mark.parametrize("build", BAD)
def test_a_history_without_an_order_is_found(build):
    found = check(history(build))
    assert isinstance(found, Violation)
    assert found.checker == "linearizability"
    assert repr(KEY) in str(found), found


def test_the_operations_that_cannot_be_ordered_are_shown_and_no_others():
    found = check(
        history(
            lambda c: [c.put(b"old", 1, 2), c.get(b"old", 2.1, 2.2), c.put(b"new", 3, 4), c.get(b"old", 5, 6)]
        )
    )
    assert "there is no order of" in str(found)
    assert "#2" in str(found)
    assert "#3" in str(found)
    found = check(history(two_swaps_of_one_value))
    assert "there is no place for\n  #1 client 1: cas" in str(found)
    assert str(found).endswith("the value may have been a value that nobody saw before that")
    assert "#0" not in str(found), "what ended before does not matter"


def concurrent_writes(c: Clients) -> None:
    c.put(b"a", 1, 9)
    c.put(b"b", 1, 9)
    c.get(b"a", 2, 3)
    c.get(b"b", 4, 5)
    c.get(b"b", 6, 7)


def unknown_write_late(c: Clients) -> None:
    c.unknown(b"u", 1, 2)
    c.get(None, 3, 4)
    c.put(b"a", 5, 6)
    c.get(b"u", 7, 8)


def unknown_write_never(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.unknown(b"u", 3, 4)
    c.get(b"a", 5, 6)


def refused_write_and_failed_read(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.put(b"b", 3, 4).outcome = Outcome.REFUSED
    c.get(b"b", 5, 6).outcome = Outcome.FAILED
    c.get(b"a", 7, 8)


def a_swap_that_follows_a_swap(c: Clients) -> None:
    c.add("cas", (1, 8), None, b"a", result=True)
    c.add("cas", (2, 7), b"a", b"b", result=True)
    c.add("delete", (3, 6), result=True)
    c.get(None, 4, 5)


def other_keys_and_kinds(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.get(None, 3, 4, key=b"other")
    c.add("stale_get", (5, 6), result=None)


def one_moment(c: Clients) -> None:
    c.put(b"a", 1, 2)
    c.put(b"b", 2, 3)
    c.get(b"a", 3, 4)


@pytest.mark.parametrize(
    "build",
    [
        concurrent_writes,
        unknown_write_late,
        unknown_write_never,
        refused_write_and_failed_read,
        a_swap_that_follows_a_swap,
        other_keys_and_kinds,
        one_moment,
    ],
)
def test_a_history_with_an_order_passes(build):
    assert check(history(build)) is None


def test_intervals_that_only_touch_may_go_either_way_in_both_methods():
    """The search (a compare-and-swap is there) and the comparison of zones judge ties alike."""
    for extra in (False, True):
        operations = history(one_moment)
        if extra:
            clients = Clients()
            clients.add("cas", (8, 9), b"none", b"none", result=False)
            operations += clients.operations
        assert check(operations) is None


@pytest.mark.parametrize("kinds", ["put get", ALL])
@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_it_agrees_with_trying_every_order(kinds: str, unknown: float):
    chance = random.Random(f"{kinds} {unknown}")
    verdicts = {True: 0, False: 0}
    for _ in range(600):
        operations = good_history(chance, chance.randint(2, 6), chance.randint(1, 4), kinds, unknown)
        assert check(operations) is None, operations
        list(spoilt(chance, operations))
        expected = brute_force(operations)
        assert (check(operations) is None) == expected, "\n".join(map(repr, operations))
        verdicts[expected] += 1
    assert min(verdicts.values()) > 60, verdicts


def test_long_histories_of_a_register_that_behaves_pass():
    chance = random.Random(4)
    for kinds in ("put get", ALL):
        for unknown in (0.0, 0.1):
            assert check(good_history(chance, 1000, 8, kinds, unknown)) is None


def test_one_wrong_read_in_a_long_history_is_found():
    chance = random.Random(5)
    for kinds in ("put get", ALL):
        operations = good_history(chance, 1000, 8, kinds)
        read = next(op for op in operations[500:] if op.kind is Kind.GET and op.result is not None)
        read.result = operations[0].arguments[0] if operations[0].kind is Kind.PUT else b"v0"
        assert check(operations) is not None


def test_more_than_can_be_decided_is_refused():
    operations = history(lambda c: [c.put(b"%d" % client, 1, 2, client=client) for client in range(9)])
    with pytest.raises(TooHard, match="of 9 clients at once"):
        check(operations)
    operations = history(lambda c: [c.put(b"%d" % at, at, at + 0.5) for at in range(1001)])
    with pytest.raises(TooHard, match="1001 operations"):
        check(operations)


def test_operations_without_an_answer_count_as_unknown():
    clients = Clients()
    clients.put(b"a", 1, 2)
    clients.put(b"b", 3, None)
    clients.get(b"b", 4, 5)
    assert check(clients.operations) is None
    assert all(op.returned is None or op.returned < inf for op in clients.operations)


def test_the_checker_collects_and_raises_at_the_end():
    checker = Linearizability()
    for op in history(stale_read):
        checker.invoked(op)
    with pytest.raises(Violation, match="linearizability: b'k'"):
        checker.finished(None)

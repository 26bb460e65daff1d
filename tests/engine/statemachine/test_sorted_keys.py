"""The lazily sorted keys against a sorted set, and scans that meet writes on their way."""

from itertools import islice
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.engine.statemachine import paging, sorted_keys
from multiraft.engine.statemachine.keys import lower_stop, prefix_stop, successor
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.paging import Layer, merge
from multiraft.engine.statemachine.sorted_keys import SortedKeys
from multiraft.engine.statemachine.store import OrderedStore

KEYS = st.binary(max_size=2)


@given(st.sets(KEYS), st.lists(st.tuples(st.booleans(), st.sets(KEYS, max_size=48))), st.data())
def test_cuts_of_a_changing_set(
    initial: set[bytes], changes: list[tuple[bool, set[bytes]]], data: st.DataObject
):
    """Adding and removing, few and many, with a look in between or without."""
    with patch.multiple(sorted_keys, CHUNK=4, PENDING=data.draw(st.integers(1, 9)), FEW=2):
        keys, model = SortedKeys(initial), set(initial)
        for adding, some in changes:
            for key in data.draw(st.permutations(sorted(some - model if adding else some & model))):
                (keys.add if adding else keys.remove)(key)
                (model.add if adding else model.remove)(key)
            if data.draw(st.booleans()):
                check_one_cut(keys, model, data)
        check_one_cut(keys, model, data)
        keys.cut(b"", None, 1, reverse=False)
        assert [key for chunk in keys._chunks for key in chunk] == sorted(model)
        assert [chunk[-1] for chunk in keys._chunks] == keys._lasts
        assert all(0 < len(chunk) <= 8 for chunk in keys._chunks)


def check_one_cut(keys: SortedKeys, model: set[bytes], data: st.DataObject) -> None:
    start, stop = data.draw(KEYS), data.draw(st.none() | KEYS)
    limit, reverse = data.draw(st.integers(1, 12)), data.draw(st.booleans())
    inside = sorted((k for k in model if start <= k and (stop is None or k < stop)), reverse=reverse)
    cut, bound = keys.cut(start, stop, limit, reverse=reverse)
    assert cut == inside[:limit]
    assert bound == (cut[-1] if len(inside) > limit else None)


def test_a_layer_that_ends_early_bounds_the_page():
    """What an older layer holds behind the last key that a newer one listed may be hidden by it."""
    newer = Layer([(b"a", b"new"), (b"b", None)], bound=b"b")
    older = Layer([(b"b", b"old"), (b"c", b"old")], bound=None)
    assert merge([newer, older], 10, reverse=False) == ([(b"a", b"new")], b"b")


def test_a_reverse_page_is_bounded_from_below():
    newer = Layer([(b"c", None)], bound=b"c")
    older = Layer([(b"c", b"old"), (b"b", b"old")], bound=b"b")
    assert merge([newer, older], 10, reverse=True) == ([], b"c")


@given(KEYS, KEYS)
def test_prefix_stop_is_the_tightest_bound(prefix: bytes, key: bytes):
    stop = prefix_stop(prefix)
    assert key.startswith(prefix) == (key >= prefix and (stop is None or key < stop))


@given(KEYS, KEYS)
def test_nothing_lies_between_a_key_and_its_successor(key: bytes, other: bytes):
    assert key < successor(key)
    assert not key < other < successor(key)


@pytest.mark.parametrize(
    ("left", "right", "lower"),
    [(None, None, None), (b"a", None, b"a"), (None, b"b", b"b"), (b"a", b"b", b"a")],
)
def test_the_lower_of_two_bounds(left: bytes | None, right: bytes | None, lower: bytes | None):
    assert lower_stop(left, right) == lower


@pytest.fixture(params=["memory group", "memtable", "frozen", "stored"])
def numbers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> OrderedStore:
    """Keys 00 to 99 in a store whose pages hold four keys; in each of the layers."""
    monkeypatch.setattr(paging, "FIRST_PAGE", 4)
    monkeypatch.setattr(paging, "LAST_PAGE", 4)
    node = MemoryStateStore()
    store = node.memory_group(1) if request.param == "memory group" else node.group(1)
    for number in range(100):
        store.put(b"%02d" % number, b"")
    if request.param in ("frozen", "stored"):
        flush = node.freeze()
        assert flush is not None
        node.write(flush)
        if request.param == "stored":
            node.flushed(flush)
    return store


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_survives_writes_on_its_way(numbers: OrderedStore, reverse: bool):
    """Untouched keys come out once; writes ahead are seen, writes behind are not."""
    behind, ahead = (b"005", b"905") if not reverse else (b"905", b"005")
    scan = numbers.scan(b"", None, reverse)
    seen = [key for key, _ in islice(scan, 50)]
    numbers.put(behind, b"")
    numbers.put(ahead, b"")
    numbers.delete(b"95" if not reverse else b"06")
    numbers.delete(b"06" if not reverse else b"95")
    seen += [key for key, _ in scan]
    expected = [b"%02d" % number for number in range(100)] + [ahead]
    expected.remove(b"95" if not reverse else b"06")
    assert seen == sorted(expected, reverse=reverse)


def test_a_scan_survives_the_replacement_of_everything(numbers: OrderedStore):
    """A page shows one state: keys come from before the load, then from after it."""
    scan = numbers.scan(b"", None)
    seen = [key for key, _ in islice(scan, 4)]
    numbers.load([(b"%02d" % number, b"") for number in range(0, 100, 2)])
    seen += [key for key, _ in scan]
    assert seen == [b"00", b"01", b"02", b"03", *(b"%02d" % number for number in range(4, 100, 2))]


def test_a_load_that_fails_changes_nothing(numbers: OrderedStore):
    def broken():
        yield b"new", b""
        raise OSError("the source broke off")

    with pytest.raises(OSError, match="broke off"):
        numbers.load(broken())
    assert len(list(numbers.scan(b"", None))) == 100
    assert numbers.get(b"new") is None

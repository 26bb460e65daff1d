"""What snapshots need of a state store: a look at one moment, and a place for what comes in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from multiraft.engine.errors import Corruption, StorageFailed
from multiraft.engine.statemachine.applied import Applied
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.opening import check_tally
from multiraft.engine.statemachine.overlay import OverlayStore
from multiraft.engine.statemachine.records import Kind, record_key
from multiraft.engine.statemachine.view import StateView
from multiraft.raft.state import ConfState

CONF = ConfState((1, 2, 3))
PAIRS = [(b"%03d" % number, b"v" * number) for number in range(50)]
Open = Callable[[], OverlayStore]


@pytest.fixture(params=["memory", "lmdb"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the store, and again what a crash has left of it."""
    if request.param == "lmdb":
        return lambda: LmdbStateStore.open(tmp_path / "state")
    kept = MemoryStateStore()
    return lambda: MemoryStateStore(kept.medium.contents)


def flush(store: OverlayStore) -> None:
    frozen = store.freeze()
    if frozen is not None:
        store.write(frozen)
        store.flushed(frozen)


def filled(store: OverlayStore, group: int = 1, index: int = 7) -> None:
    store.group(group).load(PAIRS)
    store.set_applied(group, Applied(index, 2, CONF, b"metadata"))
    flush(store)


def everything(view: StateView, limit: int) -> list[tuple[bytes, bytes]]:
    pairs: list[tuple[bytes, bytes]] = []
    last = False
    while not last:
        piece = view.read(limit)
        assert piece.pairs or piece.last
        pairs += piece.pairs
        last = piece.last
    return pairs


@pytest.mark.parametrize("limit", [1, 30, 10**6])
def test_a_view_shows_one_moment_whatever_is_written_meanwhile(opened: Open, limit: int):
    store = opened()
    filled(store)
    view = store.view(1)
    store.group(1).put(b"later", b"x")
    store.set_applied(1, Applied(8, 2, CONF))
    flush(store)
    assert view.applied == Applied(7, 2, CONF, b"metadata")
    assert view.durable
    assert everything(view, limit) == PAIRS
    view.close()
    view.close()
    store.close()


def test_a_view_knows_nothing_of_what_is_not_flushed(opened: Open):
    store = opened()
    assert store.durable_point(1) is None
    filled(store)
    store.group(1).put(b"later", b"x")
    store.set_applied(1, Applied(8, 2, CONF))
    view = store.view(1)
    assert store.durable_point(1) == view.applied == Applied(7, 2, CONF, b"metadata")
    assert everything(view, 100) == PAIRS
    view.close()
    store.close()


def test_a_view_of_a_machine_in_memory_shows_the_pieces_of_its_checkpoint(opened: Open):
    store = opened()
    data = bytes(range(256)) * 1000
    store.set_checkpoint(1, Applied(9, 3, CONF), data)
    flush(store)
    view = store.view(1)
    assert (view.applied, view.durable) == (Applied(9, 3, CONF), False)
    pieces = everything(view, 1000)
    assert b"".join(piece for _, piece in pieces) == data
    assert [int.from_bytes(number) for number, _ in pieces] == list(range(1, len(pieces) + 1))
    view.close()
    store.close()


def test_a_view_of_a_group_that_is_not_there(opened: Open):
    store = opened()
    view = store.view(5)
    assert view.applied is None
    view.close()
    store.close()


def test_a_view_of_damaged_data_says_so():
    store = MemoryStateStore()
    filled(store)
    victim = max(store.medium.contents)
    store.medium.contents[victim] = store.medium.contents[victim][:-1]
    view = store.view(1)
    with pytest.raises(Corruption):
        everything(view, 100)


def test_a_store_that_is_reopened_ends_its_views(tmp_path: Path):
    store = LmdbStateStore.open(tmp_path / "state")
    filled(store)
    view = store.view(1)
    store.reopen()
    with pytest.raises(StorageFailed):
        view.read(100)
    assert everything(store.view(1), 100) == PAIRS
    store.close()


def staged(store: OverlayStore, pairs: list[tuple[bytes, bytes]]):
    data = store.stage()
    for start in range(0, len(pairs), 7):
        data.write(pairs[start : start + 7])
    return data


def test_staged_data_takes_the_place_of_a_groups_at_once(opened: Open):
    store = opened()
    filled(store)
    other = [(b"other%d" % number, b"w") for number in range(20)]
    store.take_over(1, staged(store, other))
    store.set_applied(1, Applied(20, 4, CONF))
    store.group(1).put(b"other3", b"newer")
    assert store.group(1).delete(b"other4")
    expected = dict(other) | {b"other3": b"newer"}
    del expected[b"other4"]
    assert dict(store.group(1).scan(b"", None)) == expected
    assert store.group(1).get(b"other5") == b"w"
    assert store.group(1).get(b"001") is None
    flush(store)
    assert dict(store.group(1).scan(b"", None)) == expected
    check_tally(store.medium, 1)
    flush(store)
    assert store.abandoned == 0
    store.close()
    again = opened()
    assert dict(again.group(1).scan(b"", None)) == expected
    assert again.applied(1) == Applied(20, 4, CONF)
    again.close()


def test_an_empty_snapshot_empties_a_group(opened: Open):
    store = opened()
    filled(store)
    store.take_over(1, store.stage())
    store.set_applied(1, Applied(20, 4, CONF))
    flush(store)
    assert list(store.group(1).scan(b"", None)) == []
    store.close()


def test_a_second_snapshot_before_the_flush_of_the_first(opened: Open):
    """The first one's data belongs to nobody then."""
    store = opened()
    filled(store)
    store.take_over(1, staged(store, [(b"first", b"1")]))
    store.set_applied(1, Applied(20, 4, CONF))
    store.take_over(1, staged(store, [(b"second", b"2")]))
    store.set_applied(1, Applied(30, 4, CONF))
    for _ in range(3):
        flush(store)
    assert list(store.group(1).scan(b"", None)) == [(b"second", b"2")]
    assert store.abandoned == 0
    store.close()


def test_a_snapshot_that_is_taken_back_before_its_flush(opened: Open):
    store = opened()
    filled(store)
    store.take_over(1, staged(store, [(b"other", b"1")]))
    store.set_applied(1, Applied(20, 4, CONF))
    store.discard(1)
    assert list(store.group(1).scan(b"", None)) == PAIRS
    assert store.abandoned == 1
    flush(store)
    assert store.abandoned == 0
    assert list(store.group(1).scan(b"", None)) == PAIRS
    store.close()


def test_what_was_staged_when_the_node_died_is_removed_and_its_prefix_never_used_again(opened: Open):
    store = opened()
    filled(store)
    prefix = staged(store, PAIRS).prefix
    store.close()
    again = opened()
    assert again.abandoned == 1
    assert again.stage().prefix > prefix
    flush(again)
    assert again.abandoned == 0
    assert not any(key.startswith(prefix.to_bytes(8)) for key, _ in pages(again))
    again.close()


def pages(store: OverlayStore) -> list[tuple[bytes, bytes]]:
    return store.medium.page(b"", b"\xff" * 9, 10**6, reverse=False).pairs


def test_after_a_failed_write_of_staged_data_no_flush_counts_until_the_file_is_copied():
    """The disk may have dropped what it had not written, and the next flush would not hear of it."""
    store = MemoryStateStore()
    filled(store)
    data = store.stage()

    def refuse() -> None:
        raise StorageFailed("as ordered")

    store.medium.fault = refuse
    with pytest.raises(StorageFailed, match="as ordered"):
        data.write(PAIRS[:1])
    store.medium.fault = None
    store.group(1).put(b"late", b"v")
    store.set_applied(1, Applied(20, 4, CONF))
    flush = store.freeze()
    assert flush is not None
    store.reopen()
    with pytest.raises(StorageFailed, match="an earlier write"):
        store.write(flush)
    store.copy()
    store.adopt()
    store.write(flush)
    store.flushed(flush)
    assert store.crash().group(1).get(b"late") == b"v"


def rot(store: MemoryStateStore, key: bytes) -> None:
    """A bit of a stored value turns over."""
    value = store.medium.contents[key]
    store.medium.contents[key] = bytes([value[0] ^ 1]) + value[1:]


@pytest.mark.parametrize("record_too", [False, True])
def test_damage_in_the_state_that_is_replaced_does_not_count_against_the_new_one(record_too: bool):
    """The old state's last key stands next to the new one's first, where a missing key is looked for.

    And the record of where the old state lies need not be readable for that.
    """
    kept = MemoryStateStore()
    filled(kept)
    rot(kept, max(key for key in kept.medium.contents if key.endswith(PAIRS[-1][0])))
    if record_too:
        rot(kept, record_key(Kind.GROUP, 1))
    store = MemoryStateStore(kept.medium.contents)
    store.take_over(1, staged(store, [(b"other", b"1")]))
    store.set_applied(1, Applied(20, 4, CONF))
    for _ in range(2):
        assert store.group(1).get(b"a") is None
        assert list(store.group(1).scan(b"", None)) == [(b"other", b"1")]
        flush(store)
    store.close()

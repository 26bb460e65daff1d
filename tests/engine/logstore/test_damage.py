"""Damage is reported by its type and its place, when the store is opened or when it is read; never silent."""

import contextlib
import random

import pytest

from multiraft.engine.errors import Corruption, VersionMismatch
from multiraft.engine.logstore.chunks import chunk_key, cut, join
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.memory import MemoryEnvironment, MemoryLogStore
from multiraft.engine.logstore.port import GroupWrite, Loss
from multiraft.raft.state import HardState

from .builders import all_entries, appended, born, make_entries, put

ENTRIES = {group: make_entries(2, 40, size=60 * group) for group in (7, 8)}


def filled(**options: CollectionPolicy) -> MemoryLogStore:
    """Two groups, several batches; nothing is cached."""
    store = MemoryLogStore(cache_bytes=0, **options)
    put(store, born(7), born(8))
    for start in range(0, 40, 10):
        put(store, *[appended(group, ENTRIES[group][start : start + 10]) for group in (7, 8)])
    put(store, GroupWrite(7, 1, HardState(5, 2, 9)))
    return store


def flipped(value: bytes, bit: int) -> bytes:
    bad = bytearray(value)
    bad[bit // 8] ^= 1 << bit % 8
    return bytes(bad)


def test_a_flipped_bit_anywhere_is_found_on_opening():
    values = filled().environment.values
    draw = random.Random(3)
    for key in values:
        bits = 8 * len(values[key])
        for bit in (*draw.sample(range(bits), min(bits, 150)), *range(0, 256, 3)):
            opened = MemoryLogStore(MemoryEnvironment({**values, key: flipped(values[key], bit)}))
            assert opened.has_gaps or opened.take_losses()


def test_opening_names_group_and_index_of_a_damaged_entry():
    store = filled()
    key = chunk_key(5, 0)
    value = store.environment.values[key]
    where = value.index(ENTRIES[8][25].data) + 3
    store.environment.values[key] = flipped(value, 8 * where)
    assert store.crash().take_losses() == [Loss(8, 27, 27)]


def test_a_flipped_bit_under_a_running_store_never_gives_other_entries():
    """Reads give the very entries that were written, or say which group and entry are damaged."""
    store = filled()
    values = dict(store.environment.values)
    draw = random.Random(4)
    noticed = 0
    for _ in range(1500):
        key = draw.choice(list(values))
        store.environment.values = {**values, key: flipped(values[key], draw.randrange(8 * len(values[key])))}
        for group in (7, 8):
            damage = None
            try:
                assert all_entries(store, group) == list(ENTRIES[group])
            except Corruption as error:
                damage = error
            if damage is not None:
                noticed += 1
                assert damage.group == group
                assert damage.index in range(2, 42)
    assert noticed > 500


def test_damage_of_one_group_leaves_the_others_readable():
    store = filled()
    key = chunk_key(4, 0)
    value = store.environment.values[key]
    store.environment.values[key] = flipped(value, 8 * value.index(ENTRIES[8][12].data))
    assert all_entries(store, 7) == list(ENTRIES[7])
    log = store.group(8)
    assert list(log.entries(2, 12, None)) == list(ENTRIES[8][:10])
    with pytest.raises(Corruption) as found:
        log.entries(12, 20, None)
    assert (found.value.group, found.value.index) == (8, 14)


def test_any_missing_value_but_the_newest_batch_is_found_on_opening():
    values = filled().environment.values
    for key in list(values)[:-1]:
        left = {other: value for other, value in values.items() if other != key}
        assert MemoryLogStore(MemoryEnvironment(left)).has_gaps


def test_a_missing_value_is_found_on_reading():
    store = filled()
    del store.environment.values[chunk_key(4, 0)]
    with pytest.raises(Corruption) as found:
        all_entries(store, 7)
    assert (found.value.group, found.value.index) == (7, 12)


def test_a_value_in_the_place_of_another_is_found():
    store = filled()
    values = store.environment.values
    values[chunk_key(4, 0)], values[chunk_key(5, 0)] = values[chunk_key(5, 0)], values[chunk_key(4, 0)]
    with pytest.raises(Corruption):
        all_entries(store, 7)
    assert store.crash().has_gaps


def test_a_value_that_would_fit_in_another_place_is_found():
    """Only the header tells two batches apart whose entries have the same shape, index and term."""
    store = MemoryLogStore(cache_bytes=0)
    put(store, born(7), born(8))
    places = [chunk_key(put(store, appended(group, make_entries(2, 3))).seq, 0) for group in (7, 8)]
    values = store.environment.values
    values[places[0]], values[places[1]] = values[places[1]], values[places[0]]
    for group in (7, 8):
        with pytest.raises(Corruption) as found:
            all_entries(store, group)
        assert (found.value.group, found.value.index) == (group, 2)


def test_a_newer_format_is_refused_and_not_called_damage():
    store = filled()
    key = chunk_key(4, 0)
    blob = bytearray(join([store.environment.values[key]]))
    blob[0] = 2
    store.environment.values[key] = bytes(cut(bytes(blob), 4, 1)[0][1])
    with pytest.raises(VersionMismatch):
        store.crash()


def test_keys_that_are_not_ours_are_refused():
    for strange in (b"", b"key", b"123456789"):
        store = filled()
        store.environment.values[strange] = b"value"
        with pytest.raises(Corruption):
            store.crash()


def collected_over(store: MemoryLogStore, batches: int = 60) -> MemoryLogStore:
    """Go on until everything that is there now has been moved or deleted."""
    newest = put(store, appended(7, make_entries(42, 1, size=1000))).seq
    for start in range(43, 43 + batches):
        put(store, appended(7, make_entries(start, 1, size=1000)))
    assert chunk_key(newest, 0) not in store.environment.values
    return store


EAGER = CollectionPolicy(0.0, 0, 4, 4000, 2000, 4)


def test_collection_passes_damage_and_names_what_is_lost(caplog: pytest.LogCaptureFixture):
    """The sections that can be read go on; the entry that cannot says so, also after a start."""
    store = filled()
    key = chunk_key(4, 0)
    value = store.environment.values[key]
    bad = flipped(value, 8 * value.index(ENTRIES[8][12].data))
    store.environment.values[key] = bad
    store._collector._policy = EAGER
    collected_over(store)
    assert store.take_losses() == [Loss(8, 14, 14)]
    assert not store.take_losses()
    assert "entries 14 to 14 of group 8" in caplog.text
    assert store.environment.aside == {4: [bad]}
    for opened in (store, store.crash()):
        assert all_entries(opened, 7)[:40] == list(ENTRIES[7])
        log = opened.group(8)
        assert list(log.entries(2, 14, None)) == list(ENTRIES[8][:12])
        assert list(log.entries(15, 42, None)) == list(ENTRIES[8][13:])
        assert [log.term(index) for index in range(1, 42)] == [1] * 41
        with pytest.raises(Corruption) as found:
            log.entries(14, 16, None)
        assert (found.value.group, found.value.index) == (8, 14)


def test_any_damage_in_old_batches_is_passed_and_never_silent():
    """Bits, and whole values: what is read afterwards was written, or is named. Small states stay."""
    draw = random.Random(8)
    for _ in range(150):
        store = filled()
        values = store.environment.values
        states = {group: store.group(group).initial_state() for group in (7, 8)}
        for key in draw.sample(sorted(values), draw.randrange(1, 3)):
            fate = draw.choice(["bit", "bit", "gone", "other", "short"])
            if fate == "bit":
                values[key] = flipped(values[key], draw.randrange(8 * len(values[key])))
            elif fate == "gone":
                del values[key]
            elif fate == "other":
                values[key] = values[draw.choice(sorted(values))]
            else:
                values[key] = values[key][: draw.randrange(len(values[key]))]
        store._collector._policy = EAGER
        collected_over(store)
        losses = store.take_losses()
        for opened in (store, store.crash()):
            assert {group: opened.group(group).initial_state() for group in (7, 8)} == states
            for group in (7, 8):
                check_but_for(opened, group, losses)


def check_but_for(store: MemoryLogStore, group: int, losses: list[Loss]) -> None:
    """Every entry is there or says that it is lost, and that had been said."""
    log = store.group(group)
    for entry in ENTRIES[group]:
        index = entry.index
        if any(loss.group == group and loss.first <= index <= loss.last for loss in losses):
            with contextlib.suppress(Corruption):
                assert list(log.entries(index, index + 1, None)) == [entry]
        else:
            assert list(log.entries(index, index + 1, None)) == [entry]

"""Damaged batches that a start meets: nothing that was promised is forgotten, and whoever can goes on."""

import random
from collections import Counter

import pytest

from multiraft.engine.errors import Corruption
from multiraft.engine.logstore.chunks import HEADER_SIZE, chunk_key
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.memory import MemoryEnvironment, MemoryLogStore
from multiraft.engine.logstore.port import GroupWrite, Loss
from multiraft.engine.logstore.store import LogStore
from multiraft.raft.entry import EntryId
from multiraft.raft.state import HardState

from .builders import all_entries, appended, born, make_entries, put
from .pasts import Past

GROUPS = (7, 8, 9, 10)
EAGER = CollectionPolicy(1.5, 2000, 4, 4000, 2000, 4)


def spoiled(value: bytes, draw: random.Random) -> bytes | None:
    """One bit, a stretch of it, all of it, or nothing left."""
    kind, bad = draw.randrange(4), bytearray(value)
    at = draw.randrange(len(bad))
    if kind == 0:
        bad[at] ^= 1 << draw.randrange(8)
    elif kind == 1:
        bad[at : at + 64] = draw.randbytes(len(bad[at : at + 64]))
    elif kind == 2:
        bad = bytearray(len(bad))
    else:
        return None
    return bytes(bad)


def reopened_with(store: MemoryLogStore, draw: random.Random, spoil: int) -> MemoryLogStore:
    """The store as a start finds it after some of its values were spoiled; never the newest one."""
    values = dict(store.environment.values)
    for key in draw.sample(list(values)[:-1], min(spoil, len(values) - 1)):
        bad = spoiled(values.pop(key), draw)
        if bad is not None:
            values[key] = bad
    return MemoryLogStore(MemoryEnvironment(values), cache_bytes=0)


def lived(draw: random.Random, batches: int) -> tuple[MemoryLogStore, dict[int, Past]]:
    """A store with replicas that were born, worked and rested."""
    policy = EAGER if draw.random() < 0.5 else None
    store = MemoryLogStore(cache_bytes=0, collection=policy)
    pasts: dict[int, Past] = {}
    for number in range(batches):
        if draw.random() < 0.1:
            store = store.crash()
        writes = []
        for group in GROUPS:
            if group not in pasts and draw.random() < 0.3:
                pasts[group] = Past(group, draw)
                writes.append(pasts[group].born())
            elif group in pasts and draw.random() < (0.7, 0.7, 0.2, 0.05)[group - GROUPS[0]] + (number < 5):
                writes.append(pasts[group].next())
        put(store, *writes)
    return store, pasts


def verdict(store: MemoryLogStore, past: Past) -> str:
    """What became of a replica; raises if something it promised is forgotten without a word."""
    doubt = next((one for one in store.doubts if one.group == past.group), None)
    if doubt is not None and doubt.promised is None:
        return "lost"
    if past.group not in store.births():
        assert store.has_gaps
        return "gone"
    log = store.group(past.group)
    assert log.hard_state == past.hard
    assert log.last_index() == past.last or doubt is not None
    losses = {one.first for one in store._losses if one.group == past.group}
    whole_from = past.point + 1
    if doubt is not None:
        assert doubt.promised == EntryId(past.terms[-1], past.last)
        whole_from = max(whole_from, doubt.whole_from)
    else:
        assert log.first_index() - 1 <= past.point
        assert log.term(past.point) == past.terms[past.point]
    for index in range(whole_from, past.last + 1):
        assert log.term(index) == past.terms[index]
        if index in losses:
            with pytest.raises(Corruption):
                log.entries(index, index + 1, None)
        else:
            assert list(log.entries(index, index + 1, None)) == past.entries(index, index + 1)
    if doubt is not None:
        return "silent"
    return "bereft" if losses else "whole"


def test_nothing_promised_is_forgotten_whatever_is_damaged():
    """Raft's own rules tell who can go on; a replica that does holds what it had promised."""
    draw = random.Random(5)
    seen = Counter[str]()
    for number in range(150):
        store, pasts = lived(draw, draw.randrange(3, 30))
        opened = reopened_with(store, draw, 1 + number % 2)
        again = opened.crash()
        for past in pasts.values():
            seen[verdict(opened, past)] += 1
            assert again.has_gaps or not opened.has_gaps
    assert min(seen[kind] for kind in ("whole", "bereft", "silent", "lost", "gone")) > 5, seen


def test_a_damaged_payload_costs_this_entry_only():
    store = MemoryLogStore(cache_bytes=0)
    put(store, born(7), born(8))
    entries = {group: make_entries(2, 4, size=200) for group in (7, 8)}
    put(store, *[appended(group, entries[group], HardState(3, 1, 2)) for group in (7, 8)])
    key = chunk_key(store._last_committed, 0)
    value = bytearray(store.environment.values[key])
    for wanted in (entries[8][1], entries[8][3]):
        at = value.rindex(wanted.data)
        value[at : at + 50] = bytes(50)
    store.environment.values[key] = bytes(value)
    opened = store.crash()
    assert not opened.doubts
    assert not opened.has_gaps
    assert opened.take_losses() == [Loss(8, 3, 3), Loss(8, 5, 5)]
    assert not opened.take_losses()
    assert all_entries(opened, 7) == list(entries[7])
    assert list(opened.group(8).entries(2, 3, None)) == [entries[8][0]]


def test_large_payloads_that_lie_in_several_chunks_are_told_apart():
    store = MemoryLogStore(cache_bytes=0)
    put(store, born(7), born(8))
    entries = make_entries(2, 4, size=50_000)
    put(store, appended(7, entries), GroupWrite(8, 1, HardState(4, 2, 1)))
    seq = store._last_committed
    for number in range(4):
        values = dict(store.environment.values)
        value = bytearray(values[chunk_key(seq, number)])
        value[HEADER_SIZE + 3_000] ^= 4
        opened = MemoryLogStore(MemoryEnvironment({**values, chunk_key(seq, number): bytes(value)}))
        assert not opened.has_gaps
        assert len(opened.take_losses()) == 1
        assert opened.group(8).hard_state == HardState(4, 2, 1)


def test_a_run_in_the_same_term_proves_that_nothing_is_missing():
    """One in another term does not, unless what came before was committed."""
    for term, commit, believed in ((2, 1, True), (3, 1, False), (3, 6, True)):
        store = MemoryLogStore(cache_bytes=0)
        put(store, born(7))
        put(store, appended(7, make_entries(2, 5, term=2), HardState(2, 0, commit)))
        damaged = put(store, GroupWrite(7, 1, HardState(2, 1, commit))).seq
        put(store, appended(7, make_entries(7, 1, term=term), HardState(3, 0, commit)))
        store.environment.values[chunk_key(damaged, 0)] = b"damaged"
        doubts = store.crash().doubts
        assert [one.promised for one in doubts] == ([] if believed else [EntryId(term, 7)])


def test_whoever_said_nothing_since_can_only_be_replaced():
    store = MemoryLogStore(cache_bytes=0)
    put(store, born(7), born(8))
    damaged = put(store, GroupWrite(8, 1, HardState(1, 1, 1)), GroupWrite(7, 1, HardState(1, 0, 1))).seq
    put(store, appended(7, make_entries(2, 1), HardState(1, 1, 1)))
    store.environment.values[chunk_key(damaged, 0)] = b"damaged"
    opened = store.crash()
    assert [(one.group, one.promised) for one in opened.doubts] == [(8, None)]
    assert opened.environment.aside == {damaged: [b"damaged"]}
    put(opened, appended(7, make_entries(3, 1)))


def test_whoever_the_damaged_batch_said_nothing_of_goes_on():
    """The batch behind it names its groups; of the newest one nobody knows."""
    store = MemoryLogStore(cache_bytes=0)
    put(store, born(7), born(8))
    damaged = put(store, GroupWrite(7, 1, HardState(1, 1, 1))).seq
    newest = put(store).seq
    values = store.environment.values
    for seq, wanted in ((damaged, [7]), (newest, [7, 8])):
        left = MemoryEnvironment({**values, chunk_key(seq, 0): b"damaged"})
        assert [one.group for one in MemoryLogStore(left).doubts] == wanted


def test_a_batch_that_a_checkpoint_knows_is_not_missed(tmp_path):
    """What the checkpoint says of a log is newer than the damage."""
    index = tmp_path / "index"
    environment = MemoryEnvironment()
    store = LogStore(environment, cache_bytes=0, checkpoint=index)
    put(store, born(7), born(8))
    damaged = put(store, appended(7, make_entries(2, 3), HardState(1, 1, 1))).seq
    put(store)
    store.close()
    environment.values[chunk_key(damaged, 0)] = environment.values[chunk_key(damaged, 0)][:-1] + b"!"
    opened = LogStore(environment, cache_bytes=0, checkpoint=index)
    assert not opened.doubts
    assert opened.group(7).last_index() == 4

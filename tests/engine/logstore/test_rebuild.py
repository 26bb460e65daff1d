"""Recovery puts rewritten items where they were, and reports a log that contradicts itself."""

import struct
from collections.abc import Sequence

import pytest

from multiraft.engine.errors import Corruption
from multiraft.engine.logstore.blob import BlobWriter, Contents, MetaRow, RowSection, decode_blob
from multiraft.engine.logstore.chunks import cut, join, link, split_key
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.memory import MemoryEnvironment, MemoryLogStore
from multiraft.engine.logstore.metas import (
    MetaKind,
    SnapshotPoint,
    encode_birth,
    encode_members,
    encode_snapshot_point,
)
from multiraft.engine.logstore.port import GroupWrite
from multiraft.native.entries import encode_runs
from multiraft.raft.entry import Entry
from multiraft.raft.state import HardState

from .builders import MEMBERS, all_entries, appended, born, make_birth, make_entries, put

BIRTH = MetaRow(7, 1, 1, 0, MetaKind.BIRTH, encode_birth(make_birth(7)))


def rewritten_row(replica_id: int, origin: int, parts: bytes, run: bytes, hard_state: Sequence[int]) -> bytes:
    """A REWRITE section with one row of group 7."""
    head = struct.pack("<3QI4x8s", 7, replica_id, origin, len(run), parts)
    return head + run + bytes(-len(run) % 8) + struct.pack(f"<{len(hard_state)}Q", *hard_state)


class Written:
    """An environment filled by hand, batch by batch."""

    def __init__(self) -> None:
        self.environment = MemoryEnvironment()
        self._seq = 0
        self._chain = 0

    def batch(
        self,
        entries: Sequence[Entry] = (),
        *,
        hard_state: HardState | None = None,
        truncate: tuple[int, ...] = (),
        origin: int | None = None,
        metas: Sequence[MetaRow] = (),
        replica_id: int = 1,
    ) -> "Written":
        """One row for group 7; with an origin it is a rewritten one."""
        self._seq += 1
        writer = BlobWriter()
        run = encode_runs([entries])[0]
        parts = bytes([(1 if hard_state else 0) | (2 if truncate else 0)])
        if origin is None:
            writer.add_rows([7], [replica_id], [run], [len(run)], parts, hard_state or (), truncate)
        else:
            writer.add_rewritten(rewritten_row(replica_id, origin, parts, run, hard_state or ()), 1)
        writer.add_metas(metas)
        blob = writer.finish(self._seq - 1, 1)
        pairs = cut(blob, self._seq, 1, self._chain)
        self._chain = link(self._chain, [value for _, value in pairs])
        self.environment.write([], pairs)
        return self

    def open(self) -> MemoryLogStore:
        return MemoryLogStore(self.environment)


def test_a_rewritten_run_goes_between_its_neighbours_and_cuts_nothing():
    store = (
        Written()
        .batch(metas=[BIRTH])
        .batch(make_entries(6, 3, term=4))
        .batch(make_entries(2, 2), origin=1)
        .batch([*make_entries(4, 1), *make_entries(5, 1, term=3)], origin=1)
        .open()
    )
    expected = [*make_entries(2, 3), *make_entries(5, 1, term=3), *make_entries(6, 3, term=4)]
    assert all_entries(store, 7) == expected
    assert [store.group(7).term(index) for index in range(1, 9)] == [1, 1, 1, 1, 3, 4, 4, 4]


def test_of_two_hard_states_the_one_of_the_later_origin_counts():
    older, newer = HardState(4, 1, 1), HardState(5, 2, 1)
    written = Written().batch(metas=[BIRTH]).batch(hard_state=newer).batch(hard_state=older, origin=1)
    assert written.open().group(7).hard_state == newer


def test_a_rewritten_run_over_another_one_is_corruption():
    for first in (2, 3, 4, 5):
        written = (
            Written().batch(metas=[BIRTH]).batch(make_entries(2, 4)).batch(make_entries(first, 1), origin=1)
        )
        with pytest.raises(Corruption) as found:
            written.open()
        assert (found.value.group, found.value.index) == (7, first)


def test_a_hole_in_a_log_is_corruption():
    written = Written().batch(metas=[BIRTH]).batch(make_entries(2, 2)).batch(make_entries(6, 1))
    with pytest.raises(Corruption) as found:
        written.open()
    assert (found.value.group, found.value.index) == (7, 4)


def test_a_log_that_begins_too_late_is_corruption():
    with pytest.raises(Corruption) as found:
        Written().batch(metas=[BIRTH]).batch(make_entries(3, 2)).open()
    assert (found.value.group, found.value.index) == (7, 2)


def test_a_replica_without_a_birth_is_corruption():
    with pytest.raises(Corruption) as found:
        Written().batch(hard_state=HardState(1, 1, 1)).open()
    assert found.value.group == 7


def test_rows_of_two_replicas_are_corruption():
    with pytest.raises(Corruption) as found:
        Written().batch(metas=[BIRTH]).batch(hard_state=HardState(1, 1, 1), replica_id=2).open()
    assert found.value.group == 7


@pytest.mark.parametrize(
    "meta",
    [
        MetaRow(7, 1, 2, 0, MetaKind.MEMBERS, encode_members(MEMBERS)),
        MetaRow(7, 1, 1, 0, MetaKind.SNAPSHOT_POINT, encode_snapshot_point(SnapshotPoint(5, 1, MEMBERS))),
        MetaRow(7, 1, 2, 0, MetaKind.SNAPSHOT_POINT, b"\x90"),
        MetaRow(7, 1, 1, 0, MetaKind.BIRTH, b"\xc0"),
    ],
    ids=["fresh members", "rewritten point", "bad point", "bad birth"],
)
def test_a_meta_row_that_makes_no_sense_is_corruption(meta: MetaRow):
    with pytest.raises(Corruption, match="log batch 2"):
        Written().batch(metas=[BIRTH]).batch(metas=[meta]).open()


def test_several_writes_of_a_group_in_a_batch_take_place_in_their_order():
    store = MemoryLogStore()
    point = GroupWrite(7, 1, snapshot_point=(9, 2, MEMBERS))
    put(store, born(7), appended(7, make_entries(2, 3)), point, appended(7, make_entries(10, 1, term=2)))
    put(store, born(8), appended(8, make_entries(2, 1)), GroupWrite(8, 1, tombstone=True), born(8, 2))
    for opened in (store, store.crash()):
        assert (opened.group(7).first_index(), all_entries(opened, 7)) == (
            10,
            list(make_entries(10, 1, term=2)),
        )
        assert all_entries(opened, 8) == []


@pytest.mark.parametrize("crash", [False, True])
def test_a_cut_that_leaves_only_what_was_truncated_leaves_nothing_alive(crash: bool):
    """A segment whose live entries are all replaced is dead, though it begins before the cut."""
    eager = CollectionPolicy(0.0, 0)
    store = MemoryLogStore()
    put(store, born(7), appended(7, make_entries(2, 6)))
    put(store, GroupWrite(7, 1, truncate=(4, 1)))
    put(store, appended(7, make_entries(5, 1, term=2)))
    if crash:
        store = MemoryLogStore(store.environment, collection=eager)
    else:
        store._collector._policy = eager
    for _ in range(8):
        put(store)
        assert all_entries(store, 7) == list(make_entries(5, 1, term=2))
    assert store.damage is None
    assert store.usage.batches < 5


def contents(store: MemoryLogStore) -> list[tuple[int, bytes, Contents]]:
    """(sequence number, blob, contents) of each batch of one chunk."""
    found = []
    for key, value in store.environment.values.items():
        blob = join([value])
        found.append((split_key(key)[0], blob, decode_blob(blob)))
    return found


def rewritten_rows(blob: bytes, section: RowSection) -> list[tuple[int, str]]:
    """(origin, what it is) of each row."""
    count, at = section.rows, section.at
    origins = struct.unpack_from(f"<{count}Q", blob, at + 16 * count)
    parts_at = at + 24 * count + 4 * count + -4 * count % 8
    kinds = {0: "run", 1: "hard_state", 2: "point"}
    return [(origins[row], kinds[blob[parts_at + row]]) for row in range(count)]


def test_what_is_rewritten_again_and_again_keeps_its_origin():
    """Each item's origin is the batch that wrote it first, however often it moved."""
    store = MemoryLogStore(collection=CollectionPolicy(0.0, 0))
    origins: dict[object, int] = {"birth": put(store, born(7)).seq}
    origins["run"] = put(store, appended(7, make_entries(2, 3))).seq
    origins["hard_state"] = put(store, GroupWrite(7, 1, HardState(3, 1, 2))).seq
    origins["point"] = put(store, GroupWrite(7, 1, truncate=(2, 1))).seq
    origins["removed"] = put(store, GroupWrite(9, 4, tombstone=True)).seq
    for _ in range(20):
        put(store)
    found: dict[object, int] = {}
    for seq, blob, batch in contents(store):
        assert seq > max(origins.values())
        for section in batch.sections:
            found |= {kind: origin for origin, kind in rewritten_rows(blob, section)}
        for meta in batch.metas:
            found["birth" if meta.kind is MetaKind.BIRTH else "removed"] = meta.origin
    assert found == origins


def test_a_truncation_that_came_late_does_not_move_the_point_back_in_recovery():
    """Neither one that is older than the point, nor the older of two in one batch."""
    store = MemoryLogStore(collection=CollectionPolicy(0.0, 0))
    put(store, born(7), appended(7, make_entries(2, 9)))
    put(store, GroupWrite(7, 1, truncate=(6, 1)), GroupWrite(7, 1, truncate=(4, 1)))
    for _ in range(8):
        put(store, GroupWrite(7, 1, truncate=(5, 1)))
        store = store.crash()
        assert store.group(7).first_index() == 7


def test_a_run_moved_before_its_batch_could_go_is_taken_once():
    """A batch moves piece by piece: what is alive of a run may be there beside the run it was copied from."""
    written = (
        Written().batch(metas=[BIRTH]).batch(make_entries(2, 4)).batch(make_entries(6, 1), truncate=(3, 1))
    )
    written.batch(make_entries(4, 2), origin=2).batch(make_entries(7, 1))
    store = written.open()
    assert all_entries(store, 7) == list(make_entries(4, 4))
    store = MemoryLogStore(store.environment, collection=CollectionPolicy(0.0, 0))
    for _ in range(8):
        put(store)
    assert store.usage.batches < 5, "nothing that was copied is alive in its old place"
    assert all_entries(store.crash(), 7) == list(make_entries(4, 4))

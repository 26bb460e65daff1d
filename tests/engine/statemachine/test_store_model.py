"""Both state stores against the obvious model: a dictionary a group, copied whenever a flush completes."""

import copy
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from multiraft.engine.errors import StorageFailed
from multiraft.engine.statemachine import carryout, paging
from multiraft.engine.statemachine.carryout import carry_out
from multiraft.engine.statemachine.flush import Flush
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.statemachine.medium import Writer
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.opening import TOP, check_tally, read_dead_prefixes
from multiraft.engine.statemachine.overlay import OverlayStore
from multiraft.engine.statemachine.records import PREFIX
from multiraft.engine.statemachine.store import Applied
from multiraft.raft.state import ConfState

CHECKPOINTED = 2**63  # this group has a machine that is not durable, the others have applied records
GROUPS = st.sampled_from([1, 2, CHECKPOINTED])
KEYS = st.one_of(
    st.sampled_from([b"", b"\x00", b"a", b"a\x00", b"\xff", b"\xff\xff", b"k" * 480]),
    st.integers(0, 12).map(lambda number: b"%02d" % number),
)
VALUES = st.one_of(st.binary(max_size=8), st.sampled_from([b"v" * 2500]))
TERMS = st.integers(1, 2**64 - 1)


@dataclass
class Group:
    """What one group holds, in the plainest form."""

    data: dict[bytes, bytes] = field(default_factory=dict)
    applied: Applied | None = None
    checkpoint: tuple[Applied, bytes] | None = None
    marker: int | None = None

    def point(self) -> Applied | None:
        return self.applied or (self.checkpoint[0] if self.checkpoint else None)


Node = dict[int, Group]


def new_node() -> Node:
    return {1: Group(), 2: Group(), CHECKPOINTED: Group()}


class StoreModel(RuleBasedStateMachine):
    """Drives a store and the model; after a crash both go on from the last completed write."""

    store: OverlayStore

    def __init__(self) -> None:
        super().__init__()
        self.saved = (paging.FIRST_PAGE, paging.LAST_PAGE, carryout.RECLAIM_KEYS, carryout.CALL_PAIRS)
        paging.FIRST_PAGE, paging.LAST_PAGE, carryout.RECLAIM_KEYS, carryout.CALL_PAIRS = 2, 5, 3, 4
        self.now = new_node()
        self.frozen: Node | None = None
        self.durable = new_node()
        self.flush: Flush | None = None
        self.written = False
        self.index = 0
        self.open_first()

    def open_first(self) -> None:
        raise NotImplementedError

    def crash_and_reopen(self) -> None:
        raise NotImplementedError

    def fail_one_write(self, flush: Flush) -> None:
        raise NotImplementedError

    # --- writing ---

    @rule(group=GROUPS, key=KEYS, value=VALUES)
    def put(self, group: int, key: bytes, value: bytes) -> None:
        self.store.group(group).put(key, value)
        self.now[group].data[key] = value

    @rule(group=GROUPS, data=st.data())
    def delete(self, group: int, data: st.DataObject) -> None:
        present = sorted(self.now[group].data)
        key = data.draw(st.sampled_from(present) if present else KEYS)
        self.delete_if_there(group, key)

    @rule(group=GROUPS, key=KEYS)
    def delete_if_there(self, group: int, key: bytes) -> None:
        existed = self.store.group(group).delete(key)
        assert existed == (self.now[group].data.pop(key, None) is not None)

    @rule(group=GROUPS, items=st.dictionaries(KEYS, VALUES, max_size=20))
    def load(self, group: int, items: dict[bytes, bytes]) -> None:
        self.store.group(group).load(items.items())
        self.now[group].data = dict(items)
        self.apply_point(group)

    @rule(group=GROUPS)
    def clear(self, group: int) -> None:
        self.store.group(group).clear()
        self.now[group].data = {}
        self.apply_point(group)

    @rule(group=GROUPS)
    def apply_point(self, group: int) -> None:
        if group == CHECKPOINTED:
            self.set_checkpoint(b"", 0)
            return
        applied = self.next_point()
        self.store.set_applied(group, applied)
        self.now[group].applied = applied
        self.now[group].marker = None

    @rule(data=st.binary(max_size=20), copies=st.sampled_from([1, 10_000]))
    def set_checkpoint(self, data: bytes, copies: int) -> None:
        applied = self.next_point()
        self.store.set_checkpoint(CHECKPOINTED, applied, data * copies)
        self.now[CHECKPOINTED].checkpoint = (applied, data * copies)
        self.now[CHECKPOINTED].marker = None

    @rule(group=GROUPS, term=TERMS)
    def install(self, group: int, term: int) -> None:
        self.apply_point(group)
        self.store.set_install_marker(group, term)
        self.now[group].marker = term

    @rule(group=GROUPS)
    def repeat_point(self, group: int) -> None:
        """A record for the same point keeps the marker, whenever it is written."""
        model = self.now[group]
        if model.applied is not None:
            model.applied = model.applied._replace(metadata=model.applied.metadata + b"+")
            self.store.set_applied(group, model.applied)
        elif model.checkpoint is not None:
            self.store.set_checkpoint(group, *model.checkpoint)

    @rule(group=GROUPS)
    def remove_marker(self, group: int) -> None:
        self.store.set_install_marker(group, None)
        self.now[group].marker = None

    @rule(group=GROUPS)
    def remove(self, group: int) -> None:
        self.store.remove(group)
        self.now[group] = Group()

    @rule(group=GROUPS)
    def discard(self, group: int) -> None:
        self.store.discard(group)
        below = self.durable if self.flush is None else self.frozen
        assert below is not None
        self.now[group] = copy.deepcopy(below[group])

    def next_point(self) -> Applied:
        self.index += 1
        conf = ConfState((1, 2, self.index), (), (9,), (), self.index % 2 == 0)
        return Applied(self.index, self.index // 3, conf, b"m%d" % self.index)

    # --- flushing ---

    @precondition(lambda self: self.flush is None)
    @rule()
    def freeze(self) -> None:
        self.flush = self.store.freeze()
        self.frozen = copy.deepcopy(self.now)
        self.written = False
        assert self.store.flushing is self.flush
        assert self.store.pending_bytes == 0

    @precondition(lambda self: self.flush is not None)
    @rule()
    def write(self) -> None:
        assert self.flush is not None
        assert self.frozen is not None
        self.store.write(self.flush)
        self.durable = copy.deepcopy(self.frozen)
        self.written = True

    @precondition(lambda self: self.flush is not None and not self.written)
    @rule()
    def failing_write(self) -> None:
        assert self.flush is not None
        self.fail_one_write(self.flush)

    @precondition(lambda self: self.written)
    @rule()
    def flushed(self) -> None:
        assert self.flush is not None
        moved = self.store.flushed(self.flush)
        self.flush = None
        self.written = False
        for group, index in moved.items():
            assert self.store.durable_applied(group) == index

    @precondition(lambda self: self.flush is None)
    @rule()
    def whole_flush(self) -> None:
        self.freeze()
        if self.flush is not None:
            self.write()
            self.flushed()

    @precondition(lambda self: self.durable != new_node())
    @rule()
    def crash(self) -> None:
        self.crash_and_reopen()
        self.now = copy.deepcopy(self.durable)
        self.flush = None
        self.written = False

    # --- reading ---

    @rule(group=GROUPS, start=KEYS, stop=st.none() | KEYS, reverse=st.booleans())
    def scan(self, group: int, start: bytes, stop: bytes | None, reverse: bool) -> None:
        expected = [
            pair
            for pair in sorted(self.now[group].data.items(), reverse=reverse)
            if start <= pair[0] and (stop is None or pair[0] < stop)
        ]
        assert list(self.store.group(group).scan(start, stop, reverse)) == expected

    @rule(group=GROUPS, key=KEYS)
    def get(self, group: int, key: bytes) -> None:
        assert self.store.group(group).get(key) == self.now[group].data.get(key)

    @invariant()
    def everything_is_equal(self) -> None:
        for group, model in self.now.items():
            assert list(self.store.group(group).scan(b"", None)) == sorted(model.data.items())
            assert self.store.applied(group) == model.applied
            assert self.store.checkpoint(group) == model.checkpoint
            assert self.store.install_marker(group) == model.marker
            check_tally(self.store.medium, group)
        for group, model in self.durable.items():
            if not self.written:  # what is on the disk but not yet reported is not yet promised
                point = model.point()
                assert self.store.durable_applied(group) == (0 if point is None else point.index)
        assert self.store.groups() == [group for group, model in self.now.items() if model.point()]

    def teardown(self) -> None:
        try:
            self.drain()
            assert_nothing_left_behind(self.store)
        finally:
            self.store.close()
            paging.FIRST_PAGE, paging.LAST_PAGE, carryout.RECLAIM_KEYS, carryout.CALL_PAIRS = self.saved

    def drain(self) -> None:
        flush = self.flush or self.store.freeze()
        while flush is not None:
            self.store.write(flush)
            self.store.flushed(flush)
            flush = self.store.freeze()


def assert_nothing_left_behind(store: OverlayStore) -> None:
    """After the last piece of reclaiming, every stored key belongs to a group."""
    mapped = {store.group(group).stored_prefix() for group in (1, 2, CHECKPOINTED)}
    pairs = store.medium.page(b"", TOP, 10_000, reverse=False).pairs
    assert {PREFIX.unpack_from(key)[0] for key, _ in pairs} <= mapped | {0}
    assert not read_dead_prefixes(store.medium)


class MemoryModel(StoreModel):
    store: MemoryStateStore

    def open_first(self) -> None:
        self.store = MemoryStateStore()

    def crash_and_reopen(self) -> None:
        self.store = self.store.crash()

    def fail_one_write(self, flush: Flush) -> None:
        def fault() -> None:
            raise StorageFailed("as ordered")

        self.store.medium.fault = fault
        with pytest.raises(StorageFailed):
            self.store.write(flush)
        self.store.medium.fault = None


class LmdbModel(StoreModel):
    store: LmdbStateStore

    def open_first(self) -> None:
        self.path = Path(tempfile.mkdtemp())
        self.store = LmdbStateStore.open(self.path / "state", "none")

    def crash_and_reopen(self) -> None:
        self.store.close()
        self.store = LmdbStateStore.open(self.path / "state", "none")

    def fail_one_write(self, flush: Flush) -> None:
        """The transaction fails after the last piece of work: everything must be undone."""

        def work(writer: Writer) -> None:
            carry_out(flush, writer)
            raise StorageFailed("as ordered")

        with pytest.raises(StorageFailed):
            self.store.medium.commit(work)
        self.store.reopen()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            shutil.rmtree(self.path)


TestMemoryStore = MemoryModel.TestCase
TestMemoryStore.settings = settings(max_examples=150, stateful_step_count=60)
TestLmdbStore = LmdbModel.TestCase
TestLmdbStore.settings = settings(max_examples=60, stateful_step_count=60)

"""The real store against the model: any sequence of writes, commits, failures, crashes and collections."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from multiraft.engine.errors import Closed, StorageFailed
from multiraft.engine.logstore.chunks import Buffer
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.environment import LmdbEnvironment
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.logstore.store import LogStore, StagedBatch
from multiraft.engine.logstore.valuesize import ValueSizes, untimed
from multiraft.raft.entry import Entry, limit_size
from multiraft.raft.state import ConfState, HardState

from .builders import Alternating, appended, born, make_entries, resume
from .model import Model
from .test_salvage import PAGE, metas, write_at

MakeSizes = Callable[[], ValueSizes]

GROUPS = st.integers(1, 5)
SIZES = st.sampled_from([0, 10, 10, 300, 70_000])


class Failing(LmdbEnvironment):
    """The real environment: a commit that fails when asked to, a machine that crashes."""

    fail = False
    hidden: Sequence[tuple[int, bytes]] = ()
    """The meta page that the newest transaction has replaced, until that is flushed."""

    def write(
        self,
        dropped: Sequence[bytes],
        added: Sequence[tuple[bytes, Buffer]],
        before_flush: Callable[[], None] | None = None,
    ) -> None:
        if self.fail:
            self.fail = False
            raise StorageFailed("asked to")
        before = metas(self._path)
        super().write(dropped, added, before_flush)
        self.hidden = [one for one in enumerate(before) if metas(self._path)[one[0]] != one[1]]

    def sync(self) -> None:
        super().sync()
        self.hidden = ()

    def crash(self) -> None:
        """The machine does: the page that makes the newest transaction visible was not on its disk."""
        self.close()
        for slot, page in self.hidden:
            write_at(self._path, slot * PAGE, page)


class StoreAgainstModel(RuleBasedStateMachine):
    @initialize(
        factor=st.sampled_from([0.0, 1.5, 3.0]),
        cache=st.sampled_from([0, 3000, 1 << 20]),
        live=st.sampled_from([1, 100, 1000]),
        read=st.sampled_from([1, 70_000, 1 << 20]),
        chunks=st.sampled_from([1, 4]),
        hint=st.booleans(),
        sizes=st.sampled_from([untimed, Alternating]),
    )
    def begin(
        self, factor: float, cache: int, live: int, read: int, chunks: int, hint: bool, sizes: MakeSizes
    ) -> None:
        """With some bounds a batch is read, and moved, over many appends; values may be of two sizes."""
        self.folder = Path(tempfile.mkdtemp())
        policy = CollectionPolicy(factor, 500, 3, live, read, chunks)
        checkpoint = self.folder / "index" if hint else None
        self.options = {"cache_bytes": cache, "collection": policy, "checkpoint": checkpoint}
        self.sizes = sizes
        self.durable = Model()
        self.flying: list[tuple[StagedBatch, Model]] = []
        self.to_finish: list[StagedBatch] = []
        self.open()

    def open(self) -> None:
        self.environment = Failing(self.folder, "none")
        self.store = LogStore(self.environment, **self.options, sizes=self.sizes())

    @property
    def now(self) -> Model:
        return self.flying[-1][1] if self.flying else self.durable

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @precondition(lambda self: len(self.flying) < 4)
    @rule(data=st.data())
    def stage(self, data: st.DataObject) -> None:
        then, writes = self.now, []
        for _ in range(data.draw(st.integers(0, 4), label="writes")):
            write = self.draw_write(data, then)
            writes.append(write)
            then = then.after([write])
        batch = self.store.stage(writes)
        assert list(batch.groups) == [write.group for write in writes]
        self.flying.append((batch, then))

    def draw_write(self, data: st.DataObject, model: Model) -> GroupWrite:
        group = data.draw(GROUPS, label="group")
        known = model.groups.get(group)
        if known is None:
            return born(group, model.tombstones.get(group, 0) + 1)
        replica = known.birth.replica_id
        kind = data.draw(st.sampled_from(["append"] * 5 + ["conflict", "truncate", "hard", "point", "bury"]))
        write = GroupWrite(group, replica)
        if kind == "append" or (kind in ("conflict", "truncate") and not known.entries):
            write = self.draw_append(data, model, group, known.last + 1)
        elif kind == "conflict":
            write = self.draw_append(data, model, group, data.draw(st.integers(known.first, known.last)), 1)
        elif kind == "truncate":
            index = data.draw(st.integers(max(1, known.first - 2), known.last))
            write.truncate = (index, known.term(index) if index >= known.first else 1)
        elif kind == "hard":
            write.hard_state = HardState(*data.draw(st.tuples(*[st.integers(0, 2**64 - 1)] * 3)))
        elif kind == "point":
            index = known.last + data.draw(st.integers(0, 5))
            entries = make_entries(index + 1, data.draw(st.integers(0, 2)), known.last_term)
            write = appended(group, entries, replica_id=replica) if entries else write
            write.snapshot_point = (index, known.last_term, ConfState(voters=(index,), auto_leave=True))
        else:
            write.tombstone = True
        return write

    def draw_append(
        self, data: st.DataObject, model: Model, group: int, first: int, rise: int = 0
    ) -> GroupWrite:
        known = model.groups[group]
        term = known.last_term + rise + data.draw(st.sampled_from([0, 0, 0, 1]))
        count = data.draw(st.integers(1, 5))
        size = data.draw(SIZES)
        entries: list[Entry] = list(make_entries(first, count, term, size))
        if data.draw(st.booleans()):
            entries += make_entries(first + count, 2, term + 2)
        hard_state = HardState(term, 1, first) if data.draw(st.booleans()) else None
        return appended(group, entries, hard_state, known.birth.replica_id)

    @precondition(lambda self: self.flying)
    @rule(finish=st.booleans())
    def commit(self, finish: bool) -> None:
        batch, self.durable = self.flying[0]
        self.store.commit(batch)
        del self.flying[0]
        self.to_finish.append(batch)
        if finish:
            self.finish()

    @precondition(lambda self: self.to_finish)
    @rule()
    def finish(self) -> None:
        for batch in self.to_finish:
            self.store.finish(batch)
        self.to_finish.clear()

    @precondition(lambda self: self.flying)
    @rule()
    def fail(self) -> None:
        """The oldest commit fails, what is behind it cannot commit; then life goes on."""
        self.environment.fail = True
        for batch, _ in self.flying:
            with pytest.raises(StorageFailed):
                self.store.commit(batch)
        if self.to_finish:
            self.finish()
        self.store.roll_back([batch for batch, _ in self.flying])
        self.flying.clear()
        self.durable.check(self.store)
        with pytest.raises(Closed):
            self.store.stage([])
        resume(self.store)

    @rule(machine=st.booleans())
    def crash(self, machine: bool) -> None:
        """What was not committed is gone, everything else is there: after an end, and after a crash."""
        self.flying.clear()
        self.to_finish.clear()
        if machine:
            self.environment.crash()
        else:
            self.store.close()
        self.open()

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """Any part of a log, under any limit."""
        groups = [group for group, known in self.now.groups.items() if known.entries]
        if not groups:
            return
        group = data.draw(st.sampled_from(groups))
        known = self.now.groups[group]
        low = data.draw(st.integers(known.first, known.last))
        high = data.draw(st.integers(low, known.last + 1))
        limit = data.draw(st.sampled_from([None, 0, 50, 500, 100_000]))
        wanted = limit_size(known.entries[low - known.first : high - known.first], limit)
        assert list(self.store.group(group).entries(low, high, limit)) == list(wanted)

    @invariant()
    def shows_what_was_staged(self) -> None:
        if hasattr(self, "store"):
            self.now.check(self.store)


TestStoreAgainstModel = StoreAgainstModel.TestCase
TestStoreAgainstModel.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

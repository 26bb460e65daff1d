"""A crash between any two writes leaves exactly what was committed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.memory import MemoryLogStore
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.logstore.store import LogStore
from multiraft.raft.state import HardState

from .builders import MEMBERS, appended, born, make_entries, put
from .model import Model

EAGER = CollectionPolicy(factor=0.0, slack=300, batches=3, live_bytes=400)


New = Callable[[], "MemoryLogStore | DiskLogStore"]


class DiskLogStore(LogStore):
    """The real store, which can crash."""

    path: Path

    @classmethod
    def begin(cls, path: Path) -> "DiskLogStore":
        store = cls.open(path, collection=EAGER)
        store.path = path
        return store

    def crash(self) -> "DiskLogStore":
        """The store as it is found after a crash at this moment."""
        self._environment.close()
        return self.begin(self.path)


@pytest.fixture
def new(request: pytest.FixtureRequest, tmp_path: Path) -> New:
    """Makes empty stores that collect all they can."""
    made: list[Path] = []

    def memory() -> MemoryLogStore:
        return MemoryLogStore(collection=EAGER)

    def lmdb() -> DiskLogStore:
        made.append(tmp_path / f"log-{len(made)}")
        return DiskLogStore.begin(made[-1])

    return {"memory": memory, "lmdb": lmdb}[request.param]


def history() -> list[list[GroupWrite]]:
    """A node's life in small: births, appends, conflicts, truncations, a snapshot, a removal, a return."""
    batches = [[born(1), born(2), born(3)]]
    for round_ in range(12):
        first = 2 + 2 * round_
        batches.append(
            [
                appended(1, make_entries(first, 2), HardState(1, 1, first)),
                appended(2, make_entries(first, 3, term=1 + round_)),
            ]
        )
        if round_ % 3 == 2:
            batches.append([GroupWrite(1, 1, truncate=(first - 1, 1))])
    batches += [
        [GroupWrite(2, 1, HardState(20, 3, 2)), appended(2, make_entries(5, 1, term=20))],
        [GroupWrite(3, 1, snapshot_point=(90, 7, MEMBERS)), GroupWrite(1, 1, truncate=(20, 1))],
        [appended(3, make_entries(91, 2, term=8)), GroupWrite(2, 1, tombstone=True)],
        [born(2, 2)],
        [appended(2, make_entries(2, 2), replica_id=2), appended(3, make_entries(92, 2, term=9))],
    ]
    return batches + [[appended(1, make_entries(26 + n, 1))] for n in range(12)]


def test_crash_at_every_write_with_collection_going_on():
    """Each state is opened, compared, and opened once more after its own first batches."""
    store, model = MemoryLogStore(collection=EAGER), Model()
    collected = 0
    for writes in history():
        batch = put(store, *writes)
        model = model.after(writes)
        collected += len(batch.retired)
        store = store.crash()
        model.check(store)
    assert collected > 20


@pytest.mark.parametrize("new", ["memory", "lmdb"], indirect=True)
def test_collection_with_three_batches_in_flight_and_a_crash_after_each(new: New):
    """What collection decided on the strength of batches that were lost is undone with them."""
    batches = history()
    collected = 0
    for committed in (0, 1, 2, 3):
        store, model = new(), Model()
        for start in range(0, len(batches), 3):
            flying = [(store.stage(writes), writes) for writes in batches[start : start + 3]]
            collected += sum(len(batch.retired) for batch, _ in flying)
            for batch, writes in flying[:committed]:
                store.commit(batch)
                model = model.after(writes)
            store = store.crash()
            model.check(store)
            for _, writes in flying[committed:]:
                put(store, *writes)
                model = model.after(writes)
            model.check(store)
    assert collected > 20


@pytest.mark.parametrize("new", ["memory", "lmdb"], indirect=True)
def test_a_vote_in_flight_while_its_group_is_collected_is_not_lost(new: New):
    """The old hard state is dead by the vote in flight, and gone for good only when the vote is durable."""
    for vote_commits in (False, True):
        store = new()
        put(store, born(1), GroupWrite(1, 1, HardState(4, 1, 1)))
        for index in range(2, 8):
            put(store, born(100 + index), appended(100 + index, make_entries(2, 1, size=200)))
        vote = store.stage([GroupWrite(1, 1, HardState(5, 2, 1))])
        behind = [store.stage([]) for _ in range(3)]
        assert any(batch.retired for batch in (vote, *behind))
        if vote_commits:
            for batch in (vote, *behind):
                store.commit(batch)
        store = store.crash()
        assert store.group(1).hard_state == (HardState(5, 2, 1) if vote_commits else HardState(4, 1, 1))


def test_the_older_of_two_hard_states_never_comes_back_by_being_rewritten():
    """Recovery goes by the origin of a hard state, not by the batch that carries it."""
    store = MemoryLogStore(collection=EAGER)
    put(store, born(1), born(2))
    put(store, GroupWrite(1, 1, HardState(1, 1, 1)), GroupWrite(2, 1, HardState(1, 3, 1)))
    for term in range(2, 30):
        put(store, GroupWrite(1, 1, HardState(term, 1, 1)))
    store = store.crash()
    assert store.group(1).hard_state == HardState(29, 1, 1)
    assert store.group(2).hard_state == HardState(1, 3, 1)

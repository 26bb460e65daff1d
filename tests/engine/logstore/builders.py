"""Small makers of what the tests write."""

from collections.abc import Sequence

from multiraft.engine.errors import Error
from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.engine.logstore.store import LogStore, StagedBatch
from multiraft.engine.logstore.valuesize import ValueSizes
from multiraft.native.entries import encode_runs
from multiraft.raft.entry import Entry
from multiraft.raft.state import ConfState, HardState

MEMBERS = ConfState(voters=(1, 2, 3))


class Alternating(ValueSizes):
    """Values are long and small in turn, whatever time commits take."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)

    def written(self, pages: int, seconds: float, *, small: bool) -> None:
        self.small = not self.small


def make_birth(group: int, replica_id: int = 1) -> Birth:
    return Birth(
        group=group,
        replica_id=replica_id,
        conf_state=MEMBERS,
        peers=((1, 1), (2, 2), (3, 3)),
        start=b"a%d" % group,
        end=None,
        epoch=1,
        directory_index=group,
        machine="kv",
    )


def make_entries(first: int, count: int, term: int = 1, size: int = 10) -> tuple[Entry, ...]:
    """Consecutive entries with data that tells them apart."""
    return tuple(
        Entry(term, index, data=(b"%d.%d." % (term, index)).ljust(size, b"x"))
        for index in range(first, first + count)
    )


def born(group: int, replica_id: int = 1) -> GroupWrite:
    return GroupWrite(group, replica_id, birth=make_birth(group, replica_id))


def appended(
    group: int, entries: Sequence[Entry], hard_state: HardState | None = None, replica_id: int = 1
) -> GroupWrite:
    return GroupWrite(group, replica_id, hard_state, entries, encode_runs([entries])[0])


def resume(store: LogStore) -> None:
    """Begin a new run, as after a failed commit. Raises what its commit raises."""
    batch = store.begin_run()
    try:
        store.commit(batch)
    except Error:
        store.roll_back([batch])
        raise
    store.finish(batch)


def put(store: LogStore, *writes: GroupWrite) -> StagedBatch:
    """Stage, commit and finish."""
    batch = store.stage(writes)
    store.commit(batch)
    store.finish(batch)
    return batch


def all_entries(store: LogStore, group: int) -> list[Entry]:
    log = store.group(group)
    return list(log.entries(log.first_index(), log.last_index() + 1, None))

"""What a log store means, in the most obvious way: dictionaries, and a copy for each moment."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.engine.logstore.store import LogStore
from multiraft.raft.entry import Entry
from multiraft.raft.state import ConfState, HardState


@dataclass
class ModelGroup:
    birth: Birth
    hard_state: HardState
    conf_state: ConfState
    point: tuple[int, int]
    entries: list[Entry]

    @property
    def first(self) -> int:
        return self.point[0] + 1

    @property
    def last(self) -> int:
        return self.point[0] + len(self.entries)

    @property
    def last_term(self) -> int:
        return self.entries[-1].term if self.entries else self.point[1]

    def term(self, index: int) -> int:
        return self.point[1] if index == self.point[0] else self.entries[index - self.first].term


@dataclass
class Model:
    groups: dict[int, ModelGroup] = field(default_factory=dict)
    tombstones: dict[int, int] = field(default_factory=dict)

    def after(self, writes: list[GroupWrite]) -> Model:
        """The state that these writes lead to."""
        later = deepcopy(self)
        for write in writes:
            later._apply(write)
        return later

    def _apply(self, write: GroupWrite) -> None:
        if write.tombstone:
            self.groups.pop(write.group, None)
            self.tombstones[write.group] = max(write.replica_id, self.tombstones.get(write.group, 0))
            return
        if write.birth is not None:
            self.groups[write.group] = ModelGroup(
                write.birth, HardState(0, 0, 1), write.birth.conf_state, (1, 1), []
            )
        group = self.groups[write.group]
        if write.snapshot_point is not None:
            index, term, group.conf_state = write.snapshot_point
            group.point, group.entries = (index, term), []
        if write.entries:
            group.entries[write.entries[0].index - group.first :] = write.entries
        if write.truncate is not None and write.truncate[0] > group.point[0]:
            group.entries = group.entries[write.truncate[0] - group.point[0] :]
            group.point = write.truncate
        if write.hard_state is not None:
            group.hard_state = write.hard_state

    def check(self, store: LogStore) -> None:
        """The store shows exactly this."""
        assert store.births() == {group: known.birth for group, known in self.groups.items()}
        assert store.tombstones() == self.tombstones
        for group, known in self.groups.items():
            log = store.group(group)
            assert log.birth == known.birth
            assert log.initial_state() == (known.hard_state, known.conf_state)
            assert (log.first_index(), log.last_index()) == (known.first, known.last)
            assert [log.term(index) for index in range(known.point[0], known.last + 1)] == [
                known.term(index) for index in range(known.point[0], known.last + 1)
            ]
            assert list(log.entries(known.first, known.last + 1, None)) == known.entries

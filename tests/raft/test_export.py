"""A replica put away and taken up again goes on as if nothing had been, wherever it stood.

``python -m tests.raft.test_export FIRST LAST`` runs more seeds and names the ones that fail.
"""

import dataclasses
import random
import sys
from collections import Counter
from collections.abc import Callable
from enum import Enum

import pytest

from multiraft.native.inflights import Inflights as NativeInflights
from multiraft.raft import (
    Config,
    ConfigError,
    ConfState,
    DroppedRead,
    Entry,
    HardState,
    Inflights,
    Message,
    Misuse,
    MsgType,
    RawNode,
    ReadDropReason,
    ReadOnly,
    ReadState,
    Ready,
    Refusal,
    RefusalReason,
    Role,
    Snapshot,
)
from multiraft.raft.log import RaftLog
from multiraft.raft.progress import Progress, ProgressState
from multiraft.raft.raft import Raft
from multiraft.raft.readindex import ReadQueue, _Request
from multiraft.raft.tracker import Tracker
from multiraft.raft.unstable import Unstable
from tests.raft.chaos import Chaos, Host, settings_for
from tests.raft.harness import replica, replicating, storage_with

STEPS = 2500

NOT_EXPORTED: dict[type, dict[str, str]] = {
    RawNode: {"_allow_unstable": "a setting", "hold_committed": "the host's"},
    Raft: {
        "config": "the host keeps it",
        "id": "a setting, compared",
        "check_quorum": "a setting",
        "commit_notices": "a setting",
        "free_first_on_heartbeat": "a setting",
        "lease_based_reads": "a setting",
        "max_message_size": "a setting",
        "max_uncommitted_size": "a setting",
        "pre_vote": "a setting",
    },
    RaftLog: {"max_applying_size": "a setting", "storage": "the durable part"},
}
"""Fields that have to be the same without having been exported, and why."""

PARTS = (RawNode, Raft, RaftLog, Unstable, Tracker, Progress, ReadQueue)


def anatomy(value: object) -> object:
    """Everything below `value`, field by field, as values that can be compared."""
    if isinstance(value, dict):
        value = [(key, anatomy(item)) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        value = tuple(anatomy(item) for item in value)  # whether entries come as list or tuple is no matter
    elif hasattr(value, "free_le"):
        value = type(value), anatomy(value.items()), value.count, value.bytes, value.full()
    elif isinstance(value, Message | Ready) or type(value) in (*PARTS, _Request):
        value = {name: anatomy(getattr(value, name)) for name in type(value).__slots__ if name != "config"}
    return value


SITUATIONS: dict[str, Callable[[Raft], object]] = {
    "joint": lambda raft: raft.tracker.is_joint(),
    "a snapshot to install": lambda raft: raft.log.unstable.snapshot,
    "a snapshot under way": lambda raft: any(
        progress.state is ProgressState.SNAPSHOT for progress in raft.tracker.progress.values()
    ),
    "reads": lambda raft: len(raft.reads),
    "postponed reads": lambda raft: raft.postponed_reads,
    "unstable entries": lambda raft: raft.log.unstable.entries,
    "messages of both kinds": lambda raft: raft.messages and raft.after_append,
    "appends under way": lambda raft: any(p.inflights.count for p in raft.tracker.progress.values()),
    "a transfer": lambda raft: raft.lead_transferee,
}
"""What a replica may be in the middle of when it is put away."""

# -- by chance -------------------------------------------------------------------------------------------


class Recorded(Chaos):
    """A group that keeps every Ready, and whose replicas may be put away and taken up between steps."""

    def __init__(self, seed: int, *, replaced: bool, **settings: object) -> None:
        super().__init__(seed, **settings)
        self.replacing = random.Random(seed ^ 0x5EED) if replaced else None
        self.readys: list[Ready] = []
        self.seen: Counter[object] = Counter()

    def step(self) -> None:
        super().step()
        for host in self.hosts.values():
            if self.replacing and self.replacing.random() < 0.3:
                self.replace(host)

    def replace(self, host: Host) -> None:
        before = host.raw
        self.note(before.raft)
        host.raw = RawNode.from_state(before.raft.config, before.export_state())
        assert anatomy(host.raw) == anatomy(before)

    def note(self, raft: Raft) -> None:
        """Count in which situations a replica was replaced: the test is to meet all of them."""
        self.seen[raft.role] += 1
        self.seen.update(name for name, met in SITUATIONS.items() if met(raft))

    def _take_ready(self, host: Host) -> None:
        before = len(host.writing)
        super()._take_ready(host)
        if self.is_async:
            self.readys += host.writing[before:]

    def _finish_work(self, host: Host) -> None:
        if not self.is_async:
            self.readys += host.writing
        super()._finish_work(host)


def settings_of(seed: int) -> dict[str, object]:
    settings = settings_for(seed)
    if seed % 2:
        settings["inflights_factory"] = NativeInflights
    if settings["check_quorum"] and seed % 3 == 0:
        settings["read_only"] = ReadOnly.LEASE_BASED
    return settings | {"strangers": seed % 3}


def compare(seed: int, steps: int = STEPS) -> Counter[object]:
    """Run a group twice, once with its replicas replaced at random; returns in which situations."""
    plain = Recorded(seed, replaced=False, **settings_of(seed))
    replaced = Recorded(seed, replaced=True, **settings_of(seed))
    for number in range(steps):
        plain.step()
        replaced.step()
        assert anatomy(replaced.readys) == anatomy(plain.readys), f"seed {seed}, step {number}"
        for id_, host in plain.hosts.items():
            assert replaced.hosts[id_].raw.status() == host.raw.status(), f"seed {seed}, step {number}"
        plain.readys.clear()
        replaced.readys.clear()
    for id_, host in plain.hosts.items():
        assert replaced.hosts[id_].raw.export_state() == host.raw.export_state(), f"seed {seed}"
    assert anatomy(replaced.network) == anatomy(plain.network), f"seed {seed}"
    return replaced.seen


@pytest.mark.unwatched
@pytest.mark.parametrize("seed", range(8))
def test_going_on_from_the_state_is_indistinguishable(seed: int):
    assert compare(seed)[Role.FOLLOWER]


@pytest.mark.unwatched
def test_replicas_are_replaced_in_every_situation():
    seen: Counter[object] = Counter()
    for seed in range(103, 123):
        seen += compare(seed, 4000)
        if {*Role, *SITUATIONS} <= set(seen):
            return
    pytest.fail(f"not met: { ({*Role, *SITUATIONS} - set(seen)) }")


# -- field by field --------------------------------------------------------------------------------------

READ = Message(MsgType.READ_INDEX, 1, 3, context=b"read", entries=[Entry(0, 0)])
ENTRIES = [Entry(7, 5, data=b"x"), Entry(7, 6)]


def everything_set() -> RawNode:
    """A replica whose every field differs from a newborn's, reachable or not."""
    raw = replica(storage_with([1, 1, 1]))
    raft, log = raw.raft, raw.raft.log
    raft.role, raft.term, raft.vote, raft.lead, raft.lead_transferee = Role.LEADER, 7, 2, 3, 2
    raft.acknowledged, raft.election_elapsed, raft.heartbeat_elapsed = 4, 5, 6
    raft.randomized_election_timeout, raft.pending_conf_index, raft.uncommitted_size = 99, 8, 9
    log.applied, log.applying, log.committed = 1, 2, 3
    log.applying_size, log.applying_paused = 11, True
    log.unstable.offset, log.unstable.offset_in_progress = 5, 6
    log.unstable.entries, log.unstable.snapshot_in_progress = list(ENTRIES), True
    log.unstable.snapshot = Snapshot(4, 6, ConfState((1, 2)), b"data")
    raft.tracker.conf = ConfState((1, 2), (2, 3), (4,), (3,), auto_leave=True)
    raft.tracker.votes = {2: True, 3: False}
    raft.tracker.progress = {2: Progress(12, raft.new_window(), recent_active=True)}
    progress = raft.tracker.progress[2]
    progress.state, progress.match, progress.pending_snapshot = ProgressState.REPLICATE, 9, 10
    progress.sent_commit, progress.flow_paused, progress.is_learner = 3, True, True
    progress.inflights.add(10, 100)
    progress.inflights.add(11, 0)
    raft.reads.add(READ, 2, 1)
    raft.reads.acknowledge(2, b"read")
    raft.postponed_reads = [dataclasses.replace(READ, context=b"postponed")]
    raft.read_states = [ReadState(3, b"done")]
    raft.dropped_reads = [DroppedRead(b"dropped", ReadDropReason.LIMIT)]
    raft.refusals = [Refusal(7, 6, RefusalReason.PENDING)]
    nested = Message(MsgType.STORAGE_APPEND, 1, 2, 3, 4, 5, 6, list(ENTRIES), vote=7, responses=[READ])
    raft.messages = [nested]
    raft.after_append = [Message(MsgType.APP_RESP, 2, 1, 7, 1, 2, reject=True, reject_hint=5)]
    raft.commits_to_tell = {3: 2, 2: 3}
    raw._hard_state, raw._lead, raw._role = HardState(6, 5, 4), 2, Role.CANDIDATE
    raw._on_advance = [Message(MsgType.SNAP, 1, snapshot=Snapshot(1, 1))]
    return raw


def fields(raw: RawNode) -> dict[tuple[type, str], object]:
    """Every field of every part of a replica."""
    raft = raw.raft
    parts = [raw, raft, raft.log, raft.log.unstable, raft.tracker, raft.tracker.progress[2], raft.reads]
    assert {type(part) for part in parts} == set(PARTS)
    return {(type(part), name): anatomy(getattr(part, name)) for part in parts for name in part.__slots__}


@pytest.mark.unwatched
def test_no_field_is_forgotten():
    """Each field is other than at birth, and survives; a new field has to be added here or excepted."""
    raw, newborn = everything_set(), replica(storage_with([1, 1, 1]))
    found = fields(RawNode.from_state(raw.raft.config, raw.export_state()))
    born = fields(newborn)
    for (part, name), value in fields(raw).items():
        if name in NOT_EXPORTED.get(part, {}) or (part, name) in ((RawNode, "raft"), (Raft, "log")):
            continue
        assert value != born[part, name], f"{part.__name__}.{name} has to be set to something for this test"
        assert found[part, name] == value, f"{part.__name__}.{name} is lost"


def test_the_list_of_exceptions_names_fields_that_exist():
    for part, names in NOT_EXPORTED.items():
        assert set(names) <= set(part.__slots__), part


def check_plain(value: object) -> None:
    """A value that holds no live object and cannot change."""
    if value is None or isinstance(value, bytes | int | Enum):
        return
    if isinstance(value, tuple):
        for item in value:
            check_plain(item)
        return
    assert dataclasses.is_dataclass(value), value
    assert value.__dataclass_params__.frozen, type(value)
    for field in dataclasses.fields(value):
        check_plain(getattr(value, field.name))


@pytest.mark.unwatched
def test_the_state_is_plain_all_the_way_down():
    state = everything_set().export_state()
    check_plain(state)
    assert hash(state) == hash(everything_set().export_state())


def test_the_state_does_not_move_with_the_replica():
    raw = replicating(replica(max_inflight_msgs=3))
    state = raw.export_state()
    before = repr(state)
    raw.propose(b"more")
    raw.tick()
    raw.read_index(b"read")
    assert repr(state) == before
    again = RawNode.from_state(raw.raft.config, state)
    again.propose(b"other")
    assert repr(state) == before
    assert again.export_state() != state


def test_an_open_ready_is_closed_after_the_move():
    raw = replica()
    raw.campaign()
    raw.ready()
    moved = RawNode.from_state(raw.raft.config, raw.export_state())
    with pytest.raises(Misuse, match="advance"):
        moved.ready()
    moved.advance()
    assert moved.raft.tracker.votes == {1: True}


@pytest.mark.parametrize("kind", [Inflights, NativeInflights])
def test_a_window_tells_what_is_under_way_wherever_its_ring_begins(kind: type):
    window, model, chance = kind(7), [], random.Random(7)
    for index in range(1, 300):
        if not window.full():
            window.add(index, index * 3)
            model.append((index, index * 3))
        if chance.random() < 0.5:
            free = max(0, index - chance.randrange(8))
            window.free_le(free)
            model = [item for item in model if item[0] > free]
        assert list(window.items()) == model
    window.reset()
    assert list(window.items()) == []


# -- settings that do not fit ----------------------------------------------------------------------------


def other(raw: RawNode, **changes: object) -> Config:
    return dataclasses.replace(raw.raft.config, **changes)


def test_a_state_belongs_to_one_replica():
    raw = replica()
    with pytest.raises(Misuse, match="replica 1, the settings are those of 2"):
        RawNode.from_state(other(raw, id=2), raw.export_state())


def test_settings_are_validated_again():
    raw = replica()
    with pytest.raises(ConfigError, match="heartbeat_tick"):
        RawNode.from_state(other(raw, heartbeat_tick=0), raw.export_state())


@pytest.mark.unwatched
@pytest.mark.parametrize(
    "changed", [{"max_inflight_msgs": 1}, {"max_inflight_bytes": 1, "max_size_per_msg": 0}]
)
@pytest.mark.parametrize("factory", [NativeInflights, None])
def test_a_window_that_became_too_small_is_misuse(changed: dict[str, int], factory: type | None):
    raw = everything_set()
    if factory is not None:
        changed = changed | {"inflights_factory": factory}
    with pytest.raises(Misuse, match="window of replica 2 is too small for 2 appends"):
        RawNode.from_state(other(raw, **changed), raw.export_state())


def test_a_ready_of_the_synchronous_form_cannot_be_closed_in_the_other():
    raw = replica()
    raw.campaign()
    raw.ready()
    with pytest.raises(Misuse, match="async_storage_writes=False"):
        RawNode.from_state(other(raw, async_storage_writes=True), raw.export_state())


def main(first: int, last: int) -> int:
    failed = 0
    for seed in range(first, last):
        try:
            compare(seed)
        except Exception as error:  # noqa: BLE001 - every way of failing counts, and the next seed still runs
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {error}")
    print(f"{last - first - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))

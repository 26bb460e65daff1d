"""Election timeouts: drawn anew for every role, from the very start."""

import random
from collections import Counter

import pytest

from multiraft.raft.confchange import Change, ChangeType, ConfChange
from multiraft.raft.config import Config
from multiraft.raft.errors import Misuse
from multiraft.raft.messages import MsgType
from multiraft.raft.node import RawNode
from multiraft.raft.state import ConfState, Role, Snapshot
from multiraft.raft.storage import MemoryStorage
from tests.raft.chaos import Chaos, settings_for
from tests.raft.harness import drain, lead, of_type, replica

ELECTION_TICK = 10


def newborn(seed: int, *, pre_vote: bool = True) -> RawNode:
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(index=1, term=1, conf_state=ConfState((1, 2, 3))))
    return RawNode(
        Config(
            id=1,
            storage=storage,
            random=random.Random(seed),
            election_tick=ELECTION_TICK,
            heartbeat_tick=1,
            async_storage_writes=True,
            pre_vote=pre_vote,
            check_quorum=True,
        )
    )


def ticks_to_campaign(raw: RawNode) -> int:
    for ticks in range(1, 10 * ELECTION_TICK):
        raw.tick()
        if raw.has_ready() and any(m.type in {MsgType.PRE_VOTE, MsgType.VOTE} for m in raw.ready().messages):
            return ticks
    raise AssertionError("no campaign")


def test_a_replica_just_started_waits_for_a_whole_timeout():
    """In [T, 2T) ticks (§5.2): it must not take the election from a leader that it has not heard yet."""
    waits = [ticks_to_campaign(newborn(seed)) for seed in range(200)]
    assert min(waits) == ELECTION_TICK
    assert max(waits) == 2 * ELECTION_TICK - 1


def test_a_pre_candidate_asks_again_after_a_whole_timeout_only():
    raw = newborn(3)
    first = ticks_to_campaign(raw)
    assert ticks_to_campaign(raw) == first, "whoever only asks keeps its timeout"


def test_a_replica_that_may_not_campaign_does_so_as_soon_as_it_may():
    """Its time has run out long before it is promoted, so that the next tick is due."""
    raw = newborn(1)
    raw.apply_conf_change(ConfChange((Change(ChangeType.ADD_LEARNER, 1),)))
    assert not any(raw.tick() for _ in range(3 * ELECTION_TICK)), "a learner"
    raw.apply_conf_change(ConfChange((Change(ChangeType.ADD_VOTER, 1),)))
    assert raw.tick()
    assert raw.ready().messages[0].type is MsgType.PRE_VOTE


def test_a_leader_beats_every_so_many_ticks_from_its_election_on():
    raw = lead(replica(heartbeat_tick=3))
    beats = []
    for tick in range(1, 10):
        due = raw.tick()
        sent = of_type(drain(raw), MsgType.HEARTBEAT, to=2)
        assert due == bool(sent)
        beats += [tick] * len(sent)
    assert beats == [3, 6, 9]


# -- ticks that do nothing -------------------------------------------------------------------------------

PLENTY = 3 * ELECTION_TICK


def check_quiet_ticks(raw: RawNode) -> None:
    """On copies of a replica: its quiet ticks do nothing, one by one or at once, and the next one does."""
    config, state = raw.raft.config, raw.export_state()
    one_by_one, at_once = RawNode.from_state(config, state), RawNode.from_state(config, state)
    quiet = raw.quiet_ticks()
    ticks = PLENTY if quiet is None else quiet
    assert not any(one_by_one.tick() for _ in range(ticks))
    at_once.pass_ticks(ticks)
    assert at_once.export_state() == one_by_one.export_state()
    if quiet is not None:
        with pytest.raises(Misuse, match=f"0 quiet ticks, not {ticks + 1}"):
            at_once.pass_ticks(ticks + 1)
        assert at_once.tick()


@pytest.mark.unwatched
@pytest.mark.parametrize("seed", range(6))
def test_quiet_ticks_may_pass_at_once(seed: int):
    group = Chaos(seed, **settings_for(seed))
    seen: Counter[Role | None] = Counter()
    for _ in range(600):
        group.step()
        for host in group.hosts.values():
            check_quiet_ticks(host.raw)
            seen[host.raw.raft.role if host.raw.quiet_ticks() is not None else None] += 1
    assert seen[Role.LEADER], seed
    assert seen[Role.FOLLOWER], seed


def test_a_replica_that_may_not_campaign_has_nothing_but_quiet_ticks():
    raw = newborn(1)
    raw.apply_conf_change(ConfChange((Change(ChangeType.ADD_LEARNER, 1),)))
    assert raw.quiet_ticks() is None
    raw.pass_ticks(3 * ELECTION_TICK)
    raw.apply_conf_change(ConfChange((Change(ChangeType.ADD_VOTER, 1),)))
    assert raw.quiet_ticks() == 0
    assert raw.tick()


def test_ticks_pass_forward_only():
    raw = newborn(1)
    with pytest.raises(Misuse):
        raw.pass_ticks(-1)

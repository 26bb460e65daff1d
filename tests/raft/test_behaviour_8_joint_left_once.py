"""Beyond the seven behaviours: leaving a joint configuration once, exact numbers, many groups."""

import pytest

from multiraft.raft import (
    Change,
    ChangeType,
    ConfChange,
    ConfChangeError,
    ConfState,
    EntryType,
    HardState,
    MemoryStorage,
    Message,
    MsgType,
    ProgressState,
    RefusalReason,
    Role,
    Snapshot,
)
from tests.raft.harness import (
    Group,
    drain,
    handle,
    of_type,
    replica,
    replicating,
    storage_of,
    storage_with,
)

DEMOTE_3 = ConfChange((Change(ChangeType.ADD_LEARNER, 3), Change(ChangeType.UPDATE, 2)))
MEMBERS = ConfState((1, 2, 3))


def test_joint_configuration_is_left_by_the_next_leader_too():
    """The one that entered it is gone before it could propose to leave."""
    group = Group((1, 2, 3, 4, 5))
    group.elect(1).propose_conf_change(DEMOTE_3)
    group.lost = lambda m: m.type is MsgType.APP and any(entry.type and not entry.data for entry in m.entries)
    group.settle()
    assert all(node.raft.tracker.is_joint() for node in group.nodes.values())
    group.cut_off(1)
    group.elect(2)
    assert group.nodes[4].raft.conf_state() == ConfState((1, 2, 4, 5), learners=(3,))
    group.cut_off()
    group.nodes[2].tick()
    group.settle()
    assert {node.raft.conf_state() for node in group.nodes.values()} == {group.nodes[4].raft.conf_state()}


def test_joint_configuration_is_proposed_to_be_left_only_once():
    """However many entries are applied in it, and whatever the host does in between."""
    group = Group()
    raw = group.elect(1)
    raw.propose_conf_change(DEMOTE_3)
    for n in range(4):
        raw.propose(b"%d" % n)
    group.settle()
    leaves = [e for e in raw.raft.log.entries(2, None) if e.type is EntryType.CONF_CHANGE_V2 and not e.data]
    assert len(leaves) == 1
    raw.propose_conf_change(ConfChange())
    assert [refusal.reason for refusal in group.handle(1).refusals] == [RefusalReason.NOT_JOINT]


def test_leaving_twice_is_refused_when_it_is_applied_and_changes_nothing():
    raw = replicating(replica())
    raw.apply_conf_change(DEMOTE_3)
    left = raw.apply_conf_change(ConfChange())
    with pytest.raises(ConfChangeError):
        raw.apply_conf_change(ConfChange())
    assert raw.raft.conf_state() == left == ConfState((1, 2), learners=(3,))


def test_removing_all_voters_is_refused_and_the_leader_works_on():
    raw = replica(storage_with(conf=ConfState((1,))))
    raw.campaign()
    drain(raw)
    with pytest.raises(ConfChangeError, match="removed all voters"):
        raw.apply_conf_change(ConfChange((Change(ChangeType.REMOVE, 1),)))
    before = raw.raft.log.committed
    raw.propose(b"x")
    drain(raw)
    assert (raw.raft.role, raw.raft.log.committed) == (Role.LEADER, before + 1)


# -- exact numbers ---------------------------------------------------------------------------------------


def group_at_eleven(**settings: object) -> Group:
    """Replica 1 leads; everyone stands at index 11, behind a snapshot at 10."""
    group = Group(max_size_per_msg=0, **settings)
    for id_ in group.nodes:
        storage = MemoryStorage()
        storage.apply_snapshot(Snapshot(10, 1, MEMBERS))
        storage.set_hard_state(HardState(1, 0, 10))
        group.nodes[id_] = replica(storage, id_=id_, applied=10, **settings)
    group.elect(1)
    group.sent.clear()
    return group


def test_a_window_of_three_lost_on_its_way_is_found_by_one_empty_append():
    """Three appends, 12 to 14, never arrive; the others go on to 17; one beat repairs it."""
    group = group_at_eleven(max_inflight_msgs=3)
    raw = group.nodes[1]
    group.lost = lambda m: m.to == 3
    for n in range(6):
        raw.propose(b"%d" % n)
        group.settle()
    progress = raw.raft.tracker.progress[3]
    assert (progress.match, progress.next, progress.paused) == (11, 15, True)
    assert [p.match for p in raw.raft.tracker.progress.values()] == [17, 17, 11]
    group.cut_off()
    group.sent.clear()
    raw.tick()
    group.settle()
    appends = of_type(group.sent, MsgType.APP, to=3)
    assert next((m.index, len(m.entries)) for m in appends) == (14, 0), "one empty append behind the window"
    assert [m.index for m in of_type(group.sent, MsgType.APP_RESP, to=1) if m.reject] == [14]
    assert [p.match for p in raw.raft.tracker.progress.values()] == [17, 17, 17]


def test_a_slow_follower_is_caught_up_after_compaction():
    """A window of two is lost and the log compacted beyond it: one beat, one snapshot, and on."""
    group = group_at_eleven(max_inflight_msgs=2)
    raw = group.nodes[1]
    group.lost = lambda m: m.to == 3
    for n in range(7):
        raw.propose(b"%d" % n)
        group.settle()
    storage_of(raw).create_snapshot(18, MEMBERS, b"eighteen")
    storage_of(raw).compact(17)
    group.cut_off()
    group.sent.clear()
    raw.tick()
    group.settle()
    [snapshot] = of_type(group.sent, MsgType.SNAP)
    assert (snapshot.to, snapshot.snapshot.index) == (3, 18)
    progress = raw.raft.tracker.progress[3]
    assert (progress.match, progress.state) == (18, ProgressState.REPLICATE)


# -- many groups, as far as the core is concerned --------------------------------------------------------


def test_votes_that_came_before_their_replica_was_created_elect_within_one_round():
    """The host keeps the first request; no election timeout is needed."""
    first = replica(id_=1)
    first.force_election()
    parked = {m.to: m for m in of_type(drain(first), MsgType.VOTE)}
    for id_ in (3, 2):
        late = replica(id_=id_)
        late.step(parked[id_])
        for m in drain(late):
            first.step(m)
        drain(first)
    assert (first.raft.role, first.raft.term) == (Role.LEADER, 1)


def test_forced_elections_of_many_groups_all_end_in_term_one():
    leaders = []
    for number in range(60):
        group = Group(pre_vote=True, check_quorum=True)
        chosen = number % 3 + 1
        group.nodes[chosen].force_election()
        group.settle()
        leaders.append(group.nodes[1].raft.lead)
        assert {node.raft.term for node in group.nodes.values()} == {1}
    assert [leaders.count(id_) for id_ in (1, 2, 3)] == [20, 20, 20]


def test_quorum_shrinks_in_many_groups_with_one_ready_each():
    """What the host has to write and send for the commit comes in a single Ready per group."""
    for _ in range(50):
        raw = replicating(replica(storage_with(conf=ConfState((1, 2)))))
        raw.propose(b"x")
        drain(raw)
        raw.apply_conf_change(ConfChange((Change(ChangeType.REMOVE, 2),)))
        ready = handle(raw)
        assert ([entry.data for entry in ready.committed_entries], ready.must_sync) == ([b"x"], False)
        assert not raw.has_ready()


def test_answer_of_a_heartbeat_carries_its_context_untouched():
    raw = replica(storage_with([1], hard_state=HardState(1, 0, 1)))
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1, commit=1, context=b"\x00read"))
    assert [m.context for m in drain(raw)] == [b"\x00read"]

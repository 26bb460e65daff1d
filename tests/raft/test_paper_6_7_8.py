"""The Raft paper, sections 6 to 8: membership, log compaction, clients."""

import pytest

from multiraft.raft import (
    Change,
    ChangeType,
    ConfChange,
    ConfState,
    Entry,
    HardState,
    Message,
    MsgType,
    RawNode,
    ReadState,
    Role,
    Snapshot,
    Transition,
)
from tests.raft.harness import (
    Group,
    acknowledge,
    drain,
    handle,
    lead,
    of_type,
    replica,
    replicating,
    storage_of,
    storage_with,
)

JOINT = ConfState((1, 2, 3), (1, 4, 5))


def change(*changes: tuple[ChangeType, int], explicit: bool = False) -> ConfChange:
    transition = Transition.JOINT_EXPLICIT if explicit else Transition.AUTO
    return ConfChange(tuple(Change(kind, id_) for kind, id_ in changes), transition)


def joint_leader() -> RawNode:
    """Leads both halves of a joint configuration, with an entry that nobody else has."""
    raw = replicating(replica(storage_with(conf=JOINT)))
    raw.propose(b"x")
    drain(raw)
    return raw


# -- 6 membership ----------------------------------------------------------------------------------------


def test_6_entries_go_to_the_servers_of_both_configurations():
    raw = joint_leader()
    raw.propose(b"y")
    assert [m.to for m in of_type(drain(raw), MsgType.APP)] == [2, 3, 4, 5]


@pytest.mark.parametrize("id_", [1, 3, 5])
def test_6_a_server_of_either_configuration_may_lead(id_: int):
    group = Group((1, 2, 3, 4, 5), conf=JOINT)
    group.elect(id_)
    assert {node.raft.lead for node in group.nodes.values()} == {id_}


@pytest.mark.parametrize(
    ("by", "committed"), [((2, 3), False), ((4, 5), False), ((2, 4), True), ((3, 5), True), ((2,), False)]
)
def test_6_agreement_needs_a_majority_of_each_configuration(by: tuple[int, ...], committed: bool):
    raw = joint_leader()
    acknowledge(raw, 2, *by)
    assert (raw.raft.log.committed == 2) is committed


@pytest.mark.parametrize(("by", "elected"), [((2, 3), False), ((4, 5), False), ((2, 5), True)])
def test_6_elections_need_a_majority_of_each_configuration(by: tuple[int, ...], elected: bool):
    raw = replica(storage_with(conf=JOINT))
    raw.campaign()
    drain(raw)
    for voter in by:
        raw.step(Message(MsgType.VOTE_RESP, 1, voter, 1))
    assert (raw.raft.role is Role.LEADER) is elected


def test_6_the_old_configuration_is_given_up_only_through_the_joint_one():
    group = Group((1, 2, 3))
    raw = group.elect(1)
    group.lost = lambda m: m.type is MsgType.APP_RESP and m.from_ != 1
    raw.propose_conf_change(change((ChangeType.REMOVE, 2), (ChangeType.REMOVE, 3)))
    group.settle()
    assert raw.raft.conf_state() == ConfState((1, 2, 3)), "not committed by the old majority yet"
    group.cut_off()
    raw.tick()
    group.settle()
    assert raw.raft.conf_state() == ConfState((1,))
    # It has been in force at replicas that were removed as well, each in its turn.
    assert [entry.type for entry in raw.raft.log.entries(2, None)] == [2, 2]


def test_6_new_servers_catch_up_without_a_vote_first():
    group = Group((1, 2, 3, 4), conf=ConfState((1, 2, 3)))
    raw = group.elect(1)
    raw.propose(b"x")
    raw.propose_conf_change(change((ChangeType.ADD_LEARNER, 4)))
    group.settle()
    assert raw.raft.tracker.progress[4].match == raw.raft.log.last_index()
    before = raw.raft.log.committed
    group.cut_off(2, 3)
    raw.propose(b"y")
    group.settle()
    assert raw.raft.log.committed == before, "a learner's copy does not count"
    assert group.nodes[4].raft.log.last_index() == before + 1


def test_6_a_leader_outside_the_new_configuration_manages_without_its_own_vote_and_steps_down():
    group = Group(step_down_on_removal=True)
    raw = group.elect(1)
    raw.propose_conf_change(change((ChangeType.REMOVE, 1)))
    group.settle()
    assert raw.raft.role is Role.FOLLOWER
    assert group.nodes[1].raft.conf_state() == ConfState((2, 3))
    assert group.elect(2).raft.conf_state() == ConfState((2, 3))


@pytest.mark.parametrize("heard", [True, False])
def test_6_servers_ignore_candidates_while_they_hear_a_leader(heard: bool):
    """Who was removed gets no heartbeats, and must not depose the leader of those who do."""
    raw = replica(check_quorum=True)
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    drain(raw)
    for _ in range(0 if heard else 10):
        raw.tick()
    raw.step(Message(MsgType.VOTE, 1, 3, 7, log_term=9, index=9))
    assert (raw.raft.term == 1) is heard
    assert len(of_type(drain(raw), MsgType.VOTE_RESP)) == (0 if heard else 1)


# -- 7 compaction ----------------------------------------------------------------------------------------


def compacted() -> RawNode:
    """A leader whose log begins behind index 3, and a follower 2 that needs index 1."""
    raw = lead(replica(storage_with([1, 1, 1])))
    acknowledge(raw, 4, 3)
    drain(raw)
    storage_of(raw).create_snapshot(3, ConfState((1, 2, 3)), b"state")
    storage_of(raw).compact(3)
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, 2))
    raw.step(Message(MsgType.APP_RESP, 1, 2, 2, index=3, reject=True))
    return raw


def test_7_what_is_needed_and_was_dropped_goes_as_a_snapshot():
    [m] = of_type(drain(compacted()), MsgType.SNAP)
    assert (m.to, m.term) == (2, 2)
    assert m.snapshot == Snapshot(3, 1, ConfState((1, 2, 3)), b"state"), "with place, term and configuration"


def test_7_the_first_append_behind_a_snapshot_is_checked_against_it():
    raw = compacted()
    drain(raw)
    acknowledge(raw, 3, 2)
    [m] = of_type(drain(raw), MsgType.APP, to=2)
    assert (m.index, m.log_term, [entry.index for entry in m.entries]) == (3, 1, [4])


def test_7_a_snapshot_with_something_new_replaces_the_whole_log():
    raw = replica(storage_with([1, 1, 1], hard_state=HardState(1, 0, 1)))
    raw.step(Message(MsgType.SNAP, 1, 2, 3, snapshot=Snapshot(2, 2, ConfState((1, 2)))))
    handle(raw)
    log = raw.raft.log
    assert (log.first_index(), log.last_index(), log.term(2)) == (3, 2, 2)
    assert raw.raft.conf_state() == ConfState((1, 2))


def test_7_entries_behind_a_snapshot_of_a_prefix_are_kept():
    raw = replica(storage_with([1, 1, 1], hard_state=HardState(1, 0, 1)))
    raw.step(Message(MsgType.SNAP, 1, 2, 3, snapshot=Snapshot(2, 1, ConfState((1, 2, 3)))))
    assert (raw.raft.log.last_index(), raw.raft.log.committed) == (3, 2)
    assert [(m.index, m.reject) for m in drain(raw)] == [(2, False)]


# -- 8 clients -------------------------------------------------------------------------------------------


def test_8_a_leader_begins_its_term_with_an_empty_entry():
    """It learns by that what is committed."""
    raw = lead(replica(storage_with([1, 1], hard_state=HardState(1, 0, 1))))
    assert raw.raft.log.entries(3, None)[0] == Entry(2, 3)
    acknowledge(raw, 3, 2)
    assert raw.raft.log.committed == 3


def test_8_a_read_waits_until_the_leader_knows_what_is_committed_and_that_it_still_leads():
    raw = lead(replica(storage_with([1, 1], hard_state=HardState(1, 0, 1))))
    raw.read_index(b"read")
    assert not of_type(drain(raw), MsgType.HEARTBEAT)
    acknowledge(raw, 3, 2)
    beats = of_type(drain(raw), MsgType.HEARTBEAT)
    assert not raw.raft.read_states, "nobody has answered since"
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, 2, context=beats[0].context))
    assert handle(raw).read_states == [ReadState(3, b"read")]


def test_8_a_leader_that_was_replaced_answers_no_read():
    group = Group()
    old = group.elect(1)
    group.cut_off(1)
    group.elect(2).propose(b"newer")
    group.settle()
    old.read_index(b"stale")
    group.settle()
    assert not old.raft.read_states
    assert group.applied[1] == []


def test_8_requests_of_followers_go_to_the_leader():
    group = Group()
    group.elect(1)
    group.nodes[3].propose(b"x")
    group.settle()
    assert group.applied[2] == [b"x"]

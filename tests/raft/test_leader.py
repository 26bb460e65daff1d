"""A leader's duties: proposals, commitment, commit notices, reads."""

from collections.abc import Callable

import pytest

from multiraft.raft import (
    BadMessage,
    Change,
    ChangeType,
    CommitNotice,
    ConfChange,
    ConfState,
    DroppedRead,
    DropReason,
    EntryId,
    EntryType,
    HardState,
    Message,
    Misuse,
    MsgType,
    ProposalDropped,
    RawNode,
    ReadDropReason,
    ReadOnly,
    ReadState,
    RefusalReason,
    Role,
    Transition,
)
from multiraft.raft.entry import Entry
from tests.raft.harness import (
    Group,
    acknowledge,
    drain,
    handle,
    lead,
    of_type,
    persist,
    replica,
    replicating,
    storage_of,
    storage_with,
)

ADD_4 = ConfChange((Change(ChangeType.ADD_VOTER, 4),))


def why(act: Callable[[], object]) -> DropReason:
    with pytest.raises(ProposalDropped) as dropped:
        act()
    return dropped.value.reason


# -- proposals -------------------------------------------------------------------------------------------


def test_proposal_returns_where_it_stands():
    raw = replicating(replica())
    assert raw.propose(b"a") == EntryId(1, 2)
    assert raw.propose_batch([b"b", b"c"]) == EntryId(1, 4)
    assert [entry.data for entry in handle(raw).entries] == [b"a", b"b", b"c"]


def test_batch_goes_out_in_one_message():
    raw = replicating(replica())
    raw.propose_batch([b"b", b"c"])
    assert [len(m.entries) for m in of_type(drain(raw), MsgType.APP, to=2)] == [2]


def test_empty_batch_is_misuse():
    with pytest.raises(Misuse):
        replicating(replica()).propose_batch([])


def test_dropped_with_a_reason():
    raw = replica()
    assert why(lambda: raw.propose(b"x")) is DropReason.NO_LEADER
    raw.campaign()
    assert why(lambda: raw.propose(b"x")) is DropReason.CANDIDATE
    raw = replicating(replica())
    raw.transfer_leadership(2)
    assert why(lambda: raw.propose(b"x")) is DropReason.TRANSFER
    raw = replica(disable_proposal_forwarding=True)
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    assert why(lambda: raw.propose(b"x")) is DropReason.FORWARDING_DISABLED


def test_forwarded_proposal_keeps_its_sender_and_belongs_to_no_term():
    raw = replica()
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    drain(raw)
    raw.step(Message(MsgType.PROP, 1, 3, entries=(Entry(0, 0, data=b"x"),)))
    [m] = drain(raw)
    assert (m.type, m.from_, m.to, m.term) == (MsgType.PROP, 3, 2, 0)


def test_uncommitted_limit_drops_whole_proposals_and_lets_empty_ones_pass():
    raw = replicating(replica(max_uncommitted_size=10))
    raw.propose(b"x" * 20)
    assert why(lambda: raw.propose_batch([b"y", b"z"])) is DropReason.UNCOMMITTED_LIMIT
    assert raw.raft.log.last_index() == 2
    raw.propose(b"")
    drain(raw)
    acknowledge(raw, 3, 2)
    drain(raw)
    assert raw.raft.uncommitted_size == 0
    assert raw.propose(b"y") == EntryId(1, 4)


def test_refused_change_becomes_an_empty_entry_and_is_reported():
    raw = replicating(replica())
    raw.propose_conf_change(ADD_4)
    raw.propose_conf_change(ADD_4)
    raw.propose_conf_change(ConfChange())
    ready = raw.ready()
    assert [entry.type for entry in ready.entries] == [
        EntryType.CONF_CHANGE_V2,
        EntryType.REFUSED_CHANGE,
        EntryType.REFUSED_CHANGE,
    ]
    assert [(r.index, r.reason) for r in ready.refusals] == [
        (3, RefusalReason.PENDING),
        (4, RefusalReason.PENDING),
    ]


def test_leaving_what_is_not_joint_is_refused_and_so_is_changing_what_is():
    raw = replicating(replica())
    raw.propose_conf_change(ConfChange())
    assert [r.reason for r in handle(raw).refusals] == [RefusalReason.NOT_JOINT]
    raw.apply_conf_change(ConfChange(ADD_4.changes, Transition.JOINT_EXPLICIT))
    raw.propose_conf_change(ADD_4)
    assert [r.reason for r in handle(raw).refusals] == [RefusalReason.JOINT]


def test_new_leader_refuses_changes_until_all_it_inherited_is_applied():
    raw = lead(replica(storage_with([1, 1, 1], hard_state=HardState(1, 0, 1))))
    raw.propose_conf_change(ADD_4)
    assert [r.reason for r in handle(raw).refusals] == [RefusalReason.PENDING]


def test_dropped_change_leaves_no_trace():
    raw = replicating(replica(max_uncommitted_size=1))
    raw.propose(b"xx")
    before = raw.raft.pending_conf_index
    assert why(lambda: raw.propose_conf_change(ADD_4)) is DropReason.UNCOMMITTED_LIMIT
    assert raw.raft.pending_conf_index == before
    assert handle(raw).refusals == []


def test_unreadable_change_of_a_peer_is_refused():
    raw = replicating(replica())
    with pytest.raises(BadMessage, match="replica 2 proposes"):
        raw.step(Message(MsgType.PROP, 1, 2, entries=(Entry(0, 0, EntryType.CONF_CHANGE_V2, b"\x0b"),)))


def test_joint_configuration_is_left_by_itself_once_applied():
    group = Group()
    raw = group.elect(1)
    change = ConfChange((Change(ChangeType.REMOVE, 2), Change(ChangeType.REMOVE, 3)))
    raw.propose_conf_change(change)
    group.settle()
    assert raw.raft.tracker.conf == ConfState((1,))
    changes = [entry for entry in raw.raft.log.entries(2, None) if entry.type is EntryType.CONF_CHANGE_V2]
    assert len(changes) == 2
    assert changes[1].data == b""


# -- commitment ------------------------------------------------------------------------------------------


def test_entries_of_earlier_terms_are_not_committed_by_counting():
    """The paper's figure 8: held by a majority, an old entry may still be overwritten."""
    raw = lead(replica(storage_with([1, 2], hard_state=HardState(3, 0, 0))))
    acknowledge(raw, 2)
    assert raw.raft.log.committed == 0
    acknowledge(raw, 3, 2)
    assert raw.raft.log.committed == 3


def test_leader_counts_itself_only_when_durable():
    raw = replica(async_storage_writes=True)
    raw.campaign()
    for m in raw.ready().messages_after_append:
        raw.step(m)
    raw.step(Message(MsgType.VOTE_RESP, 1, 2, 1))
    ready = raw.ready()
    acknowledge(raw, 1, 2)
    assert raw.raft.log.committed == 0, "one of three holds it"
    persist(storage_of(raw), ready)
    for m in ready.messages_after_append:
        raw.step(m)
    assert raw.raft.log.committed == 1


def test_learner_does_not_count():
    raw = replicating(replica(storage_with(conf=ConfState((1, 2), learners=(3,)))))
    raw.propose(b"x")
    drain(raw)
    acknowledge(raw, 2, 3)
    assert raw.raft.log.committed == 1
    acknowledge(raw, 2, 2)
    assert raw.raft.log.committed == 2


# -- commit notices --------------------------------------------------------------------------------------


def noticing() -> RawNode:
    raw = replicating(replica(commit_notices=True))
    raw.propose(b"x")
    drain(raw)
    return raw


def test_commits_are_told_by_notices_instead_of_empty_appends():
    raw = noticing()
    acknowledge(raw, 2, 2)
    ready = handle(raw)
    assert ready.commit_notices == [CommitNotice(2, 1, 2)]
    assert ready.messages == []
    acknowledge(raw, 2, 3)
    assert handle(raw).commit_notices == [CommitNotice(3, 1, 2)]


def test_notice_reaches_only_as_far_as_the_logs_are_known_to_agree():
    raw = noticing()
    raw.propose(b"y")
    drain(raw)
    acknowledge(raw, 2, 3)
    drain(raw)
    acknowledge(raw, 3, 2)
    assert handle(raw).commit_notices == [CommitNotice(2, 1, 3)]


def test_newest_notice_replaces_the_one_not_taken_yet():
    raw = noticing()
    raw.propose(b"y")
    drain(raw)
    acknowledge(raw, 2, 2)
    acknowledge(raw, 3, 2)
    assert handle(raw).commit_notices == [CommitNotice(2, 1, 3)]


def test_notices_of_a_term_end_with_it():
    raw = noticing()
    acknowledge(raw, 2, 2)
    raw.step(Message(MsgType.HEARTBEAT, 1, 3, 9))
    assert handle(raw).commit_notices == []


def test_append_that_carries_the_commit_index_needs_no_notice_beside_it():
    raw = replicating(replica(commit_notices=True, max_size_per_msg=0, max_inflight_msgs=1))
    raw.propose_batch([b"x", b"y"])
    drain(raw)
    acknowledge(raw, 2, 2)
    ready = handle(raw)
    assert [(m.to, m.commit, len(m.entries)) for m in ready.messages] == [(2, 2, 1)]
    assert ready.commit_notices == []


def test_follower_takes_a_notice_as_far_as_it_has_acknowledged():
    raw = replica(storage_with([1, 1, 1], hard_state=HardState(1, 0, 0)))
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    raw.step_commit_notice(2, 1, 3)
    assert raw.raft.log.committed == 0, "nothing is acknowledged in this term yet"
    raw.step(Message(MsgType.APP, 1, 2, 1, log_term=1, index=2))
    raw.raft.election_elapsed = 5
    raw.step_commit_notice(2, 1, 3)
    assert (raw.raft.log.committed, raw.raft.election_elapsed) == (2, 0)
    assert [m.type for m in drain(raw)] == [MsgType.HEARTBEAT_RESP, MsgType.APP_RESP], (
        "a notice has no answer"
    )


@pytest.mark.parametrize(("from_", "term"), [(2, 0), (2, 2), (3, 1)])
def test_notice_of_another_term_or_sender_is_ignored(from_: int, term: int):
    raw = replica(storage_with([1], hard_state=HardState(1, 0, 0)))
    raw.step(Message(MsgType.APP, 1, 2, 1, log_term=1, index=1))
    raw.step_commit_notice(from_, term, 1)
    assert (raw.raft.log.committed, raw.raft.term) == (0, 1)


def test_what_was_acknowledged_in_an_earlier_term_does_not_count():
    raw = replica(storage_with([1], hard_state=HardState(1, 0, 0)))
    raw.step(Message(MsgType.APP, 1, 2, 1, log_term=1, index=1))
    raw.step(Message(MsgType.HEARTBEAT, 1, 3, 2))
    raw.step_commit_notice(3, 2, 1)
    assert raw.raft.log.committed == 0


# -- reads -----------------------------------------------------------------------------------------------


def test_read_waits_for_a_quorum_of_answers():
    raw = replicating(replica(storage_with(conf=ConfState((1, 2, 3, 4, 5)))))
    raw.read_index(b"read")
    drain(raw)
    answers = [Message(MsgType.HEARTBEAT_RESP, 1, peer, 1, context=b"read") for peer in (2, 2, 3)]
    raw.step(answers[0])
    raw.step(answers[1])
    assert not raw.raft.read_states, "one peer that answers twice is one peer"
    raw.step(answers[2])
    assert handle(raw).read_states == [ReadState(1, b"read")]


def test_answer_to_a_later_read_confirms_the_earlier_ones():
    raw = replicating(replica())
    for context in (b"a", b"b", b"c"):
        raw.read_index(context)
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, 1, context=b"b"))
    assert [state.context for state in handle(raw).read_states] == [b"a", b"b"]
    assert len(raw.raft.reads) == 1


def test_read_is_postponed_until_the_leader_has_committed_in_its_term():
    raw = lead(replica(storage_with([1], hard_state=HardState(1, 0, 1))))
    raw.read_index(b"read")
    assert not of_type(drain(raw), MsgType.HEARTBEAT)
    acknowledge(raw, 2, 2)
    assert {m.context for m in of_type(drain(raw), MsgType.HEARTBEAT)} == {b"read"}
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 3, 2, context=b"read"))
    assert handle(raw).read_states == [ReadState(2, b"read")]


def test_single_voter_postpones_too_because_its_stored_commit_index_may_be_old():
    """Everything in the log was acknowledged, but only index 1 was known as committed when it crashed."""
    raw = replica(storage_with([1, 1, 1], conf=ConfState((1,)), hard_state=HardState(1, 1, 1)))
    raw.campaign()
    handle(raw)
    assert raw.raft.role is Role.LEADER
    raw.read_index(b"read")
    assert not raw.raft.read_states
    handle(raw)
    assert handle(raw).read_states == [ReadState(4, b"read")]


def test_reads_of_a_lost_leadership_are_forgotten():
    raw = replicating(replica())
    raw.read_index(b"read")
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 9))
    assert len(raw.raft.reads) == 0
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, 9, context=b"read"))
    assert not raw.raft.read_states


def test_read_on_a_follower_goes_by_way_of_the_leader():
    group = Group()
    group.elect(1)
    group.nodes[3].read_index(b"read")
    group.handle(3)
    while not group.nodes[3].raft.read_states:
        queue, group.queue = group.queue, []
        for m in queue:
            group.nodes[m.to].step(m)
        for id_ in (1, 2):
            if group.nodes[id_].has_ready():
                group.handle(id_)
    assert group.nodes[3].raft.read_states == [ReadState(1, b"read")]


def test_read_without_a_leader_is_dropped():
    raw = replica()
    raw.read_index(b"read")
    assert handle(raw).dropped_reads == [DroppedRead(b"read", ReadDropReason.NO_LEADER)]


def test_read_needs_a_context():
    with pytest.raises(Misuse):
        replicating(replica()).read_index(b"")


def test_lease_based_read_asks_nobody():
    raw = replicating(replica(check_quorum=True, read_only=ReadOnly.LEASE_BASED))
    raw.read_index(b"read")
    ready = handle(raw)
    assert (ready.read_states, ready.messages) == ([ReadState(1, b"read")], [])
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 2))
    raw.forget_leader()
    assert raw.raft.lead == 2, "the leader relies on it"

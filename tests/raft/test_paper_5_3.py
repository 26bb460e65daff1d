"""The Raft paper, section 5.3: one test per statement about log replication."""

import pytest

from multiraft.raft import Entry, HardState, Message, MsgType, Role
from tests.raft.harness import (
    Group,
    acknowledge,
    drain,
    handle,
    lead,
    of_type,
    replica,
    replicating,
    storage_with,
)


def test_5_3_a_command_becomes_an_entry_that_is_sent_to_everyone_in_parallel():
    raw = replicating(replica())
    raw.propose(b"x")
    ready = raw.ready()
    assert ready.entries == [Entry(1, 2, data=b"x")], "with its term and its index"
    assert [(m.to, list(m.entries)) for m in ready.messages] == [(2, ready.entries), (3, ready.entries)]


def test_5_3_an_entry_is_applied_once_it_is_replicated_safely_and_not_before():
    raw = replicating(replica())
    raw.propose(b"x")
    assert handle(raw).committed_entries == []
    acknowledge(raw, 2, 3)
    assert [entry.data for entry in handle(raw).committed_entries] == [b"x"]


def test_5_3_a_follower_that_is_slow_or_crashed_gets_the_entry_again_and_again():
    """Even after the leader has answered its client, until everyone has everything."""
    group = Group()
    raw = group.elect(1)
    group.cut_off(3)
    raw.propose(b"x")
    group.settle()
    assert group.applied[1] == [b"x"]
    for _ in range(5):
        raw.tick()
        group.settle()
    group.cut_off()
    raw.tick()
    group.settle()
    assert group.applied[3] == [b"x"]


def test_5_3_one_slow_follower_does_not_hold_up_the_others():
    group = Group(max_inflight_msgs=2)
    raw = group.elect(1)
    group.cut_off(3)
    for n in range(20):
        raw.propose(b"%d" % n)
        group.settle()
    assert len(group.applied[1]) == len(group.applied[2]) == 20


def test_5_3_committing_an_entry_commits_all_before_it_also_those_of_earlier_leaders():
    raw = lead(replica(storage_with([1, 1, 2], hard_state=HardState(2, 0, 0))))
    acknowledge(raw, 4, 2)
    assert raw.raft.log.committed == 4
    assert [entry.term for entry in handle(raw).committed_entries] == [1, 1, 2, 3]


def test_5_3_followers_learn_of_commits_from_later_appends_and_heartbeats():
    raw = replicating(replica())
    raw.propose(b"x")
    drain(raw)
    acknowledge(raw, 2, 3)
    assert {(m.to, m.commit) for m in of_type(drain(raw), MsgType.APP)} >= {(3, 2)}
    raw.tick()
    assert (3, 2) in {(m.to, m.commit) for m in of_type(drain(raw), MsgType.HEARTBEAT)}


def test_5_3_a_follower_applies_in_log_order_what_it_learns_is_committed():
    raw = replica()
    entries = [Entry(1, index, data=b"%d" % index) for index in range(1, 5)]
    raw.step(Message(MsgType.APP, 1, 2, 1, entries=entries, commit=2))
    first = handle(raw).committed_entries
    raw.step(Message(MsgType.APP, 1, 2, 1, log_term=1, index=4, commit=4))
    assert [entry.data for entry in first + handle(raw).committed_entries] == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(
    ("prev", "accepted"), [((0, 0), True), ((1, 1), True), ((2, 2), True), ((1, 2), False), ((2, 3), False)]
)
def test_5_3_an_append_is_refused_unless_the_entry_before_it_is_there(prev: tuple[int, int], accepted: bool):
    raw = replica(storage_with([1, 2], hard_state=HardState(2, 0, 0)))
    term, index = prev
    raw.step(Message(MsgType.APP, 1, 2, 3, log_term=term, index=index, entries=[Entry(3, index + 1)]))
    [m] = drain(raw)
    assert m.reject is not accepted
    assert raw.raft.log.match_term(3, index + 1) is accepted


def test_5_3_conflicting_entries_and_all_behind_them_are_replaced():
    raw = replica(storage_with([1, 2, 2, 2], hard_state=HardState(2, 0, 1)))
    raw.step(Message(MsgType.APP, 1, 2, 3, log_term=1, index=1, entries=[Entry(3, 2)]))
    assert [raw.raft.log.term(index) for index in range(1, raw.raft.log.last_index() + 1)] == [1, 3]


def test_5_3_entries_that_do_not_conflict_are_not_cut_off_by_an_old_append():
    raw = replica()
    entries = [Entry(1, index) for index in range(1, 5)]
    raw.step(Message(MsgType.APP, 1, 2, 1, entries=entries))
    raw.step(Message(MsgType.APP, 1, 2, 1, entries=entries[:2]))
    assert raw.raft.log.last_index() == 4


def test_5_3_a_new_leader_guesses_that_everyone_has_its_whole_log():
    raw = lead(replica(storage_with([1, 1, 1])))
    assert [progress.next for progress in raw.raft.tracker.progress.values()][1:] == [4, 4]
    raw.campaign()
    raw.tick()
    drain(raw)
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, raw.raft.term))
    assert [m.index for m in of_type(drain(raw), MsgType.APP, to=2)] == [3]


def test_5_3_a_refusal_lowers_the_guess_until_the_logs_agree():
    raw = lead(replica(storage_with([1, 2, 3], hard_state=HardState(3, 0, 0))))
    guesses = []
    for hint, term in ((2, 2), (1, 1)):
        rejected = raw.raft.tracker.progress[2].next - 1
        raw.step(Message(MsgType.APP_RESP, 1, 2, 4, term, rejected, reject=True, reject_hint=hint))
        guesses += [m.index for m in of_type(drain(raw), MsgType.APP, to=2)]
    assert guesses == [2, 1]


def test_5_3_a_leader_never_overwrites_or_deletes_entries_of_its_log():
    """Whatever its followers answer."""
    raw = lead(replica(storage_with([1, 2, 2])))
    before = list(raw.raft.log.entries(1, None))
    for m in (
        Message(MsgType.APP_RESP, 1, 2, raw.raft.term, index=3, reject=True, reject_hint=0),
        Message(MsgType.HEARTBEAT_RESP, 1, 3, raw.raft.term),
        Message(MsgType.APP_RESP, 1, 3, raw.raft.term, index=4),
    ):
        raw.step(m)
        raw.propose(b"more")
        assert list(raw.raft.log.entries(1, None))[: len(before)] == before
    assert raw.raft.role is Role.LEADER


def test_5_3_a_majority_is_enough_to_take_replicate_and_apply_entries():
    group = Group((1, 2, 3, 4, 5))
    raw = group.elect(1)
    group.cut_off(4, 5)
    raw.propose(b"x")
    group.settle()
    assert [group.applied[id_] for id_ in (1, 2, 3)] == [[b"x"]] * 3
    group.cut_off(3, 4, 5)
    raw.propose(b"y")
    group.settle()
    assert group.applied[1] == [b"x"]

"""A replica at rest is a few numbers, and goes on from them as if it had been there all the time."""

import random

import pytest

from multiraft.raft import Config, ConfState, Entry, HardState, Message, MsgType, RawNode, Role, invariants
from multiraft.raft.dormancy import dormant, settle, state_of
from multiraft.raft.rest import idle_members, may_rest, wake
from tests.raft.harness import storage_of, storage_with

CONF = ConfState((1, 2, 3), learners=(4,))
LAST = 4


def started(**settings: object) -> RawNode:
    storage = storage_with((1, 1, 2, 2), conf=CONF, hard_state=HardState(2, 0, LAST))
    return RawNode(
        Config(
            1, storage, 10, 2, random.Random(3), LAST, async_storage_writes=True,
            check_quorum=True, pre_vote=True, commit_notices=True, **settings,
        )
    )  # fmt: skip


def work_off(raw: RawNode) -> list[Message]:
    """Everything becomes durable at once, and is applied."""
    sent: list[Message] = []
    while raw.has_ready():
        ready = raw.ready()
        storage = storage_of(raw)
        storage.append(ready.entries)
        if ready.hard_state is not None:
            storage.set_hard_state(ready.hard_state)
        sent += ready.messages
        for message in ready.messages_after_append:
            if message.to == raw.raft.id:
                raw.step(message)
            else:
                sent.append(message)
        if ready.committed_entries:
            raw.acknowledge_apply(ready.committed_entries)
    return sent


def resting_follower() -> RawNode:
    raw = started()
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 3, commit=LAST))
    work_off(raw)
    assert may_rest(raw.raft, 2, 3, LAST)
    settle(raw.raft)
    return raw


def resting_leader(*, without: int | None = None) -> RawNode:
    """Of term 3, with an entry of its own; `without`: the member that has not answered."""
    raw = started()
    raw.campaign()
    for kind in (MsgType.PRE_VOTE_RESP, MsgType.VOTE_RESP):
        work_off(raw)
        raw.step(Message(kind, 1, 2, 3))
    work_off(raw)
    assert raw.raft.role is Role.LEADER
    for member in (2, 3, 4):
        if member != without:
            raw.step(Message(MsgType.APP_RESP, 1, member, 3, index=LAST + 1))
    work_off(raw)
    if without is not None:
        raw.raft.tracker.progress[without].recent_active = False
    assert idle_members(raw.raft) == [member for member in (2, 3, 4) if member != without]
    settle(raw.raft)
    return raw


@pytest.mark.parametrize("make", [resting_follower, resting_leader])
def test_the_numbers_say_everything(make):
    raw = make()
    numbers = dormant(raw.raft)
    assert numbers is not None
    assert (numbers.leads, numbers.index) == (raw.raft.role is Role.LEADER, raw.raft.log.last_index())
    again = RawNode.from_state(raw.raft.config, state_of(numbers, 1, CONF))
    assert again.export_state() == raw.export_state()
    invariants.check(again)
    assert not again.has_ready()


@pytest.mark.parametrize("make", [resting_follower, resting_leader])
def test_what_comes_next_is_answered_alike(make):
    """The one that stayed and the one that was made anew, after the same messages."""
    answers = []
    for renewed in (False, True):
        raw = make()
        if renewed:
            raw = RawNode.from_state(raw.raft.config, state_of(dormant(raw.raft), 1, CONF))
        wake(raw.raft)
        if raw.raft.role is Role.LEADER:
            raw.propose(b"x")
        else:
            raw.step(Message(MsgType.HEARTBEAT, 1, 2, 3, commit=LAST))
        raw.step(Message(MsgType.PRE_VOTE, 1, 3, 9, 9, 9))
        for _ in range(25):
            raw.tick()
        answers.append((work_off(raw), raw.export_state()))
    assert answers[0] == answers[1]
    assert answers[0][0]


def test_a_leader_that_waits_for_a_member_is_more_than_numbers():
    assert dormant(resting_leader(without=3).raft) is None


@pytest.mark.parametrize("more", ["entry", "read", "message", "unapplied"])
def test_who_has_something_to_do_is_more_than_numbers(more: str):
    raw = resting_leader()
    if more == "entry":
        raw.raft.log.append([Entry(3, LAST + 2)])
    elif more == "read":
        raw.read_index(b"context")
    elif more == "message":
        raw.step(Message(MsgType.APP_RESP, 1, 2, 3, index=LAST, reject=True, reject_hint=1))
        raw.raft.tracker.progress[2].become_probe()
    else:
        raw.raft.log.applied -= 1
    assert dormant(raw.raft) is None


def test_settling_keeps_a_member_that_lacks_something_where_it_is():
    raw = resting_leader(without=3)
    assert raw.raft.tracker.progress[3].match == 0
    assert raw.raft.tracker.progress[2].match == LAST + 1

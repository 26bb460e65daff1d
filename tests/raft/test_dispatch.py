"""The table of handlers, and the rules about terms that come before it."""

import pytest

from multiraft.raft import (
    LOCAL_APPEND,
    BadMessage,
    HardState,
    LocalMessage,
    Message,
    MsgType,
    PeerNotFound,
    Role,
)
from multiraft.raft.dispatch import HANDLERS, IN_EVERY_ROLE
from multiraft.raft.messages import LOCAL_TYPES, RESPONSES
from tests.raft.harness import drain, lead, replica, storage_with

FROM_PEERS = [kind for kind in MsgType if kind not in LOCAL_TYPES]


def in_role(role: Role):
    raw = replica(storage_with([1], hard_state=HardState(3, 0, 1)), pre_vote=role is Role.PRE_CANDIDATE)
    if role is Role.LEADER:
        lead(raw)
    elif role is not Role.FOLLOWER:
        raw.campaign()
    drain(raw)
    assert raw.raft.role is role
    return raw


def test_every_message_of_a_peer_has_a_handler_in_some_role():
    handled = {kind for _, kind in HANDLERS} | set(IN_EVERY_ROLE)
    assert set(FROM_PEERS) <= handled


def test_no_handler_is_reachable_for_what_a_replica_only_tells_itself():
    storage = {MsgType.STORAGE_APPEND_RESP, MsgType.STORAGE_APPLY_RESP}
    assert not LOCAL_TYPES - storage & {kind for _, kind in HANDLERS}
    assert set(IN_EVERY_ROLE) & LOCAL_TYPES == storage


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", [kind for kind in MsgType if kind not in IN_EVERY_ROLE])
def test_what_is_not_in_the_table_is_ignored(role: Role, kind: MsgType):
    if (role, kind) in HANDLERS or kind in LOCAL_TYPES:
        return
    raw = in_role(role)
    before = raw.basic_status()
    raw.step(Message(kind, 1, 2, raw.raft.term))
    assert raw.basic_status() == before
    assert not raw.has_ready()


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", FROM_PEERS)
def test_later_term_makes_a_follower_of_everyone(role: Role, kind: MsgType):
    """But for a pre-vote, which nobody has entered, and its grant; and for what belongs to no term."""
    if kind in (MsgType.PRE_VOTE, MsgType.PRE_VOTE_RESP, MsgType.PROP, MsgType.READ_INDEX):
        return
    raw = in_role(role)
    raw.step(Message(kind, 1, 2, 9))
    if kind is MsgType.TIMEOUT_NOW:
        assert (raw.raft.role, raw.raft.term) == (Role.CANDIDATE, 10)
        return
    follows = kind in (MsgType.APP, MsgType.HEARTBEAT, MsgType.SNAP)
    assert (raw.raft.role, raw.raft.term, raw.raft.lead) == (Role.FOLLOWER, 9, 2 if follows else 0)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", FROM_PEERS)
def test_earlier_term_changes_nothing(role: Role, kind: MsgType):
    if kind in (MsgType.PROP, MsgType.READ_INDEX):
        return  # they belong to no term
    raw = in_role(role)
    before = raw.basic_status()
    raw.step(Message(kind, 1, 2, 1))
    assert raw.basic_status() == before
    answers = drain(raw)
    assert all(m.term >= before.hard_state.term for m in answers)
    assert len(answers) <= 1


@pytest.mark.parametrize("kind", sorted(LOCAL_TYPES))
def test_peers_may_not_speak_for_this_replica(kind: MsgType):
    with pytest.raises(LocalMessage, match=kind.name):
        in_role(Role.LEADER).step(Message(kind, 1, 2, 4))


@pytest.mark.parametrize("kind", sorted(RESPONSES))
@pytest.mark.parametrize("sender", [9, LOCAL_APPEND])
def test_answers_of_strangers_are_refused(kind: MsgType, sender: int):
    with pytest.raises(PeerNotFound):
        in_role(Role.LEADER).step(Message(kind, 1, sender, 4))


@pytest.mark.parametrize("kind", [MsgType.VOTE, MsgType.APP, MsgType.SNAP, MsgType.HEARTBEAT])
def test_messages_must_name_their_term(kind: MsgType):
    with pytest.raises(BadMessage, match="names no term"):
        in_role(Role.FOLLOWER).step(Message(kind, 1, 2))


def test_an_acknowledgement_of_an_earlier_term_is_not_counted():
    """It speaks of entries that may have been replaced since."""
    raw = in_role(Role.LEADER)
    last = raw.raft.log.last_index()
    before = raw.status()
    for member in (2, 3):
        raw.step(Message(MsgType.APP_RESP, 1, member, raw.raft.term - 1, index=last))
    assert raw.status() == before
    assert raw.raft.log.committed < last

"""Misuse and contradictions: a typed error that names the values, and nothing changed."""

import dataclasses
from collections.abc import Callable

import pytest

from multiraft.raft import (
    LOCAL_APPEND,
    LOCAL_APPLY,
    BadMessage,
    Change,
    ChangeType,
    ConfChange,
    ConfChangeError,
    ConfigError,
    ConfState,
    CorruptLog,
    ElectionRefusal,
    Entry,
    EntryType,
    HardState,
    LocalMessage,
    MemoryStorage,
    Message,
    Misuse,
    MsgType,
    ProposalDropped,
    RawNode,
    Role,
    Snapshot,
    invariants,
)
from multiraft.raft.confchange import encode_v2
from multiraft.raft.entry import EntryId
from tests.raft.harness import drain, lead, replica, replicating, storage_with
from tests.raft.situations import candidate, follower, leader

TOO_MUCH = 2**64


def unchanged(raw: RawNode, act: Callable[[], object], error: type[Exception], words: str) -> None:
    """`act` raises `error`, whose text has `words`, and the replica is as it was."""
    before = raw.export_state()
    with pytest.raises(error, match=words):
        act()
    assert raw.export_state() == before
    invariants.check(raw)


# -- misuse ----------------------------------------------------------------------------------------------

MISUSE: dict[str, tuple[Callable[[], RawNode], Callable[[RawNode], object], type[Exception], str]] = {
    "no entries, leader": (leader, lambda raw: raw.propose_batch([]), Misuse, "without entries"),
    "no entries, follower": (follower, lambda raw: raw.propose_batch([]), Misuse, "without entries"),
    "no leader": (replica, lambda raw: raw.propose(b"x"), ProposalDropped, "no leader is known"),
    "election": (candidate, lambda raw: raw.propose(b"x"), ProposalDropped, "an election is under way"),
    "text for a command": (leader, lambda raw: raw.propose("text"), Misuse, "is bytes, not str"),
    "buffer for a command": (
        leader,
        lambda raw: raw.propose_batch([b"x", bytearray(b"y")]),  # type: ignore[list-item] # that is the point
        Misuse,
        "is bytes, not bytearray",
    ),
    "text for a context": (leader, lambda raw: raw.read_index("x"), Misuse, "needs a context"),
    "no context": (leader, lambda raw: raw.read_index(b""), Misuse, "needs a context"),
    "transfer to nobody": (follower, lambda raw: raw.transfer_leadership(0), Misuse, "handed to 0"),
    "transfer to a thread": (
        leader,
        lambda raw: raw.transfer_leadership(LOCAL_APPLY),
        Misuse,
        f"handed to {LOCAL_APPLY}",
    ),
    "change of a negative id": (
        leader,
        lambda raw: raw.propose_conf_change(ConfChange((Change(ChangeType.ADD_VOTER, -1),))),
        ConfChangeError,
        "-1 is no replica id",
    ),
    "change of a huge id": (
        leader,
        lambda raw: raw.propose_conf_change(ConfChange((Change(ChangeType.REMOVE, TOO_MUCH),)), v1=True),
        ConfChangeError,
        f"{TOO_MUCH} is no replica id",
    ),
    "two changes in the old encoding": (
        leader,
        lambda raw: raw.propose_conf_change(ConfChange((Change(ChangeType.REMOVE, 2),) * 2), v1=True),
        ConfChangeError,
        "one operation",
    ),
    "leaving what is not joint": (
        leader,
        lambda raw: raw.apply_conf_change(ConfChange()),
        ConfChangeError,
        "non-joint",
    ),
    "removing every voter": (
        leader,
        lambda raw: raw.apply_conf_change(
            ConfChange(tuple(Change(ChangeType.REMOVE, id_) for id_ in (1, 2, 3)))
        ),
        ConfChangeError,
        "removed all voters",
    ),
    "advance in the other form": (
        lambda: replica(async_storage_writes=True),
        lambda raw: raw.advance(),
        Misuse,
        "asynchronous",
    ),
    "acknowledging in the other form": (
        leader,
        lambda raw: raw.acknowledge_apply([]),
        Misuse,
        "without asynchronous",
    ),
    "applied and never handed out": (
        lambda: replica(storage_with([1, 1], hard_state=HardState(1, 0, 2)), async_storage_writes=True),
        lambda raw: raw.acknowledge_apply([Entry(1, 1)]),
        Misuse,
        "applied up to 1, handed out up to 0",
    ),
}


@pytest.mark.parametrize("case", MISUSE)
def test_misuse_raises_and_changes_nothing(case: str):
    make, act, error, words = MISUSE[case]
    raw = make()
    unchanged(raw, lambda: act(raw), error, words)


def test_a_proposal_over_the_limit_changes_nothing():
    """Nor the place of the pending configuration change, nor what was refused."""
    raw = replicating(replica(max_uncommitted_size=10))
    raw.propose(b"x" * 9)
    drain(raw)
    add_4 = ConfChange((Change(ChangeType.ADD_VOTER, 4),), context=b"y" * 20)
    unchanged(raw, lambda: raw.propose_conf_change(add_4), ProposalDropped, "too many bytes")


def test_an_open_ready_is_misuse_and_stays_open():
    raw = replica()
    raw.campaign()
    raw.ready()
    unchanged(raw, raw.ready, Misuse, "before advance")
    raw.advance()


@pytest.mark.parametrize("name", ["max_pending_reads", "max_inflight_msgs", "heartbeat_tick"])
def test_settings_name_their_field(name: str):
    with pytest.raises(ConfigError, match=f"{name} must be positive, not -1"):
        replica(**{name: -1})


@pytest.mark.parametrize(
    "conf",
    [
        ConfState((1, 1)),
        ConfState((0, 1)),
        ConfState((1, LOCAL_APPEND)),
        ConfState((), (1, 2)),
        ConfState((), learners=(1,)),
        ConfState((1, 2), learners=(2,)),
        ConfState((1, 2), (3,), learners=(3,)),
        ConfState((1, 2), (2, 3), learners_next=(4,)),
        ConfState((1, 2), (2, 3), learners_next=(2,)),
        ConfState((1,), auto_leave=True),
    ],
)
def test_a_configuration_that_is_none_is_refused_at_start_and_in_snapshots(conf: ConfState):
    with pytest.raises(CorruptLog, match="configuration is none"):
        replica(MemoryStorage(conf))
    raw = follower()
    bad = Message(MsgType.SNAP, 1, 2, 3, snapshot=Snapshot(9, 2, conf))
    unchanged(raw, lambda: raw.step(bad), BadMessage, "SNAP at 9")


def test_a_term_that_has_no_next_one_ends_campaigning():
    raw = replica(storage_with([1], hard_state=HardState(1, 0, 1)))
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, TOO_MUCH - 1))
    drain(raw)
    before = raw.export_state()
    assert raw.campaign() is raw.force_election() is ElectionRefusal.NO_TERM_LEFT
    assert raw.export_state() == before


# -- contradictions --------------------------------------------------------------------------------------


def app(*entries: Entry, index: int = 3, log_term: int = 3, **fields: int) -> Message:
    return Message(MsgType.APP, 1, 2, 3, log_term=log_term, index=index, entries=entries, **fields)


def snap(index: int, term: int, **fields: object) -> Message:
    return Message(MsgType.SNAP, 1, 2, 3, snapshot=Snapshot(index, term, ConfState((1, 2, 3))), **fields)


def prop(kind: int, data: bytes = b"", **fields: int) -> Message:
    return Message(MsgType.PROP, 1, 2, entries=[Entry(0, 0, kind, data)], **fields)


HUGE = encode_v2(ConfChange((Change(ChangeType.ADD_VOTER, TOO_MUCH + 5),)))

BAD: list[tuple[Callable[[], RawNode], Message, str]] = [
    (follower, app(Entry(3, 5)), "holds entry 5 in the place of 4"),
    (follower, app(Entry(3, 4), Entry(3, 6)), "holds entry 6 in the place of 5"),
    (follower, app(Entry(3, 3)), "holds entry 3 in the place of 4"),
    (follower, app(Entry(4, 4)), "APP of term 3 holds entry 4 of term 4 behind one of 3"),
    (follower, app(Entry(2, 4)), "entry 4 of term 2 behind one of 3"),
    (follower, app(Entry(3, 4), Entry(2, 5)), "entry 5 of term 2 behind one of 3"),
    (follower, app(Entry(0, 1), index=0, log_term=0), "entry 1 of term 0 behind one of 0"),
    (follower, app(Entry(3, 4, 4)), "entry 4 of the unknown type 4"),
    (follower, app(Entry(3, 4, -1)), "entry 4 of the unknown type -1"),
    (follower, app(log_term=4), "APP in term 3 behind an entry of term 4"),
    (follower, app(Entry(3, 3), index=2, log_term=2), "APP of term 3 replaces entry 3, acknowledged up to 3"),
    (follower, dataclasses.replace(app(), from_=3), "APP from replica 3 in term 3, which 2 leads"),
    (follower, Message(MsgType.HEARTBEAT, 1, 3, 3), "HEARTBEAT from replica 3 in term 3, which 2 leads"),
    (follower, dataclasses.replace(snap(9, 3), from_=3), "which 2 leads"),
    (follower, snap(9, 4), "SNAP of term 3 at index 9 of term 4"),
    (follower, snap(9, 0), "SNAP of term 3 at index 9 of term 0"),
    (follower, snap(-1, 3), "SNAP of term 3 at index -1"),
    (follower, snap(TOO_MUCH, 3), f"SNAP of term 3 at index {TOO_MUCH}"),
    (follower, snap(3, 3), "SNAP of term 3 replaces entry 3, acknowledged up to 3"),
    (leader, Message(MsgType.APP_RESP, 1, 2, 3, index=3), "replica 2 acknowledges 3, the log ends at 2"),
    (leader, Message(MsgType.APP_RESP, 1, 1, 3, index=3, reject=True), "from replica 1 to itself"),
    (leader, Message(MsgType.HEARTBEAT_RESP, 1, 1, 3), "HEARTBEAT_RESP .* from replica 1 to itself"),
    (leader, prop(EntryType.REFUSED_CHANGE), "proposes an entry of type 3"),
    (leader, prop(9), "proposes an entry of type 9"),
    (leader, prop(EntryType.CONF_CHANGE_V2, b"\x0b"), "proposes a change that is none"),
    (leader, prop(EntryType.CONF_CHANGE_V2, HUGE), f"{TOO_MUCH + 5} is no replica id"),
    (leader, prop(EntryType.NORMAL, term=3), "PROP from replica 2 names term 3"),
    (leader, Message(MsgType.PROP, 1, 2), "PROP from replica 2 without entries"),
    (leader, Message(MsgType.READ_INDEX, 1, 2), "READ_INDEX from replica 2 without a context"),
    (leader, Message(MsgType.READ_INDEX, 1, 2, 9, context=b"r"), "READ_INDEX from replica 2 names term 9"),
    (follower, Message(MsgType.VOTE, 1, 1, 9), "VOTE .* from replica 1 to itself"),
    (follower, Message(MsgType.APP, 1, 1, 9), "APP .* from replica 1 to itself"),
    (follower, Message(MsgType.VOTE, 1, 0, 9), "VOTE from 0, which is no replica"),
    (follower, Message(MsgType.VOTE, 1, LOCAL_APPEND, 9), "which is no replica"),
    (follower, Message(MsgType.HEARTBEAT, 1, LOCAL_APPLY, 9), "which is no replica"),
    (follower, Message(MsgType.TIMEOUT_NOW, 2, 2, 3), "TIMEOUT_NOW for replica 2 came to replica 1"),
    (follower, Message(MsgType.HEARTBEAT, 1, 2, -1), "64 bits"),
    (follower, Message(MsgType.HEARTBEAT, 1, 2, TOO_MUCH), "64 bits"),
    (follower, Message(MsgType.HEARTBEAT, 1, 2, 3, commit=-1), "64 bits"),
    (follower, Message(MsgType.APP, 1, 2, 3, index=TOO_MUCH), "64 bits"),
    (follower, Message(99, 1, 2, 3), "unknown type 99"),
    (follower, Message(3, 1, 2, 3), "unknown type 3"),
    (follower, Message(MsgType.STORAGE_APPEND_RESP, 1, LOCAL_APPEND, 9), "attests term 9"),
]


@pytest.mark.parametrize(("make", "message", "words"), BAD, ids=[words for _, _, words in BAD])
def test_a_contradiction_is_refused_and_changes_nothing(
    make: Callable[[], RawNode], message: Message, words: str
):
    raw = make()
    unchanged(raw, lambda: raw.step(message), BadMessage, words)


def test_what_only_looks_like_a_contradiction_is_taken():
    raw = follower()
    raw.step(app(Entry(2, 3, data=b"x"), Entry(3, 4), index=2, log_term=2))
    raw.step(snap(3, 2))
    raw.step(dataclasses.replace(app(Entry(4, 4), index=3, log_term=2), term=4, from_=3))
    raw.step(Message(MsgType.SNAP, 1, 0, 4, snapshot=Snapshot(9, 4, ConfState((1, 2, 3)))))
    assert raw.raft.log.last_id() == EntryId(4, 9)


# -- a log that was lost ---------------------------------------------------------------------------------


def test_a_commit_beyond_the_log_fences_this_replica():
    """Its leader knows entries to be durable here that are not: it must take no further part."""
    raw = follower()
    with pytest.raises(CorruptLog, match="commit 4 is beyond the last index 3") as lost:
        raw.step(Message(MsgType.HEARTBEAT, 1, 2, 3, commit=4))
    assert lost.value.index == 4
    assert raw.raft.log.committed == 2, "nothing is believed to be committed that is not here"


def test_a_leader_does_not_take_a_lost_log_for_a_slow_follower():
    """Match stands for what was durable there: a rejection below it is old, or of a replica to set aside."""
    raw = leader()
    before = raw.status().progress[2]
    raw.step(Message(MsgType.APP_RESP, 1, 2, 3, index=1, reject=True, reject_hint=0))
    assert raw.status().progress[2] == before
    assert not of_appends(raw)


def of_appends(raw: RawNode) -> list[Message]:
    return [m for m in drain(raw) if m.type is MsgType.APP]


def test_local_messages_of_peers_are_local():
    raw = lead(replica())
    unchanged(raw, lambda: raw.step(Message(MsgType.HUP, 1, 2, 1)), LocalMessage, "HUP from replica 2")
    assert raw.raft.role is Role.LEADER

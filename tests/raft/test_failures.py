"""Misuse, contradictions and random messages: a typed error, nothing changed, no invariant broken."""

import dataclasses
import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    PeerNotFound,
    ProposalDropped,
    RawNode,
    Role,
    Snapshot,
    Transition,
    invariants,
)
from multiraft.raft.confchange import encode_v2
from multiraft.raft.entry import EntryId
from tests.raft.harness import drain, handle, lead, replica, replicating, storage_with

TOO_MUCH = 2**64


def follower() -> RawNode:
    """Replica 1 follows 2 in term 3; entries 2 and 3 are acknowledged, 2 is committed."""
    raw = replica(storage_with([1], hard_state=HardState(1, 0, 1)))
    entries = [Entry(2, 2), Entry(2, 3, data=b"x")]
    raw.step(Message(MsgType.APP, 1, 2, 3, log_term=1, index=1, commit=2, entries=entries))
    drain(raw)
    return raw


def leader() -> RawNode:
    """Replica 1 leads term 3 of a log that ends at 2."""
    return replicating(replica(storage_with([1], hard_state=HardState(2, 0, 1))))


def candidate() -> RawNode:
    raw = replica(storage_with([1], hard_state=HardState(2, 0, 1)))
    raw.campaign()
    drain(raw)
    return raw


def pre_candidate() -> RawNode:
    raw = replica(storage_with([1], hard_state=HardState(3, 0, 1)), pre_vote=True)
    raw.campaign()
    drain(raw)
    return raw


def learner() -> RawNode:
    raw = replica(storage_with([1], conf=ConfState((2, 3), learners=(1,)), hard_state=HardState(3, 0, 1)))
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 3))
    drain(raw)
    return raw


def joint_leader() -> RawNode:
    raw = leader()
    change = ConfChange((Change(ChangeType.ADD_VOTER, 4),), Transition.JOINT_EXPLICIT)
    raw.propose_conf_change(change)
    raw.apply_conf_change(change)
    drain(raw)
    return raw


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


# -- random messages -------------------------------------------------------------------------------------

MAKERS = (follower, leader, candidate, pre_candidate, learner, joint_leader, replica)
SMALL = st.integers(0, 6)
NUMBERS = st.one_of(SMALL, SMALL, st.sampled_from([-1, TOO_MUCH, LOCAL_APPEND, LOCAL_APPLY]))
ENTRY_TYPES = st.one_of(st.sampled_from(list(EntryType)), st.sampled_from([-1, 4]))
ENTRIES = st.builds(Entry, SMALL, SMALL, ENTRY_TYPES, st.binary(max_size=4))
IDS = st.lists(st.integers(0, 5), max_size=3).map(tuple)
CONFS = st.one_of(
    st.just(ConfState((1, 2, 3))), st.builds(ConfState, IDS, IDS, IDS, IDS, auto_leave=st.booleans())
)
SNAPSHOTS = st.one_of(st.none(), st.builds(Snapshot, NUMBERS, NUMBERS, CONFS, st.just(b"")))
FROM_PEERS = [kind for kind in MsgType if not kind.name.startswith("STORAGE")]


@st.composite
def runs(draw: st.DrawFn) -> list[Entry]:
    """Entries as a leader sends them, so that some messages get past the first check."""
    first = draw(st.integers(1, 5))
    terms = sorted(draw(st.lists(st.integers(1, 5), max_size=4)))
    return [Entry(term, first + n, data=b"%d" % n) for n, term in enumerate(terms)]


MESSAGES = st.builds(
    Message,
    st.one_of(st.sampled_from(FROM_PEERS), st.sampled_from([-1, 24, 3])),
    to=st.one_of(st.just(1), st.just(1), st.just(1), NUMBERS),
    from_=st.one_of(st.integers(1, 5), NUMBERS),
    term=NUMBERS,
    log_term=NUMBERS,
    index=NUMBERS,
    commit=NUMBERS,
    entries=st.one_of(st.lists(ENTRIES, max_size=3), runs()),
    reject=st.booleans(),
    reject_hint=NUMBERS,
    context=st.sampled_from([b"", b"read", b"CampaignTransfer"]),
    snapshot=SNAPSHOTS,
)


def take(raw: RawNode, m: Message) -> bool:
    """Step `m` as a host does; False if the replica must not go on."""
    before = raw.export_state()
    try:
        raw.step(m)
    except CorruptLog:
        return False
    except (BadMessage, PeerNotFound, ProposalDropped):
        assert raw.export_state() == before, "refused, and changed all the same"
    invariants.check(raw)
    return True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(MAKERS), st.lists(MESSAGES, min_size=1, max_size=12), st.booleans())
def test_random_messages_break_nothing(make: Callable[[], RawNode], messages: list[Message], settles: bool):
    raw = make()
    for m in messages:
        if not take(raw, m):
            return
        if settles and not settle(raw):
            return


def settle(raw: RawNode) -> bool:
    """Deal with what there is to do; False if the replica must not go on."""
    try:
        drain(raw)
    except CorruptLog:
        return False
    invariants.check(raw)
    return True


NUMERIC = ("to", "from_", "term", "log_term", "index", "commit", "reject_hint")


def mutated(m: Message, chance: random.Random) -> Message:
    """`m` with one or two things about it changed."""
    m = dataclasses.replace(m, entries=list(m.entries))
    for _ in range(chance.randint(1, 2)):
        name = chance.choice([*NUMERIC, "type", "entries", "snapshot", "reject", "context"])
        if name in NUMERIC:
            small = getattr(m, name) + chance.choice((-2, -1, 1, 2))
            huge = small if name == "term" else TOO_MUCH - 1  # the last term there is ends all elections
            setattr(m, name, chance.choice((small, small, small, 0, huge)))
        elif name == "type":
            m.type = chance.choice(FROM_PEERS)
        elif name == "entries" and m.entries:
            at = chance.randrange(len(m.entries))
            term, index, kind, data = m.entries[at]
            m.entries[at] = Entry(
                term + chance.choice((-1, 0, 1)), index + chance.choice((-1, 0, 1)), kind, data
            )
        elif name == "snapshot" and m.snapshot:
            point = m.snapshot.index + chance.choice((-1, 0, 3)), m.snapshot.term + chance.choice((-1, 0, 1))
            m.snapshot = Snapshot(*point, m.snapshot.conf_state, m.snapshot.data)
        elif name == "reject":
            m.reject = not m.reject
        else:
            m.context = b"other" if m.context else b"read 0"
    return m


class Mutating:
    """A group of three in which many messages arrive damaged; a replica that must not go on is replaced."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.nodes = {id_: replica(id_=id_, **SETTINGS[seed % len(SETTINGS)]) for id_ in (1, 2, 3)}
        self.network: list[Message] = []
        self.refused = self.fenced = 0

    def run(self, steps: int) -> None:
        for _ in range(steps):
            id_ = self.chance.choice(list(self.nodes))
            draw = self.chance.random()
            if draw < 0.5 and self.network:
                self.deliver()
            elif draw < 0.8:
                self.nodes[id_].tick()
            elif draw < 0.9:
                self.ask(self.nodes[id_])
            self.work(id_)

    def ask(self, raw: RawNode) -> None:
        try:
            raw.propose(b"x")
        except ProposalDropped:
            raw.read_index(b"read %d" % self.chance.randrange(4))

    def deliver(self) -> None:
        m = self.network.pop(self.chance.randrange(min(len(self.network), 8)))
        if self.chance.random() < 0.4:
            m = mutated(m, self.chance)
        raw = self.nodes.get(m.to) or self.nodes[self.chance.choice((1, 2, 3))]
        before = raw.export_state()
        try:
            raw.step(m)
        except CorruptLog:
            self.fence(raw)
        except (BadMessage, PeerNotFound, ProposalDropped):
            assert raw.export_state() == before, "refused, and changed all the same"
            self.refused += 1

    def work(self, id_: int) -> None:
        raw = self.nodes[id_]
        try:
            while raw.has_ready():
                ready = handle(raw)
                self.network += ready.messages + ready.messages_after_append
        except CorruptLog:
            self.fence(raw)
        else:
            invariants.check(raw)

    def fence(self, raw: RawNode) -> None:
        self.fenced += 1
        self.nodes[raw.raft.id] = replica(id_=raw.raft.id)


SETTINGS: tuple[dict[str, object], ...] = (
    {},
    {"pre_vote": True, "check_quorum": True},
    {"commit_notices": True, "max_inflight_msgs": 2, "max_size_per_msg": 0},
)


@pytest.mark.parametrize("seed", range(9))
def test_damaged_messages_break_nothing(seed: int):
    group = Mutating(seed)
    group.run(3000)
    assert group.refused > 20, "the damage is noticed"
    assert any(raw.raft.log.committed > 3 for raw in group.nodes.values()), "and does not stop the group"


def test_local_messages_of_peers_are_local():
    raw = lead(replica())
    unchanged(raw, lambda: raw.step(Message(MsgType.HUP, 1, 2, 1)), LocalMessage, "HUP from replica 2")
    assert raw.raft.role is Role.LEADER

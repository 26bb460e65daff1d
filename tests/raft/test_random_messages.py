"""Random and damaged messages, in every role: refused or taken in, and no invariant broken."""

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
    ConfState,
    CorruptLog,
    Entry,
    EntryType,
    Message,
    MsgType,
    PeerNotFound,
    ProposalDropped,
    RawNode,
    Snapshot,
    invariants,
)
from tests.raft.harness import drain, handle, replica
from tests.raft.situations import candidate, follower, joint_leader, leader, learner, pre_candidate

TOO_MUCH = 2**64
# -- out of nowhere -------------------------------------------------------------------------------------

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


# -- damaged on the way ---------------------------------------------------------------------------------

NUMERIC = ("to", "from_", "term", "log_term", "index", "commit", "reject_hint")


def mutated(m: Message, chance: random.Random) -> Message:
    """`m` with one or two things about it changed."""
    entries = list(m.entries)
    m = dataclasses.replace(m, entries=entries)
    for _ in range(chance.randint(1, 2)):
        name = chance.choice([*NUMERIC, "type", "entries", "snapshot", "reject", "context"])
        if name in NUMERIC:
            small = getattr(m, name) + chance.choice((-2, -1, 1, 2))
            huge = small if name == "term" else TOO_MUCH - 1  # the last term there is ends all elections
            setattr(m, name, chance.choice((small, small, small, 0, huge)))
        elif name == "type":
            m.type = chance.choice(FROM_PEERS)
        elif name == "entries" and entries:
            at = chance.randrange(len(entries))
            term, index, kind, data = entries[at]
            entries[at] = Entry(
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

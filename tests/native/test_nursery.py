"""The nursery against its twin in plain Python: same messages, same writes, same rows, whatever comes."""

from collections.abc import Iterable
from struct import iter_unpack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from multiraft.native.entries import encode_runs
from multiraft.native.errors import BadFrame, NativeBug, Refused
from multiraft.native.frames import HEADER_SIZE
from multiraft.native.grouptable import GroupTable
from multiraft.native.messages import MAX_ROWS, REJECT, decode_messages, encode_messages
from multiraft.native.nursery import HANDED_BACK, OTHER, Kinds, NurseryTable
from multiraft.native.restdigest import RestDigest, RestPoint
from tests.engine.logstore.columns import writes_of
from tests.native.nursery_model import CANDIDATE, FIRST, LEADER, NurseryModel, Said

NODE, TICKS, COMMITTED = 1, 10, 2
KINDS = Kinds(vote=5, vote_resp=6, append=3, append_resp=4, rest=204, wake=205, unknown=201)
NAMES = {code: name for name, code in KINDS._asdict().items()} | {8: "heartbeat"}
CODES = {name: code for code, name in NAMES.items()}
PLACEMENTS = (
    ((1, 2), (2, 3), (3, 1)),
    ((1, 1), (2, 2), (3, 3)),
    ((11, 1), (12, 3)),
    ((7, 3), (8, 1), (9, 2), (10, 4), (6, 5)),
)
GROUPS = st.integers(1, 6)
TERMS = st.sampled_from([1, 1, 1, 1, 1, 2])
SMALL = st.sampled_from([1, 1, 1, 2, 0, 3])
ENTRIES = st.sampled_from([(FIRST,), (FIRST,), (), ((1, 2, 0, b"x"),), (FIRST, (1, 3, 0, b""))])
SAID = st.builds(
    Said,
    GROUPS,
    st.sampled_from([1, 1, 3, 8, 11, 2]),
    st.sampled_from([1, 2, 2, 3, 7, 12, 9]),
    st.sampled_from(sorted(CODES)),
    TERMS,
    SMALL,
    SMALL,
    SMALL,
    st.sampled_from([False] * 9 + [True]),
)


def frame(messages: Iterable[Said], directory_index: int = 7) -> bytes:
    """The payload of a frame."""
    rows, bodies = [], []
    for one in messages:
        (run,) = encode_runs([one.entries])
        flags = CODES[one.kind] | (REJECT if one.reject else 0)
        rows += [one.group, one.to, one.from_, flags, one.term, one.log_term, one.index, one.commit, 0]
        rows += [len(run), 0]
        bodies.append(run)
    return encode_messages(directory_index, rows, bodies)[HEADER_SIZE:]


def said_in(payload: bytes) -> list[Said]:
    """The messages of a payload."""
    _, rows = decode_messages(payload, lambda *entry: entry)
    return [
        Said(group, to, from_, NAMES[kind], term, log_term, index, commit, reject, tuple(entries))
        for group, to, from_, kind, reject, term, log_term, index, commit, _, entries, *_ in rows
    ]


class Real:
    """The nursery with what is around it."""

    def __init__(self, node: int = NODE, nodes: Iterable[int] = (2, 3, 4, 5)) -> None:
        self.groups = GroupTable()
        self.table = NurseryTable(self.groups, KINDS, node, TICKS, COMMITTED, 99)
        self.led = {other: RestDigest() for other in nodes}
        self.followed = {other: RestDigest() for other in nodes}
        for other in nodes:
            self.table.meet(other, self.led[other], self.followed[other])

    def step(self, messages: list[Said], node: int, tick: int) -> list[int]:
        """Step a frame; the places of the messages that came back, or are for nobody here."""
        sifted = self.table.sift(frame(messages))
        marks = self.table.step(sifted, node, tick) or sifted.marks
        return [place for place, mark in enumerate(marks) if mark in {OTHER, HANDED_BACK}]

    def sent(self) -> dict[int, list[Said]]:
        found: dict[int, list[Said]] = {}
        for node, data, groups in self.table.frames(3):
            messages = said_in(data[HEADER_SIZE:])
            assert list(groups) == [one.group for one in messages]
            found.setdefault(node, []).extend(messages)
        return found


class NurseryMachine(RuleBasedStateMachine):
    """Groups are born, frames come, batches get durable, time passes."""

    @initialize()
    def begin(self):
        self.real, self.model = Real(), NurseryModel(NODE, TICKS, COMMITTED)
        for peers in PLACEMENTS:
            self.real.table.place(peers)
        self.tick = 0
        self.staged: list[tuple[bytes, list[tuple[int, int]]]] = []

    @rule(placement=st.integers(0, len(PLACEMENTS) - 1), groups=st.sets(GROUPS, min_size=1))
    def born(self, placement: int, groups: set[int]):
        new = sorted(groups - set(self.model.newborns) - set(self.model.rest))
        self.real.table.take_in(placement, new, self.tick)
        for group in new:
            self.model.take_in(group, PLACEMENTS[placement], self.tick)

    @rule(node=st.integers(2, 4), messages=st.lists(SAID, max_size=6))
    def hear(self, node: int, messages: list[Said]):
        self.take([self.aimed(one) for one in messages], node)

    @rule(group=GROUPS, place=st.integers(0, 4), kind=st.sampled_from(sorted(CODES)))
    def hear_peer(self, group: int, place: int, kind: str):
        """What a peer would say who goes the same way."""
        one = self.model.newborns.get(group)
        if one is None:
            return
        others = [peer for peer in one.peers if peer[1] != NODE]
        from_, node = others[place % len(others)]
        calm = {"vote": (1, 1, 0), "append": (1, 1, 1), "append_resp": (0, 2, 0), "rest": (0, 0, 2)}
        fields = calm.get(kind, (0, 0, 0))
        entries = (FIRST,) if kind == "append" else ()
        self.take([Said(group, one.own, from_, kind, 1, *fields, entries=entries)], node)

    def aimed(self, one: Said) -> Said:
        if one.kind == "append" and one.index == 1:
            one.entries = (FIRST,)
        return one

    def take(self, messages: list[Said], node: int) -> None:
        back, odd = [], set()
        for place, said in enumerate(messages):
            known = said.group in self.model.newborns and said.group not in odd
            if not known or not self.model.step(said, node, self.tick):
                back.append(place)
                odd.add(said.group)
        assert self.real.step(messages, node, self.tick) == back
        for group in sorted(odd & set(self.model.newborns)):
            self.real.table.remove(group)
            del self.model.newborns[group]

    @rule()
    def stage(self):
        taken, writes = self.real.table.take_writes(), self.model.writes
        if taken is None:
            assert writes == []
            return
        columns, promises = taken
        assert [
            (one.group, one.replica_id, one.hard_state, tuple(map(tuple, one.entries)))
            for one in writes_of(columns)
        ] == writes
        assert columns.entries == sum(len(entries) for *_, entries in writes)
        assert list(iter_unpack("=QQ", promises)) == self.model.promises
        self.staged.append((promises, self.model.promises))
        self.model.writes, self.model.promises = [], []

    @rule()
    def get_durable(self):
        if self.staged:
            promises, expected = self.staged.pop(0)
            self.real.table.durable(promises, self.tick)
            self.model.durable(expected, self.tick)

    @rule(ticks=st.integers(1, TICKS), alive=st.sets(st.integers(2, 5)))
    def pass_time(self, ticks: int, alive: set[int]):
        self.tick += ticks
        self.model.alive = alive
        self.real.table.note_alive(alive.__contains__)
        late = self.real.table.late(self.tick)
        assert len(late) == len(set(late))
        assert set(late) == self.model.late(self.tick)
        for group in late:
            self.real.table.remove(group)
            del self.model.newborns[group]

    @invariant()
    def alike(self):
        real, model = self.real, self.model
        assert real.sent() == model.sent
        model.sent = {}
        assert len(real.table) == len(model.newborns)
        for group in range(1, 7):
            self.row_alike(group)
        for node in real.led:
            assert set(real.led[node]) == model.led.get(node, set())
            assert set(real.followed[node]) == model.followed.get(node, set())

    def row_alike(self, group: int) -> None:
        one, row = self.model.newborns.get(group), self.real.table.find(group)
        assert (one is None) == (row is None) == (group not in self.real.table)
        if one is not None and row is not None:
            approving = {id_ for place, (id_, _) in enumerate(one.peers) if row.approving >> place & 1}
            assert (row.stage, row.vote, row.lead, row.since) == (one.stage, one.vote, one.lead, one.since)
            assert (row.in_flight, row.committed) == (one.in_flight, one.committed is not None)
            assert approving == one.approving
        found, rest = self.real.groups.look(group), self.model.rest.get(group)
        assert (found is None) == (rest is None)
        if found is not None:
            numbers = found[1]
            assert (numbers.vote, numbers.lead, numbers.leads) == rest
            assert (numbers.term, numbers.index, numbers.commands) == (1, 2, 0)
            assert TICKS <= numbers.timeout < 2 * TICKS


TestNursery = NurseryMachine.TestCase
TestNursery.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def led_by_two(count: int) -> Real:
    """So many groups of two nodes that this one leads, as soon as the other one has its entry."""
    real = Real()
    real.table.place(((1, NODE), (2, 2)))
    real.table.take_in(0, list(range(1, count + 1)), 0)
    return real


def durable(real: Real) -> None:
    taken = real.table.take_writes()
    assert taken is not None
    real.table.durable(taken[1], 0)


def test_ten_thousand_go_to_rest_in_frames_of_so_many_rows():
    count = 10_000
    real = led_by_two(count)
    durable(real)
    frames = list(real.table.frames(3))
    assert [len(one.groups) for one in frames] == [MAX_ROWS, MAX_ROWS, count - 2 * MAX_ROWS]
    for kind, index in (("vote_resp", 0), ("append_resp", 2)):
        for low in range(1, count + 1, MAX_ROWS):
            groups = range(low, min(low + MAX_ROWS, count + 1))
            said = [Said(group, 1, 2, kind, index=index) for group in groups]
            sifted = real.table.sift(frame(said))
            assert sifted.plain
            assert real.table.step(sifted, 2, 0) is None
        if kind == "vote_resp":
            durable(real)
            assert {one.entries for one in real.sent()[2]} == {(FIRST,)}
    assert (len(real.table), real.groups.dormant, len(real.led[2])) == (0, count, count)
    assert real.led[2].point(count) == RestPoint(1, 2)
    assert {one.kind for one in real.sent()[2]} == {"rest"}


def test_a_vote_is_not_asked_for_before_its_own_is_durable():
    real = led_by_two(1)
    assert real.sent() == {}
    assert real.table.find(1).stage == CANDIDATE
    durable(real)
    assert [one.kind for one in real.sent()[2]] == ["vote"]


def test_an_entry_counts_once_it_is_durable_here_too():
    real = led_by_two(1)
    durable(real)
    assert real.step([Said(1, 1, 2, "vote_resp"), Said(1, 1, 2, "append_resp", index=2)], 2, 0) == []
    assert real.table.find(1).stage == LEADER
    durable(real)
    assert 1 not in real.table


def test_who_hears_of_a_leader_first_has_not_voted():
    real = Real()
    real.table.place(((1, 2), (2, NODE)))
    real.table.take_in(0, [1], 0)
    said = Said(1, 2, 1, "append", 1, 1, 1, 1, entries=(FIRST,))
    assert real.step([said], 2, 0) == []
    columns, _ = real.table.take_writes()
    assert [write.hard_state for write in writes_of(columns)] == [(1, 0, 1)]


def test_who_has_something_in_flight_does_not_grow_up():
    real = led_by_two(1)
    assert real.table.late(TICKS) == []
    with pytest.raises(NativeBug):
        real.table.remove(1)
    assert real.step([Said(1, 1, 2, "heartbeat")], 2, 0) == [], "lost on the way"
    durable(real)
    assert real.table.late(TICKS) == [1]
    assert real.step([Said(1, 1, 2, "heartbeat"), Said(1, 1, 2, "vote_resp")], 2, 0) == [0, 1]
    real.table.remove(1)
    with pytest.raises(Refused):
        real.table.remove(1)


def test_while_others_move_who_waits_for_a_living_node_is_patient():
    real = led_by_two(1)
    durable(real)
    real.table.note_alive(lambda node: node == 2)
    assert real.table.late(TICKS) == [1], "nothing moves"
    for tick in range(TICKS - 1, 5 * TICKS, TICKS - 1):
        real.table.take_in(0, [1 + tick], tick)
        assert (1 in real.table.late(tick)) == (tick >= 4 * TICKS)
    real.table.note_alive(lambda _node: False)
    assert real.table.late(TICKS) == [1]


def test_what_cannot_be_is_refused():
    real = Real()
    for peers in (((1, NODE),), ((1, 2), (2, 3)), ((1, NODE), (2, 9)), tuple((n, n) for n in range(1, 18))):
        with pytest.raises(Refused):
            real.table.place(peers)
    with pytest.raises(Refused):
        real.table.meet(2, RestDigest(), RestDigest())
    with pytest.raises(NativeBug):
        real.table.take_in(0, [1], 0)
    real.table.place(((1, NODE), (2, 2)))
    real.table.take_in(0, [1], 0)
    with pytest.raises(Refused):
        real.table.take_in(0, [1], 0)


def test_only_what_a_whole_replica_would_take_is_plain():
    real = led_by_two(2)
    calm, other = Said(1, 1, 2, "vote_resp"), Said(9, 1, 2, "vote_resp")
    assert real.table.sift(frame([calm])).plain
    assert not real.table.sift(frame([other])).concerns_newborns
    for odd in (other, Said(1, 1, 2, "heartbeat"), Said(1, 1, 2, "append", log_term=1, index=1)):
        assert not real.table.sift(frame([calm, odd])).plain
    assert not real.table.sift(frame([Said(1, 1, 2, "vote_resp", term=0)])).plain
    with pytest.raises(BadFrame):
        real.table.sift(frame([calm])[:-1])

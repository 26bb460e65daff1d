"""Replicas that a start leaves on the disk: who rests goes on resting, and the others start when needed."""

import pytest

from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.statemachine.applied import Applied, Point, decode_point, encode_point, is_unmarked
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.waiting import AT_ONCE, Waiting
from multiraft.native.restdigest import END, RestPoint
from multiraft.raft.entry import EntryId
from multiraft.raft.state import ConfState, HardState

from .harness import Host, Nodes, put
from .settled import GROUP
from .test_dormancy import away, leave_alone
from .test_rest import BEAT_S, ELECTION_S, said, terms


@pytest.fixture
def dormant(nodes: Nodes) -> Nodes:
    """A group that is a row on every node; node 1 leads it, and key a is 1."""
    nodes[1].propose(GROUP, put(b"a", b"1"), token="before")
    return leave_alone(nodes)


def point_of(host: Host) -> RestPoint:
    log = host.log.group(GROUP)
    return RestPoint(log.term(log.last_index()), log.last_index())


def waits(host: Host) -> bool:
    return GROUP in host.node.replicas.running.waiting


def test_a_node_that_starts_again_wakes_nobody(dormant: Nodes):
    dormant[2].crash()
    assert waits(dormant[2])
    assert dormant[2].node.replicas.running.loaded == {}
    dormant.pass_time(3 * BEAT_S)
    assert away(dormant) == {1, 2, 3}
    assert dormant[2].node.returning.laid_down == 1
    assert said(dormant, 10) == []
    assert terms(dormant) == {1}
    assert dormant[2].machine(GROUP).get(b"a") == b"1"


def test_one_that_has_missed_something_is_brought_up_to_date(dormant: Nodes):
    dormant.cut.add(2)
    dormant[1].propose(GROUP, put(b"a", b"2"))
    leave_alone(dormant)
    dormant[2].crash()
    dormant.cut.clear()
    dormant.pass_time(6 * BEAT_S)
    assert dormant[2].machine(GROUP).get(b"a") == b"2"
    assert terms(dormant) == {1}


def test_only_a_log_that_ends_where_the_leaders_does_is_taken_for_it(dormant: Nodes):
    host = dormant[2].crash()
    term, last = point_of(host)
    follow = host.node.returning.follow
    assert not follow(GROUP, 1, RestPoint(term, last + 1))
    assert not follow(GROUP, 1, RestPoint(term, last - 1))
    assert not follow(GROUP, 1, RestPoint(term + 1, last))
    assert not follow(GROUP, 2, RestPoint(term, last)), "it does not lead"
    assert not follow(GROUP, 4, RestPoint(term, last)), "a stranger"
    assert not follow(GROUP + 1, 1, RestPoint(term, last))
    assert waits(host)
    assert follow(GROUP, 1, RestPoint(term, last))
    assert not waits(host)


def test_an_entry_of_an_earlier_term_is_not_known_to_be_the_leaders(nodes: Nodes):
    """Its index is right, and the replica has entered the leader's term; its entry may be another one.

    Nothing is applied but the birth, so the state does not say so, either.
    """
    host = nodes[2]
    host.flush = lambda most=None: None
    leave_alone(nodes)
    term, last = point_of(host)
    host.log.commit(host.log.stage([GroupWrite(GROUP, 12, hard_state=HardState(term + 1, 13, 1))]))
    host = host.crash()
    assert host.state.applied(GROUP) is None
    assert not host.node.returning.follow(GROUP, 3, RestPoint(term + 1, last))


def test_a_vote_in_a_later_term_is_not_forgotten_for_an_earlier_leader(dormant: Nodes):
    term, last = point_of(dormant[2])
    log = dormant[2].log
    log.commit(log.stage([GroupWrite(GROUP, 12, hard_state=HardState(term + 1, 13, last))]))
    host = dormant[2].crash()
    assert not host.node.returning.follow(GROUP, 1, RestPoint(term, last))


def test_a_state_that_is_behind_the_log_is_brought_up_first(nodes: Nodes):
    nodes[2].flush = lambda most=None: None
    nodes[1].propose(GROUP, put(b"a", b"1"))
    leave_alone(nodes)
    host = nodes[2].crash()
    assert not host.node.returning.follow(GROUP, 1, point_of(host))
    nodes.pass_time(6 * BEAT_S)
    assert host.machine(GROUP).get(b"a") == b"1"


def test_a_list_that_nobody_has_asked_for_is_ignored(dormant: Nodes):
    host = dormant[2].crash()
    listed = b"".join(number.to_bytes(8, "little") for number in (GROUP, *point_of(host)))
    host.node.returning.take(None, 1, 0, END, listed)
    assert waits(host)


def test_a_vote_before_the_crash_counts_when_it_starts(dormant: Nodes):
    log = dormant[2].log
    _, last = point_of(dormant[2])
    log.commit(log.stage([GroupWrite(GROUP, 12, hard_state=HardState(7, 13, last))]))
    host = dormant[2].crash()
    raft = host.replica(GROUP).raw.raft
    assert (raft.term, raft.vote) == (7, 13)


def test_when_all_nodes_start_who_is_asked_for_elects_first(dormant: Nodes):
    for node in (1, 2, 3):
        dormant[node].crash()
    dormant.pass_time(BEAT_S + 0.1)  # they hear of each other
    for node in (1, 2, 3):
        dormant[node].propose(GROUP, put(b"a", b"2"))
    dormant.pass_time(0.3)
    assert dormant.leader(GROUP).machine(GROUP).get(b"a") == b"1"


def test_nobody_need_ask_for_it(dormant: Nodes):
    for node in (1, 2, 3):
        dormant[node].crash()
    dormant.pass_time(4 * ELECTION_S)
    assert dormant.leader(GROUP).machine(GROUP).get(b"a") == b"1"
    assert terms(dormant) == {2}


def test_so_many_with_each_tick_and_those_of_others_last():
    waiting = Waiting(5)
    for group in range(100):
        waiting.add(group)
    begun: list[list[int]] = []
    for _ in range(40):
        begun.append(waiting.tick([], lambda group: group % 2 == 0))
        for group in begun[-1]:
            assert waiting.remove(group)
    assert begun[:10] == [[]] * 10
    assert max(map(len, begun)) == AT_ONCE
    order = [group for some in begun for group in some]
    assert order == [*range(0, 100, 2), *range(1, 100, 2)]
    assert not len(waiting)


def test_nobody_elects_before_all_who_live_have_said_what_they_lead():
    waiting = Waiting(5)
    waiting.add(1)
    assert not any(waiting.tick([2], lambda _group: True) for _ in range(20))
    waiting.told(2)
    assert waiting.tick([2], lambda _group: True) == [1]
    mute = Waiting(5)
    mute.add(1)
    assert [mute.tick([2], lambda _group: True) for _ in range(25)][-1] == [1], "nor for ever"


@pytest.mark.parametrize("index", [0, 1, 127, 128, 300, 70_000, 1 << 40])
@pytest.mark.parametrize("install_term", [0, 1, 300])
def test_a_mark_is_seen_without_decoding(index: int, install_term: int):
    stored = encode_point(Point(Applied(index, 3, ConfState((1, 2))), install_term))
    assert is_unmarked(stored) is (decode_point(stored).install_term == 0)


def test_who_has_more_to_do_than_to_read_does_not_wait():
    """What a start writes must be written before the first turn: see `Stores.finish_install`."""
    state = MemoryStateStore()
    for group in (5, 6):
        state.group(group).put(b"a", b"1")
        state.set_applied(group, Applied(3, 1, ConfState((11, 12)), b""))
    state.set_install_marker(6, 2)
    state.set_promised(7, EntryId(1, 9))
    flush = state.freeze()
    assert flush is not None
    state.write(flush)
    state.flushed(flush)
    assert state.half_done() == {6, 7}


def test_a_log_in_doubt_is_dealt_with_before_the_first_turn(dormant: Nodes):
    host = dormant[2]
    term, last = point_of(host)
    host.state.set_promised(GROUP, EntryId(term, last + 1))
    flush = host.state.freeze()
    assert flush is not None
    host.state.write(flush)
    host.state.flushed(flush)
    assert not waits(host.crash())

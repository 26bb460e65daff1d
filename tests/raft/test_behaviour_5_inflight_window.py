"""Behaviour 5: a sliding window limits the appends on their way to a follower."""

import pytest

from multiraft.raft import (
    FullWindow,
    Inflights,
    Message,
    MsgType,
    ProgressState,
    RawNode,
)
from tests.raft.harness import Group, acknowledge, drain, of_type, replica, replicating


def leader(window: int = 3, **settings: object) -> RawNode:
    return replicating(replica(max_inflight_msgs=window, **settings))


def fill(raw: RawNode, count: int) -> list[Message]:
    """Propose `count` entries; what goes to replica 2."""
    for n in range(count):
        raw.propose(b"%d" % n)
    return of_type(drain(raw), MsgType.APP, to=2)


def beat(raw: RawNode) -> list[Message]:
    """Replica 2 answers a heartbeat; what it gets for that."""
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 2, raw.raft.term))
    return of_type(drain(raw), MsgType.APP, to=2)


def test_window_limits_the_appends_on_their_way():
    raw = leader(window=3)
    sent = fill(raw, 5)
    assert [len(m.entries) for m in sent] == [1, 1, 1]
    progress = raw.raft.tracker.progress[2]
    assert progress.inflights.full()
    assert progress.paused


def test_an_append_answer_slides_the_window_forward():
    raw = leader(window=3, max_size_per_msg=0)
    sent = fill(raw, 8)
    last = sent[-1].entries[-1].index
    for step in range(3):
        acknowledge(raw, sent[step].entries[-1].index, 2)
        [m] = of_type(drain(raw), MsgType.APP, to=2)
        assert m.entries[0].index == last + 1
        last = m.entries[-1].index
        assert raw.raft.tracker.progress[2].inflights.full()


def test_an_answer_that_is_no_news_frees_nothing():
    raw = leader(window=2)
    first, second = fill(raw, 2)
    acknowledge(raw, second.entries[-1].index, 2)
    drain(raw)
    fill(raw, 2)
    for stale in (first.entries[-1].index, second.entries[-1].index, 0):
        acknowledge(raw, stale, 2)
        assert raw.raft.tracker.progress[2].inflights.full()


def test_bytes_limit_the_window_softly():
    raw = leader(window=100, max_size_per_msg=100, max_inflight_bytes=100)
    for _ in range(5):
        raw.propose(b"x" * 60)
    assert len(of_type(drain(raw), MsgType.APP, to=2)) == 2, "the append that crosses the limit still goes"
    assert raw.raft.tracker.progress[2].inflights.bytes == 120


def test_full_window_gets_one_empty_append_per_heartbeat_answer():
    """Today's rule: nothing is freed, so that entries cannot leak to a follower that is stuck."""
    raw = leader(window=2, full_window_on_heartbeat=FullWindow.PROBE)
    fill(raw, 4)
    before = raw.raft.tracker.progress[2].inflights.count
    for _ in range(1000):
        [m] = beat(raw)
        assert m.entries == ()
        assert raw.raft.tracker.progress[2].paused
    assert raw.raft.tracker.progress[2].inflights.count == before


def test_original_rule_frees_the_first_slot_per_heartbeat_answer():
    raw = leader(window=2, max_size_per_msg=0, full_window_on_heartbeat=FullWindow.FREE_FIRST)
    sent = fill(raw, 4)
    [m] = beat(raw)
    assert [entry.index for entry in m.entries] == [sent[-1].entries[-1].index + 1]
    assert raw.raft.tracker.progress[2].inflights.full()
    assert [entry.index for m in beat(raw) for entry in m.entries] == [m.entries[-1].index + 1]
    [m] = beat(raw)
    assert m.entries == (), "the log has no more"


@pytest.mark.parametrize("rule", list(FullWindow))
def test_window_that_is_not_full_is_left_alone_by_a_heartbeat_answer(rule: FullWindow):
    raw = leader(window=3, full_window_on_heartbeat=rule)
    fill(raw, 2)
    beat(raw)
    assert raw.raft.tracker.progress[2].inflights.count == 2


def test_follower_that_lost_a_full_window_is_found_and_fed_again():
    group = Group(max_inflight_msgs=3)
    raw = group.elect(1)
    group.cut_off(3)
    for n in range(6):
        raw.propose(b"%d" % n)
    group.settle()
    group.cut_off()
    group.sent.clear()
    raw.tick()
    group.settle()
    appends = of_type(group.sent, MsgType.APP, to=3)
    assert appends[0].entries == ()
    assert next(m for m in of_type(group.sent, MsgType.APP_RESP, to=1) if m.from_ == 3).reject
    assert raw.raft.tracker.progress[3].match == 7
    assert group.applied[3] == group.applied[1]


def test_rejection_empties_the_window_and_probes():
    raw = leader(window=3)
    fill(raw, 3)
    raw.step(Message(MsgType.APP_RESP, 1, 2, raw.raft.term, index=2, reject=True, reject_hint=1, log_term=1))
    progress = raw.raft.tracker.progress[2]
    assert (progress.state, progress.next, progress.inflights.count) == (ProgressState.PROBE, 2, 0)


def test_unreachable_report_empties_the_window_and_probes():
    raw = leader(window=3)
    fill(raw, 2)
    raw.report_unreachable(2)
    progress = raw.raft.tracker.progress[2]
    assert (progress.state, progress.next, progress.inflights.count) == (ProgressState.PROBE, 2, 0)


def test_window_is_injected():
    made: list[tuple[int, int]] = []

    def factory(size: int, max_bytes: int) -> Inflights:
        made.append((size, max_bytes))
        return Inflights(size, max_bytes)

    replica(max_inflight_msgs=7, max_size_per_msg=10, max_inflight_bytes=30, inflights_factory=factory)
    assert made == [(7, 30)] * 3

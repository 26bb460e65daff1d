"""What a leader knows of a member, and how answers move it."""

import pytest

from multiraft.raft import Inflights
from multiraft.raft.progress import Progress, ProgressState


def progress(match: int = 3, next_: int = 5, state: ProgressState = ProgressState.PROBE, window: int = 2):
    known = Progress(next_, Inflights(window))
    known.match, known.state = match, state
    return known


@pytest.mark.parametrize(
    ("state", "flow_paused", "paused"),
    [
        (ProgressState.PROBE, False, False),
        (ProgressState.PROBE, True, True),
        (ProgressState.REPLICATE, False, False),
        (ProgressState.REPLICATE, True, True),
        (ProgressState.SNAPSHOT, False, True),
    ],
)
def test_paused(state: ProgressState, flow_paused: bool, paused: bool):
    known = progress(state=state)
    known.flow_paused = flow_paused
    assert known.paused is paused


@pytest.mark.parametrize(
    ("index", "news", "match", "next_"), [(3, False, 3, 5), (4, True, 4, 5), (6, True, 6, 7)]
)
def test_agreement_moves_forward_only(index: int, news: bool, match: int, next_: int):
    known = progress()
    known.flow_paused = True
    assert known.maybe_update(index) is news
    assert (known.match, known.next, known.flow_paused) == (match, next_, not news)


@pytest.mark.parametrize(
    ("state", "next_", "rejected", "hint", "moved", "expected"),
    [
        (ProgressState.REPLICATE, 10, 3, 3, False, 10),
        (ProgressState.REPLICATE, 10, 9, 9, True, 4),
        (ProgressState.PROBE, 10, 8, 8, False, 10),  # not what was sent last
        (ProgressState.PROBE, 10, 9, 5, True, 6),
        (ProgressState.PROBE, 10, 9, 9, True, 9),
        (ProgressState.PROBE, 10, 9, 1, True, 4),  # never below what is known to agree
    ],
)
def test_rejection(state: ProgressState, next_: int, rejected: int, hint: int, moved: bool, expected: int):
    known = progress(next_=next_, state=state)
    known.sent_commit = 9
    assert known.maybe_decrease(rejected, hint) is moved
    assert known.next == expected
    assert known.sent_commit == (min(9, expected - 1) if moved else 9)


@pytest.mark.parametrize(
    ("state", "pending", "expected"),
    [(ProgressState.REPLICATE, 0, 4), (ProgressState.SNAPSHOT, 10, 11), (ProgressState.SNAPSHOT, 2, 4)],
)
def test_become_probe(state: ProgressState, pending: int, expected: int):
    known = progress(state=state, next_=20)
    known.pending_snapshot = pending
    known.sent_commit = 19
    known.become_probe()
    assert (known.state, known.next, known.pending_snapshot) == (ProgressState.PROBE, expected, 0)
    assert known.sent_commit == expected - 1


def test_become_replicate_and_snapshot():
    known = progress()
    known.become_replicate()
    assert (known.state, known.next) == (ProgressState.REPLICATE, 4)
    for index in (10, 11):
        known.become_snapshot(index)
        assert (known.state, known.next) == (ProgressState.SNAPSHOT, index + 1)
        assert known.pending_snapshot == known.sent_commit == index


def test_sending_in_replicate_fills_the_window():
    known = progress()
    known.become_replicate()
    known.sent_entries(2, 20)
    assert (known.next, known.inflights.count, known.inflights.bytes, known.flow_paused) == (6, 1, 20, False)
    known.sent_entries(0, 0)
    assert not known.flow_paused
    known.sent_entries(1, 10)
    assert (known.next, known.flow_paused) == (7, True)
    known.flow_paused = False
    known.sent_entries(0, 0)
    assert known.flow_paused, "an empty append to a full window pauses again"


def test_sending_in_probe_pauses_after_entries_only():
    known = progress()
    known.sent_entries(0, 0)
    assert (known.next, known.flow_paused) == (5, False)
    known.sent_entries(3, 30)
    assert (known.next, known.flow_paused) == (5, True)


def test_sending_entries_while_a_snapshot_is_pending_is_a_bug():
    known = progress()
    known.become_snapshot(10)
    with pytest.raises(AssertionError):
        known.sent_entries(1, 1)


@pytest.mark.parametrize("next_", [5, 6])
@pytest.mark.parametrize(
    ("behind", "committed", "expected"), [(2, 0, True), (2, -1, False), (1, 4, False), (2, 6, True)]
)
def test_commit_is_worth_telling_only_where_it_would_move(
    next_: int, behind: int, committed: int, expected: bool
):
    """The commit index last sent stands `behind` places before the next index, ours relative to the last."""
    known = progress(next_=next_)
    known.sent_commit = next_ - behind
    assert known.can_bump_commit(next_ - 1 + committed) is expected


def test_reset_forgets_everything_but_membership():
    known = progress()
    known.become_replicate()
    known.sent_entries(1, 1)
    known.recent_active = known.is_learner = True
    known.reset(9, 0)
    assert (known.match, known.next, known.state, known.inflights.count) == (0, 9, ProgressState.PROBE, 0)
    assert (known.recent_active, known.is_learner) == (False, True)

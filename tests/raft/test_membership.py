"""The algebra of configurations: what the scenarios show less of, and properties of all of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.raft import Change, ChangeType, ConfChange, ConfChangeError, ConfState, Inflights, Transition
from multiraft.raft.membership import Members, change, enter_joint, leave_joint, restore, simple
from multiraft.raft.progress import Progress
from multiraft.raft.tracker import Tracker


def new_progress() -> Progress:
    return Progress(1, Inflights(1), recent_active=True)


def start(*voters: int, learners: tuple[int, ...] = ()) -> Members:
    return restore(ConfState(voters, learners=learners), new_progress)


def changes(text: str) -> list[Change]:
    kinds = {
        "v": ChangeType.ADD_VOTER,
        "l": ChangeType.ADD_LEARNER,
        "r": ChangeType.REMOVE,
        "u": ChangeType.UPDATE,
    }
    return [Change(kinds[word[0]], int(word[1:])) for word in text.split()]


def test_demoted_voter_of_a_joint_configuration_votes_until_it_is_left():
    conf, progress = enter_joint(*start(1, 2, 3), changes("l3 r2"), new_progress, auto_leave=False)
    assert conf == ConfState((1,), (1, 2, 3), learners_next=(3,))
    assert list(progress) == [1, 2, 3]
    assert not progress[3].is_learner
    conf, progress = leave_joint(conf, progress, new_progress)
    assert conf == ConfState((1,), learners=(3,))
    assert list(progress) == [1, 3]
    assert progress[3].is_learner


def test_progress_of_members_that_stay_is_kept():
    conf, progress = start(1, 2)
    kept = dict(progress)
    _, after = simple(conf, progress, changes("l2"), new_progress)
    assert after[1] is kept[1]
    assert after[2] is kept[2]
    _, after = simple(conf, progress, changes("r2 v2"), new_progress)
    assert after[2] is not kept[2], "removed and added anew, it is another member"


def test_refused_change_leaves_everything_as_it_was():
    conf, progress = start(1, 2)
    before = dict(progress)
    with pytest.raises(ConfChangeError):
        simple(conf, progress, changes("v3 v4"), new_progress)
    assert progress == before
    assert not progress[1].is_learner


def test_update_and_replica_zero_change_nothing():
    conf, progress = start(1)
    after, _ = simple(conf, progress, changes("u1 v0 l0 r0 u7"), new_progress)
    assert after == ConfState((1,))


def test_promotion_of_a_staged_learner_takes_it_out_of_there():
    conf, _ = enter_joint(*start(1, 2), changes("l2"), new_progress, auto_leave=True)
    assert conf.learners_next == (2,)
    conf, _ = enter_joint(*start(1, 2), changes("l2 v2"), new_progress, auto_leave=True)
    assert (conf.voters, conf.learners_next) == ((1, 2), ())


words = st.lists(
    st.tuples(st.sampled_from("vlru"), st.integers(1, 6)).map(lambda pair: f"{pair[0]}{pair[1]}"), max_size=4
).map(" ".join)


@given(st.lists(st.tuples(words, st.sampled_from(Transition)), max_size=12))
def test_every_path_keeps_the_parts_apart(path: list[tuple[str, Transition]]):
    conf, progress = start(1, 2, 3)
    for text, transition in path:
        try:
            conf, progress = change(
                conf, progress, ConfChange(tuple(changes(text)), transition), new_progress
            )
        except ConfChangeError:
            continue
        voters = {*conf.voters, *conf.voters_outgoing}
        assert conf.voters
        assert set(progress) == voters | set(conf.learners)
        assert not voters & set(conf.learners)
        assert set(conf.learners_next) <= set(conf.voters_outgoing)
        assert not set(conf.learners_next) & set(conf.voters)
        again, _ = restore(conf, new_progress)
        assert again == conf
        assert {id_: p.is_learner for id_, p in progress.items()} == {
            id_: id_ in conf.learners for id_ in progress
        }


def test_votes_and_activity_of_learners_do_not_count():
    tracker = Tracker(*start(1, 2, 3, learners=(4, 5)))
    for id_, progress in tracker.progress.items():
        progress.recent_active = id_ in (1, 4, 5)
    assert not tracker.quorum_active()
    tracker.progress[2].recent_active = True
    assert tracker.quorum_active()
    tracker.mark_inactive(except_for=1)
    assert [id_ for id_, p in tracker.progress.items() if p.recent_active] == [1]
    for id_ in (4, 5, 1):
        tracker.record_vote(id_, granted=True)
    assert tracker.tally().value == "VotePending"


def test_first_vote_of_a_voter_stands():
    tracker = Tracker(*start(1, 2, 3))
    tracker.record_vote(2, granted=True)
    tracker.record_vote(2, granted=False)
    assert tracker.votes == {2: True}


def test_commit_index_of_a_joint_configuration_is_the_lower_one():
    conf, progress = enter_joint(*start(1, 2, 3), changes("v4 v5 r2 r3"), new_progress, auto_leave=False)
    tracker = Tracker(conf, progress)
    for id_, match in {1: 9, 2: 3, 3: 2, 4: 8, 5: 7}.items():
        progress[id_].match = match
    assert tracker.committed() == 3
    assert tracker.voters() == [1, 2, 3, 4, 5]
    assert tracker.is_joint()

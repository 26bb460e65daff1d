"""No state that three replicas can reach within small bounds breaks a rule, and broken cores are found out.

Deeper, by hand: ``python -m tests.raft.exhaustive --terms 2 --entries 3 --under-way 4`` and its other bounds;
the default bounds alone have some ten million states, which take minutes and some gigabytes.
"""

from collections.abc import Callable

import pytest

from multiraft.raft import (
    HardState,
    Message,
    MsgType,
    dispatch,
    election,
    follower,
    membership,
    replication,
    tracker,
)
from multiraft.raft.log import RaftLog
from multiraft.raft.raft import Raft
from tests.raft import exhaustive
from tests.raft.cells import Bounds
from tests.raft.exhaustive import Search, Violation

pytestmark = pytest.mark.unwatched  # the search checks each step itself, once

SEARCHES = {
    "proposal-and-crash": (Bounds(changes=0, under_way=3), 100_000),
    "change": (Bounds(proposals=0, crashes=0, under_way=3), 40_000),
    "slow-disk-and-crash": (Bounds(proposals=0, changes=0, batches=1, under_way=3, states=100_000), 50_000),
    "single-entries": (Bounds(changes=0, crashes=0, singly=1, under_way=3), 15_000),
    "everything-in-part": (Bounds(beats=1, doubles=1, batches=1, states=60_000), 60_000),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_no_reachable_state_breaks_a_rule(name: str):
    bounds, at_least = SEARCHES[name]
    search = Search(bounds)
    search.run()
    print(f"{name}: {len(search.came_from)} states, {search.transitions} transitions")
    assert len(search.came_from) >= at_least
    ghosts = search.ghosts.values
    assert any(len(ghost.leaders) == 2 for ghost in ghosts), "no second term was reached"
    assert any(ghost.committed for ghost in ghosts), "nothing was committed"


def test_search_is_told_on_the_command_line(capsys: pytest.CaptureFixture[str]):
    assert exhaustive.main(["--terms", "1", "--proposals", "0", "--changes", "0", "--crashes", "0"]) == 0
    assert "states" in capsys.readouterr().out


# -- broken cores ----------------------------------------------------------------------------------------

Patch = Callable[[pytest.MonkeyPatch], None]


def commit_by_counting(patch: pytest.MonkeyPatch) -> None:
    def maybe_commit(raft: Raft) -> bool:
        index = raft.tracker.committed()
        if index <= raft.log.committed:
            return False
        raft.log.commit_to(index)
        return True

    patch.setattr(replication, "maybe_commit", maybe_commit)


def forget_the_vote(patch: pytest.MonkeyPatch) -> None:
    load = Raft.load

    def forgetful(raft: Raft) -> None:
        load(raft)
        raft.vote = 0

    patch.setattr(Raft, "load", forgetful)


def vote_again(patch: pytest.MonkeyPatch) -> None:
    answer = election.answer_vote

    def generous(raft: Raft, m: Message) -> None:
        if raft.lead == 0 and raft.role.name == "FOLLOWER":
            raft.vote = 0
        answer(raft, m)

    patch_handler(patch, MsgType.VOTE, generous)


def patch_handler(patch: pytest.MonkeyPatch, kind: MsgType, handler: Callable[[Raft, Message], None]) -> None:
    patch.setattr(dispatch, "_TABLE", [[*row] for row in dispatch._TABLE])
    for row in dispatch._TABLE:
        row[kind] = handler


def vote_for_any_log(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("multiraft.raft.log.RaftLog.is_up_to_date", lambda *_: True)


def acknowledge_early(patch: pytest.MonkeyPatch) -> None:
    def acknowledge(raft: Raft, to: int, index: int) -> None:
        raft.acknowledged = max(raft.acknowledged, index)
        raft.messages.append(Message(MsgType.APP_RESP, to, raft.id, raft.term, 0, index))

    patch.setattr(follower, "acknowledge", acknowledge)


def count_itself_early(patch: pytest.MonkeyPatch) -> None:
    append_own = Raft.append_own

    def hasty(raft: Raft, entries: list, size: int) -> bool:
        appended = append_own(raft, entries, size)
        raft.tracker.progress[raft.id].maybe_update(entries[-1].index)
        return appended

    patch.setattr(Raft, "append_own", hasty)


def count_half(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tracker, "majority_index", lambda indexes: sorted(indexes)[len(indexes) // 2])


def match_by_index(patch: pytest.MonkeyPatch) -> None:
    match_term = RaftLog.match_term

    def lenient(log: RaftLog, term: int, index: int) -> bool:
        return index <= log.last_index() or match_term(log, term, index)

    patch.setattr(RaftLog, "match_term", lenient)


def flush_nothing_for_votes(patch: pytest.MonkeyPatch) -> None:
    hard_state = Raft.hard_state
    patch.setattr(Raft, "hard_state", lambda raft: HardState(*hard_state(raft)[:1], 0, raft.log.committed))


def ignore_the_change(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(membership, "change", lambda conf, progress, *_: (conf, progress))


BROKEN: list[tuple[Patch, Bounds]] = [
    (commit_by_counting, Bounds(changes=0, crashes=0, singly=1, under_way=3)),
    (forget_the_vote, Bounds(proposals=0, changes=0)),
    (vote_again, Bounds(proposals=0, changes=0, crashes=0)),
    (vote_for_any_log, Bounds(changes=0, crashes=0)),
    (acknowledge_early, Bounds(proposals=0, changes=0, batches=1)),
    (count_itself_early, Bounds(proposals=0, changes=0, crashes=0, batches=1)),
    (count_half, Bounds(proposals=0, crashes=0)),
    (match_by_index, Bounds(changes=0, crashes=0)),
    (flush_nothing_for_votes, Bounds(proposals=0, changes=0)),
    (ignore_the_change, Bounds(proposals=0, crashes=0)),
]


@pytest.mark.parametrize(("broken", "bounds"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_core_is_found_out(monkeypatch: pytest.MonkeyPatch, broken: Patch, bounds: Bounds):
    broken(monkeypatch)
    search = Search(bounds._replace(states=300_000))
    with pytest.raises(Violation) as violation:
        search.run()
    print(f"after {len(search.came_from)} states: {violation.value}")
    assert "campaign" in str(violation.value), "the actions that lead there are told"

"""The watch is on in every test of the core and in the scenario runner, and notices what is taken back."""

import re
from collections.abc import Callable
from inspect import isfunction
from pathlib import Path

import pytest

from multiraft.raft import ConfigError, CorruptLog, Entry, Message, MsgType, ProposalDropped, RawNode, Role
from multiraft.raft.raft import Raft
from tests.raft import scenarios
from tests.raft.chaos import Chaos, settings_for
from tests.raft.damages import leader
from tests.raft.harness import Group, drain, lead, replica, replicating, storage_with
from tests.raft.watch import QUESTIONS, Watch, methods, watched

# -- it is on --------------------------------------------------------------------------------------------


def test_every_call_is_followed_by_a_check(watch: Watch):
    before = watch.checks
    raw = replica()
    assert watch.checks == before + 1, "the construction"
    raw.tick()
    raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1))
    raw.ready()
    raw.advance()
    assert watch.checks == before + 5
    with pytest.raises(ProposalDropped):
        replica().propose(b"x")
    assert watch.checks > before + 5, "a call that refuses is followed by one, too"


def test_broken_state_is_noticed_at_the_next_call():
    raw = replicating(replica())
    raw.raft.log.applied = 99
    with pytest.raises(AssertionError, match="applied 99"):
        raw.tick()


def test_whatever_moves_a_replica_is_wrapped():
    public = {name for name, value in vars(RawNode).items() if isfunction(value) and name[0] != "_"}
    assert public - set(QUESTIONS) <= set(methods()), "a public method that nobody watches"


def test_groups_and_chaos_are_watched(watch: Watch):
    Group().elect(1)
    checks = watch.checks
    assert checks > 20
    chaos = Chaos(3, **settings_for(3))
    for _ in range(100):
        chaos.step()
    assert watch.checks > checks + 10


@pytest.mark.unwatched
def test_the_scenario_runner_is_watched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    """Not by the fixture, which is off here; and only while it runs the project's own scripts."""
    script = "add-nodes 1 voters=(1) index=2\n----\nok\n\ncampaign 1\n----\nok\n"
    (tmp_path / "interaction").mkdir()
    (tmp_path / "interaction" / "one.txt").write_text(script)
    assert scenarios.main([str(tmp_path)]) == 0
    monkeypatch.setattr(Watch, "check", lambda *_: pytest.fail("noticed"))
    assert scenarios.main([str(tmp_path)]) == 0
    monkeypatch.setattr(scenarios, "OWN", tmp_path.resolve())
    with pytest.raises(pytest.fail.Exception, match="noticed"):
        scenarios.main([str(tmp_path)])


@pytest.mark.unwatched
def test_outside_of_it_nothing_is_wrapped():
    before = methods()
    with watched():
        assert methods() != before
    assert methods() == before


def test_node_that_was_never_built_or_is_corrupt_is_left_alone():
    with pytest.raises(ConfigError):
        replica(heartbeat_tick=0)
    raw = replica()
    with pytest.raises(CorruptLog):
        raw.step(Message(MsgType.HEARTBEAT, 1, 2, 1, commit=9))


# -- what it notices -------------------------------------------------------------------------------------


def follower() -> RawNode:
    """Follows 2 in term 3, has voted for it, and has acknowledged two entries, one committed."""
    raw = replica()
    raw.step(Message(MsgType.VOTE, 1, 2, 3))
    entries = [Entry(1, 1), Entry(2, 2)]
    raw.step(Message(MsgType.APP, 1, 2, 3, entries=entries, commit=1))
    drain(raw)
    return raw


def lower_commit(raft: Raft) -> None:
    raft.log.committed = raft.log.applying = raft.log.applied = 0


def lower_applied(raft: Raft) -> None:
    raft.log.applied -= 1


def vote_again(raft: Raft) -> None:
    raft.vote = 3


def lower_term(raft: Raft) -> None:
    raft.term = 2


def replace_committed(raft: Raft) -> None:
    raft.log.storage._entries[0] = Entry(2, 1)


def replace_acknowledged(raft: Raft) -> None:
    raft.log.storage._entries[1] = Entry(3, 2)


def unacknowledge(raft: Raft) -> None:
    raft.acknowledged -= 1


def change_leader(raft: Raft) -> None:
    raft.lead = 3


def candidate_in_its_term(raft: Raft) -> None:
    raft.role, raft.lead, raft.vote = Role.CANDIDATE, 0, 1
    raft.uncommitted_size = raft.pending_conf_index = 0
    for progress in raft.tracker.progress.values():
        progress.reset(raft.log.last_index() + 1, 0)


def shrink(raft: Raft) -> None:
    raft.log.unstable.entries.pop()
    raft.after_append.clear()
    raft.uncommitted_size = 0
    for progress in raft.tracker.progress.values():
        progress.become_probe()


def rewrite(raft: Raft) -> None:
    raft.log.storage._entries[1] = raft.log.storage._entries[1]._replace(term=2)


def forget_match(raft: Raft) -> None:
    progress = raft.tracker.progress[2]
    progress.become_probe()
    progress.match = 0


KEPT = [
    (follower, lower_term, "term 2 after 3"),
    (follower, lower_commit, "commit 0 after 1"),
    (follower, lower_applied, "applied 0 after 1"),
    (follower, replace_committed, "committed entry 1 of term 1 is replaced"),
    (follower, replace_acknowledged, "acknowledged entry 2 of term 2 is replaced"),
    (follower, vote_again, "a vote for 2 and one for 3"),
    (follower, change_leader, "2 and 3 lead one term"),
    (follower, unacknowledge, "an acknowledgement is taken back"),
    (leader, candidate_in_its_term, "leader became CANDIDATE"),
    (leader, shrink, "a leader's log shrinks to 3"),
    (lambda: lead(replica(storage_with([1, 1]))), rewrite, "a leader replaces its entry 2"),
    (leader, forget_match, "match of 2 falls from 3"),
]


@pytest.mark.parametrize(("make", "damage", "words"), KEPT, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_taken_back_is_noticed(
    watch: Watch, make: Callable[[], RawNode], damage: Callable[[Raft], None], words: str
):
    raw = make()
    damage(raw.raft)
    with pytest.raises(AssertionError, match=re.escape(words)):
        watch.check(raw)

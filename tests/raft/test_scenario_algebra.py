"""The second opinions that quorum scripts are given, shown wrong arithmetic on purpose."""

from collections.abc import Collection, Mapping

import pytest

from multiraft.raft.quorum import VoteResult
from tests.raft import algebra
from tests.raft.algebra import Changer, run_quorum
from tests.raft.datadriven import Block, MalformedScript, parse


def printed(script: str) -> list[str]:
    [block] = (part for part in parse(script + "\n----\n") if isinstance(part, Block))
    return run_quorum(block).split("\n")


def test_right_arithmetic_has_no_second_opinion():
    assert [line for line in printed("committed cfg=(1,2,3) idx=(5,_,9)") if "<--" in line] == []
    assert [line for line in printed("committed cfg=(1,2) cfgj=(2,3) idx=(5,4,9)") if "<--" in line] == []
    assert printed("vote cfg=(1,2) cfgj=(2,3) votes=(y,y,n)") == ["VoteLost"]


def test_index_is_compared_with_that_of_other_quorums(monkeypatch: pytest.MonkeyPatch):
    def too_high(incoming: Collection[int], _: Collection[int], acknowledged: Mapping[int, int]) -> int:
        return sum(acknowledged.get(voter, 0) for voter in incoming)

    monkeypatch.setattr(algebra, "joint_committed_index", too_high)
    lines = printed("committed cfg=(1,2,3) idx=(5,7,9)")
    assert "7 <-- via plain majority" in lines
    assert "0 <-- via zero-joint quorum" in lines
    assert "21 <-- via self-joint quorum" not in lines
    assert lines[-1] == "21"
    monkeypatch.setattr(algebra, "committed_index", lambda voters, acked: too_high(voters, (), acked))
    lines = printed("committed cfg=(1,2,3) idx=(5,7,9)")
    assert {"20 <-- overlaying 1->4", "16 <-- overlaying 1->0", "12 <-- overlaying 3->0"} <= set(lines)


def test_halves_of_a_joint_quorum_are_exchanged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(algebra, "joint_committed_index", lambda first, *_: min(first))
    assert "3 <-- via symmetry" in printed("committed cfg=(1,2) cfgj=(3,4) idx=(5,7,9,9)")
    first = VoteResult.WON
    monkeypatch.setattr(
        algebra, "joint_vote_result", lambda half, *_: first if min(half) == 1 else VoteResult.LOST
    )
    assert printed("vote cfg=(1,2) cfgj=(3,4) votes=(y,y,n,n)") == ["VoteLost <-- via symmetry", "VoteWon"]


@pytest.mark.parametrize("script", ["committed cfg=(1,2) idx=(5)", "vote cfg=(1) votes=(y,n)"])
def test_every_id_has_one_value(script: str):
    with pytest.raises(ValueError, match="argument 2"):
        printed(script)


def test_second_half_without_members_changes_nothing():
    plain = printed("committed cfg=(1,2,3) idx=(5,7,9)")
    assert printed("committed cfg=(1,2,3) cfgj=zero idx=(5,7,9)") == plain


def test_values_are_given_in_the_order_of_first_appearance():
    lines = printed("committed cfg=(3,1) cfgj=(2,3) idx=(7,5,9)")
    assert [line.split()[-2:] for line in lines[1:4]] == [["5", "(id=1)"], ["9", "(id=2)"], ["7", "(id=3)"]]


def test_failed_change_keeps_everything_and_counts():
    changer = Changer()
    blocks = parse("simple\nv1\n----\n\nsimple\nr1\n----\n\nsimple\nl2\n----\n")
    outputs = [changer.run(block) for block in blocks if isinstance(block, Block)]
    assert outputs[1] == "removed all voters"
    assert outputs[2].split("\n")[1:] == [
        "1: StateProbe match=0 next=1",
        "2: StateProbe match=0 next=2 learner",
    ]


def test_parenthesis_that_does_not_end_is_malformed():
    with pytest.raises(MalformedScript):
        printed("committed cfg=(1,2 idx=(5,6)")

"""Who waits for a write learns what became of that very write, whatever the leaders in between did."""

from multiraft.engine.errors import OutcomeUnknown, ProposalDropped
from multiraft.engine.pending import Answer, PendingProposals, Proposal
from multiraft.raft.entry import Entry

GROUP = 5


def appended(pending: PendingProposals, last: int, term: int, *lengths: int) -> None:
    """Append proposals, named "term.first index", that end at `last`."""
    first = last + 1 - sum(lengths)
    proposals = []
    for length in lengths:
        proposals.append(Proposal(GROUP, (b"command",) * length, f"{term}.{first}"))
        first += length
    pending.appended(proposals, last, term)


def apply(pending: PendingProposals, *entries: tuple[int, int]) -> dict[str, object]:
    """Apply entries (term, index), each with its index as result; the answers by token."""
    answers: list[Answer] = []
    for term, index in entries:
        pending.applied(Entry(term, index, data=b"command"), index, answers)
    assert len({answer.token for answer in answers}) == len(answers)
    return {answer.token: answer.value for answer in answers}


def test_a_leader_that_returns_tells_its_terms_apart():
    """What it appended in term 5 was replaced; in term 7 it appends at indexes where that still waits."""
    pending = PendingProposals()
    appended(pending, 12, 5, 1, 1, 1)
    appended(pending, 12, 7, 1, 1)
    answers = apply(pending, (6, 10), (7, 11), (7, 12))
    assert answers["7.11"] == [11]
    assert answers["7.12"] == [12]
    assert all(isinstance(answers[f"5.{index}"], ProposalDropped) for index in (10, 11, 12))
    assert len(pending) == 0


def test_an_entry_of_an_earlier_term_may_still_win():
    """The replica led again in term 7, but a log with its entries of term 5 was committed in the end."""
    pending = PendingProposals()
    appended(pending, 12, 5, 3)
    appended(pending, 13, 7, 1, 1)
    answers = apply(pending, (5, 10), (5, 11), (5, 12), (8, 13))
    assert answers["5.10"] == [10, 11, 12]
    assert isinstance(answers["7.12"], ProposalDropped)
    assert isinstance(answers["7.13"], ProposalDropped)


def test_a_later_term_settles_everything_before_it():
    """Nobody waits for an index that the group may not reach for hours: terms never fall along a log."""
    pending = PendingProposals()
    appended(pending, 20, 5, *[1] * 11)
    answers = apply(pending, (6, 10))
    assert len(answers) == 11
    assert all(isinstance(value, ProposalDropped) for value in answers.values())


def test_a_proposal_cut_in_two_is_not_called_dropped():
    """Some of its commands were applied: to repeat it would apply them twice."""
    pending = PendingProposals()
    appended(pending, 13, 5, 3, 1)
    answers = apply(pending, (5, 10), (5, 11), (6, 12))
    assert isinstance(answers["5.10"], OutcomeUnknown)
    assert isinstance(answers["5.13"], ProposalDropped)


def test_a_snapshot_leaves_nobody_waiting():
    """Covered by it: nobody here knows. Behind it, of an earlier term: dropped. The rest may still come."""
    pending = PendingProposals()
    appended(pending, 12, 5, 1, 1, 1)
    appended(pending, 15, 7, 1, 1)
    answers: list[Answer] = []
    pending.skipped(11, 6, answers)
    values = {answer.token: answer.value for answer in answers}
    assert isinstance(values.pop("5.10"), OutcomeUnknown)
    assert isinstance(values.pop("5.11"), OutcomeUnknown)
    assert isinstance(values.pop("5.12"), ProposalDropped)
    assert values == {}
    assert apply(pending, (6, 12), (6, 13), (7, 14), (7, 15)) == {"7.14": [14], "7.15": [15]}

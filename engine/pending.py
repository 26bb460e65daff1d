"""What callers wait for in one group: proposals until their index is applied, reads until confirmed."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from ..raft.entry import Entry
from .errors import Error, OutcomeUnknown, ProposalDropped
from .statemachine.protocol import StateMachine

PROPOSALS_PER_TURN: Final = 4096
BYTES_PER_TURN: Final = 1 << 20


class Answer(NamedTuple):
    """``token`` is the caller's own; ``value`` the result, or the error as an instance."""

    token: Any
    value: object


class Proposal(NamedTuple):
    """Commands for one group that are appended together, in order; the answer is the list of results."""

    group: int
    commands: Sequence[bytes]
    token: Any


class Read(NamedTuple):
    """A question to one group's state machine, asked once the read is known to be linearizable.

    ``query`` gets the state machine and returns the answer or raises an :class:`Error`.
    """

    group: int
    query: Callable[[StateMachine], object]
    token: Any


class _Appended(NamedTuple):
    first: int
    length: int
    term: int
    token: Any


class PendingProposals:
    """Proposals of one replica: queued for a turn, or appended and waiting for their indexes to apply.

    A leader that steps down keeps them: if the same entry (index and term) applies in the end, its result
    counts; if another entry applies at its index, it was dropped for good.
    """

    __slots__ = ("_appended", "_results", "queued")

    def __init__(self) -> None:
        self.queued: deque[Proposal] = deque()
        self._appended: deque[_Appended] = deque()
        self._results: list[object] = []

    def __len__(self) -> int:
        return len(self.queued) + len(self._appended)

    def take(self) -> list[Proposal]:
        """What this turn proposes: bounded, so that one flooded group does not starve the others."""
        taken: list[Proposal] = []
        commands = size = 0
        while self.queued and commands < PROPOSALS_PER_TURN and size < BYTES_PER_TURN:
            proposal = self.queued.popleft()
            taken.append(proposal)
            commands += len(proposal.commands)
            size += sum(map(len, proposal.commands))
        return taken

    def appended(self, proposals: Sequence[Proposal], last_index: int, term: int) -> None:
        """The proposals' commands were appended back to back; the last one has ``last_index``."""
        first = last_index + 1 - sum(len(proposal.commands) for proposal in proposals)
        for proposal in proposals:
            length = len(proposal.commands)
            self._appended.append(_Appended(first, length, term, proposal.token))
            first += length

    def refuse_queued(self, error: Error) -> list[Answer]:
        """Answer everything that was not appended yet."""
        answers = [Answer(proposal.token, error) for proposal in self.queued]
        self.queued.clear()
        return answers

    def applied(self, entry: Entry, result: object, answers: list[Answer]) -> None:
        """``entry`` was applied with ``result``; answer the proposal that it completes, if any."""
        appended = self._appended
        while appended and appended[0].first + appended[0].length <= entry.index:
            self._drop(answers)
        if not appended or appended[0].first > entry.index:
            return
        head = appended[0]
        if head.term != entry.term:
            self._drop(answers)
            return
        self._results.append(result)
        if entry.index == head.first + head.length - 1:
            appended.popleft()
            results, self._results = self._results, []
            answers.append(Answer(head.token, results))

    def skipped(self, index: int, answers: list[Answer]) -> None:
        """A snapshot took the place of the log up to ``index``: nobody here sees those entries apply."""
        while self._appended and self._appended[0].first <= index:
            lost = self._appended.popleft()
            error = OutcomeUnknown("a snapshot covers the write's log position: read before repeating it")
            answers.append(Answer(lost.token, error))
        self._results.clear()

    def fail_all(self, error: Error) -> list[Answer]:
        """The replica stops: queued proposals fail with ``error``, appended ones may still commit."""
        answers = self.refuse_queued(error)
        for appended in self._appended:
            unknown = OutcomeUnknown("the node stopped before the write was applied")
            unknown.__cause__ = error
            answers.append(Answer(appended.token, unknown))
        self._appended.clear()
        self._results.clear()
        return answers

    def _drop(self, answers: list[Answer]) -> None:
        """Another leader's entry stands at the head's index: the head will never apply, in full or at all."""
        head = self._appended.popleft()
        partly = bool(self._results)
        self._results.clear()
        if partly:
            answers.append(Answer(head.token, OutcomeUnknown("only some commands of the proposal applied")))
        else:
            answers.append(Answer(head.token, ProposalDropped("another leader's entry took its place")))


class PendingReads:
    """Reads of one replica: one ReadIndex round per turn serves all that arrived before it."""

    __slots__ = ("_confirmed", "_next_context", "_rounds", "queued")

    def __init__(self) -> None:
        self.queued: list[Read] = []
        self._rounds: dict[bytes, list[Read]] = {}
        self._confirmed: deque[tuple[int, list[Read]]] = deque()
        self._next_context = 1

    def __len__(self) -> int:
        waiting = sum(len(reads) for _, reads in self._confirmed)
        return len(self.queued) + waiting + sum(map(len, self._rounds.values()))

    def start_round(self) -> bytes:
        """The context of a ReadIndex round for everything queued now."""
        context = self._next_context.to_bytes(8, "little")
        self._next_context += 1
        self._rounds[context] = self.queued
        self.queued = []
        return context

    def confirmed(self, context: bytes, index: int) -> None:
        """The round's reads may be answered once ``index`` is applied."""
        reads = self._rounds.pop(context, None)
        if reads is not None:
            self._confirmed.append((index, reads))

    def serve(self, applied: int, machine: StateMachine, answers: list[Answer]) -> None:
        """Answer the reads whose index is applied."""
        confirmed = self._confirmed
        while confirmed and confirmed[0][0] <= applied:
            reads = confirmed.popleft()[1]
            answers += [Answer(read.token, ask(read, machine)) for read in reads]

    def fail_all(self, error: Error) -> list[Answer]:
        """Nothing will confirm these reads any more."""
        answers = [Answer(read.token, error) for read in self.queued]
        for reads in self._rounds.values():
            answers += [Answer(read.token, error) for read in reads]
        for _, reads in self._confirmed:
            answers += [Answer(read.token, error) for read in reads]
        self.queued = []
        self._rounds.clear()
        self._confirmed.clear()
        return answers


def ask(read: Read, machine: StateMachine) -> object:
    """The machine's answer, or the error that it raised."""
    try:
        return read.query(machine)
    except Error as error:
        return error

"""What callers wait for in one group: proposals until their index is applied, reads until confirmed."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ..native.entries import MAX_ENTRY_BYTES
from ..raft.entry import Entry
from .errors import CommandTooLarge, Error, InvalidArgument, OutcomeUnknown, ProposalDropped, QueryFailed
from .statemachine.protocol import StateMachine

IDENTITY_BYTES: Final = 16
"""Session and sequence (u64 each) that every command begins with. They also bound how many entries fit into
one append message of 1 MiB, and so into one encoded run.
"""
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
    """Commands that stand at ``first`` and behind it, and the results of those that were applied."""

    first: int
    length: int
    results: list[object]
    token: Any


class PendingProposals:
    """Proposals of one replica: queued for a turn, or appended and waiting for their indexes to apply.

    A leader that steps down keeps them: if the same entry (index and term) applies in the end, its result
    counts. Once another entry applies at its index, or one of a later term before it, it was dropped for
    good: terms never fall along a log. A replica that leads again appends anew at indexes at which entries
    of its earlier term may still wait, so the two are kept apart.
    """

    __slots__ = ("_appended", "queued")

    def __init__(self) -> None:
        self.queued: deque[Proposal] = deque()
        self._appended: dict[int, deque[_Appended]] = {}
        """By term, ascending; within a term in the order of their indexes. No queue is empty."""

    def __len__(self) -> int:
        return len(self.queued) + sum(map(len, self._appended.values()))

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
        waiting = self._appended.setdefault(term, deque())
        for proposal in proposals:
            length = len(proposal.commands)
            waiting.append(_Appended(first, length, [], proposal.token))
            first += length

    def refuse_queued(self, error: Error) -> list[Answer]:
        """Answer everything that was not appended yet."""
        answers = [Answer(proposal.token, error) for proposal in self.queued]
        self.queued.clear()
        return answers

    def applied(self, entry: Entry, result: object, answers: list[Answer]) -> None:
        """``entry`` was applied with ``result``; answer the proposal that it completes, if any."""
        waiting = self._appended.get(entry.term)
        if len(self._appended) > (waiting is not None):
            self._drop_overtaken(entry, answers)
        if waiting is None or waiting[0].first > entry.index:
            return
        head = waiting[0]
        head.results.append(result)
        if entry.index == head.first + head.length - 1:
            self._pop(entry.term)
            answers.append(Answer(head.token, head.results))

    def skipped(self, index: int, term: int, answers: list[Answer]) -> None:
        """A snapshot of (``index``, ``term``) took the place of the log: nobody here sees entries apply."""
        for at, waiting in list(self._appended.items()):
            for head in list(waiting):
                if head.first <= index:
                    error = OutcomeUnknown(
                        "a snapshot covers the write's log position: read before repeating it"
                    )
                    answers.append(Answer(head.token, error))
                elif at < term:
                    answers.append(_dropped(head))
                else:
                    break
                self._pop(at)

    def fail_all(self, error: Error) -> list[Answer]:
        """The replica stops: queued proposals fail with ``error``, appended ones may still commit."""
        answers = self.refuse_queued(error)
        for waiting in self._appended.values():
            for head in waiting:
                unknown = OutcomeUnknown("the node stopped before the write was applied")
                unknown.__cause__ = error
                answers.append(Answer(head.token, unknown))
        self._appended.clear()
        return answers

    def _drop_overtaken(self, entry: Entry, answers: list[Answer]) -> None:
        """Answer what ``entry`` shuts out of the log: earlier terms whole, later ones at its index."""
        for term, waiting in list(self._appended.items()):
            for head in list(waiting):
                if not (term < entry.term or (term > entry.term and head.first <= entry.index)):
                    break
                self._pop(term)
                answers.append(_dropped(head))

    def _pop(self, term: int) -> None:
        """Take out the first one of a term."""
        waiting = self._appended[term]
        waiting.popleft()
        if not waiting:
            del self._appended[term]


def _dropped(proposal: _Appended) -> Answer:
    """Another leader's entries stand in its place: it will never apply, in full or at all."""
    if proposal.results:
        return Answer(proposal.token, OutcomeUnknown("only some commands of the proposal applied"))
    return Answer(proposal.token, ProposalDropped("another leader's entry took its place"))


class PendingReads:
    """Reads of one replica: one ReadIndex round per turn serves all that arrived before it."""

    __slots__ = ("_confirmed", "_numbers", "_rounds", "queued", "rounds")

    def __init__(self, numbers: Iterator[int]) -> None:
        """``numbers`` names the rounds. The replica may be made anew within its term."""
        self._numbers = numbers
        self.queued: list[Read] = []
        self._rounds: dict[bytes, list[Read]] = {}
        self._confirmed: deque[tuple[int, list[Read]]] = deque()
        self.rounds = 0
        """Rounds begun so far."""

    def __len__(self) -> int:
        waiting = sum(len(reads) for _, reads in self._confirmed)
        return len(self.queued) + waiting + sum(map(len, self._rounds.values()))

    def start_round(self) -> bytes:
        """The context of a ReadIndex round for everything queued now."""
        self.rounds += 1
        context = next(self._numbers).to_bytes(8, "little")
        self._rounds[context] = self.queued
        self.queued = []
        return context

    def confirmed(self, context: bytes, index: int) -> None:
        """The round's reads may be answered once ``index`` is applied."""
        reads = self._rounds.pop(context, None)
        if reads is not None:
            self._confirmed.append((index, reads))

    def dropped(self, context: bytes, error: Error) -> list[Answer]:
        """The core will not answer this round: its reads fail with ``error``."""
        return [Answer(read.token, error) for read in self._rounds.pop(context, ())]

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
    except Exception as error:  # noqa: BLE001 # a caller's code harms nobody but its caller
        failed = QueryFailed(f"group {read.group}: the query raised {error!r}")
        failed.__cause__ = error
        return failed


def refusal(proposal: Proposal) -> Error | None:
    """Why these commands cannot become entries, whoever leads."""
    if not proposal.commands:
        return InvalidArgument("a proposal needs a command")
    shortest = min(map(len, proposal.commands))
    if shortest < IDENTITY_BYTES:
        return InvalidArgument(
            f"a command begins with its session and sequence, this one has {shortest} bytes"
        )
    longest = max(map(len, proposal.commands))
    if longest > MAX_ENTRY_BYTES:
        return CommandTooLarge(f"a command of {longest} bytes, the limit is {MAX_ENTRY_BYTES}")
    return None

"""Requests of callers: queued with their groups, and handed to the core once a turn."""

from ..raft.errors import ProposalDropped as CoreDropped
from ..raft.errors import ReadDropped
from .delivery import BROKEN
from .errors import Overloaded
from .pending import Answer, refusal
from .replica import Replica
from .replicas import Replicas
from .turn import Inputs, Turn


class Intake:
    """Takes proposals and reads to the replicas that can serve them."""

    def __init__(self, replicas: Replicas, active: dict[int, Replica]) -> None:
        self._replicas = replicas
        self._active = active

    def take(self, turn: Turn, inputs: Inputs) -> None:
        """Queue new requests with their groups; those that this node cannot serve are refused at once."""
        answers = turn.effects.answers
        for proposal in inputs.proposals:
            replica = self._replicas.running.get(proposal.group)
            if replica is None or not replica.leads or replica.quarantine:
                answers.append(Answer(proposal.token, self._replicas.not_leading(proposal.group)))
            elif (refused := refusal(proposal)) is not None:
                answers.append(Answer(proposal.token, refused))
            else:
                replica.proposals.queued.append(proposal)
                self._active[replica.group] = replica
        for read in inputs.reads:
            replica = self._replicas.running.get(read.group)
            if replica is None or not replica.leads or replica.quarantine:
                answers.append(Answer(read.token, self._replicas.not_leading(read.group)))
            else:
                replica.reads.queued.append(read)
                self._active[replica.group] = replica

    def hand_in(self, turn: Turn, replica: Replica) -> None:
        """Propose what is queued, within the turn's bounds, and start one read round for all that wait."""
        if replica.proposals.queued:
            self._propose(turn, replica)
        if replica.reads.queued:
            self._start_reads(turn, replica)

    def _propose(self, turn: Turn, replica: Replica) -> None:
        answers = turn.effects.answers
        if not replica.leads:
            answers += replica.proposals.refuse_queued(replica.not_leader())
            return
        taken = replica.proposals.take()
        commands = [command for proposal in taken for command in proposal.commands]
        try:
            last = replica.raw.propose_batch(commands)
        except CoreDropped as error:
            overloaded = Overloaded(f"group {replica.group}: {error}")
            answers += [Answer(proposal.token, overloaded) for proposal in taken]
        except BROKEN:
            replica.proposals.queued.extendleft(reversed(taken))  # what is appended here goes no further
            raise
        else:
            if last is not None:
                replica.proposals.appended(taken, last.index, last.term)
        if replica.proposals.queued:
            self._active[replica.group] = replica

    def _start_reads(self, turn: Turn, replica: Replica) -> None:
        answers = turn.effects.answers
        if not replica.leads:
            answers += replica.reads.fail_all(replica.not_leader())
            return
        context = replica.reads.start_round()
        try:
            replica.raw.read_index(context)
        except ReadDropped as error:
            answers += replica.reads.dropped(context, Overloaded(f"group {replica.group}: {error}"))

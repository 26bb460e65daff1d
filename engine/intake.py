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
            if replica is None or not _serves(replica):
                answers.append(Answer(proposal.token, self._replicas.not_leading(proposal.group)))
            elif (refused := refusal(proposal)) is not None:
                answers.append(Answer(proposal.token, refused))
            elif (trouble := self._replicas.trouble) is not None:
                answers.append(Answer(proposal.token, self._replicas.cannot_write(replica, trouble)))
            else:
                replica.proposals.queued.append(proposal)
                self._active[replica.group] = replica
        for read in inputs.reads:
            replica = self._replicas.running.get(read.group)
            if replica is None or not _serves(replica):
                answers.append(Answer(read.token, self._replicas.not_leading(read.group)))
            else:
                replica.reads.queued.append(read)
                self._active[replica.group] = replica

    def give_way(self, turn: Turn) -> list[tuple[Replica, Exception]]:
        """The disk takes no writes of callers: refuse what is queued, and have others lead where that can be.

        Said again while that lasts, each time to the next one: the first may be in trouble too. A replica
        without others goes on, and so does one whose heir does not come: it can still serve reads.
        Those that are put away are asked once somebody wants something of them.
        Returns the replicas that can no longer go on, and why.
        """
        broken: list[tuple[Replica, Exception]] = []
        trouble = self._replicas.trouble
        assert trouble is not None, "there is no trouble"
        for replica in self._replicas.running.loaded.values():
            if not replica.leads:
                continue
            heir = _heir(replica)
            if heir is not None:
                replica.heirs_asked += 1
                self._active[replica.group] = replica
                try:
                    replica.raw.transfer_leadership(heir)
                except BROKEN as error:
                    broken.append((replica, error))
            refusal = self._replicas.cannot_write(replica, trouble)
            turn.effects.answers += replica.proposals.refuse_queued(refusal)
        return broken

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
            refused = self._replicas.handed_over(replica) or Overloaded(f"group {replica.group}: {error}")
            answers += [Answer(proposal.token, refused) for proposal in taken]
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


def _heir(replica: Replica) -> int | None:
    """Which voter should lead instead, None if there is no other one; the one with the longest log first."""
    raft = replica.raw.raft
    others = [(-one.match, id_) for id_, one in raft.tracker.others(raft.id) if raft.tracker.is_voter(id_)]
    return sorted(others)[replica.heirs_asked % len(others)][1] if others else None


def _serves(replica: Replica) -> bool:
    return replica.leads and replica.quarantine is None and replica.rebuilding is None

"""Requests of callers: queued with their groups, and handed to the core once a turn."""

from typing import Final

from ..raft.errors import ProposalDropped as CoreDropped
from ..raft.errors import ReadDropped
from ..raft.ids import NO_REPLICA
from .delivery import BROKEN
from .elections import Elections
from .errors import DiskFull, Error, NotLeader, Overloaded
from .orphans import Orphans
from .pending import Answer, refusal
from .replica import Replica
from .replicas import Replicas
from .turn import Inputs, Turn

READ_BYTES: Final = 64
"""What a read that waits counts for."""


class Intake:
    """Takes proposals and reads to the replicas that can serve them."""

    def __init__(
        self, replicas: Replicas, elections: Elections, orphans: Orphans, active: dict[int, Replica]
    ) -> None:
        self._replicas = replicas
        self._elections = elections
        self._orphans = orphans
        self._active = active

    def take(self, turn: Turn, inputs: Inputs) -> None:
        """Queue new requests with their groups; those that this node cannot serve are refused at once."""
        answers = turn.effects.answers
        for proposal in inputs.proposals:
            replica = self._asked(proposal.group)
            if replica is None or not _serves(replica):
                answers.append(Answer(proposal.token, self._replicas.not_leading(proposal.group)))
            elif (refused := refusal(proposal)) is not None:
                answers.append(Answer(proposal.token, refused))
            elif (trouble := self._replicas.trouble) is not None:
                answers.append(Answer(proposal.token, _cannot_write(replica, trouble)))
            elif not _has_room(replica, sum(map(len, proposal.commands)) if replica.outside else 0):
                answers.append(Answer(proposal.token, _behind(replica)))
            else:
                replica.proposals.queued.append(proposal)
                self._active[replica.group] = replica
        for read in inputs.reads:
            replica = self._asked(read.group)
            if replica is None or not _serves(replica):
                answers.append(Answer(read.token, self._replicas.not_leading(read.group)))
            elif not _has_room(replica, READ_BYTES):
                answers.append(Answer(read.token, _behind(replica)))
            else:
                replica.reads.queued.append(read)
                self._active[replica.group] = replica

    def _asked(self, group: int) -> Replica | None:
        """The replica of a group that somebody asks for; one that has waited for that elects soon.

        One that is put away and does not lead stays so: it has nothing to give.
        """
        running = self._replicas.running
        self._orphans.ask(group)
        if running.follows_dormant(group):
            return None
        waited = group in running.waiting
        replica = running.get(group)
        if waited and replica is not None and self._elections.calls(group):
            self._elections.hasten(replica)
        return replica

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
            refusal = _cannot_write(replica, trouble)
            turn.effects.answers += replica.proposals.refuse_queued(refusal)
        return broken

    def note_leader(self, turn: Turn, replica: Replica) -> None:
        """A replica knows of another leader, or of none: who does not lead has nothing queued."""
        if replica.leader_node is not None:
            turn.effects.leaders.append(replica.group)
        if not replica.leads:
            turn.effects.answers += replica.proposals.refuse_queued(replica.not_leader())
            turn.effects.answers += replica.reads.fail_all(replica.not_leader())

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
            refused = _handed_over(replica) or Overloaded(f"group {replica.group}: {error}")
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


def _has_room(replica: Replica, size: int) -> bool:
    """Whether a request finds a place among those that wait for the state machine."""
    outside = replica.outside
    return outside is None or outside.takes(size, len(replica.proposals) + len(replica.reads))


def _behind(replica: Replica) -> Overloaded:
    return Overloaded(f"the state machine of group {replica.group} is behind with applying")


def _serves(replica: Replica) -> bool:
    return replica.leads and replica.quarantine is None and replica.rebuilding is None


def _cannot_write(replica: Replica, trouble: Error) -> Error:
    """What to tell who wants to write to a group that is led here."""
    # A full disk may stay full for long; after another failure the node soon goes on, or stops.
    waits = isinstance(trouble, DiskFull)
    return _handed_over(replica) or (trouble if waits else NotLeader(replica.group))


def _handed_over(replica: Replica) -> NotLeader | None:
    """What to tell who asks a leader that is about to be none, None if it is not."""
    heir = replica.raw.raft.lead_transferee
    return None if heir == NO_REPLICA else NotLeader(replica.group, replica.nodes.get(heir))

"""Messages in and out of replicas: checked, stepped, parked, refused, sent."""

import logging
from collections.abc import Iterable
from typing import Final

from ..native.nursery import HANDED_BACK, OTHER
from ..raft.entry import EntryId
from ..raft.errors import BadMessage, PeerNotFound, RaftError
from ..raft.errors import ProposalDropped as CoreDropped
from ..raft.messages import Message, MsgType
from .config import EngineConfig
from .errors import Corruption
from .logstore.port import Birth
from .newborns import Nursery, may_be_newborn
from .parking import Parking
from .rebuilding import Rebuilder
from .replica import Replica
from .replicas import Replicas
from .rest import Rest
from .snapshots.exchange import Exchange
from .truncations import Truncations
from .turn import Turn
from .wire import COMMIT_NOTICE, OF_REST, STATE_REQUEST, UNKNOWN_GROUP, Received, read_frame

BROKEN: Final = (RaftError, AssertionError, Corruption)
"""What a core raises that must not go on: a violated invariant, or a log that cannot be read."""

_NOT_STEPPED: Final = frozenset({OTHER, HANDED_BACK})

logger = logging.getLogger("multiraft.node")


class Delivery:
    """Brings messages to the replicas of a node, and theirs to the outbox of a turn."""

    def __init__(
        self,
        replicas: Replicas,
        parking: Parking,
        truncations: Truncations,
        active: dict[int, Replica],
        snapshots: Exchange,
        rest: Rest,
        nursery: Nursery,
        config: EngineConfig,
    ) -> None:
        self.refused = 0
        """Messages dropped because they name another replica, come from the wrong node, or are bad."""
        self.directory_index = 0
        """The version of this node's directory."""
        self.rebuilder = Rebuilder(replicas, self, config.election_ticks)
        self._replicas = replicas
        self._parking = parking
        self._truncations = truncations
        self._active = active
        self._snapshots = snapshots
        self.rest = rest
        self._nursery = nursery

    def bring_up(self, turn: Turn, births: Iterable[Birth]) -> None:
        """Births are durable: designated replicas campaign at once, and what came too early is taken in."""
        births = list(births)
        newborns = [birth for birth in births if may_be_newborn(birth)]
        self._nursery.take_in(newborns)
        for birth in births:
            if birth.group not in self._replicas.newborns:
                replica = self._replicas.start(birth)
                if self._nursery.designates(birth):
                    self.begin_election(replica)
                else:
                    self._active[birth.group] = replica
        for birth in births if self._parking.bytes else ():
            for parked in self._parking.take(birth.group):
                self.receive(turn, parked.node, parked.directory_index, parked.received)

    def receive_frame(self, turn: Turn, node: int, payload: bytes) -> None:
        """Take in a frame of ``node``. What it has for newborns is stepped at once.

        Raises:
            BadFrame: it breaks a rule of the format; nothing of it was used.
        """
        sifted = self._nursery.sift(payload)
        plain = sifted is not None and sifted.plain
        read = None if plain else read_frame(payload)
        marks: bytes | None = None
        self.rest.heard(node)
        if sifted is not None:
            handed_back = self._nursery.step(sifted, node)
            if plain and handed_back is None:
                return
            marks = handed_back or sifted.marks
        directory_index, rows = read or read_frame(payload)
        for number, received in enumerate(rows):
            if marks is None or marks[number] in _NOT_STEPPED:
                self.receive(turn, node, directory_index, received)

    def receive(self, turn: Turn, node: int, directory_index: int, received: Received) -> None:
        """Take in one message of a frame that ``node`` sent with its ``directory_index``.

        A message names both replicas: one for a replica that this node had before, or has not yet, must
        not reach the one it has.
        """
        if received.group in self._replicas.newborns and self._nursery.receive(node, received):
            return
        if received.kind in OF_REST:
            self._receive_rest(turn, node, received)
            return
        replica = self._replicas.running.get(received.group)
        if replica is None:
            self._receive_unknown(turn, node, directory_index, received)
        elif received.kind == UNKNOWN_GROUP:
            self.unreachable(node, (received.group,))
            self._snapshots.lost(node, (received.group,), turn)
        else:
            self._receive_known(turn, node, replica, received)

    def _receive_known(self, turn: Turn, node: int, replica: Replica, received: Received) -> None:
        message = received.message
        if message.to != replica.replica_id or replica.nodes.get(message.from_) != node:
            self.refused += 1
            return
        self.rest.stirred(replica, node)
        if self._replicas.trouble is not None and _costs_space(message):
            return
        if replica.silence is not None:
            replica.silence.heard(node, received.kind, message)
            return
        if received.run:
            turn.runs.received(received.group, message.entries, received.run)
        if received.kind == COMMIT_NOTICE:
            self._note_commit(turn, replica, message)
        elif received.kind == STATE_REQUEST:
            lost = EntryId(message.log_term, message.index)
            self._snapshots.asked(replica, message.from_, node, turn, lost)
        else:
            self.step(turn, replica, message)

    def _receive_rest(self, turn: Turn, node: int, received: Received) -> None:
        try:
            self.rest.receive(turn, node, received)
        except BROKEN as error:
            replica = self._replicas.running.get(received.group)
            if replica is None:
                raise
            self.fence(turn, replica, error)

    def _receive_unknown(self, turn: Turn, node: int, directory_index: int, received: Received) -> None:
        """A message for a group that does not run here: early, or lost, or none of ours."""
        group = received.group
        if received.kind in {UNKNOWN_GROUP, STATE_REQUEST} or group in self._replicas.lost:
            return
        if directory_index > self.directory_index or self._replicas.expects(group):
            self._parking.park(node, directory_index, received, turn.now)
        else:
            turn.outbox.add_unknown(node, group, received.message.from_)

    def forget_unfounded(self, turn: Turn) -> None:
        """Give up what has waited too long, or for groups that do not exist; their senders are told."""
        gone = self._parking.expire(turn.now)
        gone += self._parking.unfounded(self.directory_index, self._replicas.expects)
        for parked in gone:
            turn.outbox.add_unknown(parked.node, parked.received.group, parked.received.message.from_)

    def step(self, turn: Turn, replica: Replica, message: Message) -> None:
        """Hand a message to its replica; one whose core can no longer go on stops, the others go on."""
        if self._replicas.running.get(replica.group) is not replica:
            return  # fenced since the message was queued
        try:
            self.rest.touch(replica)
            replica.raw.step(message)
        except (CoreDropped, PeerNotFound) as error:
            logger.debug("group %d: %s", replica.group, error)
        except BadMessage as error:
            self.refused += 1
            logger.warning("group %d refused a message: %s", replica.group, error)
        except BROKEN as error:
            self.fence(turn, replica, error)
        else:
            self._active[replica.group] = replica

    def begin_election(self, replica: Replica) -> None:
        """Have a replica campaign at once. What it looks through for that, or reads, may be damaged."""
        try:
            replica.raw.force_election()
        except BROKEN as error:
            self._replicas.fence(replica, error)
        else:
            self._active[replica.group] = replica

    def _note_commit(self, turn: Turn, replica: Replica, message: Message) -> None:
        try:
            self.rest.touch(replica)
            replica.raw.step_commit_notice(message.from_, message.term, message.commit)
        except BROKEN as error:
            self.fence(turn, replica, error)
        else:
            self._active[replica.group] = replica

    def fence(self, turn: Turn, replica: Replica, error: Exception) -> None:
        """Going on with this replica would break a promise: it stops, and those who wait for it learn why.

        Entries that cannot be read are no reason to stop: a log of which the state store holds the outcome is
        cut behind them, and another one replaced by a snapshot of a peer.
        """
        self._active.pop(replica.group, None)
        if isinstance(error, Corruption) and error.group == replica.group and error.index is not None:
            if self._truncations.cut_past(replica, error.index):
                logger.error("group %d: its log is cut behind damage: %s", replica.group, error)
                return
            if not replica.is_alone:
                turn.effects.answers += self._replicas.silence(replica, error)
                return
        turn.effects.answers += self._replicas.fence(replica, error)

    def deliver(self, turn: Turn, replica: Replica, messages: list[Message]) -> None:
        """Messages whose condition is met: to the replica itself, or to its peers."""
        if self._replicas.running.get(replica.group) is not replica:
            return  # stopped since then: it promises nothing any more
        for message in messages:
            if message.to == replica.replica_id:
                self.step(turn, replica, message)
            else:
                self.send(turn, replica, message)
        self._replicas.end_silence(replica)

    def send(self, turn: Turn, replica: Replica, message: Message) -> None:
        """Queue a message for the node that holds its receiver."""
        node = replica.nodes.get(message.to)
        if node is None:
            logger.debug("group %d: no node holds replica %d", replica.group, message.to)
            return
        if message.type is MsgType.SNAP:
            self._snapshots.want(replica, message, node, turn)
        else:
            turn.outbox.add(node, replica.group, message)

    def unreachable(self, node: int, groups: Iterable[int]) -> None:
        """Tell the leaders among these groups that what they sent to ``node`` is lost."""
        for group in list(groups):
            replica = self._replicas.running.get(group)
            peer = None if replica is None else replica.replica_of_node.get(node)
            if replica is not None and peer is not None and replica.leads:
                replica.raw.report_unreachable(peer)


def _costs_space(message: Message) -> bool:
    """Whether a disk in trouble should rather not have it: what is left is for terms and votes.

    Dropped like a message that is lost on the way: it comes again.
    """
    if message.type is MsgType.APP:
        return any(entry.data for entry in message.entries)
    return message.type is MsgType.TIMEOUT_NOW

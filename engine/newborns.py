"""The first election of groups just born, without an object for any of them.

Thousands of ranges are created at once, and each of them goes the same short way: its designated replica
asks for votes, gets them, appends the entry that opens term 1, has it acknowledged, and the group rests. As
long as a newborn meets exactly that, a few small numbers are all that is known of it here, and in the end a
row of the group table. Whatever else comes, be it a vote for somebody else, a second leader or just silence,
is for a whole replica: once all that it has written is durable, the newborn *grows up*, which is what a
restart would make of it, and the core goes on.

The rules are the core's: one vote a term, durable before it is told, like every acknowledgement; an entry
counts once a quorum has it durably, the leader included. There is no pre-vote: nobody leads in term 0.
"""

import random
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from ..native.entries import encode_runs
from ..native.grouptable import DormantRow
from ..native.restdigest import RestPoint
from ..raft.entry import Entry
from ..raft.messages import Message, MsgType
from ..raft.state import HardState
from .config import EngineConfig
from .logstore.port import Birth, GroupWrite
from .stores import BIRTH_POINT
from .wire import REST, UNKNOWN_GROUP, WAKE, Received

if TYPE_CHECKING:
    from .held import Promise
    from .replica import Replica
    from .replicas import Replicas
    from .turn import Turn

TERM: Final = 1
FIRST: Final = Entry(TERM, BIRTH_POINT[0] + 1)
"""What the first leader appends."""
_ENTRIES: Final = (FIRST,)
_RUN: Final = encode_runs([_ENTRIES])[0]
_POINT: Final = RestPoint(TERM, FIRST.index)
_BORN: Final = HardState(0, 0, BIRTH_POINT[0])
COMMITTED_TICKS: Final = 2
"""So long a leader waits for the last members once a quorum has its entry."""


class Stage(IntEnum):
    """How far a newborn has come."""

    NEW = 0
    CANDIDATE = 1
    VOTED = 2
    LEADER = 3
    FOLLOWER = 4


class Newborn:
    """A replica in its first election."""

    __slots__ = ("approving", "birth", "group", "in_flight", "lead", "since", "stage", "vote")

    def __init__(self, birth: Birth, since: int) -> None:
        self.birth = birth
        self.group = birth.group
        self.stage = Stage.NEW
        self.since = since
        """The tick in which it came so far."""
        self.vote = 0
        self.lead = 0
        self.approving: set[int] = set()
        """Of a candidate, members whose vote it has; of a leader, those that have its entry durably."""
        self.in_flight = 0
        """Writes that are not durable: until they are, the stores do not say all that a replica knows."""

    @property
    def has_quorum(self) -> bool:
        """Whether those who approve are a majority."""
        return 2 * len(self.approving) > len(self.birth.peers)


class Nursery:
    """The newborns of a node: ``Replicas.newborns``, by group; first who has stood still for longest."""

    def __init__(self, node_id: int, replicas: "Replicas", config: EngineConfig, seed: random.Random) -> None:
        self._node_id = node_id
        self._replicas = replicas
        self._newborns = replicas.newborns
        self._ticks = config.election_ticks
        self._random = seed
        self._committed: dict[int, int] = {}
        """Leaders whose entry a quorum has, and not everybody: since which tick."""
        self._unwritten: list[tuple[GroupWrite, Newborn, list[Message]]] = []
        """What has to become durable, in order, and the messages that wait until it is."""
        self._handlers: Final = {
            int(MsgType.VOTE): self._vote,
            int(MsgType.VOTE_RESP): self._take_vote,
            int(MsgType.APP): self._append,
            int(MsgType.APP_RESP): self._take_acknowledgement,
            REST: self._rest,
        }

    @property
    def waits(self) -> bool:
        """Whether anything is to be written."""
        return bool(self._unwritten)

    def take_in(self, birth: Birth) -> bool:
        """A birth is durable. The designated replica campaigns at once; False: it needs a whole replica."""
        conf, ids = birth.conf_state, {replica for replica, _ in birth.peers}
        if len(ids) < 2 or set(conf.voters) != ids or conf.voters_outgoing:
            return False
        newborn = self._newborns[birth.group] = Newborn(birth, self._replicas.timers.ticks)
        if self.designates(birth):
            self._campaign(newborn)
        return True

    def designates(self, birth: Birth) -> bool:
        """Whether this node's replica is to call the group's first election."""
        return birth.peers[0][1] == self._node_id

    def take(self) -> "tuple[list[GroupWrite], list[Promise]]":
        """What goes into the next batch, and what waits for it."""
        taken, self._unwritten = self._unwritten, []
        return [write for write, _, _ in taken], [(newborn, messages) for _, newborn, messages in taken]

    # -- what comes in ---------------------------------------------------------------------------

    def receive(self, turn: "Turn", node: int, newborn: Newborn, received: Received) -> bool:
        """Take in a message for a newborn; False: it has grown up, and the message is for its replica.

        One that cannot grow up yet takes it for lost on the way.
        """
        message, kind = received.message, received.kind
        if kind in {WAKE, UNKNOWN_GROUP}:
            return True
        handle = self._handlers.get(kind)
        if (
            handle is not None
            and (message.from_, node) in newborn.birth.peers
            and message.to == newborn.birth.replica_id
            and message.term == TERM
            and not message.reject
            and handle(turn, newborn, message)
        ):
            return True
        if newborn.in_flight:
            return True
        self._grow_up(newborn)
        return False

    def durable(self, turn: "Turn", newborn: Newborn, messages: Sequence[Message]) -> None:
        """What these messages promise is on the disk."""
        newborn.in_flight -= 1
        own = newborn.birth.replica_id
        for message in messages:
            if message.to != own:
                self._send(turn, newborn, message)
            elif message.type is MsgType.VOTE_RESP:
                self._take_vote(turn, newborn, message)
            else:
                self._take_acknowledgement(turn, newborn, message)

    def tick(self) -> "list[Replica]":
        """A tick has passed. Returns the replicas of those who have waited too long."""
        now = self._replicas.timers.ticks
        late = []
        for group, newborn in self._newborns.items():
            if newborn.since + self._ticks > now:
                break
            late.append(group)
        for group, since in self._committed.items():
            if since + COMMITTED_TICKS > now:
                break
            late.append(group)
        waiting = [self._newborns[group] for group in dict.fromkeys(late)]
        grown = [self._grow_up(newborn) for newborn in waiting if not newborn.in_flight]
        return [replica for replica in grown if replica is not None]

    def _grow_up(self, newborn: Newborn) -> "Replica | None":
        """Make a whole replica of it: a leader of one whose entry is committed, else what a restart makes."""
        group = newborn.group
        assert not newborn.in_flight, f"group {group} has promised what is not durable"
        del self._newborns[group]
        committed = self._committed.pop(group, None) is not None
        lagging = {one for one, _ in newborn.birth.peers} - newborn.approving
        leader = self._row(newborn) if committed else None
        replica = self._replicas.grow_up(newborn.birth, leader, lagging)
        if replica is not None and leader is None:
            # Nobody has been heard of since: so long its timeout runs already.
            quiet = replica.raw.quiet_ticks() or 0
            replica.raw.pass_ticks(min(quiet, self._replicas.timers.ticks - newborn.since))
        return replica

    # -- the election ----------------------------------------------------------------------------

    def _campaign(self, newborn: Newborn) -> None:
        own = newborn.birth.replica_id
        self._advance(newborn, Stage.CANDIDATE)
        newborn.vote = own
        index, term = BIRTH_POINT
        asks = [
            Message(MsgType.VOTE, other, own, TERM, term, index)
            for other, _ in newborn.birth.peers
            if other != own
        ]
        self._write(newborn, [Message(MsgType.VOTE_RESP, own, own, TERM), *asks], vote=True)

    def _advance(self, newborn: Newborn, stage: Stage) -> None:
        newborn.stage, newborn.since = stage, self._replicas.timers.ticks
        del self._newborns[newborn.group]
        self._newborns[newborn.group] = newborn  # the last one to come so far

    def _vote(self, _turn: "Turn", newborn: Newborn, message: Message) -> bool:
        if newborn.stage is not Stage.NEW or (message.index, message.log_term) != BIRTH_POINT:
            return False
        self._advance(newborn, Stage.VOTED)
        newborn.vote = message.from_
        answer = Message(MsgType.VOTE_RESP, message.from_, newborn.birth.replica_id, TERM)
        self._write(newborn, [answer], vote=True)
        return True

    def _take_vote(self, turn: "Turn", newborn: Newborn, message: Message) -> bool:
        if newborn.stage is Stage.CANDIDATE:
            newborn.approving.add(message.from_)
            if newborn.has_quorum:
                self._lead(turn, newborn)
        return newborn.stage in {Stage.CANDIDATE, Stage.LEADER}

    def _lead(self, turn: "Turn", newborn: Newborn) -> None:
        own = newborn.birth.replica_id
        self._advance(newborn, Stage.LEADER)
        newborn.lead, newborn.approving = own, set()
        index, term = BIRTH_POINT
        turn.runs.received(newborn.group, _ENTRIES, _RUN)
        for other, _ in newborn.birth.peers:
            if other != own:
                append = Message(MsgType.APP, other, own, TERM, term, index, index, _ENTRIES)
                self._send(turn, newborn, append)
        self._write(newborn, [Message(MsgType.APP_RESP, own, own, TERM, 0, FIRST.index)], entry=True)

    def _append(self, _turn: "Turn", newborn: Newborn, message: Message) -> bool:
        follows = (message.index, message.log_term) == BIRTH_POINT and message.commit <= BIRTH_POINT[0]
        if newborn.stage not in {Stage.NEW, Stage.VOTED} or not follows or list(message.entries) != [FIRST]:
            return False
        enters = newborn.stage is Stage.NEW
        self._advance(newborn, Stage.FOLLOWER)
        newborn.lead = message.from_
        answer = Message(MsgType.APP_RESP, message.from_, newborn.birth.replica_id, TERM, 0, FIRST.index)
        self._write(newborn, [answer], vote=enters, entry=True)
        return True

    def _take_acknowledgement(self, turn: "Turn", newborn: Newborn, message: Message) -> bool:
        if newborn.stage is not Stage.LEADER or message.index != FIRST.index:
            return False
        newborn.approving.add(message.from_)
        if len(newborn.approving) == len(newborn.birth.peers):
            self._rest_all(turn, newborn)
        elif newborn.has_quorum:
            self._committed.setdefault(newborn.group, self._replicas.timers.ticks)
        return True

    def _rest_all(self, turn: "Turn", newborn: Newborn) -> None:
        own = newborn.birth.replica_id
        for other, node in newborn.birth.peers:
            if other != own:
                turn.outbox.add_rest(node, newborn.group, other, own, _POINT)
        self._leave(newborn)

    def _rest(self, _turn: "Turn", newborn: Newborn, message: Message) -> bool:
        """The leader has everybody's acknowledgement, this one's too: so it is durable."""
        if newborn.stage is Stage.FOLLOWER and (message.from_, message.commit) == (newborn.lead, FIRST.index):
            self._leave(newborn)
        return True

    def _leave(self, newborn: Newborn) -> None:
        del self._newborns[newborn.group]
        self._committed.pop(newborn.group, None)
        self._replicas.lay_down(newborn.birth, self._row(newborn))

    def _row(self, newborn: Newborn) -> DormantRow:
        leads = newborn.lead == newborn.birth.replica_id
        timeout = self._ticks + self._random.randrange(self._ticks)
        return DormantRow(TERM, newborn.vote, newborn.lead, FIRST.index, 0, timeout, leads)

    # -- what goes out ---------------------------------------------------------------------------

    def _send(self, turn: "Turn", newborn: Newborn, message: Message) -> None:
        node = dict(newborn.birth.peers)[message.to]
        turn.outbox.add(node, newborn.group, message)

    def _write(
        self, newborn: Newborn, messages: list[Message], *, vote: bool = False, entry: bool = False
    ) -> None:
        write = GroupWrite(newborn.group, newborn.birth.replica_id)
        if vote:
            write.hard_state = _BORN._replace(term=TERM, vote=newborn.vote)
        if entry:
            write.entries, write.run = _ENTRIES, _RUN
        newborn.in_flight += 1
        self._unwritten.append((write, newborn, messages))

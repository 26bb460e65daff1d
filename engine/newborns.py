"""The first election of groups just born, without an object for any of them.

Thousands of ranges are created at once, and each of them goes the same short way: its designated replica
asks for votes, gets them, appends the entry that opens term 1, has it acknowledged, and the group rests. As
long as a newborn meets exactly that, a small row is all that is known of it (:mod:`..native.nursery`, where
the steps of the way are), and in the end a row of the group table. Whatever else comes, be it a vote for
somebody else, a second leader or just silence, is for a whole replica: once all that it has written is
durable, the newborn *grows up*, which is what a restart would make of it, and the core goes on.

The rules are the core's: one vote a term, durable before it is told, like every acknowledgement; an entry
counts once a quorum has it durably, the leader included. There is no pre-vote: nobody leads in term 0.
"""

import random
from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ..native import nursery as native
from ..native.frames import HEADER_SIZE
from ..native.grouptable import DormantRow, GroupTable
from ..native.messages import encode_messages
from ..native.nursery import NewbornRow, NurseryTable, Sifted, WriteColumns
from ..native.restdigest import RestDigest
from ..raft.messages import MsgType
from .config import EngineConfig
from .logstore.port import Birth
from .outbox import OutFrame
from .resting import Resting
from .stores import BIRTH_POINT
from .wire import REST, UNKNOWN_GROUP, WAKE, Received, row_of

if TYPE_CHECKING:
    from .replica import Replica
    from .replicas import Replicas

TERM: Final = 1
FIRST_INDEX: Final = BIRTH_POINT[0] + 1
"""Where the entry that opens term 1 stands."""
COMMITTED_TICKS: Final = 2
"""So long a leader waits for the last members once a quorum has its entry."""
_KINDS: Final = native.Kinds(
    MsgType.VOTE, MsgType.VOTE_RESP, MsgType.APP, MsgType.APP_RESP, REST, WAKE, UNKNOWN_GROUP
)


class Stage(IntEnum):
    """How far a newborn has come."""

    NEW = native.NEW
    CANDIDATE = native.CANDIDATE
    VOTED = native.VOTED
    LEADER = native.LEADER
    FOLLOWER = native.FOLLOWER


class Newborn(NamedTuple):
    """A replica in its first election, as it is at the moment."""

    peers: tuple[tuple[int, int], ...]
    """(replica id, node id) of every member."""
    stage: Stage
    vote: int
    lead: int
    in_flight: int
    """Writes that are not durable: until they are, the stores do not say all that a replica knows."""


class Newborns:
    """The newborns of a node, by group: ``Replicas.newborns``."""

    def __init__(
        self,
        table: GroupTable,
        node_id: int,
        config: EngineConfig,
        resting: Resting,
        neighbours: set[int],
        seed: random.Random,
    ) -> None:
        """``neighbours``: nodes that hold members of the same groups; those of newborns are added."""
        ticks = config.election_ticks
        self.table = NurseryTable(table, _KINDS, node_id, ticks, COMMITTED_TICKS, seed.getrandbits(64))
        self._node_id = node_id
        self._resting = resting
        self._neighbours = neighbours
        self._met: set[int] = set()
        self._placements: list[tuple[tuple[int, int], ...]] = []
        self._numbers: dict[tuple[tuple[int, int], ...], int] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, group: int) -> bool:
        return group in self.table

    def get(self, group: int) -> Newborn | None:
        """What is known of a newborn, None if the group has none."""
        row = self.table.find(group)
        if row is None:
            return None
        return Newborn(self.peers(row), Stage(row.stage), row.vote, row.lead, row.in_flight)

    def peers(self, row: NewbornRow) -> tuple[tuple[int, int], ...]:
        """The members of a newborn's group, the designated one first."""
        return self._placements[row.placement]

    def leader_node(self, group: int) -> int | None:
        """The node that will lead a newborn group: that of the designated replica."""
        row = self.table.find(group)
        return None if row is None else self.peers(row)[0][1]

    def placement(self, birth: Birth) -> int:
        """The number by which the table knows who is where."""
        number = self._numbers.get(birth.peers)
        if number is None:
            for _, node in birth.peers:
                if node != self._node_id and node not in self._met:
                    self._met.add(node)
                    self._neighbours.add(node)
                    led = self._resting.led.setdefault(node, RestDigest())
                    self.table.meet(node, led, self._resting.followed.setdefault(node, RestDigest()))
            self.table.place(birth.peers)
            number = self._numbers[birth.peers] = len(self._placements)
            self._placements.append(birth.peers)
        return number


def may_be_newborn(birth: Birth) -> bool:
    """Whether a replica may go the short way: it has peers, and all of them vote."""
    conf, ids = birth.conf_state, {replica for replica, _ in birth.peers}
    nodes = {node for _, node in birth.peers}
    return (
        2 <= len(ids) == len(nodes) == len(birth.peers) <= native.MAX_MEMBERS
        and set(conf.voters) == ids
        and not conf.voters_outgoing
    )


class Nursery:
    """Brings newborns up until they rest or grow up."""

    def __init__(self, node_id: int, replicas: "Replicas", config: EngineConfig, seed: random.Random) -> None:
        self._node_id = node_id
        self._replicas = replicas
        self._newborns = replicas.newborns
        self._table = replicas.newborns.table
        self._timers = replicas.timers
        self._ticks = config.election_ticks
        self._random = seed

    @property
    def waits(self) -> bool:
        """Whether anything is to be written."""
        return bool(self._table.writes)

    def take_in(self, births: Iterable[Birth]) -> None:
        """Births are durable, of replicas that may go the short way. The designated ones campaign at once."""
        groups: dict[int, list[int]] = {}
        placement = self._newborns.placement
        for birth in births:
            groups.setdefault(placement(birth), []).append(birth.group)
        for number, alike in groups.items():
            self._table.take_in(number, alike, self._timers.ticks)

    def designates(self, birth: Birth) -> bool:
        """Whether this node's replica is to call the group's first election."""
        return birth.peers[0][1] == self._node_id

    def take_writes(self) -> tuple[WriteColumns, bytes] | None:
        """What goes into the next batch, and the promises that wait for it; None if there is nothing."""
        return self._table.take_writes()

    def durable(self, promises: bytes) -> None:
        """What these promises wait for is on the disk."""
        self._table.durable(promises, self._timers.ticks)

    def frames(self, directory_index: int) -> list[OutFrame]:
        """The messages of newborns, in frames."""
        return [OutFrame(*frame) for frame in self._table.frames(directory_index)]

    # -- what comes in ---------------------------------------------------------------------------

    def sift(self, payload: bytes) -> Sifted | None:
        """Look which messages of a frame are for newborns; None if there are none. Raises BadFrame."""
        if not len(self._table):
            return None
        sifted = self._table.sift(payload)
        return sifted if sifted.concerns_newborns else None

    def step(self, sifted: Sifted, node: int) -> bytes | None:
        """Take in what a frame of ``node`` has for newborns; the marks of its messages if any came back."""
        return self._table.step(sifted, node, self._timers.ticks)

    def receive(self, node: int, received: Received) -> bool:
        """Take in a message for a newborn; False: it has grown up, and the message is for its replica.

        One that cannot grow up yet takes it for lost on the way.
        """
        message, run = received.message, received.run
        row = row_of(received.group, message)
        row[3] = received.kind | row[3] & ~0xFF
        row[-2:] = len(run), len(message.context)
        sifted = self._table.sift(encode_messages(0, row, (run, message.context))[HEADER_SIZE:])
        if self.step(sifted, node) is None:
            return True
        self.grow_up(received.group)
        return False

    # -- growing up ------------------------------------------------------------------------------

    def tick(self) -> "list[Replica]":
        """A tick has passed. Returns the replicas of those who have waited too long."""
        if not len(self._table):
            return []
        self._table.note_alive(self._replicas.liveness.alive)
        grown = [self.grow_up(group) for group in self._table.late(self._timers.ticks)]
        return [replica for replica in grown if replica is not None]

    def grow_up(self, group: int) -> "Replica | None":
        """Make a whole replica of it: a leader of one whose entry is committed, else what a restart makes."""
        row = self._table.find(group)
        assert row is not None, f"group {group} has no newborn"
        self._table.remove(group)
        peers = self._newborns.peers(row)
        lagging = {one for place, (one, _) in enumerate(peers) if not row.approving >> place & 1}
        leader = self._leader(row) if row.committed else None
        replica = self._replicas.grow_up(group, leader, lagging)
        if replica is not None and leader is None:
            # Nobody has been heard of since: so long its timeout runs already.
            quiet = replica.raw.quiet_ticks() or 0
            replica.raw.pass_ticks(min(quiet, self._timers.ticks - row.since))
        return replica

    def _leader(self, row: NewbornRow) -> DormantRow:
        timeout = self._ticks + self._random.randrange(self._ticks)
        return DormantRow(TERM, row.vote, row.lead, FIRST_INDEX, 0, timeout, leads=True)

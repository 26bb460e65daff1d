"""How a node that has started again learns what rests, and wakes nobody for it.

It asks each node for what that leads and has at rest, piece by piece. Where a replica that waits on the disk
(:mod:`.waiting`) has a log that ends exactly where the leader's does, it is the leader's log, and the replica
rests behind it as a row. Everything else differs in the digests of the next beats, and wakes.
"""

import random
from collections.abc import Iterator
from struct import Struct
from typing import Final

from ..native.grouptable import DormantRow
from ..native.restdigest import END, RestDigest, RestPoint
from ..raft.ids import NO_REPLICA
from .config import EngineConfig
from .replicas import Replicas
from .stores import BIRTH_POINT
from .turn import Turn
from .wire import LISTED

_LISTED_ONE: Final = Struct("<QQQ")


class Returning:
    """Asks for lists of what others lead, and answers with those of what is led here."""

    def __init__(self, node_id: int, config: EngineConfig, replicas: Replicas, seed: random.Random) -> None:
        self._node_id = node_id
        self._replicas = replicas
        self._waiting = replicas.running.waiting
        self._ticks = config.election_ticks
        self._random = seed
        self._asked: dict[int, int] = {}
        """By node: from which group on it was asked last."""
        self._asked_before: dict[int, int] = {}
        """The same as of the node's last beat: where nothing has moved since, it is asked again."""
        self.laid_down = 0
        """Replicas that rest since, and have not started."""

    def ask(self, turn: Turn, node: int) -> bool:
        """A beat of a node differs. Returns whether the node was asked, and has not said everything yet."""
        if not self._waiting.asks(node):
            return False
        low = self._asked.setdefault(node, 0)
        if self._asked_before.get(node, low) == low:
            turn.outbox.add_ask_led(node, low)
        self._asked_before[node] = low
        return True

    def agreed(self, node: int) -> None:
        """A beat of a node does not differ: it has nothing to say."""
        self._waiting.told(node)

    def answer(self, turn: Turn, node: int, low: int) -> None:
        """Say what is led here and should rest there, from a group on, as far as one list goes."""
        digest = self._replicas.resting.led.get(node) or RestDigest()
        turn.outbox.add_led(node, *next(digest.lists(LISTED, low)))

    def take(self, turn: Turn, node: int, low: int, high: int, listed: bytes) -> None:
        """Take in such a list, and ask for the next one. One that was not asked for is ignored."""
        if not self._waiting.asks(node) or self._asked.get(node) != low:
            return
        for group, term, commit in self._read(listed):
            self.follow(group, node, RestPoint(term, commit))
        if high == END:
            self._waiting.told(node)
        else:
            self._asked[node] = high
            turn.outbox.add_ask_led(node, high)

    def _read(self, listed: bytes) -> Iterator[tuple[int, int, int]]:
        return _LISTED_ONE.iter_unpack(listed)

    def follow(self, group: int, node: int, point: RestPoint) -> bool:
        """Have a replica that waits rest behind its leader, which rests on ``node`` at a point.

        Only if its log ends exactly there, in the leader's own term: then it is the leader's log (Log
        Matching), all of it is committed, and a row says everything. Its state must be as far, too.
        Returns whether that is so; otherwise the replica goes on waiting.
        """
        replicas = self._replicas
        if group not in self._waiting or node == self._node_id:
            return False
        birth, log = replicas.birth(group), replicas.stores.log.group(group)
        leader = next((replica for replica, home in birth.peers if home == node), NO_REPLICA)
        hard_state = log.hard_state
        if leader == NO_REPLICA or hard_state.term != point.term or log.last_index() != point.commit:
            return False
        if log.term(point.commit) != point.term or not self._has_applied(group, log.first_index(), point):
            return False
        self._waiting.remove(group)
        timeout = self._ticks + self._random.randrange(self._ticks)
        row = DormantRow(point.term, hard_state.vote, leader, point.commit, 0, timeout, leads=False)
        replicas.lay_down(birth, row)
        self.laid_down += 1
        return True

    def _has_applied(self, group: int, first: int, point: RestPoint) -> bool:
        """Whether the state is that of the point; what opens the first term changes none."""
        applied = self._replicas.stores.state.applied(group)
        index, term = BIRTH_POINT if applied is None else applied[:2]
        if (index, term) == (point.commit, point.term):
            return True
        return (index, term) == BIRTH_POINT and point.commit == index + 1 == first

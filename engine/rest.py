"""Rest (hibernation): groups with nothing to do exchange nothing; the nodes that hold them beat instead.

A leader whose live members have all that it has tells them to rest, and rests. From then on each node tells
each other one, once a beat, how many resting groups it leads that the other holds too, and a digest of
them (`native.restdigest`). Where the two differ, because a word was lost or a node has come back, the
follower lists what rests there, and the odd groups wake. What wakes a replica: whatever arrives for it, a
caller, the silence of its leader's node, and for a leader that of so many nodes that no quorum is left.
Whoever wakes tells those who rest with it. None of this counts as a word of the group: what a read or a vote
needs is asked of its replicas.
"""

import random
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

from ..native.restdigest import RestDigest, RestPoint
from ..raft import rest as core
from .config import EngineConfig
from .orphans import Orphans
from .replica import Replica
from .replicas import Replicas
from .resting import Quiet, Rests
from .returning import Returning
from .turn import Turn
from .wire import ASK_LED, BEAT, LED, LISTED, RESTING, WAKE, Received

UNTOUCHED: Final = (2, 0)
"""Last index and reads of a group to which nothing has happened but its first leader: once everybody has that
leader's entry, it rests, without a beat."""
RUN_BITS: Final = 63
LOOKED_AT: Final = 512
"""Groups of which one tick looks whether a quorum is left, at most."""
ODD_AT_ONCE: Final = 128
"""Replicas that one tick wakes because they do not rest elsewhere: some thirty milliseconds of work."""
TOLD_AT_ONCE: Final = 256
"""Groups of one list of which its sender is told that they do not rest here; of others next time."""


class Rest:
    """Decides who rests, and keeps the nodes of a cluster agreed on it."""

    def __init__(
        self,
        node_id: int,
        config: EngineConfig,
        replicas: Replicas,
        active: dict[int, Replica],
        orphans: Orphans,
        returning: Returning,
        seed: random.Random,
    ) -> None:
        self._node_id = node_id
        self._replicas = replicas
        self._resting = replicas.resting
        self._active = active
        self._beat_ticks = config.beat_ticks
        self._quiet_beats = config.rest_after_beats
        self._liveness = replicas.liveness
        self._to_wake: dict[tuple[int, int], None] = {}
        """(node, group), in order: who is to be told with the next frames that a group does not rest."""
        self._beat_due = False
        self._orphans = orphans
        self._returning = returning
        self._run = seed.getrandbits(RUN_BITS)
        """In this node's beats: another one tells that it has started again, and leads nothing."""
        self._runs: dict[int, int] = {}
        """Those of the other nodes."""
        self._missed: set[int] = set()
        """Nodes that were silent, and have not beaten since."""
        self._to_look_at: deque[int] = deque()
        """Groups that are led here, of which a member's node is silent."""
        self._odd: dict[int, None] = {}
        """Groups that rest here, and not where they should too, in order."""

    # -- what happens to replicas ----------------------------------------------------------------

    def touch(self, replica: Replica) -> None:
        """Before anything is done to a replica: it is awake, and its clocks are right."""
        if replica.rests is not None:
            self._wake(replica, None)
        self._replicas.timers.touch(replica)

    def heard(self, node: int) -> None:
        """A frame of a node has come."""
        self._liveness.heard(node)

    def stirred(self, replica: Replica, node: int) -> None:
        """Something of the group has come from a node: it does not rest there."""
        if replica.rests is not None:
            self._wake(replica, node)

    def begins(self, turn: Turn, replica: Replica) -> bool:
        """Whether a leader whose beat is due goes to rest instead, with all members that are alive."""
        raft = replica.raw.raft
        members = core.idle_members(raft)
        done = (raft.log.last_index(), replica.reads.rounds)
        quiet = replica.quiet
        if members is None or not self.idle(replica):
            replica.quiet = None
            return False
        if quiet is None or quiet.since != done:
            quiet = replica.quiet = Quiet(done)
            at_once = done == UNTOUCHED and len(members) == len(replica.nodes) - 1
        else:
            quiet.beats += 1
            at_once = False
        quiet.members.update(dict.fromkeys(members))
        if quiet.beats < self._quiet_beats and not at_once:
            return False
        alive = [member for member in quiet.members if self._liveness.alive(replica.nodes[member])]
        if not raft.tracker.has_quorum((raft.id, *alive)):
            return False
        replica.quiet = None
        self._begin(turn, replica, RestPoint(raft.term, done[0]), alive)
        return True

    def _begin(self, turn: Turn, replica: Replica, point: RestPoint, members: Iterable[int]) -> None:
        for member in members:
            turn.outbox.add_rest(replica.nodes[member], replica.group, member, replica.replica_id, point)
        self._resting.begin(replica, Rests(point, leads=True, nodes=self._counted(replica, members)))

    def _counted(self, replica: Replica, members: Iterable[int]) -> tuple[int, ...]:
        """The nodes that should agree: those of the members, and those that are away and will come back.

        A replica that says nothing although its node is alive is in trouble, and asks for what it needs.
        """
        present = {replica.nodes[member] for member in members}
        return tuple(
            node
            for node in replica.nodes.values()
            if node in present or (node != self._node_id and not self._liveness.alive(node))
        )

    def idle(self, replica: Replica) -> bool:
        """Whether nothing is to be done for a replica, nor is under way."""
        return (
            replica.group not in self._active
            and replica.installing is None
            and replica.rebuilding is None
            and replica.applying is None
            and replica.silence is None
            and not len(replica.proposals)
            and not len(replica.reads)
            and not replica.raw.has_ready()
        )

    def _at_rest(self, group: int) -> Replica | None:
        """The replica of a group that was counted as resting, unless damage is found as it is taken up.

        What is damaged starts again as after a crash, awake, or is quarantined: neither is to be woken.
        """
        replica = self._replicas.running.get(group)
        return replica if replica is not None and replica.rests is not None else None

    def _wake(self, replica: Replica, by: int | None) -> None:
        """End a rest; everybody who rests with the replica is told, but for the node that has told us."""
        rests = replica.rests
        assert rests is not None
        leaderless = not rests.leads and (
            self._resting.is_orphan(replica.group) or self._liveness.doubtful(rests.nodes[0])
        )
        self._resting.end(replica)
        if leaderless:
            core.wake_orphan(replica.raw.raft)
            self._active[replica.group] = replica
        else:
            core.wake(replica.raw.raft)
        self._to_wake.update(((node, replica.group), None) for node in rests.nodes if node != by)

    # -- time ------------------------------------------------------------------------------------

    def tick(self) -> None:
        """A tick has passed: nodes may have fallen silent, and a beat may be due."""
        for node in self._liveness.tick():
            self._missed.add(node)
            self._orphans.bereave(node)
            self._to_look_at.extend(self._resting.led.get(node, ()))
        for _ in range(min(len(self._to_look_at), LOOKED_AT)):
            self._look_for_quorum(self._to_look_at.popleft())
        self._wake_odd()
        self._beat_due = self._beat_due or self._liveness.ticks % self._beat_ticks == 0

    def quiet_ticks(self) -> int:
        """How many ticks to come nothing is to be done at: fewer than there are to the next beat."""
        if self._beat_due or self._to_look_at or self._odd or self._to_wake:
            return 0
        until_beat = self._beat_ticks - 1 - self._liveness.ticks % self._beat_ticks
        return min(until_beat, self._liveness.quiet_ticks())

    def _look_for_quorum(self, group: int) -> None:
        """A member's node is silent. A replica that is put away counts on all members of its birth."""
        row = self._replicas.running.look(group)
        if row is not None and row.leads:
            birth = self._replicas.birth(group)
            alive = [
                replica
                for replica, node in birth.peers
                if replica in birth.conf_state.voters
                and (node == self._node_id or self._liveness.alive(node))
            ]
            if 2 * len(alive) > len(birth.conf_state.voters):
                return
        replica = self._at_rest(group)
        if replica is not None and replica.rests is not None and replica.rests.leads:
            self._miss_member(replica)

    def _wake_odd(self) -> None:
        """Wake some of those that do not rest elsewhere."""
        for group in list(islice(self._odd, ODD_AT_ONCE)):
            del self._odd[group]
            if replica := self._at_rest(group):
                self._wake(replica, None)

    def _miss_member(self, replica: Replica) -> None:
        """A member's node is silent: without a quorum the leader must find out that it is none any more."""
        assert replica.rests is not None
        there = [replica.replica_of_node[node] for node in replica.rests.nodes if self._liveness.alive(node)]
        if not replica.raw.raft.tracker.has_quorum((replica.replica_id, *there)):
            self._wake(replica, None)

    def tell(self, turn: Turn) -> None:
        """Behind everything else in this turn's frames: who has woken, then the beats, which speak of it."""
        for node, group in self._to_wake:
            turn.outbox.add_wake(node, group)
        self._to_wake.clear()
        if self._beat_due:
            self._beat_due = False
            for node in sorted(self._replicas.neighbours):
                led = self._resting.led.get(node) or RestDigest()
                turn.outbox.add_beat(node, self._run, len(led), led.total)

    # -- what other nodes say --------------------------------------------------------------------

    def receive(self, turn: Turn, node: int, received: Received) -> None:
        """Take in a row of another node that speaks of rest. What it says of strangers is ignored."""
        message = received.message
        if received.kind == BEAT:
            self._note_run(node, message.term)
            self._compare(turn, node, message.index, message.commit)
        elif received.kind == RESTING:
            self._take_list(node, message.index, message.commit, message.context)
        elif received.kind == ASK_LED:
            self._returning.answer(turn, node, message.index)
        elif received.kind == LED:
            self._returning.take(turn, node, message.index, message.commit, message.context)
        elif received.group not in self._replicas.running.waiting or not self._need_not_start(node, received):
            replica = self._replicas.running.get(received.group)
            if replica is None or node not in replica.replica_of_node:
                return
            if received.kind == WAKE:
                self.stirred(replica, node)
            elif message.to == replica.replica_id and replica.nodes.get(message.from_) == node:
                self._follow(replica, node, message.from_, RestPoint(message.term, message.commit))

    def _need_not_start(self, node: int, received: Received) -> bool:
        """Whether a replica that waits can go on without an object."""
        message = received.message
        return received.kind == WAKE or (
            message.to == self._replicas.birth(received.group).replica_id
            and self._returning.follow(received.group, node, RestPoint(message.term, message.commit))
        )

    def _note_run(self, node: int, run: int) -> None:
        """See whether a node has started again: then it leads nothing of what rests here because of it."""
        if self._runs.get(node, run) != run:
            self._orphans.bereave(node)
        elif node in self._missed:
            self._resting.adopt(node)
        self._missed.discard(node)
        self._runs[node] = run

    def _follow(self, replica: Replica, node: int, leader: int, point: RestPoint) -> None:
        """The leader rests: so does a replica that has nothing to do either."""
        if replica.rests is not None:
            if replica.rests.point == point and replica.rests.nodes == (node,):
                return
            self._wake(replica, node)
        self._replicas.timers.touch(replica)
        if core.may_rest(replica.raw.raft, leader, *point) and self.idle(replica):
            self._resting.begin(replica, Rests(point, leads=False, nodes=(node,)))

    def _compare(self, turn: Turn, node: int, count: int, total: int) -> None:
        """Hold a beat against what rests here; if they differ, say what does, in pieces."""
        here = self._resting.followed.get(node) or RestDigest()
        if (len(here), here.total) == (count, total):
            self._returning.agreed(node)
            return
        if self._returning.ask(turn, node):
            return
        for low, high, listed in here.lists(LISTED):
            turn.outbox.add_resting(node, low, high, listed)

    def _take_list(self, node: int, low: int, high: int, listed: bytes) -> None:
        """Wake what rests on one side only: here by hand, there by a word."""
        digest = self._resting.led.get(node) or RestDigest()
        for group in digest.strange(listed)[:TOLD_AT_ONCE]:
            self._to_wake[node, group] = None
        idle = not self._odd
        self._odd.update(dict.fromkeys(digest.unlike(low, high, listed)))
        if idle:
            self._wake_odd()

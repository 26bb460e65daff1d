"""Replicas whose state was lost or damaged here: they vote and replicate, and get the state of a peer.

Their log is whole, so nothing that they promised is in doubt; they apply nothing, and serve nobody. A
follower asks its leader for the state, again and again; a leader hands its leadership over first. A snapshot
that arrives takes the place of the state alone: the log holds its point already, and goes on behind it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..raft.entry import Entry
from .errors import Corruption

if TYPE_CHECKING:
    from .delivery import Delivery
    from .pending import Answer
    from .replica import Arrived, Replica
    from .replicas import Replicas
    from .turn import Turn

logger = logging.getLogger("multiraft.node")


@dataclass(slots=True)
class Rebuilding:
    """What a replica knows of its state while that is not here."""

    reason: Corruption
    unapplied: list[Entry] = field(default_factory=list)
    """Entries that the core has handed out, and the damaged state could not take."""
    arrived: "Arrived | None" = None
    """A state that came, and waits until the log holds its point durably."""
    ticks: int = 0
    """Since the leader was asked last."""
    hand_overs: int = 0
    """How often it has given up leading."""


class Rebuilder:
    """Asks for the states that are missing, and puts them in place."""

    def __init__(self, replicas: "Replicas", delivery: "Delivery", ask_ticks: int) -> None:
        self._replicas = replicas
        self._delivery = delivery
        self._ask_ticks = ask_ticks

    def tick(self, turn: "Turn", ticks: int) -> "list[Replica]":
        """Time passes: ask, at first at once and then now and then. Returns the replicas that wait."""
        self._ask_for_logs(turn, ticks)
        waiting = list(self._replicas.rebuilding.values())
        for replica in waiting:
            rebuilding = replica.rebuilding
            assert rebuilding is not None
            rebuilding.ticks -= ticks
            leader = replica.leader_node
            if rebuilding.ticks > 0 or leader is None:
                continue
            rebuilding.ticks = self._ask_ticks
            if replica.leads:
                self._delivery.rest.touch(replica)
                _hand_over(replica, rebuilding)
            else:
                own, lead = replica.replica_id, replica.raw.raft.lead
                turn.outbox.add_state_request(leader, replica.group, lead, own)
        return waiting

    def _ask_for_logs(self, turn: "Turn", ticks: int) -> None:
        """Time passes: replicas whose log has lost something ask for a snapshot."""
        for group, silence in self._replicas.silent.items():
            silence.ticks -= ticks
            if silence.ticks <= 0 and silence.leader is not None:
                silence.ticks = self._ask_ticks
                node, leader = silence.leader
                own = self._replicas.running[group].replica_id
                turn.outbox.add_state_request(node, group, leader, own, silence.log.promised)

    def met_damage(self, turn: "Turn", damaged: Mapping[int, Corruption]) -> None:
        """The states of these groups are damaged on the disk: they cannot be flushed, or not be sent."""
        for group, error in damaged.items():
            replica = self._replicas.running.get(group)
            if replica is not None and replica.is_alone:
                replica.take_back()
                self._delivery.fence(turn, replica, error)
            elif replica is not None:
                replica.lose_state(error)

    def take_state(
        self, replica: "Replica", rebuilding: Rebuilding, answers: "list[Answer]"
    ) -> "Sequence[Entry]":
        """Put the state that has arrived in place, as soon as the log holds its point durably.

        Returns what is then to be applied before anything else.
        """
        arrived, log = rebuilding.arrived, replica.raw.raft.log
        if arrived is None or log.unstable.snapshot is not None or replica.applying is not None:
            return ()
        snapshot = arrived.snapshot
        if snapshot.index < log.applied:
            replica.drop_arrived()  # of a leader that has less on the disk than this replica had: ask again
            return ()
        durable = min(log.committed, log.unstable.offset - 1)
        if snapshot.index <= durable and log.match_term(snapshot.term, snapshot.index):
            rebuilding.arrived = None
            try:
                return replica.replace_state(arrived, answers)
            except Corruption as error:
                logger.warning("group %d: the state that came is damaged: %s", replica.group, error)
        return ()


def _hand_over(replica: "Replica", rebuilding: Rebuilding) -> None:
    """Let another one lead: each in turn, for nobody knows here which of them has the state."""
    others = [voter for voter in replica.applied.conf_state.voters if voter != replica.replica_id]
    if others:
        replica.raw.transfer_leadership(others[rebuilding.hand_overs % len(others)])
        rebuilding.hand_overs += 1

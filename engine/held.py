"""Promises that wait for the disk: messages that may leave only when a batch is durable."""

from ..raft.messages import Message
from .replica import Replica

Promise = tuple[Replica, list[Message]]
"""Messages of one replica, in order; those addressed to the replica itself are stepped back into it."""


class Held:
    """Messages by the batch that backs them. What is queued here has been seen by nobody."""

    def __init__(self) -> None:
        self._by_batch: dict[int, list[Promise]] = {}
        self._durable = 0

    @property
    def batches_in_flight(self) -> int:
        """Batches that are handed over and not durable."""
        return len(self._by_batch)

    def staged(self, batch: int, promises: list[Promise]) -> None:
        """``promises`` are backed by this batch."""
        self._by_batch[batch] = promises

    def behind(self, replica: Replica, messages: list[Message]) -> bool:
        """Let messages that need nothing new on disk wait for the replica's newest batch.

        Returns ``False`` if that batch is durable already: they may leave at once.
        """
        if replica.newest_batch <= self._durable:
            return False
        self._by_batch[replica.newest_batch].append((replica, messages))
        return True

    def durable(self, batch: int) -> list[Promise]:
        """The batch is on disk (batches get there in order): what may leave now."""
        self._durable = batch
        return self._by_batch.pop(batch)

"""The account of the batches: how much is stored, how much of it is alive, and what may be deleted."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

STATE_BYTES: Final = 64
"""What a small state counts as among the live bytes."""


@dataclass(slots=True)
class StoredBatch:
    """A batch in the environment, or on its way there."""

    seq: int
    chunks: int
    size: int
    live: int
    """Items in it that the index points to: runs and small states. At 0 the batch can go."""


@dataclass(frozen=True, slots=True)
class CollectionPolicy:
    """When old batches are collected, and how much of that work rides on one append."""

    factor: float = 3.0
    """Collect while stored bytes exceed this multiple of the live bytes ..."""
    slack: int = 8 << 20
    """... and these bytes."""
    batches: int = 12
    """At most so many batches are deleted with one append."""
    live_bytes: int = 96 << 10
    """No further batch is begun when so many live bytes, or as many as are appended, have been rewritten."""


class Ledger:
    """The batches in order. `stored_bytes` is the sum of their sizes."""

    def __init__(self) -> None:
        self.stored_bytes = 0
        self.live_bytes = 0
        self._order: deque[StoredBatch] = deque()
        self._by_seq: dict[int, StoredBatch] = {}

    def __len__(self) -> int:
        return len(self._order)

    def oldest(self) -> StoredBatch:
        """The oldest batch; there is one from the first run on."""
        return self._order[0]

    def from_oldest(self) -> Iterator[StoredBatch]:
        """The batches, oldest first."""
        return iter(self._order)

    def open(self, seq: int) -> StoredBatch:
        """A batch is being put together behind all others; `measure` tells its size when it is known."""
        assert not self._order or seq > self._order[-1].seq, "sequence numbers ascend"
        batch = StoredBatch(seq, chunks=0, size=0, live=0)
        self._order.append(batch)
        self._by_seq[seq] = batch
        return batch

    def measure(self, batch: StoredBatch, chunks: int, size: int) -> None:
        """The batch is encoded and takes so many chunks and bytes."""
        batch.chunks = chunks
        batch.size = size
        self.stored_bytes += size

    def withdraw(self, seq: int) -> None:
        """The newest batch was not written after all."""
        batch = self._order.pop()
        assert batch.seq == seq, "batches are withdrawn newest first"
        del self._by_seq[seq]
        self.stored_bytes -= batch.size

    def retire_head(self) -> StoredBatch:
        """The oldest batch, wholly dead, is deleted."""
        batch = self._order.popleft()
        assert batch.live == 0, f"batch {batch.seq} still holds {batch.live} live items"
        del self._by_seq[batch.seq]
        self.stored_bytes -= batch.size
        return batch

    def restore(self, batches: Iterable[StoredBatch]) -> None:
        """These batches, retired in this order, were not deleted after all."""
        for batch in reversed(list(batches)):
            self._order.appendleft(batch)
            self._by_seq[batch.seq] = batch
            self.stored_bytes += batch.size

    def count(self, carrier: int, items: int) -> None:
        """So many items of a batch came to life (negative: died). 0 is the carrier of what is not written."""
        if carrier:
            self._by_seq[carrier].live += items

    def wants_collection(self, policy: CollectionPolicy) -> bool:
        """Whether too much of what is stored is dead."""
        return self.stored_bytes > policy.factor * self.live_bytes + policy.slack

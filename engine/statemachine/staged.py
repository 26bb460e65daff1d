"""Data on its way into the state store, under a prefix that belongs to nobody until a group adopts it."""

from collections.abc import Callable

from .carryout import put_in_pieces
from .medium import Writer
from .paging import Pair
from .records import PREFIX, Kind, record_key, seal
from .tally import Tally, Tallying


class StagedData:
    """A snapshot's data as far as it has come; made by ``StateStore.stage``.

    The first write notes on the disk that the prefix is dead, so a crash leaves nothing that the next start
    does not remove. Only the flush that gives the data to a group takes that note back.
    """

    def __init__(self, commit: Callable[[Callable[[Writer], None]], None], prefix: int) -> None:
        self.prefix = prefix
        self.empty = True
        """Whether nothing was ever written."""
        self._commit = commit
        self._tallying = Tallying()

    @property
    def tally(self) -> Tally:
        """Of everything written so far."""
        return self._tallying.result()

    def write(self, pairs: list[Pair]) -> None:
        """Make pairs durable, in one transaction. From the thread that writes flushes.

        They ascend, and follow those of the calls before. After an error nothing more may be written.
        Raises DiskFull, StorageFailed.
        """
        self._commit(lambda writer: self._put(pairs, writer))
        self.empty = False

    def _put(self, pairs: list[Pair], writer: Writer) -> None:
        low = PREFIX.pack(self.prefix)
        if self.empty:
            dead = record_key(Kind.DEAD, self.prefix)
            writer.put_many([(dead, seal(dead, b""))])
        values = [(low + key, seal(low + key, value)) for key, value in pairs]
        for _, stored in values:
            self._tallying.add(stored)
        put_in_pieces(values, writer)

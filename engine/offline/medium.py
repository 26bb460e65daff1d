"""A state store's file as the state store reads it, with nobody to write to it."""

from collections.abc import Callable
from itertools import islice
from typing import Self

from ..errors import StorageFailed
from ..statemachine.medium import Writer
from ..statemachine.overlay import OverlayStore
from ..statemachine.paging import PAGE_BYTES, Page, Pair
from .lmdbfile import LmdbFile


class ReadOnlyMedium:
    """Implements :class:`~multiraft.engine.statemachine.medium.Medium` on a file, or on nothing at all."""

    def __init__(self, file: LmdbFile | None) -> None:
        self._file = file

    def get(self, key: bytes) -> bytes | None:
        """The value, or None. Raises `Corruption`."""
        return None if self._file is None else self._file.get(key)

    def page(self, start: bytes, stop: bytes, limit: int, *, reverse: bool = False) -> Page:
        """At most ``limit`` pairs, about ``PAGE_BYTES`` bytes, of ``[start, stop)``. Raises `Corruption`."""
        pairs: list[Pair] = []
        total = 0
        items = iter(()) if self._file is None else self._file.items(start, stop, reverse=reverse)
        for pair in islice(items, limit):
            pairs.append(pair)
            total += len(pair[1])
            if total >= PAGE_BYTES:
                break
        more = len(pairs) == limit or total >= PAGE_BYTES
        return Page(pairs, pairs[-1][0] if more else None)

    def around(self, start: bytes, stop: bytes) -> list[Pair]:
        """The pairs next to ``[start, stop)``. Raises `Corruption`."""
        below = self.page(b"", start, 1, reverse=True).pairs
        above = () if self._file is None else islice(self._file.items(stop), 1)
        return [*below, *above]

    def moment(self) -> Self:
        """Nobody writes: every moment is like any other."""
        return self

    def commit(self, work: Callable[[Writer], None]) -> None:  # noqa: ARG002 # the port's signature
        """Raises `StorageFailed`; of a store that is empty nothing need be kept."""
        if self._file is not None:
            raise StorageFailed("this state store was opened for reading only")

    def reopen(self) -> None:
        """Nothing can have gone wrong."""

    def copy(self) -> None:
        """As little as here."""

    def adopt(self) -> None:
        """Or here."""

    def close(self) -> None:
        """The file belongs to whoever opened it."""


def open_state(file: LmdbFile | None) -> OverlayStore:
    """The state store in a file, which is never written to: what is written to the store stays in memory.

    Raises `Corruption`, `VersionMismatch`.
    """
    is_empty = file is None or next(file.items(), None) is None
    return OverlayStore(ReadOnlyMedium(None if is_empty else file))

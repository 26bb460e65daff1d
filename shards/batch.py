"""Writes that are collected and then made together."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from ..engine.errors import Closed
from ..engine.statemachine.commands import encode_batch

Change = tuple[bytes, bytes | None]
"""A key and its new value, or ``None`` to remove the key."""


class Changes:
    """The changes of one batch, until the batch has ended."""

    def __init__(self) -> None:
        self._changes: list[Change] | None = []

    def __len__(self) -> int:
        return len(self._changes or ())

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value when the batch is written. Raises Closed if that has happened, or never will."""
        self._open().append((key, value))

    def delete(self, key: bytes) -> None:
        """Remove a key when the batch is written. Raises Closed if that has happened, or never will."""
        self._open().append((key, None))

    def end(self) -> list[Change]:
        """Everything collected; nothing can be added any more."""
        changes, self._changes = self._open(), None
        return changes

    def _open(self) -> list[Change]:
        if self._changes is None:
            raise Closed("the batch has ended: begin another one")
        return self._changes


class WriteBatch(Changes):
    """Collects writes of one range; see :meth:`~.database.Database.batch`."""

    def __init__(self, write: Callable[[bytes, bytes, bytes], Awaitable[object]]) -> None:
        super().__init__()
        self._write = write

    async def write(self) -> None:
        """Write everything, atomically, and end the batch; an empty one does nothing.

        Raises:
            CrossRange: the keys lie in different ranges; nothing was written.
        """
        changes = self.end()
        if changes:
            body = encode_batch(changes)
            keys = [key for key, _ in changes]
            await self._write(min(keys), max(keys), body)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.write()
        else:
            self.end()

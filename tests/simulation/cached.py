"""Stores of a disk that has failed once, of which nobody knows what is on it and what in memory only."""

from multiraft.engine.logstore.memory import MemoryEnvironment
from multiraft.engine.statemachine.memory_store import MemoryMedium


class CachedEnvironment(MemoryEnvironment):
    """After an input/output error what was on the disk stays there, and all that follows is in memory only.

    That is the worst that may be: no later flush can be trusted, whatever it says. A copy can.
    """

    _on_disk: dict[bytes, bytes] | None = None

    @property
    def value_small(self) -> int:
        """So small that batches of a simulation have several."""
        return 200

    def doubt(self) -> None:
        """A write or a flush has failed."""
        if self._on_disk is None:
            self._on_disk = dict(self.values)

    def adopt(self) -> None:
        self._on_disk = None

    def lose_cache(self) -> None:
        """The machine, or the process, is gone."""
        if self._on_disk is not None:
            self.values.clear()
            self.values.update(self._on_disk)


class CachedMedium(MemoryMedium):
    """The same for a state store."""

    _on_disk: dict[bytes, bytes] | None = None

    def doubt(self) -> None:
        if self._on_disk is None:
            self._on_disk = dict(self.contents)

    def adopt(self) -> None:
        super().adopt()
        self._on_disk = None

    def lose_cache(self) -> None:
        if self._on_disk is not None:
            self.contents.clear()
            self.contents.update(self._on_disk)

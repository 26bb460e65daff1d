"""Which logs are to be cut with the next batch, and why."""

from collections.abc import Iterable, Mapping, Sequence

from .errors import Corruption
from .logstore.port import GroupWrite, Loss
from .replica import Replica

Cut = tuple[GroupWrite, Replica]


class Truncations:
    """Cuts that wait for a batch. None of them needs a flush of its own: they go along."""

    def __init__(self, running: Mapping[int, Replica]) -> None:
        self._running = running
        self._waiting: list[Cut] = []

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(self) -> list[Cut]:
        """Those that go into a batch now."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def flushed(self, groups: Iterable[int]) -> None:
        """The applied state of these groups is on disk."""
        for group in groups:
            replica = self._running.get(group)
            write = None if replica is None or replica.installing else replica.truncation()
            if replica is not None and write is not None:
                self._waiting.append((write, replica))

    def lost(self, losses: Sequence[Loss]) -> list[tuple[Replica, Corruption]]:
        """Entries cannot be read any more: logs are cut behind them. Returns who still needs them."""
        broken: dict[int, tuple[Replica, Corruption]] = {}
        for group, first, last in losses:
            replica = self._running.get(group)
            if replica is None:
                continue
            write = replica.truncation_past(last)
            if write is not None:
                self._waiting.append((write, replica))
            else:
                error = Corruption(f"the log has lost entries {first} to {last}", group, first)
                broken.setdefault(group, (replica, error))
        return list(broken.values())

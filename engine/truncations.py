"""Which logs are to be cut with the next batch, and why."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from .errors import Corruption
from .logstore.port import GroupWrite, LogStore, Loss
from .replica import Replica

Cut = tuple[GroupWrite, Replica]

_LOOK_S: Final = 1.0
"""How often the groups are looked for that hold the store's oldest batches, and how long the store keeps in
memory, at least, what was written last."""
_BATCHES: Final = 12
_AT_ONCE: Final = 64  # logs that may come of age in one look


class Truncations:
    """Cuts that wait for a batch. None of them needs a flush of its own: they go along.

    A log is looked at when its applied state has been flushed, when nothing has come for as long as entries
    are kept, and when it holds up the store's collection.
    """

    def __init__(self, running: Mapping[int, Replica], log: LogStore[Any], keep_s: float) -> None:
        self._running = running
        self._log = log
        self._keep_s = keep_s
        self._waiting: list[Cut] = []
        self._ages: dict[int, float] | None = None
        """By group when its state was flushed last, the longest ago first; None: no time has passed yet."""
        self._paused: dict[int, Replica] = {}
        """Replicas that must not begin another snapshot yet."""
        self._next_look = 0.0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def concerns(self, replica: Replica) -> bool:
        """Whether a cut of its log waits, or a snapshot that it must not begin yet."""
        return replica.group in self._paused or any(one is replica for _, one in self._waiting)

    def take(self) -> list[Cut]:
        """Those that go into a batch now. A log whose replica was removed is no more."""
        waiting, self._waiting = self._waiting, []
        return [cut for cut in waiting if self._running.get(cut[1].group) is cut[1]]

    def flushed(self, groups: Iterable[int], now: float) -> None:
        """The applied state of these groups is on disk."""
        ages = self._ages if self._ages is not None else {}
        for group in groups:
            ages.pop(group, None)
            replica = self._running.get(group)
            if replica is not None:
                ages[group] = now
                self._look_at(replica, now)

    def cut_past(self, replica: Replica, index: int) -> bool:
        """Cut a log behind an entry that cannot be read, if what it led to is in the state store."""
        if not replica.log_may_be_cut:
            return False
        write = replica.keeping.truncation_past(replica.passed, index)
        self._add(replica, write)
        return write is not None

    def lost(self, losses: Sequence[Loss]) -> list[tuple[Replica, Corruption]]:
        """Entries cannot be read any more: logs are cut behind them. Returns who still needs them."""
        if not losses:
            return []
        broken: dict[int, tuple[Replica, Corruption]] = {}
        for group, first, last in losses:
            replica = self._running.get(group)
            if replica is None:
                continue
            if not self.cut_past(replica, last):
                error = Corruption(f"the log has lost entries {first} to {last}", group, first)
                broken.setdefault(group, (replica, error))
        return list(broken.values())

    def pass_time(self, now: float) -> list[Replica]:
        """Look at what time alone brings; returns replicas that need a checkpoint before they can be cut."""
        for group, replica in list(self._paused.items()):
            if now >= replica.keeping.paused_until:
                replica.pause_snapshots(paused=False)
                del self._paused[group]
        wanting = self._come_of_age(now)
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            self._log.age()
            if self._log.crowded:
                wanting += self._compact_holders(now)
        return wanting

    def _come_of_age(self, now: float) -> list[Replica]:
        """Logs to which nothing has come for so long that all of it may go."""
        if self._ages is None:
            self._ages = dict.fromkeys(self._running, now)
        wanting = []
        for group, since in list(islice(self._ages.items(), _AT_ONCE)):
            if since + self._keep_s > now:
                break
            del self._ages[group]
            replica = self._running.get(group)
            if replica is not None:
                replica.keeping.rested_since(since)
                self._look_at(replica, now)
                if replica.needs_checkpoint:
                    wanting.append(replica)
        return wanting

    def _compact_holders(self, now: float) -> list[Replica]:
        """To cut a long log that rests is cheaper than to write it again with each round of collection."""
        wanting = []
        for group in self._log.holders(_BATCHES):
            replica = self._running.get(group)
            if replica is None or not replica.log_may_be_cut:
                continue
            if self._ages is not None:  # one that was put away has forgotten how old its log is
                replica.keeping.rested_since(self._ages.get(group, now))
            if not replica.keeping.is_long_and_old(now):
                continue
            self._add(replica, replica.keeping.compaction(replica.passed, replica.followers, now))
            if replica.needs_checkpoint:
                wanting.append(replica)
        return wanting

    def _look_at(self, replica: Replica, now: float) -> None:
        if not replica.log_may_be_cut:
            return
        self._add(replica, replica.keeping.truncation(replica.passed, replica.followers, now))
        if replica.keeping.paused_until > now:
            replica.pause_snapshots(paused=True)
            self._paused[replica.group] = replica

    def _add(self, replica: Replica, write: GroupWrite | None) -> None:
        if write is not None:
            self._waiting.append((write, replica))

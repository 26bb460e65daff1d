"""What of a group's log is kept for followers that are sent a snapshot, and for how long.

The log behind a snapshot must be there when the snapshot has arrived, or the follower needs the next one at
once; and until it has caught up. But a follower that is slow, or dies meanwhile, must not hold the log for
ever. So what is held has a cap. When it is met the log is cut, the transfer breaks off, and another one
begins after a pause that doubles each time, and so does the cap.
"""

from collections.abc import Mapping
from typing import Final

from ..raft.progress import Progress, ProgressState
from .compaction import LogSize

_DOUBLINGS: Final = 4
_PAUSE_S: Final = 1.0
_NEAR_BYTES: Final = 128 * 1024
"""A follower has caught up when no more than this lies before it."""


class _Hold:
    """For one follower. ``index``: the log is needed behind it."""

    __slots__ = ("broken", "cap", "index", "moved", "pause")

    def __init__(self, cap: int, index: int, now: float) -> None:
        self.cap = cap
        self.pause = _PAUSE_S
        self.index = index
        self.moved = now
        """When that index moved last."""
        self.broken = False
        """The cap was met: nothing is held, until the next snapshot begins."""


class SnapshotHolds:
    """Holds by follower. There are none as long as no follower needs a snapshot."""

    __slots__ = ("_cap", "_holds", "_patience", "paused_until")

    def __init__(self, cap: int, patience: float) -> None:
        """``cap``: bytes held for one follower, at first. ``patience``: seconds that it may stand still."""
        self.paused_until = 0.0
        """No further snapshot should begin before."""
        self._cap = cap
        self._patience = patience
        self._holds: dict[int, _Hold] = {}

    def index(self, members: Mapping[int, Progress], size: LogSize, applied: int, now: float) -> int:
        """The log may be cut up to this index; ``members`` are what a leader knows of each."""
        lowest = applied
        for peer, member in members.items():
            hold = self._holds.get(peer)
            if member.state is ProgressState.SNAPSHOT:
                hold = self._under_way(peer, member.pending_snapshot, now)
            elif hold is None or not self._catches_up(peer, hold, member.match, size, now):
                continue
            if not hold.broken and size.bytes_behind(hold.index) > hold.cap:
                self._break(hold, now)
            if not hold.broken:
                lowest = min(lowest, hold.index)
        return lowest

    def _under_way(self, peer: int, index: int, now: float) -> _Hold:
        """A snapshot that stands at ``index`` is on its way."""
        hold = self._holds.get(peer)
        if hold is None:
            hold = self._holds[peer] = _Hold(self._cap, index, now)
        elif hold.index != index:
            hold.index, hold.moved, hold.broken = index, now, False
        return hold

    def _catches_up(self, peer: int, hold: _Hold, match: int, size: LogSize, now: float) -> bool:
        """Whether the follower has its snapshot and goes on from there. One that is done is forgotten."""
        if match > hold.index:
            hold.index, hold.moved = match, now
        if match >= hold.index and size.bytes_behind(match) <= _NEAR_BYTES:
            del self._holds[peer]
        elif now - hold.moved > self._patience:
            hold.broken = True  # the next snapshot begins with the same cap
        return peer in self._holds and match >= hold.index

    def _break(self, hold: _Hold, now: float) -> None:
        hold.broken = True
        self.paused_until = max(self.paused_until, now + hold.pause)
        if hold.cap < self._cap << _DOUBLINGS:
            hold.cap *= 2
            hold.pause *= 2

"""Encoded runs of entries: each run of a turn is encoded once, for the log batch and for every frame."""

from collections.abc import Sequence

from ..native.entries import encode_runs
from ..raft.entry import Entry


class Run:
    """Consecutive entries of one group and, once :meth:`Runs.encode` has run, their bytes."""

    __slots__ = ("data", "entries")

    def __init__(self, entries: Sequence[Entry], data: bytes | None = None) -> None:
        self.entries = entries
        self.data = data

    def holds(self, entries: Sequence[Entry]) -> bool:
        """Whether these are the very same entry objects.

        Entries are immutable and a run has no holes, so first, last and length decide.
        """
        mine = self.entries
        return len(mine) == len(entries) and mine[0] is entries[0] and mine[-1] is entries[-1]


class Runs:
    """The runs of one turn, by group.

    A leader's new entries go to the log and to each peer, a follower's come in a frame and go to its log:
    in both cases the bytes exist once.
    """

    __slots__ = ("_by_group", "_to_encode")

    def __init__(self) -> None:
        self._by_group: dict[int, list[Run]] = {}
        self._to_encode: list[Run] = []

    def received(self, group: int, entries: Sequence[Entry], data: bytes) -> None:
        """Remember a run that a peer sent: ``data`` is its encoding, checked already."""
        self._by_group.setdefault(group, []).append(Run(entries, data))

    def of(self, group: int, entries: Sequence[Entry]) -> Run:
        """The run of these entries; its bytes are there after :meth:`encode`."""
        known = self._by_group.setdefault(group, [])
        for run in known:
            if run.holds(entries):
                return run
        run = Run(entries)
        known.append(run)
        self._to_encode.append(run)
        return run

    def encode(self) -> None:
        """Encode what was asked for and not received, in one call."""
        if self._to_encode:
            for run, data in zip(
                self._to_encode, encode_runs([run.entries for run in self._to_encode]), strict=True
            ):
                run.data = data
            self._to_encode.clear()

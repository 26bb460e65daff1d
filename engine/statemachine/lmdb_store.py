"""The state store of a node on LMDB."""

from pathlib import Path
from typing import Self

from .lmdb_medium import Durability, LmdbMedium
from .overlay import OverlayStore


class LmdbStateStore(OverlayStore):
    """The state of all groups in one environment, the directory ``path``.

    Two flushes a commit (``durability="sync"``): what ``flushed`` reports survives a loss of power. With
    ``"none"`` an operating-system crash may take everything, the file itself included.
    """

    medium: LmdbMedium

    @classmethod
    def open(cls, path: Path | str, durability: Durability = "sync") -> Self:
        """Open or create the store.

        Raises AlreadyOpen, PermissionDenied, VersionMismatch (a newer format), Corruption (not a state
        store, or damaged beyond the places that belong to one group), StorageFailed, DiskFull.
        """
        medium = LmdbMedium(Path(path), durability)
        try:
            return cls(medium)
        except BaseException:
            medium.close()
            raise

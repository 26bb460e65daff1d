"""The state store of a node on LMDB."""

import logging
import shutil
from pathlib import Path
from typing import Final, Self

from ..errors import Corruption, StorageFailed
from ..logstore.files import sync_directory
from .lmdb_medium import Durability, LmdbMedium
from .overlay import OverlayStore

logger = logging.getLogger(__name__)

ASIDE: Final = ".damaged"
"""Added to the name of a store that was set aside; a later one takes its place."""


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

    @classmethod
    def open_or_begin_anew(cls, path: Path, durability: Durability = "sync") -> Self:
        """Open the store; one that is too damaged for that is set aside, and an empty one takes its place.

        For nodes with peers: the logs and the peers have what was in it. Raises as :meth:`open`.
        """
        try:
            return cls.open(path, durability)
        except Corruption as error:
            aside = path.with_name(path.name + ASIDE)
            logger.exception("the state store is set aside as %s, and its contents are made anew", aside)
            try:
                if aside.exists():
                    shutil.rmtree(aside)
                path.rename(aside)
                sync_directory(path.parent)
            except OSError as failure:
                raise StorageFailed(f"{path}: {failure.strerror}") from error
            return cls.open(path, durability)

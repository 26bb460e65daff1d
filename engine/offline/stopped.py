"""A stopped node's data directory, opened for reading only."""

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .. import nodefile
from ..datadir import typed_errors
from ..errors import AlreadyOpen, Corruption, InvalidArgument
from .lmdbfile import LmdbFile
from .logfile import LogFile

STORES: Final = ("log", "state")
DATA_FILE: Final = "data.mdb"


class StoppedNode:
    """A data directory that no node has open; made by :meth:`open`, a context manager.

    It is never written to. While it is open here a node cannot start in it: a shared lock is held on its
    ``LOCK`` file, if there is one (a copy needs none).
    """

    def __init__(self, path: Path, resources: ExitStack) -> None:
        self.path = path
        self.identity: nodefile.NodeFile | None = None
        self.identity_damage: str | None = None
        """Why `identity` is None."""
        self.damage: dict[str, str] = {}
        """Why a store's file cannot be read at all, by store."""
        self._files: dict[str, LmdbFile] = {}
        self._log: LogFile | None = None
        self._resources = resources

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a directory, damaged or not.

        Raises:
            AlreadyOpen: a node has it open.
            InvalidArgument: it is not the data directory of a node.
            PermissionDenied, StorageFailed: it cannot be read.
            VersionMismatch: a newer version, or another version of LMDB, wrote it.
        """
        directory = Path(path)
        with ExitStack() as resources, typed_errors(directory):
            _check_is_node(directory)
            _share_lock(directory, resources)
            node = cls(directory, resources)
            node._read_identity()
            for store in STORES:
                node._open_store(store)
            node._resources = resources.pop_all()
        return node

    def store(self, store: str) -> LmdbFile | None:
        """The file of "log" or "state"; None if it was never made, or see `damage`."""
        return self._files.get(store)

    def log(self) -> LogFile | None:
        """The log as it would be after the next start; None as for `store`."""
        file = self.store("log")
        if file is not None and self._log is None:
            self._log = LogFile(file)
        return self._log

    def close(self) -> None:
        """Close everything; nodes may start again."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_identity(self) -> None:
        try:
            self.identity = nodefile.read(self.path)
        except Corruption as error:
            self.identity_damage = str(error)
        else:
            if self.identity is None:
                self.identity_damage = f"{self.path / nodefile.NODE_FILE} is missing"

    def _open_store(self, store: str) -> None:
        path = self.path / store / DATA_FILE
        try:
            self._files[store] = self._resources.enter_context(LmdbFile(path))
        except FileNotFoundError:
            # A node that has joined a cluster had written to both.
            if self.identity is None or self.identity.cluster_uuid is not None:
                self.damage[store] = "the file is missing"
        except Corruption as error:
            self.damage[store] = str(error)


def _check_is_node(directory: Path) -> None:
    if not directory.exists():
        raise InvalidArgument(f"{directory}: there is no such directory")
    if not directory.is_dir():
        raise InvalidArgument(f"{directory} is not a directory")
    found = {one.name for one in directory.iterdir()}
    if nodefile.NODE_FILE not in found and not found.issuperset(STORES):
        raise InvalidArgument(f"{directory} is not the data directory of a node")


def _share_lock(directory: Path, resources: ExitStack) -> None:
    """Keep nodes out. Raises `AlreadyOpen` if one is in."""
    try:
        descriptor = os.open(directory / "LOCK", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    resources.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        raise AlreadyOpen(
            f"{directory} is open in process {holder or 'unknown'}: stop the node first, or look at a copy"
        ) from None

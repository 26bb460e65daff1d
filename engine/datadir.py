"""The data directory of a node: opened by one process at a time, with an identity that cannot be mixed up.

``DIR/node`` identity (:mod:`.nodefile`) · ``DIR/LOCK`` held while open · ``DIR/ballast`` space to give back
when the disk is full · ``DIR/log/`` and ``DIR/state/`` the two stores.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from . import nodefile
from .ballast import Ballast
from .errors import (
    AlreadyOpen,
    Closed,
    ClusterMismatch,
    Corruption,
    DiskFull,
    Error,
    Forked,
    InvalidArgument,
    PermissionDenied,
    StorageFailed,
)
from .nodefile import NodeFile

_LARGEST_NODE_ID = 2**32 - 1
_STORES = ("log", "state")


class DataDir:
    """An open data directory; made by :meth:`open`, closed by :meth:`close` or as a context manager."""

    def __init__(self, path: Path, lock: int, node: NodeFile, ballast: Ballast, created: bool) -> None:
        self.path = path
        self.created = created
        """Whether this opening made its identity: the node has never run before."""
        self._lock: int | None = lock
        self._node = node
        self._ballast = ballast
        self._pid = os.getpid()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        node_id: int,
        cluster_name: str,
        bootstrap_digest: bytes,
        *,
        ballast_bytes: int,
    ) -> Self:
        """Open or create the data directory of a node, and count this start in its incarnation.

        Raises:
            AlreadyOpen: this or another process has it open.
            ClusterMismatch: it belongs to another node or cluster.
            Corruption: its identity is damaged, or missing although there is data.
            DiskFull, StorageFailed: the disk refused a write.
            InvalidArgument: the path is not a directory, or the node id is out of range.
            PermissionDenied: this user may not use it.
            VersionMismatch: its format is newer (or older) than this version reads.
        """
        if not 1 <= node_id <= _LARGEST_NODE_ID:
            raise InvalidArgument(f"a node id is 1..{_LARGEST_NODE_ID}, not {node_id}")
        directory = Path(path).absolute()
        with typed_errors(directory):
            _make_directory(directory)
            lock = _take_lock(directory)
            try:
                node, created = _start(directory, node_id, cluster_name, bootstrap_digest)
                ballast = Ballast(directory, ballast_bytes)
                ballast.restore()
            except BaseException:
                os.close(lock)
                raise
        return cls(directory, lock, node, ballast, created)

    @property
    def node_id(self) -> int:
        """The node that the directory belongs to."""
        return self._node.node_id

    @property
    def store_uuid(self) -> bytes:
        """16 random bytes, made with the directory."""
        return self._node.store_uuid

    @property
    def cluster_name(self) -> str:
        """The name that the cluster was started with."""
        return self._node.cluster_name

    @property
    def bootstrap_digest(self) -> bytes:
        """The digest of cluster name and first nodes with which the directory was made."""
        return self._node.bootstrap_digest

    @property
    def cluster_uuid(self) -> bytes | None:
        """16 bytes once the first entry of the system group has fixed it, else None."""
        return self._node.cluster_uuid

    @property
    def incarnation(self) -> int:
        """1 at the first start, one more at every further one."""
        return self._node.incarnation

    @property
    def log_path(self) -> Path:
        """Where the log store lives."""
        return self.path / "log"

    @property
    def state_path(self) -> Path:
        """Where the state store lives."""
        return self.path / "state"

    def set_cluster_uuid(self, cluster_uuid: bytes) -> None:
        """Note, durably, which cluster this is. Once: the same value again changes nothing.

        Raises:
            ClusterMismatch: another uuid is noted already.
            DiskFull, StorageFailed: it is not durable.
        """
        self.check_open()
        assert len(cluster_uuid) == 16, len(cluster_uuid)
        if self._node.cluster_uuid == cluster_uuid:
            return
        if self._node.cluster_uuid is not None:
            raise ClusterMismatch(
                f"{self.path} belongs to cluster {self._node.cluster_uuid.hex()}, not to {cluster_uuid.hex()}"
            )
        node = replace(self._node, cluster_uuid=cluster_uuid)
        with typed_errors(self.path):
            nodefile.write(self.path, node)
        self._node = node

    def release_ballast(self) -> bool:
        """Give the ballast's space back to a full disk. ``False``: there was none.

        Raises:
            StorageFailed: the disk refuses even that.
        """
        self.check_open()
        with typed_errors(self.path):
            return self._ballast.release()

    def restore_ballast(self) -> bool:
        """Set ballast aside again. ``False``: space is still too short for that.

        Raises:
            StorageFailed: the disk refuses it for another reason.
        """
        self.check_open()
        with typed_errors(self.path):
            return self._ballast.restore()

    def check_fork(self) -> None:
        """Refuse a process other than the one that opened the directory.

        Raises:
            Forked: this is a child process.
        """
        if os.getpid() != self._pid:
            raise Forked(f"{self.path} was opened by process {self._pid}: open it anew after fork()")

    def check_open(self) -> None:
        """Refuse a directory that is closed, or open in the parent process only.

        Raises:
            Closed, Forked: see above.
        """
        self.check_fork()
        if self._lock is None:
            raise Closed(f"{self.path} is closed")

    def close(self) -> None:
        """Let others open the directory. Idempotent; in a child process it leaves the parent's lock alone."""
        if self._lock is not None:
            # Only closed, never unlocked: a lock belongs to the opening that parent and child share.
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _start(directory: Path, node_id: int, cluster_name: str, digest: bytes) -> tuple[NodeFile, bool]:
    """The identity for this start, durable, and whether it is a new one."""
    known = nodefile.read(directory)
    if known is None:
        _make_stores(directory)
        node = NodeFile(node_id, secrets.token_bytes(16), cluster_name, digest, None, incarnation=1)
    else:
        problem = _identity_problem(known, node_id, cluster_name, digest)
        if problem:
            raise ClusterMismatch(f"{directory} belongs to {problem}")
        if not (directory / "log").is_dir():  # the state can be made anew, what was promised cannot
            raise Corruption(f"{directory} has lost its log: what this node promised is gone")
        node = replace(known, incarnation=known.incarnation + 1)
    nodefile.write(directory, node)
    return node, known is None


def _make_stores(directory: Path) -> None:
    """Create the empty stores, before the identity: where there is an identity, a missing store was lost.

    Raises:
        Corruption: there is data already. Whose it is cannot be guessed.
    """
    for store in _STORES:
        if (directory / store).exists() and any((directory / store).iterdir()):
            raise Corruption(f"{directory / store} has data, but the file that says whose is missing")
        _make_directory(directory / store)


def _identity_problem(known: NodeFile, node_id: int, cluster_name: str, digest: bytes) -> str | None:
    """Whose directory it is instead, or None if it is the expected one."""
    if known.node_id != node_id:
        return f"node {known.node_id}, not to node {node_id}"
    if known.cluster_name != cluster_name:
        return f"cluster {known.cluster_name!r}, not to {cluster_name!r}"
    # Once the cluster has its uuid, its members may differ from those that it began with.
    if known.cluster_uuid is None and known.bootstrap_digest != digest:
        return f"a cluster {cluster_name!r} that was started with other nodes"
    return None


def _make_directory(directory: Path) -> None:
    """Create a directory (0700) and what is missing above it, durably; one that exists is left alone."""
    if directory.is_dir():
        return
    if directory.parent != directory:
        _make_directory(directory.parent)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        if directory.is_dir():  # made by somebody else at this moment
            return
        raise InvalidArgument(f"{directory} is not a directory") from None
    nodefile.sync_directory(directory.parent)


def _take_lock(directory: Path) -> int:
    """The descriptor of the locked ``LOCK`` file, which names this process."""
    descriptor = os.open(directory / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        where = "this process" if holder == str(os.getpid()) else f"process {holder or 'unknown'}"
        raise AlreadyOpen(f"{directory} is open in {where} already") from None
    except BaseException:
        os.close(descriptor)
        raise
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor


@contextmanager
def typed_errors(directory: Path) -> Iterator[None]:
    """Turn what the operating system says of a directory, or of what lies in it, into our errors."""
    try:
        yield
    except OSError as error:
        raise _typed_error(error, directory) from error


def _typed_error(error: OSError, directory: Path) -> Error:
    place = error.filename or directory
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return PermissionDenied(f"{place}: {error.strerror}")
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(f"{place}: {error.strerror}")
    if error.errno in {errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}:
        return InvalidArgument(f"{place}: {error.strerror}")
    return StorageFailed(f"{place}: {error.strerror}")

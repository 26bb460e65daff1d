"""Small file systems that can be filled: one per node, or where that is not allowed a limit on its files."""

import asyncio
import ctypes
import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

SIZE: Final = 1 << 30
"""Bytes of a file system; its file is sparse, so this is what it may take and not what it takes."""
CLONE_NEWNS: Final = 0x00020000
PIECES: Final = (1 << 20, 1 << 12)


class Disk(Protocol):
    """Where one node's data directory is."""

    directory: Path

    async def fill(self, pid: int) -> None:
        """Leave no space for what the process wants to write next."""

    async def free(self, pid: int | None) -> None:
        """Give the space back; ``pid`` is the process that still runs."""

    async def close(self) -> None:
        """Take the file system away."""


class MountedDisk:
    """An ext4 file system in a file. The mount is visible to this process and its children only."""

    def __init__(self, root: Path) -> None:
        self._image = root.with_suffix(".img")
        self._mount = root
        self.directory = root / "data"
        self._filler = root / "filler"

    def open(self) -> None:
        self._mount.mkdir()
        with self._image.open("wb") as image:
            image.truncate(SIZE)
        run("mkfs.ext4", "-q", "-m", "0", str(self._image))
        run("mount", "-o", "loop", str(self._image), str(self._mount))

    async def fill(self, pid: int) -> None:
        """See :class:`Disk`."""
        await asyncio.to_thread(fill, self._filler)

    async def free(self, pid: int | None) -> None:
        """See :class:`Disk`."""
        await asyncio.to_thread(self._filler.unlink, missing_ok=True)

    async def close(self) -> None:
        """See :class:`Disk`."""
        await asyncio.to_thread(run, "umount", str(self._mount))
        self._image.unlink()


class LimitedDisk:
    """A plain directory. "Full" means: no file of the process grows beyond what its log has now."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.directory = root / "data"

    async def fill(self, pid: int) -> None:
        """See :class:`Disk`."""
        size = (self.directory / "log" / "data.mdb").stat().st_size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def free(self, pid: int | None) -> None:
        """See :class:`Disk`."""
        if pid is not None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    async def close(self) -> None:
        """See :class:`Disk`."""


async def make_disks(roots: list[Path], say: Callable[[str], None]) -> list[Disk]:
    """A disk at each of the paths, which must not exist; says which kind this machine allows.

    Call it while the process has one thread: the mounts belong to a namespace of the calling thread and
    of what it starts.
    """
    made: list[Disk] = []
    try:
        keep_mounts_private()
        for root in roots:
            disk = MountedDisk(root)
            await asyncio.to_thread(disk.open)
            made.append(disk)
    except (OSError, subprocess.CalledProcessError) as error:
        for disk in made:
            await disk.close()
        for root in roots:
            shutil.rmtree(root, ignore_errors=True)
            root.with_suffix(".img").unlink(missing_ok=True)
        say(f"disks: a limit on file sizes stands in for a full disk, no mounting here ({error})")
        return [LimitedDisk(root) for root in roots]
    say(f"disks: an ext4 file system of {SIZE >> 20} MiB for each node")
    return made


def keep_mounts_private() -> None:
    """Let mounts of this process vanish with it and its children, however they end. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    run("mount", "--make-rprivate", "/")


def fill(path: Path) -> None:
    """Take all the space that is left on a file system."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for piece in PIECES:
            _fill(descriptor, piece)
    finally:
        os.close(descriptor)


def _fill(descriptor: int, piece: int) -> None:
    while True:
        try:
            os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return


def run(*command: str) -> None:
    """Run a tool of the system. Raises CalledProcessError or OSError."""
    subprocess.run(command, check=True, capture_output=True)

"""Space set aside: a full disk gets it back, so that what is under way can be ended in order."""

import errno
import logging
import os
from pathlib import Path
from typing import Final

from .logstore.files import put_in_place, sync_directory

SHARE: Final = 16
"""The ballast takes at most one part in so many of the file system."""
ROOM: Final = 2
"""It is made where so many times its size is free: what was full a moment ago is not filled again by this."""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNABLE: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})

logger = logging.getLogger("multiraft.ballast")


class Ballast:
    """The file ``ballast`` in a data directory; its blocks are allocated, its content means nothing."""

    def __init__(self, directory: Path, size: int) -> None:
        """``size``: bytes to set aside, less on a small file system."""
        self._directory = directory
        self._path = directory / "ballast"
        self._size = size
        self._missing = False

    def release(self) -> bool:
        """Give the space back. ``False``: there was no ballast. Raises OSError."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        sync_directory(self._directory)
        return True

    def restore(self) -> bool:
        """Set the space aside, durably, unless it is. ``False``: space is too short for that. Raises OSError.

        Where files cannot be allocated there is no ballast, and nothing to wait for.
        """
        if self._path.exists():
            return True
        space = os.statvfs(self._directory)
        size = min(self._size, space.f_blocks * space.f_frsize // SHARE)
        if space.f_bavail * space.f_frsize < size * ROOM:
            if not self._missing:
                logger.info("%s: space is too short for a ballast of %d bytes", self._directory, size)
            self._missing = True
            return False
        self._missing = False
        return not hasattr(os, "posix_fallocate") or self._allocate(size)

    def _allocate(self, size: int) -> bool:
        temporary = self._path.with_name("ballast.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            os.fsync(descriptor)
        except OSError as error:
            temporary.unlink()
            if error.errno not in _NO_ROOM | _UNABLE:
                raise
            logger.info("%s: no ballast of %d bytes: %s", self._directory, size, error.strerror)
            return error.errno in _UNABLE
        finally:
            os.close(descriptor)
        put_in_place(temporary, self._path)
        return True

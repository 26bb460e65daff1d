"""Zeros written ahead of the log's last page, so that the flush of a small batch finds its space written.

A file that has grown costs each flush a record in the file system's journal, as much as the flush of a small
batch itself. So the file grows in steps, and the commits of many batches fill each. What is written goes
behind the end of the file only, wherever that is: it cannot touch a page.
"""

import errno
import os
from pathlib import Path
from typing import Final

SMALL: Final = 16 << 10
"""For batches of more bytes zeros cost more than they save: everything would be written twice."""
MARGIN: Final = 64 << 10
"""What a transaction may take beside its values: pages of the tree, and of the list of free pages."""
STEP_MIN: Final = 64 << 10
STEP_MAX: Final = 512 << 10
STEP_SHARE: Final = 8
"""A step is at most this part of what is in use: a log that is hardly used stays small."""


class Runway:
    """The end of an environment's file. Used by the thread that commits, between transactions."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._end = os.fstat(self._file).st_size

    def prepare(self, used: int, needed: int) -> None:
        """Have `needed` bytes written behind the first `used` ones. The next flush makes them durable.

        Raises OSError, but not when the disk is full: what is to be written will find that out.
        """
        if used + needed + MARGIN <= self._end:
            return
        self._end = os.fstat(self._file).st_size
        if used + needed + MARGIN <= self._end:
            return
        step = max(STEP_MIN, min(STEP_MAX, used // STEP_SHARE))
        try:
            self._end += os.write(self._file, bytes(needed + MARGIN + step))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)

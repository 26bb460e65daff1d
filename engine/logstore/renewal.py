"""A new file for an environment whose disk has refused a flush.

After an input/output error of a flush, what was written before may exist in memory only, and a later flush
that succeeds says nothing about it. So the environment is not opened again as it is: what can be read of it,
which is all that was committed, is written to a new file and flushed, and that takes the place of the old.
"""

import os
from pathlib import Path

import lmdb

from ..creation import DATA
from .environment import MAP_SIZE, typed_errors
from .files import put_in_place


def renew(path: Path) -> None:
    """Write the environment in `path`, which nobody has open, to a new file in its place.

    What a failed commit left behind is not copied. A crash leaves the old file or the new one. Both need
    space. Raises `DiskFull`, `StorageFailed`, `Corruption`; then the old file is as it was.
    """
    unfinished = path / (DATA + ".new")
    with typed_errors():
        environment = lmdb.open(os.fspath(path), map_size=MAP_SIZE, max_dbs=0, create=False, readonly=True)
        try:
            with unfinished.open("wb") as file:
                environment.copyfd(file.fileno(), compact=True)
                file.flush()
                os.fsync(file.fileno())
        finally:
            environment.close()
        put_in_place(unfinished, path / DATA)

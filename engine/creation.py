"""Making an LMDB environment so that a crash leaves a whole one or none."""

import os
from pathlib import Path
from typing import Final

import lmdb

from .logstore.files import put_in_place, sync_directory

DATA: Final = "data.mdb"


def create_environment(path: Path) -> None:
    """Make an empty environment in the directory `path`, whole and durable: LMDB may leave half of one.

    Nor does LMDB flush the name of its file: after a crash all that was flushed into it could be gone.

    Raises `lmdb.Error`, OSError.
    """
    unfinished = path / (DATA + ".new")
    unfinished.unlink(missing_ok=True)
    lmdb.open(os.fspath(unfinished), subdir=False, lock=False, map_size=1 << 20, mode=0o600).close()
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    put_in_place(unfinished, path / DATA)
    sync_directory(path.parent)

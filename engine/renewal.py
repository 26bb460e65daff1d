"""A new file for an environment whose disk has refused a flush.

After an input/output error of a flush, what was written before may exist in memory only, and a later flush
that succeeds says nothing about it. So the environment is not opened again as it is: what can be read of it,
which is all that was committed, is written to a new file, flushed and compared, and that takes the place of
the old. A crash leaves the old file or the new one. Both need space.
"""

import os
from itertools import zip_longest
from pathlib import Path

import lmdb

from .errors import Corruption
from .logstore.files import put_in_place


def copy(environment: lmdb.Environment, data: Path) -> None:
    """Write an open environment, to which nobody writes, to a new file beside its file `data`.

    What a failed commit left behind is not copied. Raises `Corruption` if the copy is another one, lmdb.Error
    and OSError; then there is no new file.
    """
    unfinished = _beside(data)
    try:
        with unfinished.open("wb") as file:
            environment.copyfd(file.fileno(), compact=True)
            file.flush()
            os.fsync(file.fileno())
        _compare(environment, unfinished)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def adopt(data: Path) -> None:
    """Put what `copy` has written in the place of the file, durably. Nobody has it open. Raises OSError."""
    put_in_place(_beside(data), data)


def _beside(data: Path) -> Path:
    return data.with_name(data.name + ".new")


def _compare(environment: lmdb.Environment, path: Path) -> None:
    """Read both through: every key and every value."""
    copied = lmdb.open(
        os.fspath(path),
        subdir=False,
        readonly=True,
        lock=False,
        create=False,
        max_dbs=0,
        map_size=max(path.stat().st_size, 1 << 20),
    )
    try:
        with environment.begin(buffers=True) as old, copied.begin(buffers=True) as new:
            for one, other in zip_longest(old.cursor(), new.cursor()):
                if one != other:
                    raise Corruption(f"the copy of an environment differs from it: {path}")
    finally:
        copied.close()

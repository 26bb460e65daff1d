"""An environment whose pages are damaged, written anew from what is left of it before LMDB opens it.

What is lost then is missing in the new file, and not hidden in the old one: the stores find out what it was.
The old file stays beside the new one as `data.mdb.damaged`.
"""

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import lmdb

from .logstore.files import put_in_place
from .trees import damage_of

logger = logging.getLogger(__name__)

ASIDE: Final = ".damaged"
"""Added to the name of the file that was written anew; a later one takes its place."""

_MAP_BYTES: Final = 1 << 40
_COMMIT_BYTES: Final = 64 << 20

Pairs = Iterable[tuple[bytes, bytes]]


def mend(data: Path, pairs_of: Callable[[Path], Pairs]) -> None:
    """If pages of the file `data` are damaged, write what `pairs_of` finds in it to a new one.

    Of a key that is found twice the later value counts. Raises `Corruption` if nothing can be read,
    lmdb.Error, OSError; then the old file is there as it was.
    """
    problem = damage_of(data)
    if problem is None:
        return
    logger.error("%s is damaged, and is written anew from what is left of it: %s", data, problem)
    unfinished = data.with_name(data.name + ".new")
    unfinished.unlink(missing_ok=True)
    environment = lmdb.open(
        os.fspath(unfinished), subdir=False, lock=False, map_size=_MAP_BYTES, mode=0o600, sync=False
    )
    try:
        _fill(environment, pairs_of(data))
        environment.sync(True)
    except BaseException:
        environment.close()
        unfinished.unlink(missing_ok=True)
        raise
    environment.close()
    aside = data.with_name(data.name + ASIDE)
    aside.unlink(missing_ok=True)
    os.link(data, aside)  # at no moment there is no file
    put_in_place(unfinished, data)


def _fill(environment: lmdb.Environment, pairs: Pairs) -> None:
    """Write all pairs, in transactions of a bounded size."""
    transaction, size = environment.begin(write=True), 0
    try:
        for key, value in pairs:
            transaction.put(key, value)
            size += len(value)
            if size >= _COMMIT_BYTES:
                transaction.commit()
                transaction, size = environment.begin(write=True), 0
        transaction.commit()
    except BaseException:
        transaction.abort()
        raise

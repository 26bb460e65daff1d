"""An environment's pages, checked before LMDB follows what they say.

LMDB believes its file. A value whose length a flipped bit has made large is read up to the end of the file
and beyond, which ends the process; a key that a page hides is missing without a word. So the trees are walked
before a file is opened.
"""

import logging
import mmap
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..native.pagetree import Tree, find_damage
from .mapped import bound_memory

logger = logging.getLogger(__name__)

LEAVES_S: Final = 2.0
"""So long leaves are looked at: half a second a gigabyte, if the file is in memory."""

_META_BYTES: Final = 152
_TREES: Final = 40
"""Where in a meta page the trees stand: that of free pages first."""
_TREE: Final = struct.Struct("<IHHQQQQQ")
_LAST_PAGE: Final = struct.Struct("<QQ")
_LAST_PAGE_AT: Final = 136


def damage_of(path: Path, clock: Callable[[], float] = time.monotonic) -> str | None:
    """What is wrong with the pages of the newest trees of a file; None if nothing is. Raises OSError.

    The meta pages have been looked at: both are what they should be. Of a large file some leaves may be
    passed over, which is logged; the branches are looked at, however long that takes.
    """
    patience = _Patience(path, clock)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        page_size = _TREE.unpack_from(mapped, _TREES)[0]
        metas = [mapped[at : at + _META_BYTES] for at in (0, page_size)]
        newest = max(metas, key=lambda meta: int(_LAST_PAGE.unpack_from(meta, _LAST_PAGE_AT)[1]))
        last_page, _ = _LAST_PAGE.unpack_from(newest, _LAST_PAGE_AT)
        main = _tree(newest, _TREES + _TREE.size, lists_pages=False)
        free = _tree(newest, _TREES, lists_pages=True)
        with memoryview(mapped) as data:
            problem = find_damage(data, page_size, last_page, (main, free), patience.goes_on)
    if problem is None and patience.ended:
        logger.warning("%s is large: not all its leaves were checked; `verify` checks all", path)
    return problem


class _Patience:
    """How long leaves are looked at, and no more of them in memory than of any mapped file."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._until = clock() + LEAVES_S
        self.ended = False

    def goes_on(self) -> bool:
        bound_memory(self._path)
        self.ended = self.ended or self._clock() >= self._until
        return not self.ended


def _tree(meta: bytes, at: int, *, lists_pages: bool) -> Tree:
    _, _, depth, _, _, _, _, root = _TREE.unpack_from(meta, at)
    return Tree(root, depth, lists_pages)

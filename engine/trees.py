"""An environment's pages, checked before LMDB follows what they say.

LMDB believes its file. A value whose length a flipped bit has made large is read up to the end of the file
and beyond, which ends the process; a key that a page hides is missing without a word. So the trees are walked
before a file is opened.
"""

import mmap
import struct
from pathlib import Path
from typing import Final

from ..native.pagetree import Tree, find_damage

LEAVES_MAX: Final = 1 << 30
"""Leaves of a tree that has more bytes of them are not looked at: half a second a gigabyte, if in memory."""

_META_BYTES: Final = 152
_TREES: Final = 40
"""Where in a meta page the trees stand: that of free pages first."""
_TREE: Final = struct.Struct("<IHHQQQQQ")
_LAST_PAGE: Final = struct.Struct("<QQ")
_LAST_PAGE_AT: Final = 136


def damage_of(path: Path) -> str | None:
    """What is wrong with the pages of the newest trees of a file; None if nothing is. Raises OSError.

    The meta pages have been looked at: both are what they should be.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        page_size = _TREE.unpack_from(mapped, _TREES)[0]
        metas = [mapped[at : at + _META_BYTES] for at in (0, page_size)]
        newest = max(metas, key=lambda meta: int(_LAST_PAGE.unpack_from(meta, _LAST_PAGE_AT)[1]))
        last_page, _ = _LAST_PAGE.unpack_from(newest, _LAST_PAGE_AT)
        main = _tree(newest, _TREES + _TREE.size, page_size, lists_pages=False)
        free = _tree(newest, _TREES, page_size, lists_pages=True)
        with memoryview(mapped) as data:
            return find_damage(data, page_size, last_page, (main, free))


def _tree(meta: bytes, at: int, page_size: int, *, lists_pages: bool) -> Tree:
    _, _, depth, _, leaves, _, _, root = _TREE.unpack_from(meta, at)
    return Tree(root, depth, lists_pages, branches_only=leaves * page_size > LEAVES_MAX)

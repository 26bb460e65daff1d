"""The trees of an LMDB file, checked page by page before LMDB follows what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ._native import ffi, lib
from .errors import NAMES, TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SLICE: Final = 4096  # pages a call: a few milliseconds, after which other threads have their turn

NO_ROOT: Final = 2**64 - 1
"""The root of a tree without pages."""


class Tree(NamedTuple):
    """What a meta page says of a tree."""

    root: int
    depth: int
    lists_pages: bool
    """Whether it is the one of free pages: its keys are numbers, its values lists of pages."""


def find_damage(
    data: memoryview, page_size: int, last_page: int, trees: Iterable[Tree], goes_on: Callable[[], bool]
) -> str | None:
    """What is wrong with the pages of a file, of which those up to `last_page` are in use; None: nothing.

    Checks that every page is where it belongs, is made of nodes without a gap, and has its keys in order; and
    that none serves twice, nor is free as well. What keys and values say is not looked at. Once `goes_on`,
    which is asked every few milliseconds, says no, leaves are passed over, and branches are not.
    """
    seen = ffi.new("uint8_t[]", last_page // 8 + 1)
    bytes_of = ffi.from_buffer(data)
    for tree in trees:
        shape = ffi.new("struct mr_tree *")
        shape.root, shape.depth = tree.root, tree.depth
        shape.lists_pages = tree.lists_pages
        walk = ffi.new("struct mr_tree_walk *")
        while not walk.begun or walk.levels:
            shape.branches_only = not goes_on()
            status = lib.mr_tree_check(bytes_of, len(data), page_size, last_page, shape, seen, walk, _SLICE)
            if status:
                return f"page {walk.wrong}: {TEXTS[status]} ({NAMES[status]})"
    return None

"""The file of an LMDB environment (format of LMDB 0.9), read as bytes: whatever it holds, reading it is safe.

    page      number u64 | 0 u16 | flags u16 | lower, upper u16 (of an overflow run: its pages u32) ; body
    branch    offsets u16 of nodes: child u16, u16, u16 | key length u16 | key
    leaf      likewise: value length u16, u16 | flags u16 | key length u16 | key | value or overflow page u64
    meta      (pages 0, 1) magic, version u32 | address, map size u64 | two trees | last page, transaction u64
    tree      page size u32 | flags, depth u16 | branch, leaf, overflow pages, entries, root u64

All in the byte order of the machine. The meta page of the later transaction counts.
"""

import os
import stat
import struct
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, NoReturn, Self

from lmdb.verify import VerifyError, verify

from ..errors import Corruption, VersionMismatch

_PAGE: Final = struct.Struct("=QHHHH")
_OVERFLOW_PAGES: Final = struct.Struct("=I")
_META: Final = struct.Struct("=IIQQ")
_TREE: Final = struct.Struct("=IHHQQQQQ")
_META_END: Final = struct.Struct("=QQ")
_NODE: Final = struct.Struct("=HHHH")
_NUMBER: Final = struct.Struct("=Q")

_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_META_BYTES: Final = _PAGE.size + _META.size + 2 * _TREE.size + _META_END.size
_PAGE_SIZES: Final = (4096, 8192, 16384, 32768)
_NO_PAGE: Final = 2**64 - 1
_BRANCH, _LEAF, _OVERFLOW, _META_PAGE, _DIRTY = 1, 2, 4, 8, 16
_BIG_DATA: Final = 1
_DEPTH_MAX: Final = 32

OnDamage = Callable[[str, bytes | None], None]
"""Told what is wrong, and at which stored key if that is known; if it returns, the walk goes on behind it."""


class _Meta(NamedTuple):
    page_size: int
    entries: int
    root: int
    last_page: int
    transaction: int


class _Node(NamedTuple):
    key: bytes
    flags: int
    length: int
    """Of the value."""
    at: int
    """Where the value, or the number of its overflow page, stands in the page."""


class _Subtree(NamedTuple):
    page: int
    low: bytes
    high: bytes | None
    """What the pages above it say of its keys: [low, high)."""
    depth: int


class LmdbFile:
    """An environment's ``data.mdb``, open for reading. A file of no bytes is an empty environment.

    Raises `Corruption` if neither meta page can be read, `VersionMismatch` for a file of LMDB 1.0, OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self.size = _size_of(self._file, path)
            self._older: _Meta | None = None
            self.meta_problems: list[str] = []
            """What is wrong with the meta pages."""
            self._meta = self._read_metas() if self.size else _Meta(4096, 0, _NO_PAGE, 1, 0)
        except BaseException:
            os.close(self._file)
            raise

    @property
    def page_size(self) -> int:
        """Bytes of a page."""
        return self._meta.page_size

    @property
    def entries(self) -> int:
        """How many keys the file says that it has."""
        return self._meta.entries

    def before(self) -> "LmdbFile | None":
        """The same file as of the transaction before; not to be closed.

        LMDB leaves that one whole until the newest one is flushed, meta page and all.
        """
        if self._older is None:
            return None
        view = copy(self)
        view._meta = self._older  # noqa: SLF001 # it is a copy of this object
        return view

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the structure ---------------------------------------------------------------------------

    def problems(self) -> list[str]:
        """What is wrong with the pages and how they hang together; empty if nothing is."""
        if not self.size:
            return []
        try:
            found = verify(os.fspath(self.path), subdir=False)  # type: ignore[no-untyped-call] # not annotated
        except VerifyError as error:
            found = [str(error)]
        return [*self.meta_problems, *found]

    def _read_metas(self) -> _Meta:
        """The meta page that counts; what is wrong with either is noted."""
        first = self._read_meta(0)
        sizes = _PAGE_SIZES if first is None else (first.page_size,)
        second = next(filter(None, map(self._read_meta, sizes)), None)
        metas = [meta for meta in (first, second) if meta is not None]
        if not metas:
            if self._magic_at(24):
                raise VersionMismatch(f"{self.path} was written by another version of LMDB")
            raise Corruption(f"{self.path} is not an LMDB file, or both of its meta pages are damaged")
        self._older = min(metas, key=lambda meta: meta.transaction) if len(metas) == 2 else None
        if len(metas) == 1:
            self.meta_problems.append("one of the two meta pages cannot be read")
        else:
            # Each commit writes the page of its parity: the two are always of successive transactions.
            numbers = sorted(meta.transaction for meta in metas)
            if numbers != [0, 0] and numbers[0] + 1 != numbers[1]:
                self.meta_problems.append(f"the meta pages are of transactions {numbers[0]} and {numbers[1]}")
        return max(metas, key=lambda meta: meta.transaction)

    def _magic_at(self, at: int) -> bool:
        return os.pread(self._file, 4, at) == struct.pack("=I", _MAGIC)

    def _read_meta(self, at: int) -> _Meta | None:
        data = os.pread(self._file, _META_BYTES, at)
        if len(data) < _META_BYTES:
            return None
        _, _, flags, _, _ = _PAGE.unpack_from(data)
        magic, version, _, _ = _META.unpack_from(data, _PAGE.size)
        trees = _PAGE.size + _META.size
        page_size = _TREE.unpack_from(data, trees)[0]
        if (magic, version) != (_MAGIC, _VERSION) or not flags & _META_PAGE or page_size not in _PAGE_SIZES:
            return None
        *_, entries, root = _TREE.unpack_from(data, trees + _TREE.size)
        last_page, transaction = _META_END.unpack_from(data, trees + 2 * _TREE.size)
        return _Meta(page_size, entries, root, last_page, transaction)

    # -- keys and values -------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None. Raises `Corruption`."""
        for found, value in self.items(key, key + b"\0"):
            assert found == key
            return value
        return None

    def last_key(self) -> bytes | None:
        """The greatest key. Raises `Corruption`."""
        last = next(self.items(reverse=True), None)
        return None if last is None else last[0]

    def items(
        self,
        start: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        on_damage: OnDamage | None = None,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys in [start, stop) and values, in order. Raises `Corruption` unless `on_damage` takes it."""
        tell = on_damage or self._refuse
        for number, page, nodes in self._leaves(start, stop, reverse, tell):
            for node in reversed(nodes) if reverse else nodes:
                if node.key < start or (stop is not None and node.key >= stop):
                    continue
                value = self._value(page, node)
                if value is None:
                    tell(f"page {number} points to a value that is not there", node.key)
                else:
                    yield node.key, value

    def _refuse(self, what: str, key: bytes | None) -> NoReturn:
        place = "" if key is None else f", key {key.hex()}"
        raise Corruption(f"{self.path}{place}: {what}")

    def _leaves(
        self, start: bytes, stop: bytes | None, reverse: bool, tell: OnDamage
    ) -> Iterator[tuple[int, bytes, list[_Node]]]:
        waiting = [] if self._meta.root == _NO_PAGE else [_Subtree(self._meta.root, b"", None, 1)]
        seen: set[int] = set()
        while waiting:
            subtree = waiting.pop()
            try:
                page, nodes, is_branch = self._open(subtree, seen)
            except _BadPage as bad:
                tell(f"page {subtree.page}: {bad}", bad.key)
                continue
            if not is_branch:
                yield subtree.page, page, nodes
                continue
            children = [
                child
                for child in _children(subtree, nodes)
                if (stop is None or child.low < stop) and (child.high is None or child.high > start)
            ]
            waiting += children if reverse else reversed(children)

    def _open(self, subtree: _Subtree, seen: set[int]) -> tuple[bytes, list[_Node], bool]:
        """A page of the tree and its nodes. Raises `_BadPage`."""
        number = subtree.page
        if number in seen:
            raise _BadPage("reached a second time")
        if subtree.depth > _DEPTH_MAX:
            raise _BadPage("too deep in the tree")
        seen.add(number)
        page = self._read(number, 1)
        if page is None:
            raise _BadPage("lies outside the file")
        stored, _, flags, lower, upper = _PAGE.unpack_from(page)
        if stored != number or flags not in (_BRANCH, _LEAF):
            raise _BadPage("is not the page that belongs there")
        if not _PAGE.size <= lower <= upper <= len(page) or lower % 2:
            raise _BadPage("its bounds are wrong")
        nodes = _nodes(page, lower, upper, is_branch=flags == _BRANCH)
        _check_keys(nodes, subtree, is_branch=flags == _BRANCH)
        return page, nodes, flags == _BRANCH

    def _value(self, page: bytes, node: _Node) -> bytes | None:
        """The value of a leaf's node; None if its overflow pages are not what they should be."""
        if not node.flags & _BIG_DATA:
            return page[node.at : node.at + node.length]
        (number,) = _NUMBER.unpack_from(page, node.at)
        count = (_PAGE.size - 1 + node.length) // self._meta.page_size + 1
        run = self._read(number, count)
        if run is None:
            return None
        stored, _, flags, _, _ = _PAGE.unpack_from(run)
        (pages,) = _OVERFLOW_PAGES.unpack_from(run, _PAGE.size - _OVERFLOW_PAGES.size)
        # More pages than it needs has a value that took a longer one's place in the same transaction.
        if stored != number or flags != _OVERFLOW or pages < count:
            return None
        return run[_PAGE.size : _PAGE.size + node.length]

    def _read(self, number: int, count: int) -> bytes | None:
        size = self._meta.page_size
        if number < 2 or number + count > self._meta.last_page + 1 or (number + count) * size > self.size:
            return None
        data = os.pread(self._file, count * size, number * size)
        return data if len(data) == count * size else None


def _size_of(file: int, path: Path) -> int:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise Corruption(f"{path} is not a file")
    return status.st_size


class _BadPage(Exception):
    """A page that cannot be what the tree says it is."""

    def __init__(self, what: str, key: bytes | None = None) -> None:
        super().__init__(what)
        self.key = key


def _nodes(page: bytes, lower: int, upper: int, *, is_branch: bool) -> list[_Node]:
    count = (lower - _PAGE.size) // 2
    if is_branch and count < 2:
        raise _BadPage("a branch with fewer than two children")
    nodes = []
    for at in struct.unpack_from(f"={count}H", page, _PAGE.size):
        if at < upper or at + _NODE.size > len(page):
            raise _BadPage("a node lies outside it")
        low, high, flags, key_length = _NODE.unpack_from(page, at)
        key_at = at + _NODE.size
        value_at = key_at + key_length
        length = low | high << 16
        if not is_branch:
            stored = 8 if flags & _BIG_DATA else length
            if flags & ~_BIG_DATA or value_at + stored > len(page):
                raise _BadPage("a value lies outside it")
        elif value_at > len(page):
            raise _BadPage("a key lies outside it")
        nodes.append(_Node(page[key_at:value_at], flags, length, value_at))
    return nodes


def _check_keys(nodes: list[_Node], subtree: _Subtree, *, is_branch: bool) -> None:
    """Keys ascend, and lie where the pages above say. The first key of a branch means nothing."""
    before: bytes | None = None
    for node in nodes[1:] if is_branch else nodes:
        key = node.key
        if (before is not None and key <= before) or key < subtree.low:
            raise _BadPage("its keys are not in order", key)
        if subtree.high is not None and key >= subtree.high:
            raise _BadPage("it holds a key that belongs elsewhere", key)
        before = key


def _children(subtree: _Subtree, nodes: list[_Node]) -> list[_Subtree]:
    """The subtrees below a branch, ascending. A child's number fills a leaf's length and flags."""
    lows = [subtree.low, *(node.key for node in nodes[1:])]
    highs: list[bytes | None] = [*lows[1:], subtree.high]
    return [
        _Subtree(node.length | node.flags << 32, low, high, subtree.depth + 1)
        for node, low, high in zip(nodes, lows, highs, strict=True)
    ]

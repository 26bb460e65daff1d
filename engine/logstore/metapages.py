"""The two pages in which an LMDB file keeps its newest trees, looked at before LMDB does.

LMDB opens nothing if one of them is broken, and reads beyond the end of a file that is shorter than its tree,
which ends the process. Both are seen here. A page that is no meta page is replaced by the other one, as the
transaction before it: the tree of either is whole, and what only the broken one knew is salvaged.

    page  offset  bytes  little-endian, as on all machines that this package runs on
               0      8  page number
              10      2  flags: 8
              16      4  magic
              20      4  version 1
              40      4  page size
              80      8  root of the tree of free pages
             128      8  root of the main tree
             136      8  last page in use
             144      8  transaction
"""

import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import Corruption
from .files import sync_directory

_MAGIC: Final = 0xBEEFC0DE
_META: Final = 8
_VERSION: Final = 1
_SIZE: Final = 152
_HEAD: Final = struct.Struct("<QHHIII")
_PAGE_SIZE_AT: Final = 40
_TRANSACTION_AT: Final = 144
_U64: Final = struct.Struct("<Q")
_U32: Final = struct.Struct("<I")
_NOWHERE: Final = (1 << 64) - 1
_SHORTFALL: Final = 64 << 20
"""Pages at the end may be counted before they are written, but not so many."""

VALUE_PAGES: Final = 16
"""A value may reach so far beyond the page that it begins with."""


class Meta(NamedTuple):
    """What one of the pages says."""

    page_size: int
    last_page: int
    transaction: int


def prepare(path: Path) -> bool:
    """Make the file at `path` one that LMDB can open. Raises `Corruption`, OSError.

    ``False``: it has no meta page, and LMDB says what it is. A page that is replaced is kept beside the file,
    in `meta.damaged`.
    """
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        page_size = _page_size(file.read(_SIZE))
        pages = [os.pread(file.fileno(), page_size, slot * page_size) for slot in (0, 1)]
        metas = [_meta(page, slot, size) for slot, page in enumerate(pages)]
        if metas[0] is None and metas[1] is None:
            return False
        for slot, other in ((0, 1), (1, 0)):
            if metas[slot] is None:
                _replace(path, file.fileno(), slot, pages[slot], pages[other])
        newest = max((meta for meta in metas if meta is not None), key=lambda meta: meta.transaction)
        needed = (newest.last_page + 1 + VALUE_PAGES) * page_size
        if size < needed:
            os.ftruncate(file.fileno(), needed)
        return True


def _page_size(page: bytes) -> int:
    """That of the file, if its first page can be read, else this machine's."""
    if len(page) == _SIZE:
        (found,) = _U32.unpack_from(page, _PAGE_SIZE_AT)
        if found in (4096, 8192, 16384, 32768, 65536):
            return int(found)
    return os.sysconf("SC_PAGESIZE")


def _meta(page: bytes, slot: int, size: int) -> Meta | None:
    """The meta page of a slot, None if it is none."""
    if len(page) < _SIZE:
        return None
    number, _, flags, _, magic, version = _HEAD.unpack_from(page)
    if (number, flags, magic, version) != (slot, _META, _MAGIC, _VERSION):
        return None
    (page_size,) = _U32.unpack_from(page, _PAGE_SIZE_AT)
    roots = [_U64.unpack_from(page, at)[0] for at in (80, 128)]
    (last,) = _U64.unpack_from(page, 136)
    (transaction,) = _U64.unpack_from(page, _TRANSACTION_AT)
    if page_size != len(page) or any(last < root != _NOWHERE for root in roots):
        return None
    if (last + 1) * page_size > size + _SHORTFALL or transaction % 2 != (slot if transaction else 0):
        return None
    return Meta(page_size, last, transaction)


def _replace(path: Path, descriptor: int, slot: int, broken: bytes, good: bytes) -> None:
    """Put the good page into the slot of the broken one, as of the transaction before."""
    if len(broken) != len(good):
        raise Corruption(f"{path} ends within its first pages")
    (path.parent / "meta.damaged").write_bytes(broken)
    (transaction,) = _U64.unpack_from(good, _TRANSACTION_AT)
    page = bytearray(good)
    _U64.pack_into(page, 0, slot)
    _U64.pack_into(page, _TRANSACTION_AT, max(transaction, 1) - 1)
    os.pwrite(descriptor, page, slot * len(page))
    os.fsync(descriptor)
    sync_directory(path.parent)

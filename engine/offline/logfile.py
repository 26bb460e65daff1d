"""A log's file as the log store would find it at its next start, without anything being written.

After a crash of the machine the newest batch may stand in pages that the tree does not know. The store then
appends it again; here it is kept in memory, over the file.
"""

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ...native.pages import find_in_pages
from ..errors import Corruption
from ..logstore.chunks import VALUE_MAX, Buffer
from ..logstore.environment import ASIDE, PAGE_HEADER, Get
from ..logstore.salvage import salvage
from .lmdbfile import LmdbFile, OnDamage


class LogFile:
    """Implements ``logstore.environment.Environment`` for reading; what is written to it stays in memory."""

    def __init__(self, file: LmdbFile) -> None:
        self.file = file
        self.salvaged: int | None = None
        """The batch that the next start will put back, if there is one."""
        self.damage: str | None = None
        """Why it cannot be put back."""
        self._dropped: frozenset[bytes] = frozenset()
        self._added: dict[bytes, bytes] = {}
        try:
            self.salvaged = salvage(self)
        except Corruption as error:
            self.damage = str(error)

    # -- keys and values -------------------------------------------------------------------------

    def items(self, on_damage: OnDamage | None = None) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values in order; see :meth:`LmdbFile.items`."""
        for key, value in self.file.items(on_damage=on_damage):
            if key not in self._dropped:
                yield key, value
        yield from self._added.items()

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None. Raises `Corruption`."""
        if key in self._dropped:
            return None
        return self._added.get(key) or self.file.get(key)

    @property
    def count(self) -> int:
        """How many keys there are, as far as the file can be believed."""
        return self.file.entries - len(self._dropped) + len(self._added)

    # -- the port --------------------------------------------------------------------------------

    def scan(self, start: bytes = b"") -> Iterator[tuple[Buffer, Buffer]]:
        """See ``Environment.scan``, here and below."""
        return ((key, value) for key, value in self.items() if key >= start)

    @contextmanager
    def reading(self) -> Iterator[Get]:
        """A view for reading."""
        yield self.get

    def last_key(self) -> bytes | None:
        """The greatest key; None if the file is too damaged to tell, which a scan will say."""
        if self._added:
            return next(reversed(self._added))
        with suppress(Corruption):
            return self.file.last_key()
        return None

    def remains(self, wanted: bytes) -> Iterator[Buffer]:
        """What begins with `wanted` where a value with pages of its own may begin."""
        for path in (self.file.path, self.file.path.with_name(ASIDE)):
            if path.exists():
                yield from _values_in(path, self.file.page_size, wanted)

    def write_again(self, dropped: Sequence[bytes], added: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep in memory what a start would write."""
        self._dropped, self._added = frozenset(dropped), dict(added)

    def footprint(self, size: int) -> int:
        """See `Environment.footprint`: nobody asks how much a file takes that is not written."""
        return size

    def set_aside(self, seq: int, values: Sequence[bytes]) -> None:
        """See `Environment.set_aside`: a file that is not written is not collected either."""

    @property
    def value_small(self) -> int:
        """Nothing is cut here."""
        return 0

    @property
    def value_min(self) -> int:
        """Nothing is cut here."""
        return 0

    def write(
        self,
        dropped: Sequence[bytes],  # noqa: ARG002 # the port's
        added: Sequence[tuple[bytes, Buffer]],  # noqa: ARG002 # likewise
        before_flush: Callable[[], None] | None = None,  # noqa: ARG002 # likewise
    ) -> None:
        """Nobody writes."""
        raise AssertionError("this log was opened for reading only")

    def sync(self) -> None:
        """There is nothing to flush."""

    def close(self) -> None:
        """The file belongs to whoever opened it."""


def _values_in(path: Path, page_size: int, wanted: bytes) -> Iterator[bytes]:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < page_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            with memoryview(data) as pages:
                places = list(find_in_pages(pages, page_size, PAGE_HEADER, wanted))
            for page in places:
                yield data[page + PAGE_HEADER : page + PAGE_HEADER + VALUE_MAX]

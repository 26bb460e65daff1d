"""Mapped files in the process's memory: no more of them than a bound, however large they are.

What a process has read of a mapped file counts as its memory until the system wants it back, and the system
maps what lies around with it: a flush that touches a thousandth of the keys brings in the whole file.
"""

from pathlib import Path
from typing import Final

from ..native.pages import let_go, resident_of_files

RESIDENT_BYTES: Final = 64 << 20
"""Mapped files, libraries among them, may take so much until a store lets go of its own."""
LOOK_COMMITS: Final = 32
"""A log's memory is looked at with its first commit and every so many: each may read some."""
PAUSE_BYTES: Final = 1 << 20
"""A log that has been written so much lets go of all that it has in memory when it pauses."""


def bound_memory(file: Path) -> None:
    """Let go of a mapped file if mapped files take too much: what is read again comes from the system.

    Only while nobody can unmap the file. To look takes 12 µs, to let go of a hundred MiB three milliseconds.
    """
    if resident_of_files() > RESIDENT_BYTES:
        let_go(file)


class Appended:
    """A log's mapped file: what was written to it is hardly ever read again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._commits = 0
        self._written = 0

    def wrote(self, size: int) -> None:
        """So many bytes were committed. As for `bound_memory`, nobody may unmap the file, here and below."""
        self._written += size
        if self._commits % LOOK_COMMITS == 0:
            bound_memory(self._file)
        self._commits += 1

    def pause(self) -> None:
        """Nothing is to be committed just now."""
        if self._written >= PAUSE_BYTES:
            self._written = 0
            let_go(self._file)

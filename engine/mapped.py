"""Mapped files in the process's memory: no more of them than a bound, however large they are.

What a process has read of a mapped file counts as its memory until the system wants it back, and the system
maps what lies around with it: a flush that touches a thousandth of the keys brings in the whole file.
"""

from pathlib import Path
from typing import Final

from ..native.pages import let_go, resident_of_files

RESIDENT_BYTES: Final = 64 << 20
"""Mapped files, libraries among them, may take so much until a store lets go of its own."""


def bound_memory(file: Path) -> None:
    """Let go of a mapped file if mapped files take too much: what is read again comes from the system.

    Only while nobody can unmap the file. To look takes 12 µs, to let go of a hundred MiB three milliseconds.
    """
    if resident_of_files() > RESIDENT_BYTES:
        let_go(file)

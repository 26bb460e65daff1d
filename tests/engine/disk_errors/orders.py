"""What is to fail: numbers in a file that `failing.c` looks at before each write and flush."""

import errno
import mmap
import os
import struct
import subprocess
from pathlib import Path
from typing import Final

from tests.fuzz.build import system_compiler

FLUSH: Final = 1
WRITE: Final = 2
META: Final = 3

_ORDER: Final = struct.Struct("<4i")


def build(directory: Path) -> Path:
    """Compile what is to be preloaded."""
    library = directory / "failing.so"
    source = Path(__file__).with_name("failing.c")
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*system_compiler(), *flags, str(source), "-o", str(library), "-ldl"], check=True)
    return library


def make(path: Path) -> None:
    """A file that orders nothing."""
    path.write_bytes(bytes(_ORDER.size))


class Orders:
    """The file, in the process that is to meet the failures or in another one."""

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDWR)
        self._memory = mmap.mmap(descriptor, _ORDER.size)
        os.close(descriptor)

    def fail(self, what: int, times: int, code: int = errno.EIO) -> None:
        """The next so many operations of this kind fail."""
        _ORDER.pack_into(self._memory, 0, what, code, times, 0)

    @property
    def left(self) -> int:
        """How many of them have not failed yet."""
        return int(_ORDER.unpack_from(self._memory)[2])

    @property
    def done(self) -> int:
        """How many have."""
        return int(_ORDER.unpack_from(self._memory)[3])

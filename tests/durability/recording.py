"""Runs a process under `record.c` and reads what it did to the files of a directory."""

import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.native.test_sanitizers import compiler

_HEADER = struct.Struct("<BBHIQ")
CREATED, EMPTIED = 1, 2
"""Flags of an open."""
DURABLE = 1
"""Flag of a write whose descriptor flushes each one."""
FDATASYNC = 1
"""Flag of a sync."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `kind` is that of `record.c`, `name` the path below the directory."""

    kind: str
    flags: int
    name: str
    offset: int
    data: bytes


def build_recorder(directory: Path) -> Path:
    """Compile it; returns what is to be preloaded."""
    library = directory / "record.so"
    source = Path(__file__).with_name("record.c")
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*compiler(), *flags, str(source), "-o", str(library), "-ldl", "-lpthread"], check=True)
    return library


def run_recorded(
    library: Path, directory: Path, command: Sequence[str]
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run a command of Python's under the recorder; returns what came of it, and where its record is."""
    target = directory.with_name(directory.name + ".record")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "RECORD_DIR": str(directory.resolve()),
        "RECORD_FILE": str(target),
    }
    command = [sys.executable, *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    return done, target


def record(library: Path, directory: Path, module: str, arguments: Sequence[str]) -> list[Operation]:
    """Run `python -m module directory arguments` to its end and return what it did to the directory."""
    done, target = run_recorded(library, directory, ["-m", module, str(directory), *arguments])
    assert done.returncode == 0, f"{done.args} ends with {done.returncode}: {done.stderr}"
    return parse(target.read_bytes())


def parse(content: bytes) -> list[Operation]:
    """The operations of a record."""
    found = []
    at = 0
    while at < len(content):
        kind, flags, name_length, length, offset = _HEADER.unpack_from(content, at)
        at += _HEADER.size
        name = content[at : at + name_length].decode()
        at += name_length
        found.append(Operation(chr(kind), flags, name, offset, content[at : at + length]))
        at += length
    return found


def without_fdatasync(operations: Sequence[Operation]) -> list[Operation]:
    """The same of a build that does not call fdatasync, which is how LMDB flushes."""
    return [one for one in operations if one.kind != "S" or not one.flags & FDATASYNC]

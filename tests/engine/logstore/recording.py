"""What a process did to the files of a directory, as `record.c` saw it, and which states a crash could leave.

A disk keeps what was synced. Of what was written since, each 512-byte sector may be there or not, a new
length with or without what was written; names appear, change and go in the order of the calls until the
directory is synced.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.native.test_sanitizers import compiler

SECTOR = 512
_HEADER = struct.Struct("<BBHIQ")
_CREATED, _EMPTIED = 1, 2

Image = dict[str, bytes]


@dataclass(frozen=True)
class Operation:
    """One call. `kind` is that of `record.c`."""

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
    subprocess.run([*compiler(), *flags, str(source), "-o", str(library), "-ldl"], check=True)
    return library


def record(library: Path, directory: Path, module: str, arguments: Sequence[str]) -> list[Operation]:
    """Run `python -m module directory arguments` to its end and return what it did to the directory."""
    target = directory.with_name(directory.name + ".record")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "RECORD_DIR": str(directory),
        "RECORD_FILE": str(target),
    }
    command = [sys.executable, "-m", module, str(directory), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return parse(target.read_bytes())


def parse(record: bytes) -> list[Operation]:
    """The operations of a record."""
    found = []
    at = 0
    while at < len(record):
        kind, flags, name_length, length, offset = _HEADER.unpack_from(record, at)
        at += _HEADER.size
        name = record[at : at + name_length].decode()
        at += name_length
        found.append(Operation(chr(kind), flags, name, offset, record[at : at + length]))
        at += length
    return found


@dataclass
class Content:
    """A file: what is durable of it, and what was done to it since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)


class Disk:
    """What a crash can leave of a directory after some of the operations."""

    def __init__(self, image: Image) -> None:
        self._contents = [Content(bytearray(data)) for data in image.values()]
        self._durable_names = {name: number for number, name in enumerate(image)}
        self._pending_names: list[Operation] = []
        self._names = dict(self._durable_names)
        self._made: dict[int, int] = {}

    def apply(self, operation: Operation) -> None:
        """One more operation has been carried out."""
        match operation.kind:
            case "D":
                self._durable_names, self._pending_names = dict(self._names), []
            case "O" | "R" | "U":
                self._rename(operation)
            case "N":
                pass
            case "S":
                content = self._contents[self._names[operation.name]]
                content.durable, content.pending = _after(content, content.pending), []
            case _:
                content = self._contents[self._names[operation.name]]
                content.pending.append(operation)
                if operation.flags & 1:  # this descriptor flushes each write
                    write_only = Content(content.durable, [])
                    content.durable = _after(write_only, [operation])

    def _rename(self, operation: Operation) -> None:
        if operation.kind == "O":
            if operation.flags & _CREATED:
                self._contents.append(Content())
                self._made[id(operation)] = len(self._contents) - 1
            elif operation.flags & _EMPTIED:
                empty = Operation("T", 0, operation.name, 0, b"")
                self._contents[self._names[operation.name]].pending.append(empty)
                return
            else:
                return
        self._pending_names.append(operation)
        self._change(self._names, operation)

    def _change(self, names: dict[str, int], operation: Operation) -> None:
        if operation.kind == "O":
            names[operation.name] = self._made[id(operation)]
        elif operation.kind == "R":
            names[operation.data.decode()] = names.pop(operation.name)
        else:
            del names[operation.name]

    def files(self) -> Image:
        """What is there without a crash."""
        return {
            name: bytes(_after(self._contents[number], self._contents[number].pending))
            for name, number in self._names.items()
        }

    def crashed(self, draw: random.Random) -> Image:
        """What may be left by a crash now."""
        names = dict(self._durable_names)
        for operation in self._pending_names[: draw.randint(0, len(self._pending_names))]:
            self._change(names, operation)
        style = draw.choice(["all", "none", "some", "some", "torn"])
        return {name: _survived(self._contents[number], style, draw) for name, number in names.items()}


def _after(content: Content, operations: Sequence[Operation]) -> bytearray:
    data = bytearray(content.durable)
    for one in operations:
        if one.kind == "T":
            del data[one.offset :]
            data.extend(bytes(one.offset - len(data)))
        else:
            data.extend(bytes(max(0, one.offset - len(data))))
            data[one.offset : one.offset + len(one.data)] = one.data
    return data


def _survived(content: Content, style: str, draw: random.Random) -> bytes:
    if style == "all":
        return bytes(_after(content, content.pending))
    if style == "none":
        return bytes(content.durable)
    chosen: list[Operation] = []
    for one in content.pending:
        if one.kind != "W" or style == "some":
            chosen += [one] if draw.random() < 0.5 else []
        else:
            chosen += [sector for sector in _sectors(one) if draw.random() < 0.5]
    return bytes(_after(content, chosen))


def _sectors(write: Operation) -> Iterator[Operation]:
    at = 0
    while at < len(write.data):
        size = SECTOR - (write.offset + at) % SECTOR
        yield Operation("W", 0, write.name, write.offset + at, write.data[at : at + size])
        at += size


def states(
    image: Image, operations: Sequence[Operation], count: int, draw: random.Random
) -> Iterator[tuple[int, Image]]:
    """`count` crash states, spread over all prefixes: (operations carried out, what is left)."""
    disk = Disk(image)
    wanted = sorted(number % (len(operations) + 1) for number in range(count))
    done = 0
    for prefix in wanted:
        for operation in operations[done:prefix]:
            disk.apply(operation)
        done = prefix
        yield prefix, disk.crashed(draw)


def without_syncs(operations: Sequence[Operation]) -> list[Operation]:
    """The same of a build that does not flush."""
    return [replace(one, kind="N") if one.kind == "S" else one for one in operations]

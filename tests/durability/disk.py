"""Which states a crash of the machine could leave of a directory, after some of the recorded operations.

A disk keeps what was synced. Of what was written since, each sector of 512 or 4096 bytes may be there or not,
a new length with or without what was written. Names appear, change and go in the order of the calls until
their directory is synced; directories know nothing of one another, and what lies in one that is gone is gone.
"""

import posixpath
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .recording import CREATED, DURABLE, EMPTIED, Operation

SECTORS = (512, 4096)

Image = dict[str, bytes | None]
"""What lies below a directory: content by path, None for a directory; each behind the one that holds it."""


@dataclass(slots=True)
class Content:
    """A file: what is durable of it, and what was done to it since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)


class Folder:
    """A directory: the content, or the folder, that each of its names leads to."""

    def __init__(self) -> None:
        self.durable: dict[str, Content | Folder] = {}
        self.names: dict[str, Content | Folder] = {}
        self.pending: list[tuple[Operation, Content | Folder | None]] = []
        """With what was made."""

    def sync(self) -> None:
        self.durable, self.pending = dict(self.names), []

    def change(self, operation: Operation, made: "Content | Folder | None") -> None:
        self.pending.append((operation, made))
        _change(self.names, operation, made)

    def crashed(self, draw: random.Random) -> "dict[str, Content | Folder]":
        names = dict(self.durable)
        for operation, made in self.pending[: draw.randint(0, len(self.pending))]:
            _change(names, operation, made)
        return names


def _change(
    names: "dict[str, Content | Folder]", operation: Operation, made: "Content | Folder | None"
) -> None:
    base = posixpath.basename(operation.name)
    if operation.kind == "R":
        names[posixpath.basename(operation.data.decode())] = names.pop(base)
    elif operation.kind == "U":
        del names[base]
    else:
        assert made is not None
        names[base] = made


class Disk:
    """A directory under recorded operations, on a disk that may lose power."""

    def __init__(self, image: Image) -> None:
        self.root = Folder()
        for path, data in image.items():
            folder = self._folder(posixpath.dirname(path))
            made = Folder() if data is None else Content(bytearray(data))
            folder.names[posixpath.basename(path)] = folder.durable[posixpath.basename(path)] = made

    def apply(self, operation: Operation) -> None:
        """One more operation has been carried out."""
        match operation.kind:
            case "D":
                self._folder("" if operation.name == "." else operation.name).sync()
            case "M":
                self._folder(posixpath.dirname(operation.name)).change(operation, Folder())
            case "R" | "U":
                self._folder(posixpath.dirname(operation.name)).change(operation, None)
            case "O":
                self._open(operation)
            case "S":
                content = self._content(operation.name)
                _carry_out(content.durable, content.pending)
                content.pending = []
            case _:
                self._write(self._content(operation.name), operation)

    def _folder(self, path: str) -> Folder:
        folder = self.root
        for part in path.split("/") if path else ():
            found = folder.names[part]
            assert isinstance(found, Folder), path
            folder = found
        return folder

    def _content(self, path: str) -> Content:
        found = self._folder(posixpath.dirname(path)).names[posixpath.basename(path)]
        assert isinstance(found, Content), path
        return found

    def _open(self, operation: Operation) -> None:
        if operation.flags & CREATED:
            self._folder(posixpath.dirname(operation.name)).change(operation, Content())
        elif operation.flags & EMPTIED:
            self._content(operation.name).pending.append(Operation("T", 0, operation.name, 0, b""))

    @staticmethod
    def _write(content: Content, operation: Operation) -> None:
        content.pending.append(operation)
        if operation.kind == "W" and operation.flags & DURABLE:
            _carry_out(content.durable, [operation])

    def files(self) -> Image:
        """What is there without a crash."""
        return _gathered(
            self.root, "", lambda folder: folder.names, lambda content: _after(content, content.pending)
        )

    def crashed(self, draw: random.Random) -> Image:
        """What may be left by a crash now."""
        style = draw.choice(["all", "none", "some", "some", "torn"])
        sector = draw.choice(SECTORS)
        return _gathered(
            self.root,
            "",
            lambda folder: folder.crashed(draw),
            lambda content: _survived(content, style, sector, draw),
        )


def _gathered(folder, prefix, names_of, data_of) -> Image:
    image: Image = {}
    for base, found in names_of(folder).items():
        path = prefix + base
        if isinstance(found, Folder):
            image[path] = None
            image.update(_gathered(found, path + "/", names_of, data_of))
        else:
            image[path] = bytes(data_of(found))
    return image


def _carry_out(data: bytearray, operations: Sequence[Operation]) -> None:
    for one in operations:
        if one.kind == "T":
            del data[one.offset :]
            data.extend(bytes(one.offset - len(data)))
        else:
            data.extend(bytes(max(0, one.offset - len(data))))
            data[one.offset : one.offset + len(one.data)] = one.data


def _after(content: Content, operations: Sequence[Operation]) -> bytearray:
    data = bytearray(content.durable)
    _carry_out(data, operations)
    return data


def _survived(content: Content, style: str, sector: int, draw: random.Random) -> bytearray:
    if not content.pending or style == "none":
        return content.durable
    if style == "all":
        return _after(content, content.pending)
    chosen: list[Operation] = []
    for one in content.pending:
        parts = [one] if one.kind == "T" or style == "some" else _sectors(one, sector)
        chosen += [part for part in parts if draw.random() < 0.5]
    return _after(content, chosen)


def _sectors(write: Operation, size: int) -> Iterator[Operation]:
    at = 0
    while at < len(write.data):
        length = size - (write.offset + at) % size
        yield Operation("W", 0, write.name, write.offset + at, write.data[at : at + length])
        at += length


def put_image(image: Image, path: Path) -> None:
    """Write what a crash has left."""
    path.mkdir(parents=True, exist_ok=True)
    for name, data in image.items():
        if data is None:
            (path / name).mkdir()
        else:
            (path / name).write_bytes(data)


def read_image(path: Path) -> Image:
    """What lies below a directory, but for the lock files of LMDB, which no crash can spoil."""
    found = sorted(one for one in path.rglob("*") if one.name != "lock.mdb")
    return {one.relative_to(path).as_posix(): None if one.is_dir() else one.read_bytes() for one in found}


def states(
    image: Image, operations: Sequence[Operation], prefixes: Sequence[int], draw: random.Random
) -> Iterator[tuple[int, Image]]:
    """A crash state after each of these numbers of operations, ascending: (the number, what is left)."""
    disk = Disk(image)
    done = 0
    for prefix in prefixes:
        for operation in operations[done:prefix]:
            disk.apply(operation)
        done = prefix
        yield prefix, disk.crashed(draw)


def spread(operations: int, count: int, draw: random.Random) -> list[int]:
    """`count` numbers up to that of all operations, ascending: each as often, what is left over drawn."""
    whole, rest = divmod(count, operations + 1)
    return sorted([*range(operations + 1)] * whole + draw.sample(range(operations + 1), rest))

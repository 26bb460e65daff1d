"""Everything that a stopped node can be asked for, read as it reads it: from its start on."""

import faulthandler
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, NoReturn

from multiraft.engine.errors import Error
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.raft.entry import Entry
from multiraft.shards.place import Place, make_place

from .nodes import OpenNode, apply_all, open_node
from .report import salvages


@dataclass
class Contents:
    """What is to be read."""

    values: dict[int, dict[bytes, bytes]]
    """By group."""
    entries: dict[int, list[Entry]]
    """Likewise."""


class Reading(Enum):
    """What came of it; of several the worst, which is the last."""

    WHOLE = "whole"
    REFUSED = "refused"
    """Something is not read, and whoever asks is told."""
    ENDED = "ended"
    """The process has ended."""
    UNTYPED = "untyped"
    """Whoever asks is told, but in no words that are meant for it."""
    WRONG = "wrong"
    """Something is not what was written, or not there, and whoever asks is not told."""


def place_of(path: Path) -> Place:
    """Where a node stands that is alone."""
    return make_place(path, 1, "multiraft", None, None, insecure=False, network=None)


def logged(opened: OpenNode, group: int) -> list[Entry]:
    """A group's log."""
    log = opened.log.group(group)
    return list(log.entries(log.first_index(), log.last_index() + 1, None))


def read_all(path: Path, wanted: Contents) -> Reading:
    """Start the node in a directory, for good, and read everything."""
    found = {Reading.WHOLE}
    try:
        with salvages(), open_node(place_of(path)) as opened:
            for group, entries in wanted.entries.items():
                found.add(_compared(opened, group, lambda group=group: logged(opened, group), entries))
            for group, values in wanted.values.items():
                found |= set(_values_read(opened, group, values))
    except Error:
        found.add(Reading.REFUSED)
    except Exception:  # noqa: BLE001 # that it is none of ours is the finding
        found.add(Reading.UNTYPED)
    return next(one for one in reversed(Reading) if one in found)


def _values_read(opened: OpenNode, group: int, values: dict[bytes, bytes]) -> Iterator[Reading]:
    def machine() -> KVMachine:
        found = opened.node.replicas.running[group].machine
        assert isinstance(found, KVMachine)
        return found

    replicas = opened.node.replicas.running
    yield _compared(opened, group, lambda: apply_all(opened, replicas[group]), None)
    for key, value in values.items():
        yield _compared(opened, group, lambda key=key: machine().get(key), value)
    yield _compared(opened, group, lambda: dict(machine().scan()), values)


def _compared(opened: OpenNode, group: int, read: Callable[[], object], wanted: object) -> Reading:
    replicas = opened.node.replicas
    if group in replicas.lost or group in replicas.rebuilding:
        return Reading.REFUSED
    if group not in replicas.running:
        return Reading.WRONG
    try:
        return Reading.WHOLE if read() == wanted else Reading.WRONG
    except Error:
        return Reading.REFUSED
    except Exception:  # noqa: BLE001 # as above
        return Reading.UNTYPED


def read_apart(path: Path, wanted: Contents) -> Reading:
    """The same in another process, which a damaged page may end."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            _answer(path, wanted, answer)
        _, status = os.waitpid(child, 0)
        answer.seek(0)
        return Reading.ENDED if status else Reading(answer.read().decode())


def _answer(path: Path, wanted: Contents, answer: IO[bytes]) -> NoReturn:
    faulthandler.disable()  # it is not worth a word if this process ends
    status = 98
    try:
        answer.write(read_all(path, wanted).value.encode())
        answer.flush()
        status = 0
    finally:
        os._exit(status)

"""What the entries of logs say, in words."""

from collections.abc import Callable
from typing import Any, Final

from ...engine.errors import ClusterMismatch, InvalidArgument
from ...engine.statemachine.commands import (
    Batch,
    CompareAndSwap,
    Delete,
    Envelope,
    Put,
    Retire,
    open_envelope,
)
from ...engine.statemachine.commands import decode as decode_kv
from ...raft.entry import Entry, EntryType
from ..directory_commands import Create, Register
from ..directory_commands import Delete as DeleteRanges
from ..directory_commands import decode as decode_directory
from .output import counted, line_of

VALUE_SHOWN: Final = 60
CHANGES_SHOWN: Final = 20


def words_of(entry: Entry, machine: str) -> str:
    """One entry of a group whose state machine has this name, on one line."""
    if entry.type is not EntryType.NORMAL:
        return _CHANGES[entry.type]
    if not entry.data:
        return "opens its leader's term"
    try:
        envelope = open_envelope(entry.data)
        decode = decode_directory if machine == "directory" else decode_kv
        command: object = decode(envelope.body)
    except (InvalidArgument, ClusterMismatch) as error:
        return f"{counted(len(entry.data), 'byte')} that are no command: {error}"
    return _WORDS[type(command)](command)


def envelope_of(entry: Entry) -> Envelope | None:
    """Who proposed an entry, and by which epoch; None if it does not say."""
    if entry.type is not EntryType.NORMAL or not entry.data:
        return None
    try:
        return open_envelope(entry.data)
    except InvalidArgument:
        return None


def _put(command: Put) -> str:
    return f"put {_name(command.key)} = {_shown(command.value)}"


def _delete(command: Delete) -> str:
    return f"delete {_name(command.key)}"


def _swap(command: CompareAndSwap) -> str:
    return f"if {_name(command.key)} is {_shown(command.expected)}, then it becomes {_shown(command.new)}"


def _batch(command: Batch) -> str:
    changes = command.changes
    parts = [
        f"delete {_name(key)}" if value is None else f"put {_name(key)} = {_shown(value)}"
        for key, value in changes[:CHANGES_SHOWN]
    ]
    if len(changes) > CHANGES_SHOWN:
        parts.append(f"… and {len(changes) - CHANGES_SHOWN} more")
    return f"batch of {counted(len(changes), 'change')}: {'; '.join(parts)}"


def _register(command: Register) -> str:
    return (
        f"node {command.node} at {command.address} has store {command.store_uuid.hex()} "
        f"and would call the cluster {command.cluster_uuid.hex()}"
    )


def _create(command: Create) -> str:
    shown = ", ".join(range_text(*one) for one in command.ranges[:CHANGES_SHOWN])
    if len(command.ranges) > CHANGES_SHOWN:
        shown += f", … and {len(command.ranges) - CHANGES_SHOWN} more"
    nodes = f"node{'' if len(command.nodes) == 1 else 's'} {', '.join(map(str, command.nodes))}"
    copies = counted(command.replicas, "replica")
    return f"create {counted(len(command.ranges), 'range')} with {copies} each on {nodes}: {shown}"


def _delete_ranges(command: DeleteRanges) -> str:
    shown = ", ".join(str(one.group) for one in command.ranges[:CHANGES_SHOWN])
    if len(command.ranges) > CHANGES_SHOWN:
        shown += f", … and {len(command.ranges) - CHANGES_SHOWN} more"
    return f"delete {counted(len(command.ranges), 'range')}, of these groups: {shown}"


def range_text(start: bytes, end: bytes | None) -> str:
    """The bounds of a range."""
    return f"[{_bound(start)}, {'∞' if end is None else _bound(end)})"


def _bound(key: bytes) -> str:
    """A key between brackets, where a bare space or comma would confuse."""
    text = line_of(key)
    return text if text.startswith("0x") else f'"{text}"'


def _name(key: bytes) -> str:
    return line_of(key) or '""'


def _shown(value: bytes | None) -> str:
    if value is None:
        return "nothing"
    text = line_of(value) or '""'
    if len(text) <= VALUE_SHOWN:
        return text
    return f"{text[:VALUE_SHOWN]}… ({counted(len(value), 'byte')})"


_CHANGES: Final = {
    EntryType.CONF_CHANGE: "changes the members (old form)",
    EntryType.CONF_CHANGE_V2: "changes the members",
    EntryType.REFUSED_CHANGE: "stands in place of a refused change of the members",
}
_WORDS: Final[dict[type, Callable[[Any], str]]] = {
    Put: _put,
    Delete: _delete,
    CompareAndSwap: _swap,
    Batch: _batch,
    Retire: lambda _command: "retire",
    Register: _register,
    Create: _create,
    DeleteRanges: _delete_ranges,
}

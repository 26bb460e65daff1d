"""A second key-value machine, written from the description of its commands, that remembers how it came about.

It applies what was chosen, so it says what every command must have answered and how every replica's state
looks at every index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from zlib import crc32

from multiraft.engine.logstore.port import Birth
from multiraft.engine.replica import SYSTEM_GROUP, Replica
from multiraft.engine.statemachine.commands import (
    HEADER_BYTES,
    Batch,
    Command,
    CompareAndSwap,
    Delete,
    MalformedCommand,
    Put,
    Retire,
    decode,
    encode_batch,
    encode_cas,
    encode_put,
    open_envelope,
)
from multiraft.raft.entry import Entry, EntryType

from .base import Checker, Kind, Operation
from .chosen import Chosen

REFUSED = "refused"
"""The model's result of a command that changes nothing because of its epoch, its keys or its shape."""


class RangeModel:
    """One range at the end of what was chosen, and how it came to it."""

    def __init__(self, birth: Birth) -> None:
        self.birth = birth
        self.values: dict[bytes, bytes] = {}
        self.history: dict[bytes, list[tuple[int, bytes | None]]] = {}
        """By key, ascending: from which index on it had which value; before the first, none."""
        self.sums = [0]
        """The sum of the state at each index from 1 on."""
        self.places: dict[bytes, list[int]] = {}
        """By body where a command stands, whoever proposed it and however often."""
        self.results: dict[int, object] = {}
        """By index what the command there is answered with."""
        self.retired_at = inf
        """The index from which on it serves nothing any more."""

    @property
    def last(self) -> int:
        """The index that the model stands at."""
        return len(self.sums)

    def apply(self, entry: Entry) -> None:
        """Take the next chosen entry."""
        self.sums.append(self.sums[-1])
        if is_command(entry):
            self.places.setdefault(entry.data[HEADER_BYTES:], []).append(entry.index)
            self.results[entry.index] = self._run(entry)

    def _run(self, entry: Entry) -> object:
        try:
            envelope = open_envelope(entry.data)
            command = decode(envelope.body)
        except MalformedCommand:
            return REFUSED
        if (
            self.retired_at < inf
            or envelope.epoch != self.birth.epoch
            or not all(map(self.serves, keys_of(command)))
        ):
            return REFUSED
        return self._execute(command, entry.index)

    def _execute(self, command: Command, index: int) -> object:
        result: object = None
        changes: Iterable[tuple[bytes, bytes | None]] = ()
        match command:
            case Put(key, value):
                changes = [(key, value)]
            case Delete(key):
                changes, result = [(key, None)], key in self.values
            case CompareAndSwap(key, expected, new):
                result = self.values.get(key) == expected
                changes = [(key, new)] if result else []
            case Batch(several):
                changes = several
            case Retire():
                self.retired_at = index
        for key, new_value in changes:
            self._set(index, key, new_value)
        return result

    def serves(self, key: bytes) -> bool:
        """Whether a key lies in the range."""
        return key >= self.birth.start and (self.birth.end is None or key < self.birth.end)

    def _set(self, index: int, key: bytes, value: bytes | None) -> None:
        before = self.values.pop(key, None)
        if before is not None:
            self.sums[-1] -= pair_sum(key, before)
        if value is not None:
            self.values[key] = value
            self.sums[-1] += pair_sum(key, value)
        history = self.history.setdefault(key, [])
        if history and history[-1][0] == index:
            history.pop()
        history.append((index, value))

    def value_at(self, key: bytes, index: int) -> bytes | None:
        """The value of a key once everything up to `index` is applied."""
        for since, value in reversed(self.history.get(key, ())):
            if since <= index:
                return value
        return None

    def state_at(self, index: int) -> dict[bytes, bytes]:
        """The whole state at an index, in the order of the keys."""
        values = ((key, self.value_at(key, index)) for key in sorted(self.history))
        return {key: value for key, value in values if value is not None}

    def spans(self, key: bytes, value: bytes | None) -> Iterator[tuple[int, int]]:
        """From which index to which (inclusive, as far as the model goes) a key had a value."""
        history = [(1, None), *self.history.get(key, ())]
        for number, (since, present) in enumerate(history):
            until = history[number + 1][0] - 1 if number + 1 < len(history) else self.last
            if present == value and since <= until:
                yield since, until


def is_command(entry: Entry) -> bool:
    """Whether an entry goes to the state machine."""
    return bool(entry.data) and entry.type is EntryType.NORMAL


def keys_of(command: Command) -> list[bytes]:
    """The keys that a command names."""
    match command:
        case Batch(changes):
            return [key for key, _ in changes]
        case Retire():
            return []
        case _:
            return [command.key]


def pair_sum(key: bytes, value: bytes) -> int:
    """One pair's part in the sum of a state: the product keeps swapped values from cancelling out."""
    return (crc32(key, 1) << 32 | crc32(value, crc32(key, 2))) * (crc32(value, 3) | 1)


def state_sum(pairs: Iterable[tuple[bytes, bytes]]) -> int:
    """The sum of a state, in whatever order its pairs come."""
    return sum(pair_sum(key, value) for key, value in pairs)


class Models(Checker):
    """The model of every range. Keeps up with what is chosen, and objects to nothing."""

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen
        self.by_group: dict[int, RangeModel] = {}

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        if replica.group == SYSTEM_GROUP:
            return
        model = self.by_group.get(replica.group)
        if model is None:
            model = self.by_group[replica.group] = RangeModel(replica.birth)
        if entries[-1].index > model.last:
            for entry in self.chosen[replica.group].slice(model.last + 1, entries[-1].index + 1):
                model.apply(entry)

    def holding(self, key: bytes) -> list[RangeModel]:
        """The models of the ranges that serve a key: one, or none."""
        return [model for model in self.by_group.values() if model.serves(key)]

    def places(self, body: bytes) -> list[tuple[int, int]]:
        """(group, index) of every entry with this command."""
        found = [(group, model.places.get(body, ())) for group, model in self.by_group.items()]
        return [(group, index) for group, indexes in found for index in indexes]


def body_of(op: Operation) -> bytes | None:
    """The command that carries out a write, if nobody else's can look like it: it writes a value."""
    match op.kind:
        case Kind.PUT:
            return encode_put(op.keys[0], op.arguments[0])
        case Kind.CAS if op.arguments[1] is not None:
            return encode_cas(op.keys[0], *op.arguments)
        case Kind.BATCH if any(value is not None for value in op.arguments):
            return encode_batch(zip(op.keys, op.arguments, strict=True))
        case _:
            return None

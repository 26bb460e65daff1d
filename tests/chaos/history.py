"""What was asked of the store and what it answered; which acknowledged writes are gone in the end."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from multiraft.engine.errors import OutcomeUnknown
from tests.simulation.checkers.base import Kind, Operation, Outcome


class History:
    """All operations in the order in which they were asked for. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def begin(
        self, client: int, kind: Kind, keys: tuple[bytes, ...], arguments: tuple[Any, ...] = ()
    ) -> Operation:
        """An operation that is asked for now."""
        number = len(self.operations)
        operation = Operation(number, client, kind, keys, arguments, invoked=time.monotonic())
        self.operations.append(operation)
        return operation

    def counts(self) -> Counter[Outcome]:
        """How many ended how."""
        return Counter(one.outcome for one in self.operations)


def succeed(operation: Operation, result: object) -> None:
    """It was answered."""
    operation.returned = time.monotonic()
    operation.outcome = Outcome.OK
    operation.result = result


def fail(operation: Operation, error: BaseException) -> None:
    """It was not: by an error of the store (which says what that means), or because the caller went away."""
    operation.returned = time.monotonic()
    operation.error = f"{type(error).__name__}: {error}"
    if not operation.writes:
        operation.outcome = Outcome.FAILED
    elif isinstance(error, OutcomeUnknown | TimeoutError):
        operation.outcome = Outcome.UNKNOWN
    else:
        operation.outcome = Outcome.REFUSED


def by_key(operations: Iterable[Operation]) -> Mapping[bytes, list[Operation]]:
    """The operations on each key; those on several keys count for each of them."""
    found: defaultdict[bytes, list[Operation]] = defaultdict(list)
    for operation in operations:
        for key in operation.keys:
            found[key].append(operation)
    return found


def may_have_written(operation: Operation) -> bool:
    """Whether its keys may have changed by it."""
    if not operation.writes or operation.outcome is Outcome.REFUSED:
        return False
    if operation.outcome is not Outcome.OK or operation.kind in {Kind.PUT, Kind.BATCH}:
        return True
    return operation.result is True


def written_value(operation: Operation, key: bytes) -> bytes | None:
    """What the key holds right after the operation, if that has written."""
    values: tuple[bytes | None, ...] = operation.arguments
    match operation.kind:
        case Kind.PUT:
            return values[0]
        case Kind.CAS:
            return values[1]
        case Kind.BATCH:
            return values[operation.keys.index(key)]
        case _:
            return None


def lost_writes(key: bytes, operations: Sequence[Operation], final: bytes | None) -> list[Operation]:
    """The acknowledged writes of a key that are gone, given what the key holds in the end.

    Whatever wrote the final value must not have ended before an acknowledged write began. If nobody can have
    written it, every acknowledged write is gone.
    """
    ends = [0.0] if final is None else []  # the key was empty before anything began
    for one in operations:
        if may_have_written(one) and written_value(one, key) == final:
            known = one.outcome is Outcome.OK and one.returned is not None
            ends.append(one.returned if known else float("inf"))
    latest = max(ends, default=-1.0)
    return [
        one
        for one in operations
        if one.outcome is Outcome.OK and may_have_written(one) and one.invoked > latest
    ]


def with_seen_batches(operations: Sequence[Operation]) -> list[Operation]:
    """The history, with what is known of batches of unknown outcome: one that was seen anywhere has happened.

    A batch happens at one moment for all its keys. So it counts as answered when the first operation that saw
    one of its values was, and its other keys must show it from then on.
    """
    seen: dict[tuple[bytes, bytes | None], float] = {}
    for one in operations:
        if one.outcome is Outcome.OK and one.returned is not None:
            value = one.result if one.kind is Kind.GET else one.arguments[0] if one.kind is Kind.CAS else None
            if value is not None and (one.kind is Kind.GET or one.result):
                place = one.keys[0], value
                seen[place] = min(seen.get(place, one.returned), one.returned)
    return [_with_sight(one, seen) for one in operations]


def _with_sight(operation: Operation, seen: Mapping[tuple[bytes, bytes | None], float]) -> Operation:
    if operation.kind is not Kind.BATCH or operation.outcome not in {Outcome.UNKNOWN, Outcome.PENDING}:
        return operation
    places = zip(operation.keys, operation.arguments, strict=True)
    times = [seen[place] for place in places if place in seen]
    return replace(operation, outcome=Outcome.OK, returned=min(times)) if times else operation


def write_lines(path: Path, operations: Iterable[Operation]) -> None:
    """Keep a history: one JSON array a line, bytes as text in hexadecimal after ``0x``."""
    with path.open("w") as file:
        for one in operations:
            fields = (one.id, one.client, one.kind, one.keys, one.arguments, one.invoked, one.returned)
            file.write(json.dumps([*fields, one.outcome, one.result, one.error], default=_text) + "\n")


def read_lines(path: Path) -> list[Operation]:
    """What :func:`write_lines` has written."""
    with path.open() as file:
        return [_operation(json.loads(line)) for line in file]


def _operation(fields: list[Any]) -> Operation:
    number, client, kind, keys, arguments, invoked, returned, outcome, result, error = map(_value, fields)
    return Operation(
        number, client, Kind(kind), keys, arguments, invoked, returned, Outcome(outcome), result, error
    )


def _text(value: bytes) -> str:
    return "0x" + value.hex()


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_value, value))
    if isinstance(value, str) and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    return value

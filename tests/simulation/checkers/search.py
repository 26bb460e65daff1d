"""The search for an order of what happened to one register.

It is that of Wing and Gong, *Testing and verifying concurrent objects* (1993), in the just-in-time form of
Lowe, *Testing for linearizability* (2017): the history is read once, event by event, with the set of all
configurations in which the register could be. A configuration is the value and which of the operations under
way have taken effect. Nothing takes effect before somebody's return demands it.

What never got an answer stays under way for ever, so three things keep it cheap. It takes effect only
directly before an operation that would not fit otherwise: before any other it may as well come later, or
never. Of two configurations that differ only in unknown operations used up, the one that used fewer covers
the other. And values that no result and no comparison names cannot be told apart, so they are one value.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, Final

from .base import Kind
from .zones import Call

MAX_CONFIGURATIONS: Final = 100_000

Configuration = tuple[bytes | None, int, int]
"""One way things may stand: the value, bits of what took effect and will return, bits of unknown outcome."""
UNSEEN: Final = b"a value that nobody saw"
"""Stands for every value that nobody names."""


class TooHard(Exception):
    """The history is outside what can be decided: too many clients, operations or possibilities."""


class Search:
    """Reads a history event by event. Operations under way are bits; those that returned free theirs."""

    def __init__(self, key: bytes, calls: Sequence[Call]) -> None:
        self._key = key
        self._calls = sorted(_with_unseen(calls), key=lambda call: call.invoked)
        self._pending: dict[int, Call] = {}
        """By bit what is under way and will return."""
        self._unknown = _Unknown()
        self._bits = 0
        self._free: list[int] = []

    def run(self) -> str | None:
        """Why there is no order, None if there is one. Raises TooHard."""
        events = [(call.invoked, 0, at, call) for at, call in enumerate(self._calls)]
        # At one moment the invocations come first: operations that only touch may take effect either way.
        events += [(call.returned, 1, at, call) for at, call in enumerate(self._calls) if call.returned < inf]
        events.sort(key=lambda event: event[:3])
        bits: dict[int, int] = {}
        configurations: list[Configuration] = [(None, 0, 0)]
        for _, returns, at, call in events:
            if not returns:
                bits[at] = self._begin(call)
                continue
            reached = self._returned(configurations, bits[at])
            if not reached:
                return self._explain(configurations, call)
            configurations = reached
            bit = bits.pop(at)
            del self._pending[bit]
            self._free.append(bit)
        return None

    def _begin(self, call: Call) -> int:
        if self._free:
            bit = self._free.pop()
        else:
            bit = 1 << self._bits
            self._bits += 1
        if call.returned == inf:
            self._unknown.add(call, bit)
        else:
            self._pending[bit] = call
        return bit

    def _returned(self, configurations: list[Configuration], bit: int) -> list[Configuration]:
        """The configurations in which the operation has taken effect, without its bit."""
        waiting = deque(sorted(configurations, key=lambda one: one[2].bit_count()))
        covered = _Covered()
        reached: list[Configuration] = []
        tried = 0
        while waiting:
            one = waiting.popleft()
            if not covered.add(one):
                continue
            value, done, used = one
            if done & bit:
                reached.append((value, done & ~bit, used))
                continue
            for other, call in self._pending.items():
                if done & other:
                    continue
                if _fits(call, value):
                    waiting.appendleft((_after(call, value), done | other, used))
                else:
                    for before, taken in self._unknown.ways(call, value, used):
                        waiting.append((_after(call, before), done | other, taken))
            tried += 1
            if tried > MAX_CONFIGURATIONS:
                raise TooHard(f"{self._key!r}: too many orders are possible around {self._pending[bit].op}")
        return reached

    def _explain(self, configurations: list[Configuration], call: Call) -> str:
        """The operations that overlap the one that fits nowhere, and what the value may have been."""
        values = sorted({UNSEEN.decode() if one[0] == UNSEEN else repr(one[0]) for one in configurations})
        window = [
            one.op for one in self._calls if one.returned >= call.invoked and one.invoked <= call.returned
        ]
        window.sort(key=lambda op: op.invoked)
        lines = "\n".join(f"  {op}" for op in window if op is not call.op)
        return (
            f"{self._key!r}: there is no place for\n  {call.op}\n"
            f"when what it overlaps or may follow is\n{lines or '  nothing'}\n"
            f"and the value may have been {', '.join(values[:6])} before that"
        )


class _Covered:
    """Configurations met so far, without those that another one covers."""

    def __init__(self) -> None:
        self._used: dict[tuple[bytes | None, int], list[int]] = {}

    def add(self, one: Configuration) -> bool:
        """Take note of a configuration. False if it is covered: it leads nowhere that is not reached."""
        value, done, used = one
        known = self._used.setdefault((value, done), [])
        if any(less & used == less for less in known):
            return False
        known.append(used)
        return True


class _Unknown:
    """The writes of unknown outcome, by the value that each leaves behind."""

    def __init__(self) -> None:
        self._alike: dict[bytes | None, dict[tuple[Any, ...], list[int]]] = {}
        """By value, then by kind and arguments, the bits of writes that cannot be told apart."""

    def add(self, call: Call, bit: int) -> None:
        """A write is invoked whose return never comes."""
        leaves = call.arguments[-1] if call.arguments else None
        self._alike.setdefault(leaves, {}).setdefault((call.kind, *call.arguments), []).append(bit)

    def ways(self, call: Call, value: bytes | None, used: int) -> Iterator[tuple[bytes | None, int]]:
        """What may happen directly before `call`, which does not fit to `value`, so that it does.

        Yields the value then, and the bits used up then.
        """
        if call.kind is Kind.GET:
            wanted: Sequence[bytes | None] = [call.result]
        elif call.kind is Kind.DELETE:
            wanted = [leaves for leaves in self._alike if leaves is not None] if call.result else [None]
        else:
            expected = call.arguments[0]
            wanted = [expected] if call.result else [leaves for leaves in self._alike if leaves != expected]
        for leaves in wanted:
            for taken in self._ways_to(leaves, value, used):
                yield leaves, taken

    def _ways_to(self, wanted: bytes | None, value: bytes | None, used: int) -> Iterator[int]:
        for (kind, *arguments), bits in self._alike.get(wanted, {}).items():
            bit = next((bit for bit in bits if not used & bit), None)
            if bit is None:
                continue
            if kind is Kind.CAS and arguments[0] != value:
                yield from self._ways_to(arguments[0], value, used | bit)
            else:
                yield used | bit


def _with_unseen(calls: Sequence[Call]) -> list[Call]:
    """The calls with the values that they write and nobody names made one."""
    named = {call.result for call in calls if call.kind is Kind.GET}
    named |= {call.arguments[0] for call in calls if call.kind is Kind.CAS} | {None}
    rewritten = []
    for call in calls:
        arguments = call.arguments
        if arguments and arguments[-1] not in named:
            arguments = (*arguments[:-1], UNSEEN)
        rewritten.append(call._replace(arguments=arguments))
    return rewritten


def _fits(call: Call, value: bytes | None) -> bool:
    """Whether a call that finds this value gives the result that it gave."""
    kind = call.kind
    if kind is Kind.PUT:
        return True
    if kind is Kind.GET:
        return bool(call.result == value)
    if kind is Kind.DELETE:
        return bool(call.result == (value is not None))
    return bool(call.result == (call.arguments[0] == value))


def _after(call: Call, value: bytes | None) -> bytes | None:
    """The value that a call which fits leaves behind."""
    kind = call.kind
    if kind is Kind.GET or (kind is Kind.CAS and not call.result):
        return value
    return call.arguments[-1] if kind is not Kind.DELETE else None

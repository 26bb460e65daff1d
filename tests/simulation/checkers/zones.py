"""Registers that are only written and read, and no value twice: linearizable or not, without a search.

Each value has a *zone*: the put that wrote it and the gets that saw it. In any order the operations of a zone
stand together. Zone a must come before zone b if something in a returned before something in b was invoked;
an order exists unless two zones must each come before the other, or a get returned before its put was
invoked (Gibbons and Korach, *Testing shared memories*, 1997, §4).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import Any, NamedTuple

from .base import Kind, Operation


class Call(NamedTuple):
    """What one operation does to one register."""

    kind: Kind
    """PUT (of None, too), GET, DELETE or CAS."""
    arguments: tuple[Any, ...]
    invoked: float
    returned: float
    """Infinite if the outcome is unknown."""
    result: Any
    op: Operation


class Zone(NamedTuple):
    """The operations of one value, by the two moments that matter."""

    first_return: float
    last_invocation: float
    calls: Sequence[Call]


def is_simple(calls: Sequence[Call]) -> bool:
    """Whether there are only gets, and puts of different values."""
    values = [call.arguments[0] for call in calls if call.kind is Kind.PUT]
    only = all(call.kind is Kind.PUT or call.kind is Kind.GET for call in calls)
    return only and None not in values and len(set(values)) == len(values)


def contradiction(calls: Sequence[Call]) -> list[Call] | None:
    """Operations of a simple history that fit into no order, None if all fit; O(n log n)."""
    by_value: dict[bytes | None, list[Call]] = {None: []}
    for call in calls:
        if call.kind is Kind.PUT:
            by_value[call.arguments[0]] = [call]
    for call in calls:
        if call.kind is Kind.GET:
            if call.result not in by_value:
                return [call]
            by_value[call.result].append(call)
    for value, together in by_value.items():
        if value is not None:
            early = [call for call in together if call.returned < together[0].invoked]
            if early:
                return [together[0], *early]
    return _conflict([_zone(value, together) for value, together in by_value.items() if together])


def _zone(value: bytes | None, calls: Sequence[Call]) -> Zone:
    """That of no value at all began before everything."""
    first_return = min(call.returned for call in calls) if value is not None else -inf
    return Zone(first_return, max(call.invoked for call in calls), calls)


def _conflict(zones: Sequence[Zone]) -> list[Call] | None:
    """Two zones, each of which must come before the other.

    Those that last (first return < last invocation) must not overlap; of those, disjoint and in order, the
    last one that begins before another zone's last invocation is the only one that can enclose it.
    """
    lasting = [zone for zone in zones if zone.first_return < zone.last_invocation]
    lasting.sort(key=lambda zone: zone.first_return)
    for before, zone in pairwise(lasting):
        if zone.first_return < before.last_invocation:
            return [*before.calls, *zone.calls]
    starts = [zone.first_return for zone in lasting]
    for zone in zones:
        if zone.first_return >= zone.last_invocation:
            at = bisect_left(starts, zone.last_invocation) - 1
            if at >= 0 and zone.first_return < lasting[at].last_invocation:
                return [*lasting[at].calls, *zone.calls]
    return None

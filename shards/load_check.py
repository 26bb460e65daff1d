"""What is asked of a cluster before and after a load: is every range ready, are all replicas equal."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, cast

from ..engine.errors import Unavailable
from .load import LoadedRange
from .load_targets import Probe

SHORTEST_PAUSE: Final = 0.01
POLL_SHARE: Final = 0.1
"""Polling takes at most about this share of the nodes' time."""

Status = Mapping[str, object]
Replicas = Mapping[str, Sequence[Sequence[int]]]
"""Applied index, commands applied and digest of every replica of a range, by the range's first key."""


class Comparison(NamedTuple):
    """What became of the replicas."""

    wrong: str | None
    """Where they are not what they must be, None if they are."""
    by_snapshot: int
    """Replicas that have applied less than was acknowledged and hold the rest by a snapshot."""


async def statuses(probes: Sequence[Probe]) -> list[Status]:
    """The status of every node."""
    return list(await asyncio.gather(*(probe.status() for probe in probes)))


async def wait_ready(
    probes: Sequence[Probe],
    ranges: int,
    replicas: int,
    patience: float,
    progress: Callable[[int, int], None] | None = None,
) -> list[Status]:
    """Return once every range has a leader that can take writes and every replica has applied an entry.

    Args:
        probes: one for each node.
        ranges: how many there are.
        replicas: how many replicas they have, all together.
        patience: seconds.
        progress: called as ``progress(done, total)`` with how many ranges can take writes, now and then.

    Raises:
        Unavailable: it took too long.
    """

    def ready(found: Sequence[Status]) -> bool:
        led = total(found, "led_ready")
        if progress is not None:
            progress(led, ranges)
        return led == ranges and total(found, "ready") == replicas

    found = await _poll(probes, ready, patience)
    if not ready(found):
        raise Unavailable(
            f"after {patience:g} s {total(found, 'led_ready')} of {ranges} ranges have a leader and "
            f"{total(found, 'ready')} of {replicas} replicas have applied an entry"
        )
    return found


async def compare(
    probes: Sequence[Probe], ranges: Sequence[LoadedRange], copies: int, patience: float
) -> Comparison:
    """Compare the replicas of each range after a load; they get ``patience`` seconds to catch up.

    At equal applied index all ``copies`` of them must hold the same, by digest, and as many commands must
    have been applied as were acknowledged. A replica that fell behind and took a snapshot has applied fewer
    itself.
    """
    deadline = time.monotonic() + patience
    while True:
        await settle(probes, deadline - time.monotonic())
        found = await _replicas(probes)
        if time.monotonic() > deadline or not _still_applying(found):
            break
    wrong = next(filter(None, (_judge(place, found, copies) for place in ranges)), None)
    behind = [
        place.start
        for place in ranges
        for _, commands, _ in found.get(place.start.hex(), ())
        if commands < place.acknowledged
    ]
    return Comparison(wrong, len(behind))


async def settle(probes: Sequence[Probe], patience: float) -> None:
    """Wait until no node applies anything any more, for so many seconds at most."""
    await _poll(probes, _at_rest(), patience)


async def wait_resting(probes: Sequence[Probe], replicas: int, patience: float) -> None:
    """Return once so many replicas of ranges have left memory, and everything rests, the directory too.

    Raises:
        Unavailable: it took more than ``patience`` seconds.
    """
    wanted = [replicas + len(probes), replicas]
    found = await _poll(probes, lambda found: _at_rest_now(found) == wanted, patience)
    resting, dormant = _at_rest_now(found)
    if [resting, dormant] != wanted:
        raise Unavailable(
            f"after {patience:g} s {resting} of {wanted[0]} replicas rest, and {dormant} have left memory"
        )


def _at_rest_now(found: Iterable[Status]) -> list[int]:
    found = list(found)
    return [total(found, "resting"), total(found, "dormant")]


def total(found: Iterable[Status], field: str) -> int:
    """The sum of a field of all nodes' statuses."""
    return sum(cast("int", status[field]) for status in found)


def _judge(place: LoadedRange, found: Replicas, copies: int) -> str | None:
    name = f"the range from {place.start.hex() or 'the first key'}"
    replicas = found.get(place.start.hex(), [])
    if len(replicas) != copies:
        return f"{name} has {len(replicas)} replicas, not {copies}"
    indexes, commands, digests = map(set, zip(*replicas, strict=True))
    if len(indexes) > 1:
        return f"{name} is applied up to {sorted(indexes)}"
    if max(commands) != place.acknowledged:
        return f"{name}: {place.acknowledged} commands were acknowledged and {sorted(commands)} applied"
    if len(digests) > 1:
        return f"{name}: its replicas differ"
    return None


def _still_applying(found: Replicas) -> bool:
    return any(len({index for index, _, _ in replicas}) > 1 for replicas in found.values())


def _at_rest() -> Callable[[Sequence[Status]], bool]:
    """A condition that holds when no node has applied anything since it was last asked."""
    before: list[object] = []

    def at_rest(found: Sequence[Status]) -> bool:
        nonlocal before
        applied = [status["applied"] for status in found]
        rests = applied == before and total(found, "applied_lag") == 0
        before = applied
        return rests

    return at_rest


async def _replicas(probes: Sequence[Probe]) -> Replicas:
    merged: defaultdict[str, list[Sequence[int]]] = defaultdict(list)
    for digests in await asyncio.gather(*(probe.digests() for probe in probes)):
        for start, replica in digests.items():
            merged[start].append(replica)
    return merged


async def _poll(
    probes: Sequence[Probe], condition: Callable[[Sequence[Status]], bool], patience: float
) -> list[Status]:
    """Ask until a condition holds or the time is over; returns the last answers."""
    deadline = time.monotonic() + patience
    while True:
        began = time.monotonic()
        found = await statuses(probes)
        now = time.monotonic()
        if condition(found) or now > deadline:
            return found
        await asyncio.sleep(max(SHORTEST_PAUSE, (now - began) / POLL_SHARE))

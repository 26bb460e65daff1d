"""What the faults of the network do."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from .proxy import Direction, Proxy
from .schedule import Fault
from .weather import Weather

RESET_GAP_S: Final = 0.15
"""Between two resets of one fault: connections are up again by then, and just begin to be used."""


async def impose(proxy: Proxy, fault: Fault) -> None:
    """Let the fault's weather rule its directions for as long as it lasts."""
    assert fault.weather is not None, fault
    with imposed(proxy, fault.directions, fault.weather):
        await asyncio.sleep(fault.seconds)  # sleep: the fault's duration


@contextmanager
def imposed(proxy: Proxy, directions: Iterable[Direction], weather: Weather) -> Iterator[None]:
    """Let weather rule some directions inside the block."""
    links = [proxy.links[direction] for direction in directions]
    for link in links:
        link.impose(weather)
    try:
        yield
    finally:
        for link in links:
            link.lift(weather)


async def reset(proxy: Proxy, fault: Fault) -> None:
    """Reset the connections of the fault's directions, once or for as long as it lasts."""
    pairs = {frozenset(direction) for direction in fault.directions}
    for _ in range(1 + int(fault.seconds / RESET_GAP_S)):
        proxy.reset(pairs, torn=fault.variant)
        await asyncio.sleep(RESET_GAP_S)  # sleep: they shall connect again

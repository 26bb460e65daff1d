"""What the faults of the network do."""

import asyncio

from .proxy import Proxy
from .schedule import Fault


async def impose(proxy: Proxy, fault: Fault) -> None:
    """Let the fault's weather rule its directions for as long as it lasts."""
    assert fault.weather is not None, fault
    links = [proxy.links[direction] for direction in fault.directions]
    for link in links:
        link.impose(fault.weather)
    try:
        await asyncio.sleep(fault.seconds)  # sleep: the fault's duration
    finally:
        for link in links:
            link.lift(fault.weather)


async def reset(proxy: Proxy, fault: Fault) -> None:
    """Reset the connections of the fault's directions."""
    proxy.reset({frozenset(direction) for direction in fault.directions}, torn=fault.variant)

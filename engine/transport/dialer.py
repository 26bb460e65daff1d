"""Keeps one connection to one peer: dials, waits until it ends, waits a little, dials again."""

import asyncio
import logging
import random as random_module
from collections.abc import Callable, Iterator

from ..errors import Error, Fatal
from .address import Address, connect_error
from .connection import Connection
from .greeting import Desk, OutboundGreeting

BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 2.0
_DIAL_S = 5.0

_log = logging.getLogger(__name__)


def backoff_delays(random: random_module.Random) -> Iterator[float]:
    """Seconds to wait before each further attempt: drawn from [d/2, d), d doubling from 100 ms to 2 s.

    The spread keeps the peers of a node that comes back from dialing it in step.
    """
    ceiling = 2 * BACKOFF_MIN_S
    while True:
        yield random.uniform(ceiling / 2, ceiling)
        ceiling = min(2 * ceiling, BACKOFF_MAX_S)


class Dialer:
    """The way to one peer.

    Args:
        desk: the transport.
        node: who is expected at ``address``.
        make_connection: wraps a sink into a connection with the transport's limits.
        random: spreads the attempts.
    """

    def __init__(
        self,
        desk: Desk,
        node: int,
        address: Address,
        make_connection: Callable[[OutboundGreeting], Connection],
        random: random_module.Random,
    ) -> None:
        self._desk = desk
        self._node = node
        self._address = address
        self._make_connection = make_connection
        self._random = random
        self._reported = ""

    async def run(self) -> None:
        """Dial for ever; ends by cancellation only."""
        delays = backoff_delays(self._random)
        while True:
            if await self._attempt():
                delays = backoff_delays(self._random)
                self._reported = ""
            await asyncio.sleep(next(delays))

    async def _attempt(self) -> bool:
        """Dial once and stay until the connection ends. Returns whether the peer was admitted."""
        greeting = OutboundGreeting(self._desk, self._node)
        connection = self._make_connection(greeting)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_DIAL_S):
                await loop.create_connection(lambda: connection, self._address.host, self._address.port)
        except OSError as error:  # TimeoutError is one
            connection.disown()
            self._report(connect_error(error, self._address))
            return False
        except BaseException:
            connection.disown()
            raise
        # Shielded: cancelling this task must not cancel the future that others wait for.
        await asyncio.shield(connection.closed)
        if isinstance(connection.error, Error):
            self._report(connection.error)
        return greeting.admitted

    def _report(self, error: Error) -> None:
        """Log the first of a row of equal failures; a peer that is down is not news every two seconds."""
        text = str(error)
        news = logging.WARNING if isinstance(error, Fatal) else logging.INFO
        level = logging.DEBUG if text == self._reported else news
        _log.log(level, "node %d: %s", self._node, text)
        self._reported = text

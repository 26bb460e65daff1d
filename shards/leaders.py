"""Finds the leader of a group by asking: hints first, then one replica after the other."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Container, Sequence
from typing import Final

from ..engine.errors import Closed, Error, NotLeader, RangeDeleted, StorageFailed, Unavailable
from ..engine.node import Node
from .requests import Scalar

FIRST_PAUSE: Final = 0.005
LONGEST_PAUSE: Final = 0.2

Ask = Callable[[int], Awaitable[Sequence[Scalar]]]
"""Asks a node (by id) and returns the reply's fields or raises its error."""
Members = Sequence[tuple[int, int]]
"""(replica id, node id) of every replica of a group."""


class Leaders:
    """What is known about who leads, and the searches under way.

    Of all callers that wait for one group only one goes round asking; the others go on when it has found
    the leader. Otherwise thousands of requests to a group that is just electing would ask as often as each.
    """

    def __init__(self, node: Node, reachable: Container[int], spread: random.Random) -> None:
        self._node = node
        self._reachable = reachable
        self._spread = spread
        self._hints: dict[int, int] = {}
        self._searches: dict[int, asyncio.Future[None]] = {}
        self._loop = asyncio.get_running_loop()

    async def ask(
        self, group: int, members: Members, ask: Ask, deadline: float, retry: tuple[type[Error], ...]
    ) -> Sequence[Scalar]:
        """Ask the group's leader; errors of the ``retry`` classes mean that another one may have to be found.

        Raises:
            Unavailable: no leader was found before the deadline; nothing happened.
        """
        while True:
            search = self._searches.get(group)
            if search is None:
                try:
                    return await self._ask_node(group, self._likely(group, members, 0), ask)
                except retry as refusal:
                    error: Error = refusal
                search = self._searches.get(group)
                if search is None:
                    return await self._search(group, members, ask, deadline, retry, error)
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.shield(search)
            except TimeoutError:
                raise self._leaderless(group, members) from None

    async def pause(self, attempt: int, deadline: float, error: Error) -> None:
        """Wait a little longer each time, spread so that many callers do not come back at once.

        Raises:
            Error: ``error``, if the pause would last beyond the deadline.
        """
        longest = min(FIRST_PAUSE * 2 ** min(attempt, 10), LONGEST_PAUSE)
        pause = longest * self._spread.uniform(0.5, 1)
        if self._loop.time() + pause >= deadline:
            raise error
        await asyncio.sleep(pause)

    async def _search(
        self,
        group: int,
        members: Members,
        ask: Ask,
        deadline: float,
        retry: tuple[type[Error], ...],
        error: Error,
    ) -> Sequence[Scalar]:
        found = self._searches[group] = self._loop.create_future()
        attempt = 0
        try:
            while True:
                if isinstance(error, NotLeader):
                    error = self._leaderless(group, members)
                await self.pause(attempt, deadline, error)
                attempt += 1
                try:
                    return await self._ask_node(group, self._likely(group, members, attempt), ask)
                except retry as refusal:
                    error = refusal
        finally:
            del self._searches[group]
            found.set_result(None)

    async def _ask_node(self, group: int, node: int, ask: Ask) -> Sequence[Scalar]:
        if node != self._node.node_id and node not in self._reachable:
            self._hints.pop(group, None)
            raise NotLeader(group)
        try:
            fields = await ask(node)
        except NotLeader as refusal:
            if refusal.hint is None or refusal.hint == node:
                self._hints.pop(group, None)
            else:
                self._hints[group] = refusal.hint
            raise
        except RangeDeleted:
            self._hints.pop(group, None)
            raise
        except (Closed, StorageFailed) as ended:
            if node == self._node.node_id:
                raise
            self._hints.pop(group, None)
            raise NotLeader(group) from ended  # another node will lead: its end is final for itself only
        self._hints[group] = node
        return fields

    def _likely(self, group: int, members: Members, attempt: int) -> int:
        known = self._node.replicas.leader_node(group)
        if known is None:
            known = self._hints.get(group)
        if known is None:
            return members[attempt % len(members)][1]
        if attempt % 3 != 2:
            return known
        return members[attempt // 3 % len(members)][1]  # what is known may be stale: ask another in turn

    def _leaderless(self, group: int, members: Members) -> Error:
        """Why nobody serves the group, as far as this node can tell."""
        away = [node for _, node in members if node != self._node.node_id and node not in self._reachable]
        if away:
            nodes = ", ".join(map(str, sorted(away)))
            return Unavailable(
                f"group {group} has no leader that can be reached: no connection to node {nodes}"
            )
        return Unavailable(f"group {group} has no leader yet")

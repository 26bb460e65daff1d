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
LONGEST_WAIT: Final = 1.0
"""For a search that goes on at once when this node hears of a leader."""
OTHERS: Final = 3
"""At every third attempt of a search another node is asked than the one that leads as far as is known."""

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
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        """Searches that go on at once when this node hears of a leader."""
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
                    error: Error = refusal.with_traceback(None)  # which refers to who holds the error
                search = self._searches.get(group)
                if search is None:
                    return await self._search(group, members, ask, deadline, retry, error)
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.shield(search)
            except TimeoutError:
                raise self._leaderless(group, members) from None

    def heard(self, groups: Sequence[int]) -> None:
        """Have the searches for these groups go on: this node has just heard who leads them."""
        for group in groups:
            waiting = self._waiting.get(group)
            if waiting is not None:
                _resolve(waiting, True)

    async def pause(self, attempt: int, deadline: float, error: Error) -> None:
        """Wait a little longer each time, spread so that many callers do not come back at once.

        Raises:
            Error: ``error``, if the pause would last beyond the deadline.
        """
        pause = self._spread_pause(attempt, LONGEST_PAUSE)
        if self._loop.time() + pause >= deadline:
            raise error.with_traceback(None)  # which refers to who holds the error
        await asyncio.sleep(pause)

    def _spread_pause(self, attempt: int, longest: float) -> float:
        return min(FIRST_PAUSE * 2.0 ** min(attempt, 10), longest) * self._spread.uniform(0.5, 1)

    async def _wait(self, group: int, attempt: int, deadline: float) -> bool:
        """Pause until this node hears of a leader of the group, or others may know more; whether it has.

        Raises:
            TimeoutError: the deadline has passed.
        """
        left = deadline - self._loop.time()
        if left <= 0:
            raise TimeoutError
        pause = self._spread_pause(attempt, LONGEST_WAIT if self._will_hear(group) else LONGEST_PAUSE)
        waiting = self._waiting[group] = self._loop.create_future()
        alarm = self._loop.call_later(min(pause, left), _resolve, waiting, False)
        try:
            heard: bool = await waiting
        finally:
            alarm.cancel()
            del self._waiting[group]
        return heard

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
                try:
                    heard = await self._wait(group, attempt, deadline)
                except TimeoutError:
                    raise self._last(error, group, members) from None
                attempt += 1
                if not heard and attempt % OTHERS and self._will_hear(group):
                    continue
                likely = self._likely(group, members, 0 if heard else attempt)
                try:
                    return await self._ask_node(group, likely, ask)
                except retry as refusal:
                    error = refusal.with_traceback(None)
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

    def _will_hear(self, group: int) -> bool:
        """Whether a replica here knows of no leader, and will of the next one as soon as anybody else.

        When a node dies thousands of groups elect, and questions would take the time that elections need.
        Now and then somebody is asked all the same: it may be this node that is cut off.
        """
        replicas = self._node.replicas
        replica = replicas.running.loaded.get(group)
        if replica is None:
            return replicas.resting.is_orphan(group)
        known = replica.leader_node
        return known is None or (known != self._node.node_id and known not in self._reachable)

    def _likely(self, group: int, members: Members, attempt: int) -> int:
        if attempt and attempt % OTHERS == 0:  # what is known may be stale: each one in turn
            return members[attempt // OTHERS % len(members)][1]
        known = self._node.replicas.leader_node(group)
        if known is None:
            known = self._hints.get(group)
        return members[attempt % len(members)][1] if known is None else known

    def _last(self, error: Error, group: int, members: Members) -> Error:
        """What a search ends with that has found nobody before its deadline."""
        return self._leaderless(group, members) if isinstance(error, NotLeader) else error

    def _leaderless(self, group: int, members: Members) -> Error:
        """Why nobody serves the group, as far as this node can tell."""
        away = [node for _, node in members if node != self._node.node_id and node not in self._reachable]
        if away:
            nodes = ", ".join(map(str, sorted(away)))
            return Unavailable(
                f"group {group} has no leader that can be reached: no connection to node {nodes}"
            )
        return Unavailable(f"group {group} has no leader yet")


def _resolve(waiting: "asyncio.Future[bool]", heard: bool) -> None:
    if not waiting.done():
        waiting.set_result(heard)

"""Finding a group's leader: one caller goes round asking, the others wait for what it finds."""

import asyncio
import random
from types import SimpleNamespace

import pytest

from multiraft.engine.errors import Closed, NotLeader, OutcomeUnknown, StorageFailed, Unavailable
from multiraft.shards.leaders import Leaders

MEMBERS = ((11, 1), (12, 2), (13, 3))
RETRY = (NotLeader,)


class Nodes:
    """Three nodes of which one leads from the ``patience``-th question on; node 1 is the one that asks."""

    def __init__(self, leader=2, patience=0, reachable=(2, 3)):
        self.loaded: dict = {}
        """Node 1's own replica, if it has an object."""
        self.orphans: set[int] = set()
        replicas = SimpleNamespace(
            leader_node=lambda group: self.loaded[group].leader_node if group in self.loaded else None,
            running=SimpleNamespace(loaded=self.loaded),
            resting=SimpleNamespace(is_orphan=self.orphans.__contains__),
        )
        node = SimpleNamespace(node_id=1, replicas=replicas)
        self.leaders = Leaders(node, set(reachable), random.Random(1))
        self.leader = leader
        self.patience = patience
        self.asked = []
        self.began = asyncio.Event()

    async def ask(self, node):
        self.asked.append(node)
        self.began.set()
        await asyncio.sleep(0)
        if node != self.leader or len(self.asked) < self.patience:
            raise NotLeader(7, None)
        return [node]

    async def request(self, seconds=5.0):
        deadline = asyncio.get_running_loop().time() + seconds
        return await self.leaders.ask(7, MEMBERS, self.ask, deadline, RETRY)


def run(work):
    return asyncio.run(work)


def test_the_leader_is_found_and_remembered():
    async def work():
        nodes = Nodes(leader=3)
        assert await nodes.request() == [3]
        nodes.asked.clear()
        assert await nodes.request() == [3]
        assert nodes.asked == [3]

    run(work())


def test_of_many_callers_one_asks_while_there_is_no_leader():
    async def work():
        nodes = Nodes(leader=2, patience=120)
        answers = await asyncio.gather(*(nodes.request() for _ in range(100)))
        assert answers == [[2]] * 100
        assert len(nodes.asked) < 120 + 120

    run(work())


def test_without_a_leader_every_caller_learns_why_at_its_own_deadline():
    async def work():
        nodes = Nodes(leader=None, reachable=())
        answers = await asyncio.gather(
            nodes.request(0.2), nodes.request(0.05), nodes.request(0.3), return_exceptions=True
        )
        assert all(isinstance(answer, Unavailable) for answer in answers)
        assert all("no connection to node 2, 3" in str(answer) for answer in answers)

    run(work())


def test_a_searcher_that_is_cancelled_leaves_the_search_to_the_others():
    async def work():
        nodes = Nodes(leader=2, patience=8)
        first = asyncio.get_running_loop().create_task(nodes.request())
        await nodes.began.wait()
        second = asyncio.get_running_loop().create_task(nodes.request())
        await asyncio.sleep(0)
        first.cancel()
        assert await second == [2]

    run(work())


def test_an_error_that_is_no_refusal_is_the_callers():
    async def work():
        nodes = Nodes()

        async def unknown(node):
            raise OutcomeUnknown("?")

        deadline = asyncio.get_running_loop().time() + 1
        with pytest.raises(OutcomeUnknown):
            await nodes.leaders.ask(7, MEMBERS, unknown, deadline, RETRY)

    run(work())


def elects_here(nodes: Nodes) -> None:
    """Node 1 has a replica of the group, which has lost its leader."""
    nodes.loaded[7] = SimpleNamespace(leader_node=None)


@pytest.mark.parametrize("asleep", [True, False])
def test_who_will_hear_of_a_leader_asks_little(asleep):
    async def work():
        nodes = Nodes(leader=2, patience=1000)
        if asleep:
            nodes.orphans.add(7)
        else:
            elects_here(nodes)
        with pytest.raises(Unavailable):
            await nodes.request(1.0)
        assert nodes.asked == [1, 2, 3], "at first, and then each third time another one"

    run(work())


def test_who_hears_of_a_leader_asks_it_at_once():
    async def work():
        nodes = Nodes(leader=2)
        elects_here(nodes)
        loop = asyncio.get_running_loop()
        nodes.leaders._spread_pause = lambda _attempt, _longest: 60.0
        request = loop.create_task(nodes.request(120.0))
        await nodes.began.wait()
        for _ in range(3):
            await asyncio.sleep(0)
        assert 7 in nodes.leaders._waiting
        nodes.leaders.heard([8])
        nodes.loaded[7].leader_node = 2
        nodes.leaders.heard([6, 7])
        assert await request == [2]
        assert nodes.asked == [1, 2]
        assert not nodes.leaders._waiting

    run(work())


def test_a_search_lasts_until_its_deadline():
    """However long the pauses are, the leader may come before the time is over."""

    async def work():
        nodes = Nodes(leader=None)
        elects_here(nodes)
        loop = asyncio.get_running_loop()
        nodes.leaders._spread_pause = lambda _attempt, _longest: 60.0
        began = loop.time()
        with pytest.raises(Unavailable, match="group 7 has no leader yet"):
            await nodes.request(0.1)
        assert loop.time() - began >= 0.1

    run(work())


@pytest.mark.parametrize("ended", [Closed("the engine has been closed"), StorageFailed("the disk")])
def test_a_node_that_has_ended_is_not_the_last_word(ended):
    """It was the leader, so everybody asks it first; its group elects another one."""

    async def work():
        nodes = Nodes(leader=3)
        nodes.leaders._hints[7] = 2

        async def ask(node):
            if node == 2:
                raise ended
            return await nodes.ask(node)

        deadline = asyncio.get_running_loop().time() + 5
        assert await nodes.leaders.ask(7, MEMBERS, ask, deadline, RETRY) == [3]

    run(work())


def test_this_node_s_own_end_is_the_last_word():
    async def work():
        nodes = Nodes()
        nodes.leaders._hints[7] = 1

        async def ask(_node):
            raise Closed("the engine has been closed")

        with pytest.raises(Closed):
            await nodes.leaders.ask(7, MEMBERS, ask, asyncio.get_running_loop().time() + 5, RETRY)

    run(work())

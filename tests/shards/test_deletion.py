"""Ranges deleted in bulk: nobody serves them before or after, their keys may be covered anew."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import pytest

import multiraft
from multiraft.engine.errors import RangeDeleted
from multiraft.engine.replica import SYSTEM_GROUP
from multiraft.engine.transport.memory import MemoryNetwork
from multiraft.shards.assembly import Assembly
from multiraft.shards.client import Client
from multiraft.shards.cluster import Cluster
from multiraft.shards.engine import Engine
from multiraft.shards.routing import Router
from tests.shards.test_engine import QUICK, pairs, run
from tests.shards.test_tcp_cluster import three_nodes

SPLITS = [b"b", b"c", b"d"]
"""Four ranges: groups 2 to 5."""
PEERS = {node: f"127.0.0.1:{node}" for node in (1, 2, 3)}


def local(path):
    return Cluster.local(3, path=path, config=QUICK, ranges=0, splits=SPLITS)


async def fill(database, *keys: bytes) -> None:
    for key in keys:
        await database.put(key, key)


def groups_here(engine: Engine) -> set[int]:
    """The groups that a node has anything of, in memory or in its stores, but tombstones."""
    node = engine.assembly.node
    here = {*node.replicas.running, *node.log.births(), *node.state.groups(), *node.replicas.lost}
    return here - {SYSTEM_GROUP}


async def until(holds: Callable[[], bool]) -> None:
    """Return once something holds."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.02)  # sleep: no event tells of it
    raise AssertionError("it does not come to that")


async def until_only(engine: Engine, groups: set[int]) -> None:
    """Return once a node has these groups alone, and nothing of others."""
    await until(lambda: groups_here(engine) == groups and not engine.assembly.node.state.abandoned)


def test_what_is_deleted_is_gone_and_may_be_covered_anew(tmp_path):
    async def work():
        async with local(tmp_path) as cluster:
            await fill(cluster, b"a", b"bb", b"cc", b"dd")
            result = await cluster.delete_ranges((b"b", b"d"))
            assert result.deleted == 2
            for node in cluster.nodes:
                with pytest.raises(multiraft.NoRange):
                    await node.get(b"bb")
                with pytest.raises(multiraft.NoRange):
                    await node.put(b"cc", b"2")
                assert await pairs(node) == [(b"a", b"a"), (b"dd", b"dd")]
                await until_only(node, {2, 5})
                assert dict(node.assembly.node.log.tombstones()).keys() == {3, 4}
            assert (await cluster.delete_ranges((b"b", b"d"))).deleted == 0
            await cluster.create_ranges(splits=[], between=(b"b", b"d"))
            for node in cluster.nodes:
                assert await node.get(b"bb") is None
                await until_only(node, {2, 5, 6})
            await fill(cluster, b"bb")
            assert await pairs(cluster) == [(b"a", b"a"), (b"bb", b"bb"), (b"dd", b"dd")]

    run(work())


@pytest.mark.parametrize("between", [(b"a", b"b"), (b"a", None), (b"", b"bb"), (b"bb", b"c"), (b"", b"e")])
def test_an_interval_that_cuts_a_range_deletes_nothing(tmp_path, between):
    async def work():
        async with local(tmp_path) as cluster:
            await fill(cluster, b"a", b"bb")
            with pytest.raises(multiraft.InvalidRanges):
                await cluster.delete_ranges(between)
            assert await pairs(cluster) == [(b"a", b"a"), (b"bb", b"bb")]
            await fill(cluster, b"a", b"bb")

    run(work())


def broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next deletion end between its two steps."""

    async def cut(_router, _body, _deadline):
        monkeypatch.undo()
        raise multiraft.OutcomeUnknown("the caller died")

    monkeypatch.setattr(Router, "propose_to_system", cut)


def test_a_deletion_that_was_broken_off_serves_nobody_and_is_finished_by_the_next(tmp_path, monkeypatch):
    async def refused(node):
        for work in (
            node.put(b"bb", b"2"),
            node.get(b"bb"),
            node.get(b"bb", consistency="stale"),
            node.compare_and_swap(b"bb", b"bb", None),
            pairs(node),
            pairs(node, reverse=True),
        ):
            with pytest.raises(RangeDeleted):
                await work

    async def work():
        async with local(tmp_path) as cluster:
            await fill(cluster, b"a", b"bb")
            broken_off(monkeypatch)
            with pytest.raises(multiraft.OutcomeUnknown):
                await cluster.delete_ranges((b"b", b"c"))
            assert cluster.nodes[0].directory.ranges == 4
            for node in cluster.nodes:  # a follower applies it a little later
                running = node.assembly.node.replicas.running
                await until(lambda running=running: running[3].machine.retired)
            for node in cluster.nodes:
                await refused(node)
        async with local(tmp_path) as cluster:  # durable
            await refused(cluster.nodes[1])
            made = await cluster.create_ranges(splits=[], between=(b"b", b"c"))
            assert made.existing == 1
            assert (await cluster.nodes[2].delete_ranges((b"b", b"c"))).deleted == 1
            with pytest.raises(multiraft.NoRange):
                await cluster.get(b"bb")
            assert await pairs(cluster) == [(b"a", b"a")]

    run(work())


def test_many_may_delete_at_once(tmp_path):
    async def work():
        async with local(tmp_path) as cluster:
            results = await asyncio.gather(*(node.delete_ranges((b"", None)) for node in cluster.nodes))
            assert sum(one.deleted for one in results) == 4
            assert cluster.nodes[0].directory.ranges == 0

    run(work())


def test_writers_go_on_beside_deletions_and_creations(tmp_path):
    """Each write lands in the range of then, or fails by its type."""

    async def write(database, acknowledged):
        for number in count():
            with suppress(multiraft.NoRange, RangeDeleted):
                await database.put(b"bb", b"%d" % number)
                acknowledged.append(number)

    async def work():
        async with local(tmp_path) as cluster:
            acknowledged: list[int] = []
            writers = [asyncio.create_task(write(node, acknowledged)) for node in cluster.nodes]
            for enough in (10, 20, 30):
                await until(lambda enough=enough: len(acknowledged) >= enough)
                await cluster.delete_ranges((b"b", b"c"))
                await cluster.create_ranges(splits=[], between=(b"b", b"c"))
            before = len(acknowledged)
            await until(lambda: len(acknowledged) >= before + 10)
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
            assert await cluster.get(b"bb") is not None

    run(work())


def member(path, node, network):
    return Engine.open(path / f"node-{node}", node_id=node, peers=PEERS, config=QUICK, network=network)


def test_a_node_that_was_away_learns_of_it_from_the_directory(tmp_path):
    async def work():
        async with local(tmp_path) as cluster:
            await fill(cluster, b"a", b"bb", b"dd")
            for node in cluster.nodes:
                await until_only(node, {2, 3, 4, 5})
        network = MemoryNetwork()
        async with member(tmp_path, 1, network) as one, member(tmp_path, 2, network):
            assert (await one.delete_ranges((b"b", b"d"))).deleted == 2
            async with member(tmp_path, 3, network) as three:
                await until_only(three, {2, 5})
                assert await pairs(three) == [(b"a", b"a"), (b"dd", b"dd")]

    run(work())


def test_a_replica_whose_range_the_directory_has_had_goes_at_the_next_start(tmp_path, monkeypatch):
    """Its tombstone was lost with a part of the log, say; the directory's entry is not applied again."""

    async def work():
        monkeypatch.setattr(Assembly, "_removals_ordered", lambda _self, _removals: None)
        async with local(tmp_path) as cluster:
            await fill(cluster, b"a", b"bb")
            await cluster.delete_ranges((b"b", b"d"))
            for node in cluster.nodes:
                await node.assembly.router.refresh(asyncio.get_running_loop().time() + 10)
                assert groups_here(node) >= {3, 4}
                replica = node.assembly.node.replicas.running[SYSTEM_GROUP]
                state = node.assembly.node.state
                await until(lambda state=state, at=replica.applied.index: state.durable_applied(1) >= at)
        monkeypatch.undo()
        async with local(tmp_path) as cluster:
            for node in cluster.nodes:
                await until_only(node, {2, 5})

    run(work())


def test_a_store_without_ranges_stays_so(tmp_path):
    """Only the very first start covers the key space by itself."""
    seen = []
    with multiraft.open(tmp_path, ranges=3) as db:
        db.put(b"a", b"1")
        assert db.delete_ranges((b"", None), progress=lambda *told: seen.append(told)).deleted == 3
    assert seen == [(3, 3)]
    with multiraft.open(tmp_path) as db:
        with pytest.raises(multiraft.NoRange):
            db.get(b"a")
        db.create_ranges(1)
        assert db.get(b"a") is None


def test_progress_is_told_chunk_by_chunk(tmp_path):
    seen = []

    async def work():
        async with Cluster.local(1, path=tmp_path, config=QUICK, ranges=1500) as cluster:
            await cluster.delete_ranges((b"", None), progress=lambda *told: seen.append(told))
            await until_only(cluster.nodes[0], set())

    run(work())
    assert seen == [(1000, 1500), (1500, 1500)]


def test_a_client_deletes_and_gets_typed_errors(tmp_path):
    async def work():
        async with three_nodes(tmp_path) as (_, peers), Client.connect(peers[2]) as client:
            await client.create_ranges(splits=[b"m"])
            with pytest.raises(multiraft.InvalidRanges):
                await client.delete_ranges((b"", b"n"))
            await client.put(b"a", b"1")
            assert (await client.delete_ranges((b"", b"m"))).deleted == 1
            with pytest.raises(multiraft.NoRange):
                await client.put(b"a", b"1")
            assert [one.start for one in await client.ranges()] == [b"m"]

    run(work())

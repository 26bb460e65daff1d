"""The engine as its users see it: three nodes in one process, joined in memory."""

import asyncio
import socket
from dataclasses import replace

import pytest

import multiraft
from multiraft.engine.config import EngineConfig
from multiraft.shards.cluster import Cluster
from multiraft.shards.engine import Engine

QUICK = EngineConfig(
    tick_ms=20,
    beat_ms=60,
    election_timeout_ms=200,
    flush_ms=50,
    operation_timeout_ms=20_000,
    durability="none",
)


def run(work):
    return asyncio.run(work)


async def pairs(database, *args, **options):
    return [pair async for pair in database.scan(*args, **options)]


def test_every_operation_through_every_node(tmp_path):
    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK, ranges=4) as cluster:
            one, two, three = cluster.nodes
            await one.put(b"\x01a", b"1")
            await two.put(b"\x80b", b"2")
            await three.put(b"\xf0c", b"3")
            for node in cluster.nodes:
                assert await node.get(b"\x80b") == b"2"
                assert await node.get(b"none") is None
                assert await node.get(b"none", b"default") == b"default"
                assert await pairs(node) == [(b"\x01a", b"1"), (b"\x80b", b"2"), (b"\xf0c", b"3")]
            assert await two.compare_and_swap(b"\x01a", b"1", b"one")
            assert not await three.compare_and_swap(b"\x01a", b"1", b"uno")
            assert await one.compare_and_swap(b"new", None, b"born")
            assert await one.delete(b"new")
            assert not await two.delete(b"new")
            assert await cluster.get(b"\x01a") == b"one"

    run(work())


def test_scans_cross_ranges_in_both_directions(tmp_path):
    keys = [bytes([first, second]) for first in range(0, 256, 8) for second in (0, 7)]

    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK, ranges=8) as cluster:
            await asyncio.gather(*(cluster.put(key, key * 2) for key in keys))
            expected = [(key, key * 2) for key in sorted(keys)]
            node = cluster.nodes[1]
            assert await pairs(node) == expected
            assert await pairs(node, reverse=True) == expected[::-1]
            assert await pairs(node, b"\x10", b"\x90") == [p for p in expected if b"\x10" <= p[0] < b"\x90"]
            window = [p for p in expected if b"\x10" <= p[0] < b"\x90"]
            assert await pairs(node, b"\x10", b"\x90", reverse=True) == window[::-1]
            assert await pairs(node, prefix=b"\x88") == [p for p in expected if p[0][0] == 0x88]
            assert await pairs(node, limit=5) == expected[:5]
            assert await pairs(node, limit=5, reverse=True) == expected[:-6:-1]
            assert await pairs(node, limit=0) == []
            assert await pairs(node, limit=2**70) == expected
            assert await pairs(node, b"\x90", b"\x10") == []
            assert sorted(await pairs(node, consistency="stale"))[: len(keys)] == expected

    run(work())


def test_a_scan_of_many_pairs_is_paged(tmp_path):
    async def work():
        async with Engine.open(tmp_path / "one", config=QUICK) as db:
            for first in range(0, 2500, 500):
                async with db.batch() as batch:
                    for number in range(first, first + 500):
                        batch.put(b"%06d" % number, b"x")
            assert len(await pairs(db)) == 2500
            assert (await pairs(db, limit=1001))[-1][0] == b"001000"
            assert [len(page) async for page in db.scan_pages()] == [1000, 1000, 500]

    run(work())


async def write_both(database):
    async with database.batch() as batch:
        batch.put(b"a", b"1")
        batch.put(b"z", b"2")


async def change_mind(database):
    async with database.batch() as batch:
        batch.put(b"c", b"3")
        raise RuntimeError("changed my mind")


def test_a_batch_is_atomic_within_a_range_and_refused_across_ranges(tmp_path):
    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK, splits=[b"m"]) as cluster:
            async with cluster.batch() as batch:
                batch.put(b"a", b"1")
                batch.put(b"b", b"2")
                batch.delete(b"a")
            assert await pairs(cluster) == [(b"b", b"2")]
            with pytest.raises(multiraft.CrossRange):
                await write_both(cluster.nodes[2])
            with pytest.raises(RuntimeError, match="changed my mind"):
                await change_mind(cluster)
            assert await pairs(cluster) == [(b"b", b"2")]

    run(work())


def test_keys_that_no_range_covers(tmp_path):
    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK, ranges=0) as cluster:
            with pytest.raises(multiraft.NoRange):
                await cluster.put(b"a", b"1")
            assert await pairs(cluster) == []
            made = await cluster.create_ranges(splits=[b"b"], between=(b"a", b"c"))
            assert (made.created, made.existing) == (2, 0)
            again = await cluster.nodes[1].create_ranges(splits=[b"b"], between=(b"a", b"c"))
            assert (again.created, again.existing) == (0, 2)
            for node in cluster.nodes:
                await node.put(b"a" + bytes([node.node_id]), b"1")
                with pytest.raises(multiraft.NoRange):
                    await node.get(b"z")
            assert len(await pairs(cluster.nodes[2])) == 3
            assert len(await pairs(cluster.nodes[2], reverse=True)) == 3
            with pytest.raises(multiraft.InvalidRanges):
                await cluster.create_ranges(1, between=(b"a", None))

    run(work())


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (lambda db: db.put(b"k" * 481, b""), multiraft.KeyTooLarge),
        (lambda db: db.get(b"k" * 481), multiraft.KeyTooLarge),
        (lambda db: db.put(b"k", b"v" * (2**20 + 1)), multiraft.ValueTooLarge),
        (lambda db: db.put("text", b""), multiraft.InvalidArgument),
        (lambda db: db.put(b"k", 7), multiraft.InvalidArgument),
        (lambda db: db.get(b"k", consistency="eventual"), multiraft.InvalidArgument),
        (lambda db: db.create_ranges(), multiraft.InvalidArgument),
        (lambda db: db.create_ranges(0), multiraft.InvalidArgument),
        (lambda db: db.create_ranges(10**11), multiraft.InvalidRanges),
        (lambda db: db.create_ranges(2, splits=[b"a"]), multiraft.InvalidArgument),
        (lambda db: db.delete_ranges((b"b", b"b")), multiraft.InvalidRanges),
        (lambda db: db.delete_ranges((b"", b"k" * 481)), multiraft.KeyTooLarge),
        (lambda db: db.delete_ranges(("a", None)), multiraft.InvalidArgument),
        (lambda db: pairs(db, limit=-1), multiraft.InvalidArgument),
        (lambda db: pairs(db, limit=1.5), multiraft.InvalidArgument),
        (lambda db: pairs(db, "text"), multiraft.InvalidArgument),
        (lambda db: pairs(db, prefix="text"), multiraft.InvalidArgument),
        (lambda db: db.get(b"k", timeout="5"), multiraft.InvalidArgument),
        (lambda db: db.get(b"k", timeout=float("nan")), multiraft.InvalidArgument),
    ],
)
def test_bad_arguments_meet_typed_errors(tmp_path, work, error):
    async def attempt():
        async with Engine.open(tmp_path, config=QUICK) as db:
            with pytest.raises(error):
                await work(db)

    run(attempt())


@pytest.mark.parametrize(
    "options",
    [
        {"node_id": 0},
        {"node_id": 2**32},
        {"peers": {n: f"127.0.0.1:{n}" for n in range(1, 7)}},
        {"peers": {2: "127.0.0.1:9"}},
        {"peers": {1: "127.0.0.1:0", 2: "nonsense"}},
        {"listen": "10.1.2.3:7000"},
        {"ranges": -1},
        {"cluster": ""},
        {"peers": [1, 2, 3]},
        {"peers": {1: "127.0.0.1:7001", 2: "127.0.0.1:7001"}},
        {"ranges": 2, "splits": [b"a"]},
    ],
)
def test_bad_options_of_open_meet_typed_errors(tmp_path, options):
    async def attempt():
        with pytest.raises(multiraft.InvalidArgument):
            await Engine.open(tmp_path, **options)

    run(attempt())


def test_a_cancelled_write_leaves_a_working_engine(tmp_path):
    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK) as cluster:
            task = asyncio.get_running_loop().create_task(cluster.put(b"a", b"1"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await cluster.put(b"b", b"1")
            await cluster.put(b"a", b"2")
            assert await cluster.get(b"a") == b"2"

    run(work())


def test_without_a_quorum_writes_are_unknown_and_reads_unavailable(tmp_path):
    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK) as cluster:
            await cluster.put(b"a", b"1")
            (leader,) = [node for node in cluster.nodes if await leads(node)]
            for other in cluster.nodes:
                if other is not leader:
                    cluster.network.cut(leader.node_id, other.node_id)
            with pytest.raises(multiraft.OutcomeUnknown):
                await leader.put(b"a", b"2", timeout=0.05)
            with pytest.raises((multiraft.Unavailable, multiraft.NotLeader)):
                await leader.get(b"a", timeout=0.05)
            assert await leader.get(b"a", consistency="stale") == b"1"
            others = [node for node in cluster.nodes if node is not leader]
            await others[0].put(b"a", b"3")
            for other in others:
                cluster.network.heal(leader.node_id, other.node_id)
            assert await leader.get(b"a") == b"3"

    async def leads(node):
        status = await node.status()
        return next(one["leaders"] for one in status["nodes"] if one["node"] == node.node_id) > 0

    run(work())


def test_a_cluster_comes_back_with_everything(tmp_path):
    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK, ranges=4) as cluster:
            for number in range(100):
                await cluster.put(b"%c%d" % (number * 2, number), b"%d" % number)
            before = await pairs(cluster)
        async with Cluster.local(3, path=tmp_path, config=QUICK, ranges=4) as cluster:
            assert await pairs(cluster.nodes[2]) == before
            assert (await cluster.status())["ranges"] == 4

    run(work())


@pytest.mark.parametrize("machine", ["lmdb", "memory"])
def test_both_kinds_of_state_survive_a_restart(tmp_path, machine):
    config = replace(QUICK, state_machine=machine, log_keep_entries=20)

    async def work():
        async with Engine.open(tmp_path, config=config) as db:
            for number in range(100):
                await db.put(b"%d" % (number % 7), b"%d" % number)
        async with Engine.open(tmp_path, config=config) as db:
            assert await db.get(b"1") == b"99"
            assert len(await pairs(db)) == 7

    run(work())


def test_opening_twice_and_opening_what_is_another_nodes(tmp_path):
    async def work():
        async with Engine.open(tmp_path, config=QUICK):
            with pytest.raises(multiraft.AlreadyOpen):
                await Engine.open(tmp_path, config=QUICK)
        with pytest.raises(multiraft.ClusterMismatch):
            await Engine.open(tmp_path, config=QUICK, cluster="another")
        with pytest.raises(multiraft.ClusterMismatch):
            await Engine.open(tmp_path, config=QUICK, node_id=2)

    run(work())


def test_the_directory_of_a_clusters_node_is_not_opened_as_another_cluster(tmp_path):
    """By itself it could never elect a leader: say so at once instead of waiting."""

    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK) as cluster:
            await cluster.put(b"a", b"1")
        with pytest.raises(multiraft.ClusterMismatch, match=r"nodes \(1, 2, 3\)"):
            await Engine.open(tmp_path / "node-1", config=QUICK)
        async with Engine.open(tmp_path / "alone", config=QUICK) as db:
            await db.put(b"a", b"1")
        with pytest.raises(multiraft.ClusterMismatch):
            await Engine.open(tmp_path / "alone", peers={1: "127.0.0.1:0", 2: "127.0.0.1:9"}, config=QUICK)

    run(work())


def test_a_directory_is_not_touched_when_its_address_cannot_be_used(tmp_path):
    """A failed start must not give the directory an identity."""

    async def work():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(multiraft.AddressInUse):
                await Engine.open(tmp_path / "d", node_id=7, listen=address)
        with pytest.raises(multiraft.InvalidArgument):
            await Engine.open(tmp_path / "d", node_id=7, listen="10.0.0.1:7000")
        assert not (tmp_path / "d").exists()

    run(work())


def test_forgetting_to_open_is_told_as_such(tmp_path):
    with pytest.raises(AttributeError, match="async with"):
        Cluster.local(3, path=tmp_path).put(b"a", b"1")


def test_a_wiped_node_does_not_come_back_by_itself(tmp_path):
    """It would be credited with what it acknowledged before; its peers refuse it and it stops."""

    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK) as cluster:
            await cluster.put(b"a", b"1")
            await cluster.nodes[2].close()
            peers = {node: f"127.0.0.1:{node}" for node in (1, 2, 3)}
            async with Engine.open(
                tmp_path / "wiped", node_id=3, peers=peers, config=QUICK, network=cluster.network
            ) as wiped:
                async with asyncio.timeout(10):
                    reason = await wiped.stopped()
                assert isinstance(reason, multiraft.ClusterMismatch)
                with pytest.raises(multiraft.Closed):
                    await wiped.put(b"a", b"2")
            assert await cluster.nodes[1].get(b"a") == b"1"

    run(work())


def test_use_after_close_is_closed(tmp_path):
    async def work():
        db = await Engine.open(tmp_path, config=QUICK)
        await db.close()
        await db.close()
        with pytest.raises(multiraft.Closed):
            await db.get(b"a")

    run(work())


def test_progress_is_told_chunk_by_chunk(tmp_path):
    seen = []

    async def work():
        async with Cluster.local(1, path=tmp_path, config=QUICK, ranges=0) as cluster:
            await cluster.create_ranges(1500, progress=lambda done, total: seen.append((done, total)))

    run(work())
    assert seen == [(1000, 1500), (1500, 1500)]

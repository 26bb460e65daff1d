"""What the nodes of a cluster say of themselves."""

import asyncio

from multiraft.engine.config import EngineConfig
from multiraft.shards.cluster import Cluster

QUICK = EngineConfig(tick_ms=20, beat_ms=60, election_timeout_ms=200, durability="none")


def test_every_node_tells_what_its_turns_do():
    async def story():
        async with Cluster.local(3, config=QUICK, ranges=2) as cluster:
            for key in (b"\x01", b"\xff"):
                await cluster.put(key, b"value")
            return (await cluster.status())["nodes"]

    nodes = asyncio.run(story())
    assert len(nodes) == 3
    for one in nodes:
        turns = one["turns"]
        assert turns["taken"] >= turns["recent"]["turns"] > 0
        assert turns["sent_bytes"] > turns["messages"] > 0
        assert sum(turns["recent"]["phases_ms"].values()) > 0
        assert turns["longest"]["ms"] == one["longest_turn_ms"] > 0

"""Explanations as callers ask for them: through an engine, a cluster, a client, the blocking store."""

import asyncio
import json

import pytest

import multiraft
from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import Closed, StorageFailed
from multiraft.shards import answers
from multiraft.shards.client import Client
from multiraft.shards.cluster import Cluster
from multiraft.shards.engine import Engine
from multiraft.shards.explanation import (
    REASONS_MAX,
    TEXT_MAX,
    Explanation,
    Reason,
    cut_text,
    encode_explanation,
)
from multiraft.shards.groupfacts import MEMBERS_MAX, GroupFacts, decode_facts, encode_facts
from multiraft.shards.requests import Malformed

QUICK = EngineConfig(tick_ms=20, beat_ms=60, election_timeout_ms=400, durability="none")
FOUND = Explanation(
    7, None, 3, (Reason("no-leader", None, True, "Nobody leads."), Reason("silent", 2, False, "x"))
)


def codes(found: Explanation) -> set[tuple[str, int | None]]:
    return {(one.code, one.node) for one in found.reasons}


async def until(database, place, wanted: set[tuple[str, int | None]]) -> Explanation:
    """Ask until the reasons are these: an election may be under way first."""
    while True:
        found: Explanation = await database.explain(place)
        if codes(found) == wanted:
            return found
        await asyncio.sleep(0)


def test_a_cluster_explains_a_range_by_its_key_and_by_its_number():
    async def story():
        async with Cluster.local(3, config=QUICK, ranges=4) as cluster:
            for key in (b"\x01", b"\xff"):
                await cluster.put(key, b"value")
                by_key = await until(cluster.nodes[1], key, set())
                assert await until(cluster, by_key.group, set()) == by_key
                assert by_key.leader in {1, 2, 3}
            assert (await until(cluster, 1, set())).group == 1

    asyncio.run(story())


def test_a_node_that_was_cut_off_and_the_two_that_were_not():
    async def story():
        async with Cluster.local(3, config=QUICK) as cluster:
            await cluster.put(b"key", b"value")
            cluster.network.cut(1, 3)
            cluster.network.cut(2, 3)
            two, lonely = cluster.nodes[1], cluster.nodes[2]
            await two.put(b"key", b"more")
            found = await two.explain(b"key")
            assert ("unreachable", 3) in codes(found)
            assert not found.blocked
            gone = {("unreachable", 1), ("unreachable", 2), ("no-leader", None), ("no-quorum", None)}
            assert (await until(lonely, b"key", gone)).blocked
            cluster.network.heal(1, 3)
            cluster.network.heal(2, 3)
            await until(lonely, b"key", set())

    asyncio.run(story())


def test_what_is_no_range():
    async def story():
        async with Cluster.local(1, config=QUICK, ranges=0) as cluster:
            await cluster.create_ranges(2, between=(b"a", b"c"))
            with pytest.raises(multiraft.NoRange, match="covers the key b'zebra', as far as node 1 knows"):
                await cluster.explain(b"zebra")
            with pytest.raises(multiraft.NoRange, match="no range 99"):
                await cluster.explain(99)
            for wrong in (-1, True, "key", None):
                with pytest.raises(multiraft.Error):
                    await cluster.explain(wrong)

    asyncio.run(story())


def test_a_node_that_has_stopped_by_itself_says_why_until_it_is_closed():
    async def story():
        async with Cluster.local(1, config=QUICK) as cluster:
            (engine,) = cluster.nodes
            engine.node_stopped(StorageFailed("the disk is gone"))
            found = await engine.explain(b"key")
            assert ("stopped", 1) in codes(found)
            assert found.blocked
            assert "Node 1 has stopped: the disk is gone." in found.words()
            await engine.close()
            with pytest.raises(Closed):
                await engine.explain(b"key")

    asyncio.run(story())


def test_a_blocking_store_and_a_client_explain_too(tmp_path):
    with multiraft.open(tmp_path / "store") as store:
        store.put(b"key", b"value")
        assert (store.explain(b"key").leader, store.explain(b"key").blocked) == (1, False)

    async def story():
        open_node = Engine.open(tmp_path / "node", listen="127.0.0.1:0", config=QUICK)
        async with open_node as engine, Client.connect(engine.address) as client:
            await client.put(b"key", b"value")
            assert await until(client, b"key", set()) == await engine.explain(b"key")
            with pytest.raises(multiraft.NoRange):
                await client.explain(99)

    asyncio.run(story())


def test_what_a_node_says_that_makes_no_sense_counts_as_silence(monkeypatch):
    async def story():
        async with Cluster.local(3, config=QUICK) as cluster:
            await cluster.put(b"key", b"value")
            await until(cluster, b"key", set())
            monkeypatch.setattr("multiraft.shards.service.encode_facts", lambda facts: '{"node": 2}')
            found = await cluster.explain(b"key")
            assert {node for code, node in codes(found) if code in {"silent", "unreachable"}} == {2, 3}

    asyncio.run(story())


def test_an_explanation_survives_the_wire():
    assert answers.explanation([encode_explanation(FOUND)]) == FOUND
    assert FOUND.blocked
    assert FOUND.words() == "Nobody leads.\nx"


@pytest.mark.parametrize(
    "change",
    [
        {"group": "7"},
        {"leader": "1"},
        {"term": None},
        {"reasons": {}},
        {"reasons": [1]},
        {"reasons": [{**FOUND.reasons[0]._asdict(), "text": 1}]},
        {"reasons": [{**FOUND.reasons[0]._asdict(), "text": "x" * (TEXT_MAX + 1)}]},
        {"reasons": [{**FOUND.reasons[0]._asdict(), "blocks": 1}]},
        {"reasons": [{**FOUND.reasons[0]._asdict(), "node": "1"}]},
        {"reasons": [FOUND.reasons[0]._asdict()] * (REASONS_MAX + 1)},
    ],
)
def test_an_explanation_of_another_shape_is_malformed(change):
    with pytest.raises(Malformed):
        answers.explanation([json.dumps({**json.loads(encode_explanation(FOUND)), **change})])


MEMBER = {
    "node": 2,
    "state": "PROBE",
    "match": 1,
    "paused": False,
    "inflight": 0,
    "window_full": False,
    "pending_snapshot": 0,
    "recent_active": True,
}
SAID = json.loads(encode_facts(GroupFacts(3, None, None, None, None, False, (1, 2))))


@pytest.mark.parametrize(
    "change",
    [
        {"node": 4},
        {"node": "3"},
        {"stopped": 1},
        {"born": None},
        {"connected": None},
        {"connected": [1, "2"]},
        {"connected": [1] * (MEMBERS_MAX + 1)},
        {"members": [1]},
        {"members": [{**MEMBER, "match": None}]},
        {"members": [{**MEMBER, "state": 0}]},
        {"replica": 1},
        {"replica": {"role": "LEADER"}},
    ],
)
def test_facts_of_another_shape_are_malformed(change):
    assert decode_facts([json.dumps({**SAID, "members": [MEMBER]})], 3).members[0].match == 1
    with pytest.raises(Malformed):
        decode_facts([json.dumps({**SAID, **change})], 3)


def test_texts_are_one_line_of_bounded_length():
    assert cut_text("a\n  b") == "a b"
    assert len(cut_text("x" * 5000)) == TEXT_MAX
    long = GroupFacts(3, None, None, None, "y" * 5000, False, ())
    assert len(decode_facts([json.dumps(long._asdict() | {"members": []})], 3).lost) == TEXT_MAX

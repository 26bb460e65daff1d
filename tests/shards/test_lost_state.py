"""Real nodes whose state stores are gone, cut off or rotten when they start: others have what was in them."""

import asyncio
import shutil
from pathlib import Path

import pytest

import multiraft
from multiraft.engine.errors import Corruption
from multiraft.shards.cluster import Cluster
from multiraft.shards.engine import Engine

CONFIG = multiraft.Config(
    tick_ms=20, beat_ms=40, election_timeout_ms=200, flush_ms=20, log_keep_entries=5, durability="none"
)
PUTS = 80
PATIENCE_S = 20


async def fill(path: Path) -> None:
    async with Cluster.local(3, path=path, config=CONFIG, splits=[b"m"]) as cluster:
        for number in range(PUTS):
            for start in (b"a", b"z"):
                await cluster.put(start + b"%03d" % number, b"%d" % number)
        await wait_cut(cluster.nodes)


async def wait_cut(engines: list[Engine]) -> None:
    """Until no log of a range reaches back to its birth."""
    async with asyncio.timeout(PATIENCE_S):
        for engine in engines:
            for group, replica in engine.assembly.node.replicas.running.items():
                while group > 1 and replica.raw.raft.log.first_index() < PUTS // 2:
                    await engine.put(b"a more", b"")
                    await engine.put(b"z more", b"")


def remove(store: Path) -> None:
    shutil.rmtree(store)


def cut_off(store: Path) -> None:
    with (store / "data.mdb").open("r+b") as file:
        file.truncate(3 * 4096)


def overwrite(store: Path) -> None:
    (store / "data.mdb").write_bytes(b"something else" * 1000)


async def wait_whole(cluster: Cluster) -> None:
    """Until every replica has a state, and replicas of a range the same one."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found: dict[int, set[tuple[bool, int, int]]] = {}
            for engine in cluster.nodes:
                for group, replica in engine.assembly.node.replicas.running.items():
                    whole = replica.rebuilding is None
                    state = whole, replica.applied.index, replica.machine.digest() if whole else 0
                    found.setdefault(group, set()).add(state)
            if len(found) == 3 and all(len(states) == 1 and min(states)[0] for states in found.values()):
                return
            await asyncio.sleep(0.05)  # sleep: no event tells of it


@pytest.mark.parametrize("damage", [remove, cut_off, overwrite])
def test_a_node_gets_its_state_back(tmp_path: Path, damage):
    asyncio.run(fill(tmp_path))
    (folder,) = [one for one in tmp_path.iterdir() if one.name.endswith("2")]
    damage(folder / "state")

    async def look() -> None:
        async with Cluster.local(3, path=tmp_path, config=CONFIG) as cluster:
            await wait_whole(cluster)
            told = await cluster.status()
            assert [(one["lost"], one["rebuilding"]) for one in told["nodes"]] == [(0, 0)] * 3
            for number in range(PUTS):
                assert await cluster.get(b"z%03d" % number) == b"%d" % number
            await cluster.put(b"later", b"too")
            await wait_whole(cluster)

    asyncio.run(look())
    assert (folder / "state.damaged").exists() == (damage is not remove)


def test_a_node_alone_says_that_its_state_is_damaged(tmp_path: Path):
    async def run(*, puts: int) -> None:
        async with Engine.open(tmp_path, config=CONFIG) as db:
            for number in range(puts):
                await db.put(b"%03d" % number, b"")
            await wait_cut([db] if puts else [])

    asyncio.run(run(puts=PUTS))
    overwrite(tmp_path / "state")
    with pytest.raises(Corruption):
        asyncio.run(run(puts=0))
    assert not (tmp_path / "state.damaged").exists()

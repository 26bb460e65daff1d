"""An engine alone whose files are damaged opens, says what is wrong in words, and serves what is left."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

import multiraft
from multiraft.engine.errors import Corruption
from multiraft.engine.logstore.chunks import chunk_key
from multiraft.engine.offline.lmdbfile import LmdbFile
from multiraft.engine.replica import SYSTEM_GROUP
from multiraft.shards.engine import Engine

CONFIG = multiraft.Config(
    tick_ms=20, beat_ms=40, election_timeout_ms=200, flush_ms=3_600_000, durability="none"
)
"""Nothing is flushed while the engine runs."""
PUTS = 20


def group_of(db: Engine, key: bytes) -> int:
    descriptor = db.directory.lookup(key)
    assert descriptor is not None
    return descriptor.group


def flush_nothing(db: Engine) -> None:
    """What stops is as if it were killed."""
    setattr(db.assembly.host, "_last_flush", lambda: None)  # noqa: B010 # for mypy a method is no attribute


async def fill(path: Path, key: bytes) -> tuple[int, int]:
    """Twenty writes to the range of ``key``, and a stop that flushes nothing.

    Returns its group and the index of the last write.
    """
    async with Engine.open(path, config=CONFIG, splits=[b"m"]) as db:
        for number in range(PUTS):
            await db.put(key + b"%03d" % number, b"value %d" % number)
        group = group_of(db, key)
        last = db.assembly.node.log.group(group).last_index()
        flush_nothing(db)
    return group, last


def damage(path: Path, wanted: bytes) -> None:
    """Wherever the log's file has these bytes, others stand now."""
    file = path / "log" / "data.mdb"
    data = file.read_bytes()
    assert wanted in data
    file.write_bytes(data.replace(wanted, b"X" * len(wanted)))


@pytest.mark.parametrize("again", [1, 2])
def test_a_range_is_readable_up_to_the_damage(tmp_path: Path, again: int):
    group, last = asyncio.run(fill(tmp_path, b"a"))
    damage(tmp_path, b"value 15")
    damaged = last - (PUTS - 1 - 15)

    async def look() -> None:
        async with Engine.open(tmp_path, config=CONFIG) as db:
            with pytest.raises(Corruption, match=f"at index {damaged - 1}") as refused:
                await db.put(b"a", b"")
            assert (refused.value.group, refused.value.index) == (group, damaged)
            with pytest.raises(Corruption, match="stale"):
                await db.get(b"a000")
            found = [value async for _, value in db.scan(prefix=b"a", consistency="stale")]
            assert found == [b"value %d" % number for number in range(15)]
            assert await db.get(b"a014", consistency="stale") == b"value 14"
            await db.put(b"z", b"the other range goes on")
            assert await db.get(b"z") == b"the other range goes on"
            told = await db.status()
            (words,) = cast("Any", told)["nodes"][0]["damage"]
            assert f"range {group}" in words
            assert f"at index {damaged - 1}" in words
            explained = await db.explain(b"a")
            (reason,) = [one for one in explained.reasons if one.code == "quarantined"]
            assert reason.blocks
            assert f"at index {damaged - 1}" in reason.text

    for _ in range(again):
        asyncio.run(look())


def test_a_damaged_directory_leads_to_the_ranges_that_it_had(tmp_path: Path):
    """Nothing can be created any more, and nobody is told that a key belongs to no range."""

    async def create() -> int:
        async with Engine.open(tmp_path, config=CONFIG, ranges=0) as db:
            await db.create_ranges(splits=[], between=(b"a", b"b"))
            await db.put(b"a1", b"kept")
            await db.create_ranges(splits=[], between=(b"c", b"d"))
            last = db.assembly.node.log.group(SYSTEM_GROUP).last_index()
            span = next(db.assembly.node.log._index.log(SYSTEM_GROUP).spans(last, last + 1))
            flush_nothing(db)
            carrier: int = span.carrier
            return carrier

    batch = chunk_key(asyncio.run(create()), 0)
    with LmdbFile(tmp_path / "log" / "data.mdb") as file:
        value = dict(file.items())[batch]
    damage(tmp_path, value.rstrip(b"\0")[-40:])

    async def look() -> None:
        async with Engine.open(tmp_path, config=CONFIG) as db:
            assert await db.get(b"a1") == b"kept"
            await db.put(b"a2", b"new")
            for key in (b"c1", b"e"):
                with pytest.raises(Corruption):
                    await db.get(key)
            with pytest.raises(Corruption):
                await db.create_ranges(splits=[], between=(b"e", b"f"))

    for _ in range(2):
        asyncio.run(look())

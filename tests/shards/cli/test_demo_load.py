"""The demo's writers and its reading back, against clients that fail as real ones do."""

import asyncio
import random

import pytest

from multiraft.engine.errors import Closed, InvalidArgument, NotLeader, OutcomeUnknown, Unavailable
from multiraft.shards.cli import demo_load
from multiraft.shards.cli.demo_check import read_back
from multiraft.shards.cli.demo_load import Load
from multiraft.shards.cli.output import CommandFailed
from multiraft.shards.cli.running import together

ROWS = {b"%03d" % number: b"v%d" % number for number in range(100)}
CUTS = [b"025", b"050", b"075"]


class Client:
    """Answers puts by a script of errors, then accepts everything."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.stored = {}

    async def put(self, key, value, **_options):
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        self.stored[key] = value


class Pool:
    """Connections to one client after the other."""

    def __init__(self, *clients):
        self.clients = dict(enumerate(clients, 1))
        self.turn = 0

    def pick(self):
        if not self.clients:
            raise CommandFailed("no node can be reached any more")
        self.turn += 1
        return list(self.clients.items())[self.turn % len(self.clients)]

    def drop(self, node, client):
        self.clients.pop(node, None)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(demo_load, "PAUSE", 0)


def load_with(pool, cuts=CUTS):
    seen: list[int] = []
    return Load(ROWS, cuts, pool, random.Random(1), seen.append), seen


async def run_all(load):
    async def release():
        await load.reached(load.free_rows)
        await load.release(range(4))

    await together(load.run(), release())


def test_every_row_is_written_and_one_of_each_range_waits_for_the_release():
    async def scenario():
        client = Client()
        load, seen = load_with(Pool(client))
        assert [key for key, _ in load.first_rows] == [b"000", *CUTS]
        running = asyncio.ensure_future(load.run())
        await load.reached(load.free_rows)
        assert load.free_rows == 96
        assert not set(client.stored) & {b"000", *CUTS}
        await load.release([0, 3])
        await running
        assert client.stored == ROWS
        assert load.acknowledged == set(ROWS)
        assert load.unfinished(range(4)) == 0
        assert seen == list(range(1, 101))

    asyncio.run(scenario())


def test_a_release_returns_while_puts_into_the_ranges_are_under_way():
    async def scenario():
        load, _ = load_with(Pool(Client()))
        gate = asyncio.Event()
        attempt = load._attempt

        async def gated(*arguments):
            await gate.wait()
            return await attempt(*arguments)

        running = asyncio.ensure_future(load.run())
        await load.reached(load.free_rows)
        load._attempt = gated
        await load.release([2])
        assert load.unfinished([2]) == 1
        gate.set()
        await running

    asyncio.run(scenario())


def test_refused_and_unknown_writes_are_made_again_elsewhere():
    async def scenario():
        broken = Client(OutcomeUnknown("lost"), NotLeader(7), Closed("gone"))
        sound = Client()
        pool = Pool(broken, sound)
        load, _ = load_with(pool)
        await run_all(load)
        assert broken.stored | sound.stored == ROWS
        assert load.repeated == 3
        assert list(pool.clients.values()) == [sound]

    asyncio.run(scenario())


def test_a_row_that_nobody_takes_ends_the_load(monkeypatch):
    monkeypatch.setattr(demo_load, "PATIENCE", -1)

    async def scenario():
        load, _ = load_with(Pool(Client(Unavailable("no leader"))))
        with pytest.raises(CommandFailed, match="nobody acknowledged a row for -1 s: no leader"):
            await run_all(load)

    asyncio.run(scenario())


@pytest.mark.parametrize(("error", "kind"), [(InvalidArgument("no"), InvalidArgument), (None, CommandFailed)])
def test_what_cannot_be_repeated_ends_the_load(error, kind):
    async def scenario():
        load, _ = load_with(Pool(*([Client(error)] if error else [])))
        with pytest.raises(kind):
            await run_all(load)

    asyncio.run(scenario())


class Store:
    """A database that returns these pages, and fails before some."""

    def __init__(self, pairs, fail_at=()):
        self.pairs = pairs
        self.fail_at = list(fail_at)

    async def scan_pages(self, start):
        pairs = [pair for pair in self.pairs if pair[0] >= start]
        for place in range(0, len(pairs), 10):
            if self.fail_at and pairs[place][0] >= self.fail_at[0]:
                self.fail_at.pop(0)
                raise Unavailable("no quorum for a moment")
            yield pairs[place : place + 10]


def test_reading_back_goes_on_after_a_refusal_and_counts_each_row_once():
    store = Store(sorted(ROWS.items()), fail_at=[b"030", b"080"])
    seen: list[int] = []
    found = asyncio.run(read_back(store, ROWS, seen.append))
    assert (found.right, found.changed, found.unknown) == (frozenset(ROWS), 0, 0)
    assert seen == list(range(10, 101, 10))


def test_reading_back_tells_changed_unknown_and_missing_rows_apart():
    pairs = [(b"000", b"v0"), (b"001", b"old"), (b"zzz", b"?")]
    found = asyncio.run(read_back(Store(pairs), ROWS, lambda _: None))
    assert (found.right, found.changed, found.unknown) == ({b"000"}, 1, 1)

"""The load generator: what it puts, that it keeps so many puts outstanding, and what its check finds."""

import asyncio
import random
import re
from collections import Counter

import pytest

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import Closed, NotLeader, Overloaded, Unavailable
from multiraft.engine.statemachine.commands import Put, decode, encode_batch
from multiraft.shards.cluster import Cluster
from multiraft.shards.load import ClosedLoop, LoadedRange, Puts, percentile_ms, puts_in_a_batch, slots_of
from multiraft.shards.load_check import compare, wait_ready
from multiraft.shards.load_targets import EngineProbe, LocalTarget, loaded_ranges

QUICK = EngineConfig(tick_ms=20, beat_ms=60, election_timeout_ms=200, flush_ms=50, durability="none")
STARTS = [b"", b"\x40", b"\x80\x01", b"\xc0"]


class Echo:
    """A target that answers on the loop's next pass; its first answers are given, the others are good."""

    def __init__(self, ranges: int, answers=()):
        self.ranges = loaded_ranges([bytes([number]) if number else b"" for number in range(ranges)])
        self.puts: Counter[int] = Counter()
        self.outstanding = self.most = 0
        self._answers = list(answers)
        self._loop = asyncio.get_running_loop()

    def prepare(self, place, puts):
        return puts

    def submit(self, place, request):
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, Overloaded):
            raise answer
        self.outstanding += request
        self.most = max(self.most, self.outstanding)
        future = self._loop.create_future()
        self._loop.call_soon(self._answer, place, request, future, answer)
        return future

    def _answer(self, place, request, future, answer):
        self.outstanding -= request
        self.puts[place.number] += request * (answer is None)
        future.set_result(answer)

    def refusal(self, place, answer):
        return answer

    def commands(self, puts):
        return puts


class Said:
    """A probe that says what it is told to say, the last of it for ever."""

    def __init__(self, replicas, *statuses):
        self._replicas = replicas
        self._statuses = list(statuses) or [{"applied": 1, "applied_lag": 0}]

    async def status(self):
        return self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]

    async def digests(self):
        return self._replicas


def run(work):
    return asyncio.run(work())


def test_a_put_is_what_the_encoder_makes_of_it():
    puts, (place, *_) = Puts(128, seed=1), loaded_ranges(STARTS)
    key = puts.key(place)
    command = decode(puts.body(key))
    assert isinstance(command, Put)
    assert command.key == key
    assert len(command.value) == 128


def test_keys_lie_in_their_range_and_spread_over_it():
    ranges = loaded_ranges(random.Random(3).sample(STARTS, 4))
    assert [place.start for place in ranges] == STARTS
    puts = Puts(8, seed=1)
    for place, end in zip(ranges, [*STARTS[1:], b"\xff" * 17], strict=True):
        keys = sorted(puts.key(place) for _ in range(300))
        assert place.start <= keys[0]
        assert keys[-1] < end
        assert len(set(keys)) == 300
        quarters = Counter(4 * (int.from_bytes(key, "big") - place.low) // place.width for key in keys)
        assert all(40 < quarters[quarter] < 120 for quarter in range(4))


def test_a_range_may_have_a_few_keys_only():
    puts, ranges = Puts(8, seed=1, keys=5), loaded_ranges(STARTS)
    for place, end in zip(ranges, [*STARTS[1:], b"\xff" * 17], strict=True):
        keys = {puts.key(place) for _ in range(100)}
        assert len(keys) == 5
        assert place.start <= min(keys)
        assert max(keys) < end


def test_no_two_values_are_alike():
    puts = Puts(8, seed=1)
    assert len({puts.value() for _ in range(1000)}) == 1000


def test_clients_spread_over_the_ranges():
    def spread(clients, most):
        return [(slot.place.number, slot.size) for slot in slots_of(ranges, clients, most)]

    ranges = loaded_ranges([b"", b"b", b"c"])
    assert spread(7, 1) == [(0, 1), (0, 1), (0, 1), (1, 1), (1, 1), (2, 1), (2, 1)]
    assert spread(7, 100) == [(0, 3), (1, 2), (2, 2)]
    assert spread(7, 2) == [(0, 2), (0, 1), (1, 2), (2, 2)]
    assert spread(2, 100) == [(0, 1), (1, 1)]


def test_a_batch_of_large_values_holds_fewer():
    assert puts_in_a_batch(128) > 4096
    assert puts_in_a_batch(1 << 19) == 1
    for payload in (8, 1000, 1 << 18):
        puts = Puts(payload, seed=1)
        (place,) = loaded_ranges([b""])
        pairs = [(puts.key(place), puts.value()) for _ in range(puts_in_a_batch(payload))]
        assert len(encode_batch(pairs)) <= 1 << 20


def test_percentiles():
    assert percentile_ms(Counter(), 0.5) is None
    latencies = Counter({100: 98, 5000: 1, 9000: 1})
    assert percentile_ms(latencies, 0.5) == 1.0
    assert percentile_ms(latencies, 0.99) == 50.0
    assert percentile_ms(latencies, 1.0) == 90.0


@pytest.mark.parametrize("most", [1, 100])
def test_so_many_puts_are_outstanding_until_the_load_stops(most):
    async def work():
        target = Echo(3)
        load = ClosedLoop(target, 7, most)
        load.start()
        assert target.outstanding == 7
        await load.run_until(100)
        load.recording = True
        first = load.mark()
        await load.run_until(500)
        last = load.mark()
        assert last.operations - first.operations == load.latencies.total()
        assert last.time > first.time
        assert last.generator_cpu >= first.generator_cpu
        await load.stop()
        assert (target.outstanding, target.most) == (0, 7)
        assert target.puts.total() == load.operations >= 500
        assert {place.number: place.acknowledged for place in target.ranges} == target.puts

    run(work)


def test_fewer_clients_than_ranges_go_round():
    async def work():
        target = Echo(5)
        load = ClosedLoop(target, 2)
        load.start()
        await load.run_until(50)
        await load.stop()
        assert set(target.puts) == {0, 1, 2, 3, 4}
        assert max(target.puts.values()) - min(target.puts.values()) <= 2

    run(work)


def test_what_was_refused_is_put_again():
    async def work():
        target = Echo(2, [NotLeader(1), None, Overloaded("full"), NotLeader(1)])
        load = ClosedLoop(target, 4)
        load.start()
        await load.run_until(20)
        await load.stop()
        assert load.refused == 3
        assert target.puts.total() == load.operations

    run(work)


def test_a_load_of_refusals_only_can_be_stopped():
    async def work():
        target = Echo(1, [NotLeader(1)] * 3)
        load = ClosedLoop(target, 3)
        load.start()
        await load.stop()
        assert (load.operations, load.refused) == (0, 3)

    run(work)


def test_an_unknown_outcome_ends_the_load():
    async def work():
        load = ClosedLoop(Echo(1, [None, Closed("gone")]), 4)
        load.start()
        with pytest.raises(Closed, match="gone"):
            await load.run_for(60)
        with pytest.raises(Closed, match="gone"):
            await load.stop()

    run(work)


def judged(*replicas, acknowledged=5, copies=None):
    place = LoadedRange(0, b"a", None)
    place.acknowledged = acknowledged
    probes = [Said({} if one is None else {"61": one}) for one in replicas]

    async def work():
        return await compare(probes, [place], copies or len(replicas), patience=0.05)

    return run(work)


def test_replicas_that_agree():
    assert judged((9, 5, 77), (9, 5, 77), (9, 5, 77)) == (None, 0)


def test_a_replica_that_took_a_snapshot_agrees_by_its_digest():
    assert judged((9, 5, 77), (9, 2, 77), (9, 5, 77)) == (None, 1)


@pytest.mark.parametrize(
    ("replicas", "wrong"),
    [
        (((9, 5, 77), (9, 5, 78)), "differ"),
        (((9, 4, 77), (9, 4, 77)), r"5 commands were acknowledged and \[4\] applied"),
        (((9, 6, 77), (9, 6, 77)), r"5 commands were acknowledged and \[6\] applied"),
        (((9, 5, 77), (8, 5, 77)), r"applied up to \[8, 9\]"),
        (((9, 5, 77), None), "has 1 replicas, not 2"),
    ],
)
def test_replicas_that_do_not_agree(replicas, wrong):
    found = judged(*replicas).wrong
    assert found is not None
    assert re.search(wrong, found)


def test_ranges_that_never_get_ready_are_told():
    slow = Said({}, {"led_ready": 0, "ready": 1}, {"led_ready": 1, "ready": 2})
    assert run(lambda: wait_ready([slow], 1, 2, patience=5)) == [{"led_ready": 1, "ready": 2}]
    stuck = Said({}, {"led_ready": 1, "ready": 2})
    with pytest.raises(Unavailable, match=r"1 of 2 ranges have a leader and 2 of 2 replicas"):
        run(lambda: wait_ready([stuck], 2, 2, patience=0.05))


@pytest.mark.parametrize("most", [1, 100])
def test_a_cluster_under_load_holds_what_was_acknowledged(tmp_path, most):
    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK, ranges=4) as cluster:
            probes = [EngineProbe(node) for node in cluster.nodes]
            await wait_ready(probes, 4, 12, patience=30)
            target = LocalTarget(cluster.nodes, Puts(16, seed=1))
            load = ClosedLoop(target, 32, most)
            load.start()
            await load.run_until(300)
            await load.stop()
            assert load.operations == sum(place.acknowledged for place in target.ranges)
            assert await compare(probes, target.ranges, 3, patience=30) == (None, 0)
            assert len([pair async for pair in cluster.scan()]) == load.operations
            target.ranges[2].acknowledged += 1
            wrong, _ = await compare(probes, target.ranges, 3, patience=30)
            assert wrong is not None
            assert "acknowledged" in wrong

    run(work)


def test_a_load_follows_a_leader_that_moves(tmp_path):
    """What the old leader has taken and cannot commit is refused once it hears of the new one."""

    async def work():
        async with Cluster.local(3, path=tmp_path, config=QUICK, ranges=1) as cluster:
            probes = [EngineProbe(node) for node in cluster.nodes]
            await wait_ready(probes, 1, 3, patience=30)
            target = LocalTarget(cluster.nodes, Puts(16, seed=1))
            load = ClosedLoop(target, 16)
            load.start()
            await load.run_until(100)
            leading = [(await probe.status())["leaders"] for probe in probes]
            old = leading.index(1)
            others = [node.node_id for node in cluster.nodes if node is not cluster.nodes[old]]
            for other in others:
                cluster.network.cut(old + 1, other)
            await wait_ready([probes[other - 1] for other in others], 1, 2, patience=30)
            for other in others:
                cluster.network.heal(old + 1, other)
            await load.run_until(load.operations + 100)
            await load.stop()
            assert load.refused > 0
            assert await compare(probes, target.ranges, 3, patience=30) == (None, 0)

    run(work)

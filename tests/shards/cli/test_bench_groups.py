"""``multiraft bench idle``, ``failover`` and ``restart``: small clusters, and results that are not ok."""

import asyncio

import pytest

from multiraft.shards.cli import bench_failover, bench_restart
from multiraft.shards.cli.bench_nodes import Settings, create_ready, running_nodes
from multiraft.shards.cli.progress import Phases
from tests.shards.cli.command import run_process

OPTIONS = ("--groups=12", "--durability=none", "--election-timeout-ms=400", "--json")
TRANSPORTS = pytest.mark.parametrize("transport", ["memory", "tcp"])
IDLE = {
    "groups",
    "cpu_ms_per_tick",
    "cpu_percent",
    "per_group_messages",
    "bytes_per_second_per_pair",
    "bytes_per_replica",
    "rss_mib",
}
FAILOVER = {"groups", "p50_ms", "p99_ms", "all_ms", "election_timeout_ms"}
RESTART = {"groups", "seconds_open", "seconds_first_read", "seconds_all_served", "longest_turn_ms"}
QUICK = Settings(3, "memory", "none", "lmdb", 300)


def measured(command: str, transport: str, fields: set[str], *options: str) -> dict:
    done = run_process("bench", command, f"--transport={transport}", *OPTIONS, *options)
    assert done.status == 0, done
    assert "create ranges: 12 of 12\nelect leaders: " in done.err
    assert "elect leaders: 12 of 12\n" in done.err
    result = done.result
    assert set(result) == fields | {"ok", "config"}
    assert (result["groups"], result["ok"]) == (12, True)
    assert (result["config"]["transport"], result["config"]["nodes"]) == (transport, 3)
    return result


@TRANSPORTS
def test_what_idle_groups_cost(transport):
    found = measured("idle", transport, IDLE, "--seconds=1")
    assert found["cpu_ms_per_tick"] > 0
    assert found["cpu_percent"] > 0
    assert found["per_group_messages"] == 0
    assert found["bytes_per_second_per_pair"] > 0
    assert found["rss_mib"] > 10


@TRANSPORTS
def test_how_long_a_dead_nodes_groups_take_no_writes(transport):
    found = measured("failover", transport, FAILOVER)
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["all_ms"]
    assert found["election_timeout_ms"] == 400


@TRANSPORTS
def test_how_long_a_node_takes_to_serve_again(transport):
    found = measured("restart", transport, RESTART)
    assert 0 < found["seconds_open"] <= found["seconds_first_read"] <= found["seconds_all_served"]
    assert found["longest_turn_ms"] > 0


def test_a_node_that_is_alone_can_be_restarted():
    done = run_process("bench", "restart", "--nodes=1", "--transport=memory", *OPTIONS)
    assert (done.status, done.result["ok"]) == (0, True)


def test_without_a_majority_of_survivors_there_is_no_failover(cli):
    done = cli("bench", "failover", "--nodes=2", *OPTIONS)
    assert done.status == 2
    assert "--nodes" in done.complaint


def test_a_node_that_led_nothing_measures_nothing(cli, monkeypatch):
    async def nothing(*_):
        return []

    monkeypatch.setattr("multiraft.shards.cli.bench_nodes.LocalNodes.led", nothing)
    done = cli("bench", "failover", *OPTIONS)
    assert (done.status, done.result["ok"], done.result["p99_ms"]) == (1, False, None)
    assert "nothing was measured" in done.err


def test_a_write_that_is_never_acknowledged_is_no_figure(cli, monkeypatch):
    monkeypatch.setattr(bench_failover, "PATIENCE", -4.1)  # ten election timeouts less
    done = cli("bench", "failover", *OPTIONS)
    assert (done.status, done.result["ok"], done.result["all_ms"]) == (1, False, None)
    assert "0 of 4 ranges hold what was written" in done.err


def test_a_read_that_gives_something_else_is_not_ok(tmp_path, monkeypatch):
    async def lost(self, key, **_):
        return b"something else"

    monkeypatch.setattr("multiraft.shards.engine.Engine.get", lost)
    work = bench_restart.run_restart(tmp_path, QUICK, 4, Phases())
    assert asyncio.run(work)["ok"] is False


def test_a_killed_node_flushes_nothing_and_comes_back_with_what_was_acknowledged(tmp_path):
    async def story():
        async with running_nodes(tmp_path, QUICK) as nodes:
            await create_ready(nodes, QUICK, 4)
            await nodes.database().put(b"key", b"value")
            flushed = []
            engine = nodes.database(3)
            last_flush = engine.assembly.host._last_flush
            engine.assembly.host._last_flush = lambda: flushed.append(last_flush())
            await nodes.kill(3)
            assert flushed == []
            await nodes.start(3)
            assert await nodes.database(3).get(b"key") == b"value"

    asyncio.run(story())

"""``multiraft bench``: small measurements of real clusters, and one that is cut off."""

import json
import signal
import subprocess

import psutil
import pytest

from multiraft.shards.cli import bench_throughput
from multiraft.shards.cli.logstore_load import Load, StoreSide
from tests.shards.cli.command import COMMAND, run_process

THROUGHPUT = {
    "ops",
    "ops_per_second",
    "cpu_us_per_op",
    "client_cpu_us_per_op",
    "p50_ms",
    "p99_ms",
    "rss_mib",
    "fsyncs_per_second",
    "refused",
    "by_snapshot",
    "flushes",
    "longest_turn_ms",
    "verified",
    "ok",
    "config",
}
CREATE = {
    "ranges",
    "seconds",
    "per_second",
    "max_term",
    "bytes_per_replica",
    "longest_turn_ms",
    "ok",
    "config",
}
LOGSTORE = {
    "batches_per_second",
    "entries_per_second",
    "file_batches_per_second",
    "ratio",
    "ratio_preallocated",
    "bytes_per_payload_byte",
    "cpu_us_per_entry",
    "flushes_per_commit",
    "ok",
    "config",
}
STEADY = {"first_window", "last_window", "file_mib", "live_mib"}
RECOVER = {"entries", "seconds_checkpoint", "seconds_scan", "index_mib", "ok", "config"}
QUICK = ("--groups=8", "--clients=32", "--seconds=0.5", "--json")


@pytest.mark.parametrize(
    ("transport", "api", "durability", "state_machine"),
    [
        ("memory", "single", "sync", "lmdb"),
        ("memory", "batch", "none", "memory"),
        ("tcp", "single", "none", "memory"),
        ("tcp", "batch", "sync", "lmdb"),
    ],
)
def test_throughput_is_measured_and_verified(transport, api, durability, state_machine):
    done = run_process(
        "bench",
        "throughput",
        *QUICK,
        f"--transport={transport}",
        f"--api={api}",
        f"--durability={durability}",
        f"--state-machine={state_machine}",
    )
    assert done.status == 0, done
    result = done.result
    assert set(result) == THROUGHPUT
    assert (result["verified"], result["ok"]) == (True, True)
    assert result["ops"] >= 32
    assert result["cpu_us_per_op"] > result["client_cpu_us_per_op"] > 0
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert (result["fsyncs_per_second"] > 0) == (durability == "sync")
    assert result["config"] == {
        "nodes": 3,
        "groups": 8,
        "payload": 128,
        "keys": None,
        "clients": 32,
        "seconds": 0.5,
        "api": api,
        "transport": transport,
        "durability": durability,
        "state_machine": state_machine,
        "json": True,
    }


def test_a_measurement_without_puts_is_not_ok(cli, monkeypatch):
    monkeypatch.setattr(bench_throughput, "_result", lambda *_, **__: {"ops": 0})
    options = ("--nodes=1", "--groups=1", "--clients=1", "--seconds=0.1", "--durability=none")
    done = cli("bench", "throughput", *options, "--json")
    assert (done.status, done.result["ok"], done.result["ops"]) == (1, False, 0)
    assert "create 1 range on 1 node\n" in done.err
    assert "nothing was measured: no put was acknowledged within 0.1 s" in done.err


@pytest.mark.parametrize(("transport", "nodes"), [("memory", 3), ("tcp", 1)])
def test_creation_is_measured(transport, nodes):
    options = ("--ranges=20", f"--nodes={nodes}", f"--transport={transport}", "--json")
    done = run_process("bench", "create", "--election-timeout-ms=500", *options)
    assert done.status == 0, done
    result = done.result
    assert set(result) == CREATE
    assert (result["ranges"], result["ok"]) == (20, True)
    assert result["max_term"] >= 1
    assert result["longest_turn_ms"] > 0
    assert result["config"]["election_timeout_ms"] == 500


def test_results_for_people():
    done = run_process("bench", "create", "--nodes=1", "--ranges=2", "--durability=none")
    assert done.status == 0, done
    assert [line.split("  ")[0] for line in done.out.splitlines()][:2] == ["ranges", "seconds"]


@pytest.mark.parametrize(
    "options", [("--groups=0",), ("--payload=7",), ("--clients=0",), ("--transport=udp",), ("--nodes=6",)]
)
def test_bad_options_are_named(cli, options):
    done = cli("bench", "throughput", *options)
    assert done.status == 2
    assert options[0].split("=")[0] in done.complaint


def test_nothing_is_left_of_a_measurement_that_is_cut_off(tmp_path):
    command = [*COMMAND, "bench", "throughput", "--groups=1", "--seconds=60", "--transport=tcp", "--json"]
    bench = subprocess.Popen(
        command, env={"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert bench.stderr is not None
        for line in bench.stderr:
            if line.startswith("load"):
                break
        nodes = psutil.Process(bench.pid).children()
        assert len(nodes) == 3
        bench.send_signal(signal.SIGINT)
        out, _ = bench.communicate(timeout=60)
    finally:
        bench.kill()
        bench.communicate()
    assert bench.returncode == 130
    assert json.loads(out)["type"] == "Interrupted"
    gone, alive = psutil.wait_procs(nodes, timeout=10)
    assert (len(gone), alive) == (3, [])
    assert list(tmp_path.iterdir()) == []


def test_log_store_is_measured_beside_a_file():
    done = run_process("bench", "logstore", "--groups=20", "--entries=2", "--seconds=0.2", "--json")
    assert done.status == 0, done
    assert done.result.keys() == LOGSTORE
    assert done.result["flushes_per_commit"] == 1
    assert done.result["bytes_per_payload_byte"] > 1


def test_log_store_is_measured_with_truncation():
    done = run_process("bench", "logstore", "--groups=3", "--seconds=0.4", "--steady", "--json")
    assert done.status == 0, done
    assert done.result.keys() == LOGSTORE | STEADY
    assert 0 < done.result["live_mib"] < done.result["file_mib"]


def test_opening_a_large_log_is_measured():
    done = run_process("bench", "logstore", "--groups=10", "--recover=5000", "--json")
    assert done.status == 0, done
    assert done.result.keys() == RECOVER
    assert done.result["entries"] >= 5000


def test_log_store_that_lost_a_batch_is_seen(tmp_path):
    side = StoreSide(tmp_path, Load(3, 16, 1))
    side.append()
    side.wait()
    side.batches += 1
    assert not side.is_all_there()

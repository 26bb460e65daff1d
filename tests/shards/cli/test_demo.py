"""The demo as a user runs it, and what it concludes from what the nodes return."""

import os
import signal
import subprocess

import psutil
import pytest

from multiraft.engine.errors import PermissionDenied
from multiraft.shards.cli.demo import workspace
from multiraft.shards.cli.demo_check import Found, Outage, judge, problems
from tests.shards.cli.command import COMMAND, run_process

FIELDS = [
    "rows",
    "acknowledged",
    "verified",
    "lost",
    "ranges",
    "killed_node",
    "killed_led_ranges",
    "writes_during_outage",
    "failover_seconds",
    "seconds",
    "rows_per_second",
    "ok",
    "config",
]


def test_a_node_is_killed_and_nothing_is_lost(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "".join(f"key {number},value {number},{number}\n" for number in range(2000)) + "key 7,last,\n"
    )
    keep = tmp_path / "kept"
    done = run_process("demo", "--input", path, "--ranges", 8, "--keep", keep, "--seed", 5, "--json")
    assert done.status == 0, done.err
    result = done.result
    assert list(result) == FIELDS
    assert result["rows"] == result["acknowledged"] == result["verified"] == 2000
    assert (result["lost"], result["ranges"], result["ok"]) == (0, 8, True)
    assert result["killed_node"] in {1, 2, 3}
    assert result["killed_led_ranges"] >= 2
    assert result["writes_during_outage"] >= result["killed_led_ranges"]
    assert 0 < result["failover_seconds"] < result["seconds"] + 60
    assert result["config"]["seed"] == 5
    assert "1 row repeats an earlier key; the last row of each key counts" in done.err
    assert "load rows: 2000 of 2000" in done.err
    assert "had no answer and will be repeated until acknowledged" in done.err
    assert sorted(one.name for one in keep.iterdir() if one.is_dir()) == ["node-1", "node-2", "node-3"]


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, "demo"], stdout=pipe, stderr=pipe, env=environment) as demo:
        log = next(_appearing(demo, tmp_path))
        nodes = psutil.Process(demo.pid).children()
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert out == b""
    assert b"multiraft: interrupted" in err
    assert b"Traceback" not in err
    assert nodes
    assert not any(node.is_running() for node in nodes)
    assert not log.exists()
    assert list(tmp_path.iterdir()) == []


def _appearing(demo, directory):
    """The log of a node, once it is there."""
    while demo.poll() is None:
        yield from directory.glob("*/node-3.log")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "No such file or directory"), ("a,1\nb\n", "line 2: 1 columns"), ("", "there are no rows in it")],
)
def test_a_bad_file_is_refused_before_anything_starts(cli, tmp_path, content, complaint):
    path = tmp_path / "rows.csv"
    if content is not None:
        path.write_text(content)
    done = cli("demo", "--input", path, "--keep", tmp_path / "kept", "--json")
    assert done.status == 1
    assert complaint in done.complaint
    assert done.result["config"]["input"] == str(path)
    assert not (tmp_path / "kept").exists()


def test_a_file_without_permission_is_refused(cli, tmp_path, ordinary_user):
    path = tmp_path / "rows.csv"
    path.write_text("a,1\n")
    path.chmod(0)
    with ordinary_user():
        done = cli("demo", "--input", path)
    assert done.status == 1
    assert done.complaint == f"{path}: Permission denied"


def test_a_directory_to_keep_must_be_empty(cli, tmp_path):
    (tmp_path / "rows.csv").write_text("a,1\n")
    done = cli("demo", "--input", tmp_path / "rows.csv", "--keep", tmp_path)
    assert done.status == 1
    assert done.complaint == f"{tmp_path}: the directory is not empty"


def test_a_directory_to_keep_must_take_files(cli, tmp_path, ordinary_user):
    rows = tmp_path / "rows.csv"
    rows.write_text("a,1\n")
    done = cli("demo", "--input", rows, "--keep", rows, "--json")
    assert (done.status, done.result["type"]) == (1, "InvalidArgument")
    assert done.complaint == f"{rows} is not a directory"
    keep = tmp_path / "keep"
    keep.mkdir(mode=0o555)
    with ordinary_user(), pytest.raises(PermissionDenied, match="Permission denied"), workspace(keep):
        pass


ROWS = {b"a": b"1", b"b": b"2", b"c": b"3"}
OUTAGE = Outage(node=2, led_ranges=1, unfinished=1, failover_seconds=1.23456, writes=9)


def found(*right, changed=0, unknown=0):
    return Found(frozenset(right), changed, unknown)


def verdict(acknowledged, nodes, outage=OUTAGE):
    fields = judge(ROWS, acknowledged, outage, nodes, 1, 2.0)
    return (fields["verified"], fields["lost"], fields["ok"]), list(problems(ROWS, acknowledged, nodes))


def test_everything_acknowledged_and_returned_by_all_is_ok():
    everywhere = {1: found(*ROWS), 2: found(*ROWS)}
    assert verdict(set(ROWS), everywhere) == ((3, 0, True), [])
    fields = judge(ROWS, set(ROWS), OUTAGE, everywhere, 1, 2.0)
    assert (fields["failover_seconds"], fields["rows_per_second"]) == (1.235, 2)


def test_a_row_that_one_node_does_not_return_is_lost():
    numbers, texts = verdict(set(ROWS), {1: found(*ROWS), 2: found(b"a", b"c", changed=1)})
    assert numbers == (2, 1, False)
    assert texts == [
        "node 2 does not return 1 acknowledged row as written: b …",
        "node 2 returns 1 row with another value",
    ]


def test_rows_that_nobody_wrote_are_a_problem():
    assert verdict(set(ROWS), {1: found(*ROWS, unknown=2)})[1] == ["node 1 returns 2 rows that nobody wrote"]


def test_a_row_without_acknowledgement_is_not_lost_but_not_ok():
    numbers, texts = verdict({b"a", b"b"}, {1: found(*ROWS)})
    assert numbers == (3, 0, False)
    assert texts == ["not acknowledged: 1 row"]


def test_a_kill_that_interrupted_no_write_proves_nothing():
    outage = Outage(node=2, led_ranges=1, unfinished=0, failover_seconds=1.0, writes=9)
    assert verdict(set(ROWS), {1: found(*ROWS)}, outage)[0] == (3, 0, False)

"""``multiraft explain`` on a cluster of node processes."""

import signal

import pytest

from multiraft.shards.cli.explain import range_of
from multiraft.shards.cli.processes import NodeProcesses
from tests.shards.cli.command import Finished, run_process

FAST = ("--election-timeout-ms=400", "--beat-ms=100", "--tick-ms=50")


@pytest.fixture
def cluster(tmp_path):
    """Three nodes with two ranges that take writes."""
    with NodeProcesses(tmp_path, 3, FAST) as nodes:
        nodes.start()
        assert run_process("ranges", "create", "--count=2", "--node", nodes.addresses[1]).status == 0
        for key in ("a", "0xff"):
            assert run_process("put", key, "value", "--node", nodes.addresses[1]).status == 0
        yield nodes


def explained(cli, nodes, *arguments: str, wanted: set[str], node: int = 1) -> Finished:
    """Ask until the reasons are these: a node that was killed is missed a little later."""
    while True:
        done: Finished = cli("explain", "--node", nodes.addresses[node], *arguments, "--json")
        assert done.status == 0, done
        if {one["code"] for one in done.result["reasons"]} == wanted:
            return done


def test_a_range_that_is_well_one_that_does_not_exist_and_one_without_a_quorum(cli, cluster):
    well = explained(cli, cluster, "a", wanted=set()).result
    assert set(well) == {"group", "leader", "term", "reasons", "blocked", "words", "ok", "config"}
    assert (well["blocked"], well["ok"], well["config"]["node"]) == (False, True, cluster.addresses[1])
    assert explained(cli, cluster, str(well["group"]), wanted=set()).result["leader"] == well["leader"]
    shown = cli("explain", "--node", cluster.addresses[2], "a")
    assert shown.out.startswith(f"range {well['group']}, led by node {well['leader']}, term ")
    assert "Nothing is wrong" in shown.out
    missing = cli("explain", "--node", cluster.addresses[1], "99", "--json")
    assert (missing.status, missing.result["type"]) == (1, "NoRange")
    assert "there is no range 99" in missing.result["error"]
    for node in (2, 3):
        cluster.kill(node)
        assert cluster.wait(node) == -signal.SIGKILL
    away = {"unreachable", "no-leader", "no-quorum"}
    assert explained(cli, cluster, "a", wanted=away).result["blocked"] is True
    shown = cli("explain", "--node", cluster.addresses[1], "a")
    assert "\n! Node 2 is down, or cannot be reached from node 1.\n" in shown.out
    assert explained(cli, cluster, "1", wanted=away).result["group"] == 1


@pytest.mark.parametrize(
    ("text", "place"), [("7", 7), ("a7", b"a7"), ("0x37", b"7"), ("", b""), ("\u0667", b"\xd9\xa7"), ("1", 1)]
)
def test_digits_are_a_number_and_all_else_is_a_key(text, place):
    assert range_of(text) == place


@pytest.mark.parametrize("text", ["0", "18446744073709551616", "9" * 30, "0xz"])
def test_numbers_that_no_range_has(cli, text):
    done = cli("explain", "--node", "127.0.0.1:1", text)
    assert done.status == 2
    assert text in done.complaint

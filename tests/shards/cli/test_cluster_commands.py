"""Commands on a cluster of node processes, and node processes that must not start or must end."""

import asyncio
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from multiraft.shards.cli.output import CommandFailed
from multiraft.shards.cli.processes import NodeProcesses, ephemeral_ports, free_addresses
from multiraft.shards.client import Client
from tests.shards.cli.command import COMMAND, run_process


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three nodes with four ranges; a test that kills one starts it again."""
    with NodeProcesses(tmp_path_factory.mktemp("cluster"), 3) as nodes:
        nodes.start()
        created = run_process("ranges", "create", "--count=4", "--node", nodes.addresses[1], "--json")
        assert created.status == 0, created
        assert (created.result["created"], created.result["ranges"]) == (4, 4)
        asyncio.run(settled(nodes))
        yield nodes


async def settled(nodes):
    """Return once every node reaches every other one and has heard of the ranges.

    A majority suffices to make them: the third node may still be dialed, and the maker is the first to know.
    """
    for address in nodes.addresses.values():
        async with Client.connect(address) as client:
            while [one["replicas"] for one in (await client.status())["nodes"]] != [4, 4, 4]:
                continue


def serve(data, address, *options, node=1):
    """Run a node that must end by itself."""
    return run_process("serve", "--data", data, "--node-id", node, "--listen", address, *options)


def peers_of(nodes):
    return [f"--peer={node}={address}" for node, address in nodes.addresses.items()]


def test_status_names_every_node(cli, cluster):
    done = cli("status", "--node", cluster.addresses[2], "--json")
    assert done.status == 0
    assert done.result["ranges"] == 4
    nodes = done.result["nodes"]
    assert {one["node"]: one["address"] for one in nodes} == cluster.addresses
    assert all(one["alive"] for one in nodes)
    assert {one["replicas"] for one in nodes} == {4}
    assert set(nodes[0]) == {"node", "address", "alive", "leaders", "replicas", "applied_lag"}
    table = cli("status", "--node", cluster.addresses[2])
    assert "4 ranges on 3 nodes" in table.out


def test_any_node_serves_every_key(cli, cluster):
    one, two, three = cluster.addresses.values()
    for key in ("a", "q", "0xf0"):
        assert cli("put", key, f"of {key}", "--node", one).status == 0
    assert cli("get", "q", "--node", two).out == "of q\n"
    assert cli("scan", "--node", three, "--json").result["count"] == 3
    assert cli("delete", "q", "--node", three).out == "q: deleted\n"
    assert cli("get", "q", "--node", one, "--json").result["found"] is False


def test_a_port_in_use_is_one_line(cluster, tmp_path):
    done = serve(tmp_path / "data", cluster.addresses[1])
    assert done.status == 1
    assert done.complaint == f"cannot listen on {cluster.addresses[1]}: the port is in use"


def test_a_data_directory_in_use_is_one_line(cli, cluster):
    data = cluster.nodes[1].data
    done = serve(data, free_addresses(1)[1], *peers_of(cluster), "--cluster=local")
    assert done.status == 1
    assert done.complaint == f"{data} is open in process {cluster.nodes[1].pid} already"
    assert cli("get", "k", "--data", data).status == 1


def test_a_wiped_node_does_not_come_back(cli, cluster, tmp_path):
    cluster.kill(3)
    cluster.wait(3)
    done = serve(tmp_path / "new", cluster.addresses[3], *peers_of(cluster), "--cluster=local", node=3)
    assert done.status == 1
    assert "wiped or copied" in done.complaint
    assert done.err.count("multiraft: node 3") == 1
    states = {one["node"]: one["alive"] for one in _status(cli, cluster)}
    assert states == {1: True, 2: True, 3: False}
    cluster.start_node(3)


def _status(cli, cluster):
    return cli("status", "--node", cluster.addresses[1], "--json").result["nodes"]


@pytest.mark.parametrize("other", ["name", "peer"])
def test_a_node_of_another_cluster_is_refused(cluster, tmp_path, other):
    address = free_addresses(1)[1]
    options = ["--cluster=another"] if other == "name" else ["--cluster=local", f"--peer=4={address}"]
    done = serve(tmp_path / "data", address, *peers_of(cluster), *options, node=4)
    assert done.status == 1
    assert "another cluster name or other nodes" in done.complaint


@pytest.mark.parametrize(
    ("listen", "options", "complaint"),
    [
        ("0.0.0.0:7001", [], "is not a loopback address"),
        ("127.0.0.1:7001", ["--election-timeout-ms=100"], "must be at least 2 * tick_ms"),
    ],
)
def test_settings_that_cannot_be_are_refused(cli, tmp_path, listen, options, complaint):
    done = cli("serve", "--data", tmp_path / "data", "--listen", listen, *options, "--json")
    assert done.status == 1
    assert complaint in done.complaint
    assert done.result["error"] == done.complaint


def test_a_directory_without_permission_is_refused(cli, tmp_path, ordinary_user):
    tmp_path.chmod(0o500)
    with ordinary_user():
        done = cli("serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0")
    assert done.status == 1
    assert done.complaint.endswith("Permission denied")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_node_cleanly(tmp_path, number):
    arguments = ["serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as node:
        listening = node.stderr.readline()
        assert listening.startswith("node 1 listens on 127.0.0.1:")
        node.send_signal(number)
        out, err = node.communicate(timeout=60)
    assert (node.returncode, err) == (0, "")
    assert '"ok": true' in out


def test_a_node_that_does_not_start_tells_why(tmp_path):
    with NodeProcesses(tmp_path, 1) as nodes:
        nodes.nodes[1].data.write_text("in the way")
        with pytest.raises(CommandFailed, match=r"node 1 did not start: .*is not a directory"):
            nodes.start()


def test_nodes_can_be_stopped_and_never_outlive_their_owner(tmp_path):
    with NodeProcesses(tmp_path, 2) as nodes:
        nodes.start()
        pids = [process.pid for process in nodes.nodes.values()]
        nodes.kill(2)
        assert nodes.wait(2) == -signal.SIGKILL
        assert [node for node, _ in nodes.ended()] == [2]
        nodes.start_node(2)
        pids.append(nodes.nodes[2].pid)
        nodes.stop()
        assert nodes.wait(1) == 0
        nodes.start_node(1)
        pids.append(nodes.nodes[1].pid)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(CommandFailed, match="stopped"):
        nodes.start_node(1)


def test_nodes_end_when_their_owner_is_killed(tmp_path):
    script = (
        "import pathlib, sys; from multiraft.shards.cli.processes import NodeProcesses\n"
        f"nodes = NodeProcesses(pathlib.Path({str(tmp_path)!r}), 1); nodes.start()\n"
        "print(nodes.nodes[1].pid, flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-P", "-c", script], stdin=pipe, stdout=pipe) as owner:
        node = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    assert psutil.wait_procs([node], timeout=60)[1] == []


def test_addresses_are_free_and_outside_the_range_of_outgoing_connections():
    addresses = free_addresses(3)
    assert list(addresses) == [1, 2, 3]
    ports = {int(address.rpartition(":")[2]) for address in addresses.values()}
    assert len(ports) == 3
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass
    low, high = ephemeral_ports()
    assert not any(low <= port <= high for port in ports)

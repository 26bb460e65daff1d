"""``inspect``, ``verify``, ``backup`` and ``restore``, as a user calls them."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import multiraft
from multiraft.shards.cli import backup_restore
from multiraft.shards.cli.processes import NodeProcesses
from tests.engine.offline.sample import RANGES, write_sample
from tests.shards.cli.command import run_process


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("offline") / "node"
    return path, write_sample(path, rounds=6)


@pytest.fixture
def node(sample, tmp_path):
    return Path(shutil.copytree(sample[0], tmp_path / "node"))


def fields(done):
    assert done.status == 0, done
    return {name: value for name, value in done.result.items() if name != "config"}


def items(path):
    with multiraft.open(path) as db:
        return dict(db.scan())


def files(path):
    return {one: one.stat().st_mtime_ns for one in [path, *path.rglob("*")]}


def flip(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes((byte ^ 16,)))


# -- verify ------------------------------------------------------------------------------------------


def test_verify_counts_and_is_content(cli, node):
    before = files(node)
    done = cli("verify", node, "--json")
    found = fields(done)
    assert set(found) == {"batches", "entries", "values", "damaged", "ok"}
    assert (found["damaged"], found["ok"]) == (0, True)
    assert min(found["batches"], found["entries"], found["values"]) > 50
    assert cli("verify", node).out.endswith("values: all whole\n")
    assert cli("inspect", node).status == 0
    assert cli("backup", node, node.parent / "out").status == 0
    assert files(node) == before


def test_verify_names_the_place_and_fails(cli, node):
    held = next(name for name, value in sorted(items(node).items()) if len(value) == 100)
    state = node / "state" / "data.mdb"
    content = state.read_bytes()
    at = content.find(held)
    while at >= 0:  # a page that is free now may hold an older copy
        flip(state, at + 2)
        at = content.find(held, at + 1)
    done = cli("verify", node, "--json")
    assert done.status == 1, done
    assert not done.result["ok"]
    assert done.result["damaged"] >= 1
    assert done.err.startswith("damaged: state/data.mdb")
    assert "damaged place" in cli("verify", node).out


@pytest.mark.parametrize("command", [["inspect"], ["verify"], ["backup", "OUT"]], ids=" ".join)
def test_a_wrong_path_is_one_line(cli, tmp_path, command):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    rest = [str(tmp_path / one) for one in command[1:]]
    for name in ("file", "empty", "missing"):
        done = cli(command[0], tmp_path / name, *rest, "--json")
        assert (done.status, done.result["type"]) == (1, "InvalidArgument")
        assert str(tmp_path / name) in done.complaint
    assert sorted(os.listdir(tmp_path)) == ["empty", "file"]
    assert not list((tmp_path / "empty").iterdir())


def test_a_directory_without_permission_is_one_line(cli, node, ordinary_user):
    node.chmod(0)
    with ordinary_user():
        done = cli("verify", node, "--json")
    node.chmod(0o700)
    assert (done.status, done.result["type"]) == (1, "PermissionDenied")


def test_a_read_only_copy_will_do(cli, sample, ordinary_user):
    """Whoever may read it may look at it."""
    with tempfile.TemporaryDirectory() as folder:
        node = Path(shutil.copytree(sample[0], Path(folder) / "node"))
        Path(folder).chmod(0o755)
        for one in [node, *node.rglob("*")]:
            one.chmod(0o555 if one.is_dir() else 0o444)
        with ordinary_user():
            found = fields(cli("verify", node, "--json"))
            backup = cli("backup", node, node / "out")
        for one in node.iterdir():
            one.chmod(0o755)
        node.chmod(0o755)
    assert found["ok"]
    assert backup.status == 1


def test_progress_shows_when_it_takes_long(cli, node, monkeypatch):
    monkeypatch.setattr("multiraft.shards.cli.offline.PATIENCE", 0)
    assert "reading the log" in cli("verify", node).err


# -- inspect -----------------------------------------------------------------------------------------


def test_inspect_shows_node_stores_and_groups(cli, node):
    found = fields(cli("inspect", node, "--json"))
    assert found["node"]["node_id"] == 1
    assert found["node"]["cluster"] == "multiraft"
    assert len(found["groups"]) == RANGES + 1
    directory, first, *_, last = found["groups"]
    assert directory["machine"] == "directory"
    assert (first["start"], first["end"], last["end"]) == ("", "@", None)
    assert first["term"] >= 1
    assert first["vote"] == first["replica"] == 1
    assert first["first"] - 1 <= first["applied"] <= first["last"]
    assert first["keys"] > 0
    assert first["members"] == "1"
    assert (found["damaged"], found["damages"]) == (0, [])
    shown = cli("inspect", node).out
    assert "node 1 of cluster 'multiraft'" in shown
    assert '["", "@")' in shown
    assert len(fields(cli("inspect", node, "--group", 3, "--json"))["groups"]) == 1


def test_inspect_shows_a_log_in_words(cli, node):
    found = fields(cli("inspect", node, "--group", 2, "--log", "--limit", 20, "--json"))
    entries = found["entries"]
    assert len(entries) == 20
    assert entries[-1]["index"] == found["groups"][0]["last"]
    assert all(entry["says"].startswith(("put ", "delete ")) for entry in entries)
    table = cli("inspect", node, "--group", 2, "--log", "--limit", 3).out.splitlines()
    assert len(table) == 4
    directory = cli("inspect", node, "--group", 1, "--log").out
    assert f"create {RANGES} ranges with 1 replica each on node 1" in directory
    assert "opens its leader's term" in directory


def test_inspect_shows_one_entry(cli, node):
    last = fields(cli("inspect", node, "--group", 2, "--json"))["groups"][0]["last"]
    done = cli("inspect", node, "--group", 2, "--entry", last, "--hex")
    assert f"group 2, entry {last}, in batch" in done.out
    assert "\n00000000  " in done.out
    (entry,) = fields(cli("inspect", node, "--group", 2, "--entry", last, "--hex", "--json"))["entries"]
    assert len(bytes.fromhex(entry["hex"])) == entry["bytes"]
    assert "hex" not in fields(cli("inspect", node, "--group", 2, "--entry", last, "--json"))["entries"][0]


def test_inspect_shows_damage_in_place(cli, node):
    entries = fields(cli("inspect", node, "--group", 2, "--log", "--json"))["entries"]
    wanted = max((one for one in entries if one["bytes"] < 2000), key=lambda one: one["bytes"])
    (entry,) = fields(cli("inspect", node, "--group", 2, f"--entry={wanted['index']}", "--hex", "--json"))[
        "entries"
    ]
    data = (node / "log" / "data.mdb").read_bytes()
    flip(node / "log" / "data.mdb", data.rindex(bytes.fromhex(entry["hex"])) + 50)
    found = fields(cli("inspect", node, "--group", 2, "--log", "--json"))
    assert found["damaged"] == 1
    assert [one["index"] for one in found["entries"] if "damaged" in one] == [wanted["index"]]
    shown = cli("inspect", node, "--group", 2, "--log")
    assert shown.status == 0
    assert "DAMAGED: fails its checksum" in shown.out
    assert "damaged: damaged in batch" in cli("inspect", node).out
    assert "DAMAGED" in cli("inspect", node, "--group", 2, f"--entry={wanted['index']}").out


def test_inspect_of_garbage_does_not_end_in_a_traceback(cli, node):
    for name in ("node", "log/data.mdb", "state/data.mdb"):
        path = node / name
        content = bytearray(path.read_bytes())
        for at in range(2 * 4096, len(content), 5000):
            content[at] ^= 255
        path.write_bytes(content if name != "node" else b"garbage")
        done = cli("inspect", node, "--json")
        assert done.status == 0, done.err
        assert done.result["damaged"] >= 1
        assert "Traceback" not in cli("inspect", node).err
        assert cli("verify", node).status == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--group", 99], "holds no group 99"),
        (["--group", 2, "--entry", 10**9], "group 2 has no entry 1000000000: the log has entries"),
    ],
)
def test_inspect_says_what_is_not_there(cli, node, options, complaint):
    done = cli("inspect", node, *options)
    assert done.status == 1
    assert complaint in done.complaint


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["inspect", "d", "--log"], "--group"),
        (["inspect", "d", "--entry", "1"], "--group"),
        (["inspect", "d", "--group", "1", "--hex"], "--entry"),
        (["backup", "d"], "give DIR and OUT"),
        (["backup", "d", "out", "--node", "a:1"], "give OUT alone"),
        (["backup", "out", "--node", "a"], "'a' is not host:port"),
        (["restore", "file", "d"], "--new-cluster"),
    ],
)
def test_options_that_do_not_fit_are_refused(cli, arguments, complaint):
    done = cli(*arguments)
    assert done.status == 2
    assert complaint in done.complaint


# -- backup and restore ------------------------------------------------------------------------------


def test_a_backup_comes_back_as_a_new_cluster(cli, sample, node, tmp_path):
    held = sample[1]
    size = sum(len(name) + len(value) for name, value in held.items())
    made = fields(cli("backup", node, tmp_path / "out", "--json"))
    assert made == {"groups": RANGES, "keys": len(held), "bytes": size, "left_out": 0, "ok": True}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    back = fields(cli("restore", tmp_path / "out", tmp_path / "back", "--new-cluster", "--json"))
    assert back == {"groups": RANGES, "keys": len(held), "bytes": size, "ok": True}
    assert cli("verify", tmp_path / "back").status == 0
    bounds = [
        [(one["start"], one["end"]) for one in fields(cli("inspect", path, "--json"))["groups"]]
        for path in (node, tmp_path / "back")
    ]
    assert bounds[0] == bounds[1]
    identities = [
        json.loads((path / "node").read_text().splitlines()[0]) for path in (node, tmp_path / "back")
    ]
    for name in ("store_uuid", "cluster_uuid"):
        assert identities[0][name] != identities[1][name]
    assert items(tmp_path / "back") == held
    assert not [one for one in (tmp_path / "back").rglob("*") if one.stat().st_mode & 0o077]
    assert sorted(os.listdir(tmp_path)) == ["back", "node", "out"]


def test_one_range_can_take_all_keys(cli, sample, node, tmp_path):
    assert cli("backup", node, tmp_path / "out").status == 0
    (tmp_path / "back").mkdir()
    options = ["--new-cluster", "--ranges=one", "--node-id=7", "--cluster=shop"]
    assert fields(cli("restore", tmp_path / "out", tmp_path / "back", *options, "--json"))["groups"] == 1
    found = fields(cli("inspect", tmp_path / "back", "--json"))
    assert [one["start"] for one in found["groups"]] == ["", ""]
    assert (found["node"]["node_id"], found["node"]["cluster"]) == (7, "shop")


def test_a_bad_backup_leaves_nothing_behind(cli, node, tmp_path):
    assert cli("backup", node, tmp_path / "out").status == 0
    content = (tmp_path / "out").read_bytes()
    (tmp_path / "cut").write_bytes(content[:-1])
    (tmp_path / "flipped").write_bytes(content[:3000] + bytes((content[3000] ^ 1,)) + content[3001:])
    (tmp_path / "foreign").write_bytes(b"something else")
    before = sorted(os.listdir(tmp_path))
    for name, kind in (("cut", "Corruption"), ("flipped", "Corruption"), ("foreign", "InvalidArgument")):
        done = cli("restore", tmp_path / name, tmp_path / "back", "--new-cluster", "--json")
        assert (done.status, done.result["type"]) == (1, kind)
    assert sorted(os.listdir(tmp_path)) == before


def test_nothing_is_written_over(cli, node, tmp_path):
    assert cli("backup", node, tmp_path / "out").status == 0
    assert "exists already" in cli("backup", node, tmp_path / "out").complaint
    assert "nothing is written" in cli("backup", node, node / "out").complaint
    assert "is not empty" in cli("restore", tmp_path / "out", node, "--new-cluster").complaint
    assert "exists already" in cli("restore", tmp_path / "out", tmp_path / "out", "--new-cluster").complaint


def test_a_restore_that_fails_half_way_leaves_nothing_behind(cli, node, tmp_path, monkeypatch):
    assert cli("backup", node, tmp_path / "out").status == 0

    def full(_path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup_restore, "_sync", full)
    done = cli("restore", tmp_path / "out", tmp_path / "back", "--new-cluster", "--json")
    assert (done.status, done.result["type"]) == (1, "DiskFull")
    assert sorted(os.listdir(tmp_path)) == ["node", "out"]


def test_ranges_with_gaps_come_in_runs():
    runs = backup_restore.runs_of([(b"", b"b"), (b"b", b"d"), (b"f", b"g"), (b"k", None)])
    assert list(runs) == [[(b"", b"b"), (b"b", b"d")], [(b"f", b"g")], [(b"k", None)]]
    assert list(backup_restore.runs_of([])) == []


def test_a_cluster_is_backed_up_while_it_runs_and_a_node_of_it_afterwards(cli, tmp_path):
    """Kill -9 leaves what was acknowledged, and every backup has all of it."""
    held = {f"0x{number:02x}61": f"of {number}" for number in range(0, 256, 5)}
    with NodeProcesses(tmp_path, 3) as nodes:
        nodes.start()
        address = nodes.addresses[1]
        assert cli("ranges", "create", "--count=4", "--between", "", "0xf0", "--node", address).status == 0
        assert cli("ranges", "create", "--count=1", "--between", "0xf8", "", "--node", address).status == 0
        put = {name: value for name, value in held.items() if name < "0xf0" or name >= "0xf8"}
        for name, value in put.items():
            assert cli("put", name, value, "--node", address).status == 0
        running = cli("inspect", nodes.nodes[2].data, "--json")
        assert (running.status, running.result["type"]) == (1, "AlreadyOpen")
        assert f"process {nodes.nodes[2].pid}" in running.complaint
        live = fields(cli("backup", tmp_path / "live", "--node", address, "--json"))
        assert (live["groups"], live["keys"]) == (5, len(put))
        for number in nodes.nodes:
            nodes.kill(number)
    for number, one in nodes.nodes.items():
        assert cli("verify", one.data).status == 0, number
        stopped = fields(cli("backup", one.data, tmp_path / f"of-{number}", "--json"))
        assert stopped["groups"] == 5
        assert stopped["keys"] + stopped["left_out"] >= len(put)
    back = tmp_path / "back"
    assert run_process("restore", tmp_path / "live", back, "--new-cluster").status == 0
    found = {bytes.fromhex(name[2:]): value.encode() for name, value in put.items()}
    assert items(back) == found


def test_a_backup_of_nobody_is_one_line_and_no_file(cli, tmp_path):
    done = cli("backup", tmp_path / "out", "--node", "127.0.0.1:1")
    assert done.status == 1
    assert "Connection refused" in done.complaint
    assert not list(tmp_path.iterdir())

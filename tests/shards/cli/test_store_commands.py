"""Operations on a data directory that the command opens itself."""

import os
import socket
import subprocess

import pytest

from tests.shards.cli.command import COMMAND, run_process


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def test_values_are_put_read_and_deleted(cli, data):
    assert cli("put", "grün", "1", "--data", data) == (0, "grün: written\n", "")
    assert cli("get", "grün", "--data", data) == (0, "1\n", "")
    assert cli("delete", "grün", "--data", data) == (0, "grün: deleted\n", "")
    assert cli("delete", "grün", "--data", data) == (0, "grün: was not there\n", "")
    assert cli("get", "grün", "--data", data) == (0, "", "grün: not found\n")


def test_json_has_the_documented_fields(cli, data):
    def fields(*arguments):
        done = cli(*arguments, "--data", data, "--json")
        assert done.status == 0
        assert done.result["config"]["data"] == str(data)
        return {name: value for name, value in done.result.items() if name != "config"}

    assert fields("put", "0x00ff", "0xfe") == {"key": "0x00ff", "ok": True}
    assert fields("put", "b", "text") == {"key": "b", "ok": True}
    assert fields("get", "0x00ff") == {"key": "0x00ff", "value": "0xfe", "found": True, "ok": True}
    assert fields("get", "x", "--stale") == {"key": "x", "value": None, "found": False, "ok": True}
    assert fields("scan") == {"items": [["0x00ff", "0xfe"], ["b", "text"]], "count": 2, "ok": True}
    assert fields("delete", "b") == {"key": "b", "existed": True, "ok": True}
    assert fields("delete", "b") == {"key": "b", "existed": False, "ok": True}


def test_the_empty_key_has_a_name(cli, data):
    assert cli("put", "", "x", "--data", data).out == '"": written\n'
    assert cli("delete", "", "--data", data).out == '"": deleted\n'
    assert cli("get", "", "--data", data).err == '"": not found\n'


def test_scans_take_bounds_direction_and_limit(cli, data):
    for key in ("a1", "a2", "a3", "b1"):
        assert cli("put", key, f"of {key}", "--data", data).status == 0

    def keys(*options):
        return [key for key, _ in cli("scan", "--data", data, "--json", *options).result["items"]]

    assert keys("--start", "a2") == ["a2", "a3", "b1"]
    assert keys("--start", "a2", "--stop", "b1") == ["a2", "a3"]
    assert keys("--prefix", "a", "--reverse") == ["a3", "a2", "a1"]
    assert keys("--limit", "2") == ["a1", "a2"]
    assert keys("--limit", "0") == []
    assert len(keys("--limit", str(2**62))) == 4
    assert cli("scan", "--prefix", "b", "--data", data) == (0, "b1\tof b1\n", "1 pair\n")


def test_a_value_comes_from_a_file_or_from_standard_input(cli, data, tmp_path):
    (tmp_path / "value").write_bytes(b"\x00\xff")
    assert cli("put", "k", "--file", tmp_path / "value", "--data", data).status == 0
    assert cli("get", "k", "--data", data).out == "0x00ff\n"
    assert run_process("put", "k", "--file", "-", "--data", data, stdin=b"piped").status == 0
    assert cli("get", "k", "--data", data).out == "piped\n"
    missing = cli("put", "k", "--file", tmp_path / "missing", "--data", data)
    assert missing.status == 1
    assert missing.complaint == f"{tmp_path / 'missing'}: No such file or directory"


def test_keys_and_values_over_the_limit_are_refused(cli, data, tmp_path):
    long_key = cli("put", "k" * 481, "v", "--data", data, "--json")
    assert long_key.status == 1
    assert long_key.complaint == "a key has at most 480 bytes, this one has 481"
    assert long_key.result["error"] == long_key.complaint
    assert long_key.result["type"] == "KeyTooLarge"
    (tmp_path / "value").write_bytes(bytes(1024 * 1024 + 1))
    long_value = cli("put", "k", "--file", tmp_path / "value", "--data", data)
    assert long_value.status == 1
    assert long_value.complaint == "a value has at most 1048576 bytes, this one has 1048577"


@pytest.mark.parametrize("command", [["get", "k"], ["delete", "k"], ["scan"]])
def test_reading_makes_no_data_directory(cli, data, command):
    missing = cli(*command, "--data", data)
    assert missing.status == 1
    assert missing.complaint == f"{data}: there is no data directory of a node"
    assert not data.exists()
    data.mkdir()
    assert cli(*command, "--data", data).complaint == missing.complaint
    assert not list(data.iterdir())


def test_a_data_directory_that_is_none_is_refused(cli, tmp_path):
    (tmp_path / "file").touch()
    done = cli("put", "k", "v", "--data", tmp_path / "file")
    assert done.status == 1
    assert "is not a directory" in done.complaint


@pytest.mark.parametrize(
    "command", [["put", "k", "v"], ["ranges", "create", "--count=1"], ["serve", "--listen=a:1"]]
)
def test_a_node_does_not_move_in_with_other_files(cli, data, command):
    data.mkdir()
    (data / "lost+found").mkdir()
    (data / "letter.txt").touch()
    done = cli(*command, "--data", data)
    assert done.status == 2
    assert f"{data} is not empty and holds no node" in done.complaint
    (data / "letter.txt").unlink()
    assert cli("put", "k", "v", "--data", data).status == 0


def test_a_data_directory_without_permission_is_refused(cli, data, ordinary_user):
    assert cli("put", "k", "v", "--data", data).status == 0
    data.chmod(0)
    with ordinary_user():
        done = cli("get", "k", "--data", data)
    assert done.status == 1
    assert done.complaint.endswith("Permission denied")


def test_nobody_answering_is_one_line(cli):
    done = cli("get", "k", "--node", "127.0.0.1:1")
    assert done.status == 1
    assert done.complaint == "cannot reach 127.0.0.1:1: Connection refused"


def test_a_node_that_says_nothing_is_unavailable_in_time(cli):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        node = f"127.0.0.1:{mute.getsockname()[1]}"
        done = cli("status", "--node", node, "--timeout", "0.1", "--json")
    assert done.status == 1
    assert done.result["type"] == "Unavailable"
    assert done.complaint.startswith(node)


def test_ranges_are_created_at_even_cuts_or_at_keys_of_a_file(cli, data, tmp_path):
    first = cli("ranges", "create", "--count", "4", "--between", "a", "b", "--data", data, "--json")
    assert first.status == 0
    assert (first.result["created"], first.result["ranges"]) == (4, 4)
    assert first.result["seconds"] >= 0
    assert first.result["config"]["between"] == ["a", "b"]
    (tmp_path / "splits").write_text("grün\n\n0x7aff\n")
    options = ["--splits", tmp_path / "splits", "--between", "b", "", "--data", data]
    assert cli("ranges", "create", *options, "--json").result["created"] == 3
    again = cli("ranges", "create", *options)
    assert again.out.startswith("0 ranges created")
    assert again.out.endswith("there are 7 now\n")
    assert cli("put", "c", "v", "--data", data).status == 0
    uncovered = cli("put", "A", "v", "--data", data)
    assert uncovered.status == 1
    assert "no range covers" in uncovered.complaint


def test_ranges_that_overlap_are_refused(cli, data):
    assert cli("put", "k", "v", "--data", data).status == 0
    done = cli("ranges", "create", "--count", "2", "--data", data)
    assert done.status == 1
    assert "overlaps" in done.complaint
    assert done.err == f"multiraft: {done.complaint}\n"


def test_one_range_is_no_plural(cli, data):
    done = cli("ranges", "create", "--count", "1", "--timeout", "9", "--data", data)
    assert done.out.startswith("1 range created in ")
    assert done.out.endswith("; there is 1 now\n")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a\n0xz\n", "line 2: '0xz' is not hexadecimal"),
        (b"a\n\xff\n", "line 2: not UTF-8"),
        (b"a\n" + b"k" * 481, "line 2: a key has at most 480 bytes"),
        (None, "No such file or directory"),
    ],
)
def test_a_bad_splits_file_is_named(cli, data, tmp_path, content, complaint):
    path = tmp_path / "splits"
    if content is not None:
        path.write_bytes(content)
    done = cli("ranges", "create", "--splits", path, "--data", data)
    assert done.status == 1
    assert done.complaint.startswith(str(path))
    assert complaint in done.complaint


def test_a_reader_that_goes_away_ends_a_scan_quietly(cli, data, tmp_path):
    (tmp_path / "value").write_bytes(b"v" * 500_000)  # more than a pipe holds
    assert cli("put", "k", "--file", tmp_path / "value", "--data", data).status == 0
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    scan = [*COMMAND, "scan", "--data", str(data)]
    pipe = subprocess.PIPE
    with subprocess.Popen(scan, stdout=pipe, stderr=pipe, env=environment) as scanning:
        scanning.stdout.read(1)
        scanning.stdout.close()
        assert scanning.stderr.read() == b""
    assert scanning.returncode == 1


def test_output_suits_a_terminal_that_is_not_utf_8(data):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    shown = run_process("put", "grün", "v", "--data", data, env=environment)
    assert (shown.status, shown.out) == (0, "gr\\xfcn: written\n")
    done = run_process("put", "grün", "v", "--data", data, "--json", env=environment)
    assert done.result["key"] == "grün"

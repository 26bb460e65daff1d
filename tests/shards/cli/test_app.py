"""The command as a whole: help, complaints about arguments, what it loads."""

import subprocess
import sys

import pytest

from multiraft import __version__

COMMANDS = [[], ["demo"], ["serve"], ["status"], ["put"], ["get"], ["delete"], ["scan"], ["ranges"]]
COMMANDS += [["ranges", "create"], ["ranges", "delete"], ["inspect"], ["verify"], ["backup"], ["restore"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(cli, command):
    done = cli(*command, "--help")
    assert done.status == 0
    assert done.out.startswith(f"Usage: multiraft {' '.join(command)}".rstrip())
    assert not done.err
    if command not in ([], ["ranges"]):
        assert "--json" in done.out


def test_the_version_can_be_asked_for(cli):
    assert cli("--version") == (0, f"multiraft {__version__}\n", "")


def test_a_group_wants_a_command(cli):
    done = cli("ranges")
    assert done.status == 2
    assert "Missing command" in done.complaint


def test_without_arguments_it_shows_its_commands(cli):
    done = cli()
    assert done.status == 0
    assert "demo" in done.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["srve"], "Did you mean 'serve'"),
        (["serve"], "Missing option '--data'"),
        (["serve", "--data", "d", "--peer", "1"], "'1' is not N=HOST:PORT"),
        (["serve", "--data", "d", "--peer", "x=127.0.0.1:1"], "'x=127.0.0.1:1' is not N=HOST:PORT"),
        (["serve", "--data", "d", "--peer", "1=127.0.0.1"], "'127.0.0.1' is not host:port"),
        (["serve", "--data", "d", "--peer", "1=a:1", "--peer", "1=b:1"], "node 1 is named twice"),
        (["serve", "--data", "d", "--peer", "0=a:1"], "'0=a:1': a node id is 1..4294967295"),
        (["serve", "--data", "d", "--peer", "4294967296=a:1"], "a node id is 1..4294967295"),
        (["serve", "--data", "d", "--peer", "1=a:1", "--peer", "2=a:1"], "have the same address a:1"),
        (["serve", "--data", "d"], "--listen HOST:PORT"),
        (["serve", "--data", "d", "--node-id", "3", "--peer", "1=a:1"], "--peer 3=HOST:PORT"),
        (["serve", "--data", "d", "--listen", "127.0.0.1"], "'127.0.0.1' is not host:port"),
        (["serve", "--data", "d", "--listen", "a:1", "--peer", "2=a:1"], "a:1 is the address of node 2"),
        (["serve", "--data", "d", "--node-id", "0"], "--node-id"),
        (["serve", "--data", "d", "--listen", "a:1", "--cluster", ""], "--cluster"),
        (["serve", "--data", "", "--listen", "a:1"], "an empty path names no directory"),
        (["put", "k", "v", "--data", ""], "an empty path names no directory"),
        (["get", "k", "--node", "7001"], "'7001' is not host:port"),
        (["serve", "--data", "d", "--durability", "maybe"], "--durability"),
        (["get", "key"], "name either a data directory or a running node"),
        (["get", "key", "--data", "d", "--node", "n:1"], "name either a data directory or a running node"),
        (["get", "0xz", "--node", "n:1"], "'0xz' is not hexadecimal"),
        (["put", "key", "--node", "n:1"], "give either VALUE or --file"),
        (["scan", "--limit", "-1", "--node", "n:1"], "--limit"),
        (["ranges", "create", "--node", "n:1"], "give either --count or --splits"),
        (["ranges", "create", "--count", "0", "--node", "n:1"], "--count"),
        (["ranges", "delete", "--node", "n:1"], "--between"),
        (["demo", "--nodes", "2"], "--nodes"),
    ],
)
def test_bad_arguments_get_one_line_and_status_2(cli, arguments, complaint):
    done = cli(*arguments)
    assert done.status == 2
    assert not done.out
    assert complaint in done.complaint
    assert "--help)" in done.complaint
    as_json = cli(*arguments, "--json")
    assert as_json.status == 2
    assert as_json.result["ok"] is False
    assert complaint in as_json.result["error"]


def test_help_loads_nothing_of_the_engine():
    """It is quick because it does not: neither rich nor asyncio nor the extension."""
    heavy = {"asyncio", "cffi", "lmdb", "msgpack", "multiraft.native", "multiraft.raft", "rich", "uvloop"}
    script = f"import sys, multiraft.shards.cli.app; print({heavy!r} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_ctrl_c_while_modules_load_is_quiet():
    script = """
import sys
from multiraft.__main__ import main

class Interrupting:
    def find_spec(self, name, *_):
        if name == "multiraft.shards.cli.serve":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")

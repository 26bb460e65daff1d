"""The package as a whole: its manual runs, and it loads nothing but the standard library."""

import doctest
import subprocess
import sys

import multiraft.raft

LOADED = """
import sys
before = set(sys.modules)
import multiraft.raft
foreign = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(sorted(name for name in foreign if not name.startswith("__editable__")))
"""


def test_the_example_in_the_manual_runs():
    result = doctest.testmod(multiraft.raft)
    assert result.attempted
    assert not result.failed


def test_import_loads_the_standard_library_only():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['multiraft']"


def test_every_public_name_exists():
    assert len(set(multiraft.raft.__all__)) == len(multiraft.raft.__all__)
    for name in multiraft.raft.__all__:
        assert hasattr(multiraft.raft, name)

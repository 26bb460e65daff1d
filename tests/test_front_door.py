"""``import multiraft``: names load on first use, and each of them is where the front door says."""

import inspect
import subprocess
import sys

import pytest

import multiraft
from multiraft.engine import errors


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_every_public_name_loads():
    for name in multiraft.__all__:
        assert getattr(multiraft, name) is not None


def test_every_error_is_at_the_front_door():
    tree = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    offered = {name for name in multiraft.__all__ if hasattr(errors, name)}
    assert offered - {"__version__"} == tree


def test_dir_lists_names_that_were_not_used_yet():
    done = run("import multiraft; assert set(multiraft.__all__) <= set(dir(multiraft))")
    assert done.returncode == 0, done.stderr


def test_unknown_name_is_an_attribute_error_and_loads_nothing():
    with pytest.raises(AttributeError, match="no attribute 'Enigne'"):
        _ = multiraft.Enigne
    done = run("import multiraft, sys; hasattr(multiraft, 'x'); assert 'multiraft.engine' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_a_part_is_not_mistaken_for_a_lazy_name():
    done = run("from multiraft import raft; import sys; assert 'multiraft.engine' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_errors_load_neither_lmdb_nor_asyncio():
    """Who catches an error should not pay for the engine."""
    done = run("import multiraft, sys; multiraft.Error; assert not {'lmdb', 'asyncio'} & set(sys.modules)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["typer", "rich", "psutil"])
def test_command_line_without_its_extra_names_it_and_exits_2(missing: str):
    start = "import runpy; runpy.run_module('multiraft', run_name='__main__')"
    done = run(f"import sys; sys.modules[{missing!r}] = None; {start}")
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "multiraft[cli]" in line

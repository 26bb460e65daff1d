"""The core keeps nothing between replicas, and does the same on equal calls, whatever the hash seed."""

import os
import subprocess
import sys

import pytest

from tests.typing_tree import ROOT

RUN = """
import hashlib, pkgutil, importlib, sys
import multiraft.raft
from tests.raft.chaos import Chaos, settings_for

names = [m.name for m in pkgutil.iter_modules(multiraft.raft.__path__, "multiraft.raft.")]
modules = [importlib.import_module(name) for name in names]
assert len(modules) > 25, modules

def values():
    # Of classes, too: a default that is a list would be shared by all instances.
    classes = [c for m in modules for c in vars(m).values() if isinstance(c, type)]
    owners = [*modules, *(c for c in classes if c.__module__ in names)]
    kinds = (dict, list, set, bytearray)
    return {
        f"{owner.__name__}.{name}": repr(value)
        for owner in owners
        for name, value in vars(owner).items()
        if isinstance(value, kinds) and not name.startswith("__")
    }

before = values()
assert before, "there are tables"
told = hashlib.sha256()
for seed in (4, 5):
    chaos = Chaos(seed, members=3, strangers=2, **settings_for(seed))
    for _ in range(1500):
        chaos.step()
    told.update(repr(chaos.network).encode())
    for host in chaos.hosts.values():
        told.update(repr((host.raw.status(), host.raw.export_state(), host.writing)).encode())
changed = [name for name, value in values().items() if before.get(name) != value]
print(changed, told.hexdigest())
"""


def run(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.unwatched
def test_runs_are_equal_and_leave_no_trace_in_the_modules():
    first = run("0")
    assert first.startswith("[] "), f"changed by a run: {first}"
    assert run("1") == run("4242") == first

"""What a crash leaves of a log store is what was acknowledged; and the check would see it if it were not."""

import random
import sys
from pathlib import Path

import pytest

from multiraft.engine.logstore import store

from .disk import Disk, read_image
from .log_crash import Check, make_life
from .recording import build_recorder, without_fdatasync

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the recorder is a seccomp filter")
REPLAY = "python -m tests.durability crash --of log --seed {} --states {}"


def test_a_crash_at_any_moment_loses_nothing_and_leaves_nothing_half_done(tmp_path: Path):
    report = Check(seed := 11).run(tmp_path, 200)
    assert report.ok, f"{report.as_dict()}\n{REPLAY.format(seed, report.states)}"
    assert report.states == 200
    assert report.salvaged > 20


def test_a_build_that_does_not_flush_is_found_out(tmp_path: Path):
    report = Check(12, without_fdatasync).run(tmp_path, 50)
    assert report.lost + report.corrupt > 10


def test_without_salvage_one_flush_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "salvage", lambda environment: None)
    report = Check(13).run(tmp_path, 80)
    assert report.lost > 3
    assert not report.corrupt


def test_the_record_is_complete(tmp_path: Path):
    """Carried out again it makes the very files that are there."""
    path = tmp_path / "life"
    lived = make_life(build_recorder(tmp_path), path, 14, {}, 0)
    disk = Disk({})
    for operation in lived.operations:
        disk.apply(operation)
    there = read_image(path)
    assert disk.files() == there
    assert disk.crashed(random.Random(1)).keys() == there.keys()

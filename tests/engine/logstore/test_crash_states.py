"""What a crash of the machine leaves is what was acknowledged; and the check would see it if it were not."""

import random
from pathlib import Path

import pytest

from multiraft.engine.logstore import store

from .crash_states import Report, make_life, run
from .recording import Disk, build_recorder, without_syncs

REPLAY = "python -m tests.engine.logstore.crash_states --seed {} --states {} --per-seed {}"


def show(report: Report, seed: int) -> str:
    return f"{report.as_json()}\n{REPLAY.format(seed, report.states, report.states)}"


def test_a_crash_at_any_moment_loses_nothing_and_leaves_nothing_half_done(tmp_path: Path):
    report = run(tmp_path, seed := 11, 500)
    assert report.ok, show(report, seed)
    assert report.states == 500
    assert report.salvaged > 50


def test_a_build_that_does_not_flush_is_found_out(tmp_path: Path):
    report = run(tmp_path, 12, 100, without_syncs)
    assert report.lost + report.corrupt > 20


def test_without_salvage_one_flush_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "salvage", lambda environment: None)
    report = run(tmp_path, 13, 100)
    assert report.lost > 5
    assert not report.corrupt


def test_the_record_is_complete(tmp_path: Path):
    """Carried out again it makes the very files that are there."""
    path = tmp_path / "life"
    life = make_life(build_recorder(tmp_path), path, 14, {}, 0)
    disk = Disk({})
    for operation in life.operations:
        disk.apply(operation)
    there = {file.name: file.read_bytes() for file in path.iterdir() if file.name != "lock.mdb"}
    assert disk.files() == there
    assert disk.crashed(random.Random(1)).keys() == there.keys()

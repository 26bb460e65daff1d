"""Zeros ahead of the log's end: there for small batches, harmless in every way."""

import errno
import os
from pathlib import Path

import pytest

from multiraft.engine.errors import StorageFailed
from multiraft.engine.logstore import runway as module
from multiraft.engine.logstore.chunks import chunk_key
from multiraft.engine.logstore.environment import LmdbEnvironment
from multiraft.engine.logstore.runway import MARGIN, SMALL, STEP_MIN, Runway

VALUE = bytes(range(256)) * 8


def file_size(path: Path) -> int:
    return (path / "data.mdb").stat().st_size


def test_small_batches_find_their_space_written(tmp_path: Path):
    environment = LmdbEnvironment(tmp_path, "sync")
    sizes = set()
    for number in range(100):
        environment.write([], [(chunk_key(number + 1, 0), VALUE)])
        sizes.add(file_size(tmp_path))
    environment.close()
    assert 1 < len(sizes) < 20
    assert max(sizes) < 100 * 8192 + 2 * (MARGIN + STEP_MIN)
    again = LmdbEnvironment(tmp_path, "sync")
    assert [bytes(value) for _, value in again.scan()] == [VALUE] * 100
    again.close()


def test_large_batches_and_what_is_not_flushed_need_none(tmp_path: Path):
    for name, durability, value in (("large", "sync", bytes(SMALL + 1)), ("unflushed", "none", VALUE)):
        environment = LmdbEnvironment(tmp_path / name, durability)
        environment.write([], [(chunk_key(1, 0), value)])
        environment.close()
        assert file_size(tmp_path / name) < MARGIN + STEP_MIN


def test_nothing_is_written_but_behind_the_end(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    runway = Runway(path)
    with path.open("ab") as other:
        other.write(b"y" * 1000)
    runway.prepare(0, 10)
    runway.close()
    assert path.read_bytes().rstrip(b"\0") == b"x" * 10 + b"y" * 1000


def test_what_is_long_enough_stays_as_it_is(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(bytes(MARGIN + 100))
    runway = Runway(path)
    runway.prepare(50, 50)
    runway.close()
    assert path.stat().st_size == MARGIN + 100


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_stops_no_batch_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    environment = LmdbEnvironment(tmp_path, "sync")
    monkeypatch.setattr(module.os, "write", failing(number))
    environment.write([], [(chunk_key(1, 0), VALUE)])
    monkeypatch.undo()
    assert [bytes(value) for _, value in environment.scan()] == [VALUE]
    environment.close()


def test_a_disk_that_fails_is_named_before_anything_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    environment = LmdbEnvironment(tmp_path, "sync")
    monkeypatch.setattr(module.os, "write", failing(errno.EIO))
    with pytest.raises(StorageFailed):
        environment.write([], [(chunk_key(1, 0), VALUE)])
    monkeypatch.undo()
    assert environment.count == 0
    environment.close()


def failing(number: int):
    def write(_file: int, _data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    return write

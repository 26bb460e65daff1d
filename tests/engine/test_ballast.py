"""Space set aside for a full disk: made when there is enough, given back, and made again."""

import errno
import os
from pathlib import Path

import pytest

from multiraft.engine.datadir import DataDir

KIB = 1024

needs_fallocate = pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no posix_fallocate here")


def open_dir(path: Path) -> DataDir:
    return DataDir.open(path, 1, "demo", b"\x01" * 32, ballast_bytes=64 * KIB)


def failing(code: int):
    def fail(*_arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@needs_fallocate
def test_the_ballast_is_given_back_and_set_aside_again(tmp_path: Path):
    """Releasing twice says so, and so does restoring."""
    with open_dir(tmp_path) as data:
        assert data.release_ballast()
        assert not data.release_ballast()
        assert not (tmp_path / "ballast").exists()
        assert data.restore_ballast()
        assert data.restore_ballast()
        assert (tmp_path / "ballast").stat().st_size == 64 * KIB
        assert not (tmp_path / "ballast.new").exists()


def sized(blocks: int, free: int) -> os.statvfs_result:
    """A file system of so many blocks of 4 KiB."""
    return os.statvfs_result((4096, 4096, blocks, free, free, 0, 0, 0, 0, 255))


@needs_fallocate
def test_the_ballast_of_a_small_file_system_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "statvfs", lambda _path: sized(blocks=160, free=160))
    with open_dir(tmp_path) as data:
        assert (data.path / "ballast").stat().st_size == 10 * 4 * KIB


@needs_fallocate
def test_the_ballast_waits_for_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A disk that is full does not fail the start, and one with little space is not filled up by this."""
    free = {"blocks": 31}
    monkeypatch.setattr(os, "statvfs", lambda _path: sized(blocks=1 << 20, free=free["blocks"]))
    with open_dir(tmp_path) as data:
        assert not (data.path / "ballast").exists()
        assert not data.restore_ballast()
        free["blocks"] = 32
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
            assert not data.restore_ballast()
        assert [path.name for path in data.path.iterdir() if "ballast" in path.name] == []
        assert data.restore_ballast()
        assert (data.path / "ballast").exists()


@needs_fallocate
def test_where_files_cannot_be_allocated_there_is_no_ballast_to_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "posix_fallocate", failing(errno.EOPNOTSUPP))
    with open_dir(tmp_path) as data:
        assert data.restore_ballast()
        assert not (data.path / "ballast").exists()

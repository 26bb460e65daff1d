"""The real environment: what it refuses, and by which name."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from multiraft.engine.errors import AlreadyOpen, Corruption, DiskFull, PermissionDenied, StorageFailed
from multiraft.engine.logstore import environment as module
from multiraft.engine.logstore.chunks import chunk_key
from multiraft.engine.logstore.environment import LmdbEnvironment
from multiraft.engine.logstore.memory import MemoryEnvironment


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[LmdbEnvironment]:
    environment = LmdbEnvironment(tmp_path / "log", "none")
    yield environment
    environment.close()


@pytest.fixture(params=["lmdb", "memory"])
def either(request: pytest.FixtureRequest) -> LmdbEnvironment | MemoryEnvironment:
    return request.getfixturevalue("opened") if request.param == "lmdb" else MemoryEnvironment()


Either = LmdbEnvironment | MemoryEnvironment


def contents(environment: Either) -> list[tuple[bytes, bytes]]:
    return [(bytes(key), bytes(value)) for key, value in environment.scan()]


def test_adds_and_drops_in_one_transaction(either: Either):
    either.write([], [(b"1", b"one"), (b"2", b"two")])
    either.write([b"1"], [(b"3", bytes(65_520))])
    assert contents(either) == [(b"2", b"two"), (b"3", bytes(65_520))]
    with either.reading() as get:
        assert bytes(get(b"2") or b"") == b"two"
        assert get(b"1") is None


@pytest.mark.parametrize(
    "added",
    [[(b"3", b""), (b"2", b"")], [(b"1", b"other")]],
)
def test_a_key_that_does_not_fit_fails_the_whole_transaction(
    either: Either, added: list[tuple[bytes, bytes]]
):
    """An append below the last key is silent in LMDB: only its result tells."""
    either.write([], [(b"1", b"one")])
    with pytest.raises(Corruption):
        either.write([], added)
    assert contents(either) == [(b"1", b"one")]


def test_a_key_that_is_lost_need_not_be_deleted(either: Either):
    """Damage of what nobody needs any more stops nothing."""
    either.write([], [(b"1", b"one")])
    either.write([b"0", b"1"], [(b"4", b"")])
    assert contents(either) == [(b"4", b"")]


def test_a_batch_that_is_set_aside_stands_in_a_file_of_its_own(tmp_path: Path):
    environment = LmdbEnvironment(tmp_path, "none")
    environment.set_aside(7, [b"one", bytes(5000)])
    kept = (tmp_path / "damaged-7").read_bytes()
    assert (len(kept), kept[16:19], kept.count(0)) == (12288, b"one", 12285)
    environment.write([], [(b"1", b"one")])
    environment.close()


def test_sync_means_one_flush_and_none_means_none(tmp_path: Path):
    flags = {}
    for durability in ("sync", "none"):
        environment = LmdbEnvironment(tmp_path / durability, durability)
        flags[durability] = environment._env.flags()
        environment.close()
    assert flags["sync"]["sync"]
    assert not flags["sync"]["metasync"]
    assert not flags["sync"]["writemap"]
    assert not flags["none"]["sync"]
    with pytest.raises(ValueError, match="durability"):
        LmdbEnvironment(tmp_path / "third", "perhaps")


def test_opening_twice_is_refused(opened: LmdbEnvironment, tmp_path: Path):
    with pytest.raises(AlreadyOpen):
        LmdbEnvironment(tmp_path / "log", "none")


def test_a_full_map_is_a_full_disk_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAP_SIZE", 1 << 18)
    environment = LmdbEnvironment(tmp_path, "none")
    environment.write([], [(b"1", b"one")])
    with pytest.raises(DiskFull):
        environment.write([b"1"], [(b"2", bytes(1 << 19))])
    assert contents(environment) == [(b"1", b"one")]
    environment.write([b"1"], [(b"2", b"two")])
    environment.close()


def test_a_write_cut_short_by_a_full_disk_is_told_from_a_failing_one(
    opened: LmdbEnvironment, monkeypatch: pytest.MonkeyPatch
):
    def cut_short(*_arguments: object) -> None:
        raise StorageFailed("Input/output error")

    monkeypatch.setattr(opened, "_write", cut_short)
    free = {"bytes": module.PAGES_BYTES + 3}
    monkeypatch.setattr(module, "_free_bytes", lambda path: free["bytes"])
    with pytest.raises(DiskFull):
        opened.write([], [(b"1", b"four")])
    free["bytes"] = module.PAGES_BYTES + 4
    with pytest.raises(StorageFailed):
        opened.write([], [(b"1", b"four")])


def test_errors_of_the_disk_have_names():
    cases: list[tuple[Exception, type[Exception]]] = [
        (lmdb.DiskError("mdb_txn_commit: No space left on device"), DiskFull),
        (lmdb.Error("mdb_txn_commit: Input/output error"), StorageFailed),
        (lmdb.PanicError("mdb_txn_begin"), StorageFailed),
        (lmdb.CorruptedError("mdb_get"), Corruption),
        (lmdb.PageNotFoundError("mdb_get"), Corruption),
    ]
    for cause, expected in cases:
        with pytest.raises(expected) as raised, module.typed_errors():
            raise cause
        assert raised.value.__cause__ is cause


def test_a_directory_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_arguments: object, **_options: object) -> None:
        raise lmdb.Error(f"{tmp_path}: {os.strerror(errno.EACCES)}")

    monkeypatch.setattr(lmdb, "open", refuse)
    with pytest.raises(PermissionDenied):
        LmdbEnvironment(tmp_path, "none")


def test_a_file_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "log").write_bytes(b"")
    with pytest.raises(StorageFailed):
        LmdbEnvironment(tmp_path / "log", "none")


def test_something_else_in_the_file_is_corruption(tmp_path: Path):
    (tmp_path / "data.mdb").write_bytes(b"nothing of LMDB" * 1000)
    with pytest.raises(Corruption):
        LmdbEnvironment(tmp_path, "none")


@pytest.mark.parametrize("sizes", [[2048], [2048] * 400, [1, 4079, 4080, 4081, 65_520], [65_520] * 40])
def test_a_footprint_is_what_the_file_has_for_a_value(tmp_path: Path, sizes: list[int]):
    """Collection weighs it against what is alive: small batches take much more than their bytes."""
    environment = LmdbEnvironment(tmp_path, "none")
    wanted = [bytes(max(size, environment.value_min)) for size in sizes]
    environment.write([], [(chunk_key(1, number), value) for number, value in enumerate(wanted)])
    with lmdb.open(str(tmp_path / "copy"), map_size=1 << 30) as copy, copy.begin(write=True) as transaction:
        for number, value in enumerate(wanted):
            transaction.put(chunk_key(1, number), value, append=True)
        tree = transaction.stat()
    pages = tree["overflow_pages"] + tree["leaf_pages"] + tree["branch_pages"]
    counted = sum(map(environment.footprint, sizes))
    assert pages - 3 <= counted / tree["psize"] <= pages
    environment.close()

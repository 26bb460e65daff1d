"""The data directory: identity, durability of each start, lock, and an error with a name for everything."""

import errno
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from multiraft.engine import nodefile
from multiraft.engine.datadir import DataDir
from multiraft.engine.errors import (
    AlreadyOpen,
    Closed,
    ClusterMismatch,
    Corruption,
    DiskFull,
    Error,
    Forked,
    InvalidArgument,
    PermissionDenied,
    StorageFailed,
)

DIGEST = b"\x01" * 32
UUID = bytes(range(16))
KIB = 1024


def open_dir(
    path: Path, node_id: int = 1, name: str = "demo", digest: bytes = DIGEST, ballast: int = 64 * KIB
) -> DataDir:
    return DataDir.open(path, node_id, name, digest, ballast_bytes=ballast)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data directory that has been opened once and closed."""
    path = tmp_path / "node"
    open_dir(path).close()
    return path


def test_a_new_directory_has_an_identity_and_its_places(tmp_path: Path):
    """All of it is made at the first opening, private to the user."""
    with open_dir(tmp_path / "a" / "b") as data:
        assert data.created
        assert (data.node_id, data.cluster_name, data.bootstrap_digest) == (1, "demo", DIGEST)
        assert data.incarnation == 1
        assert data.cluster_uuid is None
        assert len(data.store_uuid) == 16
        assert data.log_path.is_dir()
        assert data.state_path.is_dir()
        assert not hasattr(os, "posix_fallocate") or (data.path / "ballast").stat().st_size == 64 * KIB
        assert data.path.stat().st_mode & 0o777 == 0o700
        assert (data.path / "node").stat().st_mode & 0o777 == 0o600


def test_every_start_is_counted_and_the_store_stays_the_same(home: Path):
    """The incarnation rises by one per start; the store uuid never changes."""
    seen = []
    for _ in range(3):
        with open_dir(home) as data:
            assert not data.created
            seen.append((data.incarnation, data.store_uuid))
    assert [incarnation for incarnation, _ in seen] == [2, 3, 4]
    assert len({store for _, store in seen}) == 1


def test_two_directories_have_different_stores(tmp_path: Path):
    """A wiped node can be told from the one that was there before."""
    with open_dir(tmp_path / "a") as a, open_dir(tmp_path / "b") as b:
        assert a.store_uuid != b.store_uuid


def test_the_incarnation_is_durable_before_open_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Content, then name: the file is synced, renamed, and its directory synced, in this order."""
    events: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        events.append("sync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        real_fsync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        events.append("rename " + self.name)
        return real_replace(self, target)

    path = tmp_path / "node"
    open_dir(path).close()
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    open_dir(path).close()
    assert events == ["sync file", "rename node.new", "sync directory"]


class Crash(Exception):
    """Stands for the end of the process."""


@contextmanager
def crash_at_call(number: int) -> Iterator[None]:
    """The process ends before its ``number``-th change of the file system that matters for the identity."""
    with pytest.MonkeyPatch.context() as patch:
        left = [number]

        def wrap(owner: object, name: str) -> None:
            real = getattr(owner, name)

            def counted(*arguments: object, **options: object) -> object:
                if left[0] == 0:
                    raise Crash
                left[0] -= 1
                return real(*arguments, **options)

            patch.setattr(owner, name, counted)

        wrap(os, "fsync")
        wrap(Path, "replace")
        wrap(Path, "mkdir")
        yield


@pytest.mark.parametrize("number", range(10))
def test_a_crash_during_the_first_opening_is_harmless(tmp_path: Path, number: int):
    """Whatever the first opening had done when the process ended, the next one succeeds."""
    path = tmp_path / "node"
    try:
        with crash_at_call(number):
            open_dir(path).close()
    except Crash:
        pass
    else:
        assert number >= 8
    with open_dir(path) as data:
        assert data.incarnation in {1, 2}
        assert data.log_path.is_dir()
        assert data.state_path.is_dir()


@pytest.mark.parametrize("number", range(3))
def test_a_crash_between_temporary_name_and_rename_keeps_the_old_identity(home: Path, number: int):
    """The incarnation is the old or the new one, never lost, and rises again at the next start."""
    before = nodefile.read(home)
    assert before is not None
    with crash_at_call(number), pytest.raises(Crash):
        open_dir(home)
    after = nodefile.read(home)
    assert after is not None
    assert after.incarnation in {before.incarnation, before.incarnation + 1}
    with open_dir(home) as data:
        assert data.incarnation == after.incarnation + 1
        assert data.store_uuid == before.store_uuid


def test_the_cluster_uuid_is_noted_once_and_survives(home: Path):
    """It is durable, repeating it is harmless, another one is refused."""
    with open_dir(home) as data:
        data.set_cluster_uuid(UUID)
        data.set_cluster_uuid(UUID)
        assert data.cluster_uuid == UUID
    with open_dir(home) as data:
        assert data.cluster_uuid == UUID
        with pytest.raises(ClusterMismatch, match="belongs to cluster"):
            data.set_cluster_uuid(bytes(16))
        assert data.cluster_uuid == UUID


def test_a_failed_note_of_the_cluster_uuid_is_not_taken_for_made(home: Path, monkeypatch: pytest.MonkeyPatch):
    """After a refused sync the uuid is still unknown."""
    with open_dir(home) as data:
        monkeypatch.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(StorageFailed):
            data.set_cluster_uuid(UUID)
        assert data.cluster_uuid is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"node_id": 2}, "belongs to node 1, not to node 2"),
        ({"name": "other"}, "belongs to cluster 'demo', not to 'other'"),
        ({"digest": b"\x02" * 32}, "started with other nodes"),
    ],
)
def test_a_directory_of_another_node_or_cluster_is_refused(home: Path, change: dict, words: str):
    """The error says whose it is, and the refused start is not counted."""
    with pytest.raises(ClusterMismatch, match=words):
        open_dir(home, **change)
    with open_dir(home) as data:
        assert data.incarnation == 2


def test_other_nodes_are_no_mismatch_once_the_cluster_has_its_uuid(home: Path):
    """Members come and go; the digest is that of the beginning."""
    with open_dir(home) as data:
        data.set_cluster_uuid(UUID)
    with open_dir(home, digest=b"\x02" * 32) as data:
        assert data.bootstrap_digest == DIGEST


def test_data_without_an_identity_is_never_adopted(home: Path):
    """A lost node file is damage, not a reason to begin anew."""
    (home / "log" / "data.mdb").write_bytes(b"x")
    (home / "node").unlink()
    with pytest.raises(Corruption, match="has data"):
        open_dir(home)
    assert not (home / "node").exists()


def test_an_identity_without_its_log_is_a_loss(home: Path):
    """A node whose log directory was deleted must not vote again as if nothing had been promised."""
    (home / "log").rmdir()
    with pytest.raises(Corruption, match="has lost its log"):
        open_dir(home)


def test_opening_twice_in_one_process_is_refused(home: Path):
    """The second opening names this process; after close it works, and starts refused are not counted."""
    with open_dir(home) as data:
        with pytest.raises(AlreadyOpen, match="this process"):
            open_dir(home)
        assert data.incarnation == 2
    with open_dir(home) as data:
        assert data.incarnation == 3


OTHER_PROCESS = textwrap.dedent(
    """
    import sys
    from multiraft.engine.datadir import DataDir
    from multiraft.engine.errors import Error
    try:
        data = DataDir.open(sys.argv[1], 1, "demo", bytes.fromhex(sys.argv[2]), ballast_bytes=4096)
        print("open", flush=True)
        sys.stdin.read()
    except Error as error:
        print(type(error).__name__, error)
    """
)


def other_process(path: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(path), DIGEST.hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_another_process_is_refused_and_told_who_holds_the_lock(home: Path):
    """The error carries the holder's process id."""
    with open_dir(home), other_process(home) as process:
        answer, _ = process.communicate(timeout=30)
    assert answer.startswith("AlreadyOpen")
    assert f"process {os.getpid()} " in answer


def test_the_lock_of_a_killed_process_is_free(home: Path):
    """SIGKILL leaves no lock behind, and the start of the killed process counts."""
    with other_process(home) as process:
        assert process.stdout.readline() == "open\n"
        with pytest.raises(AlreadyOpen, match=f"process {process.pid} "):
            open_dir(home)
        process.kill()
        process.wait(timeout=30)
    with open_dir(home) as data:
        assert data.incarnation == 3


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # other threads are the test runner's
def test_use_after_fork_is_refused_and_the_parent_keeps_its_lock(home: Path):
    """The child gets a typed error, and closing there does not unlock the parent's directory."""
    with open_dir(home) as data:
        child = os.fork()
        if child == 0:  # no assertion and no traceback may leave the child
            status = 1
            try:
                data.check_fork()
            except Forked:
                try:
                    data.set_cluster_uuid(UUID)
                except Forked:
                    data.close()
                    status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        data.check_fork()
        with pytest.raises(AlreadyOpen):
            open_dir(home)


def test_a_closed_directory_refuses_changes(home: Path):
    """Closing is idempotent; changing a directory that others may have opened is not possible."""
    data = open_dir(home)
    data.close()
    data.close()
    with pytest.raises(Closed):
        data.set_cluster_uuid(UUID)


def failing(code: int):
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EIO, StorageFailed),
        (errno.EROFS, PermissionDenied),
    ],
)
def test_a_refused_sync_has_a_name_and_leaves_the_directory_closed(
    home: Path, code: int, kind: type[Error], monkeypatch: pytest.MonkeyPatch
):
    """What the disk says becomes a typed error with the path; the lock is released."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(code))
        with pytest.raises(kind, match=home.name):
            open_dir(home)
    open_dir(home).close()


def test_a_directory_without_permission_is_refused_with_its_path(tmp_path: Path):
    """Tried as another user when the tests run as root."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            with pytest.raises(PermissionDenied, match=r".*/"):
                open_dir(locked / "node")
        finally:
            os.seteuid(0)
    else:
        locked.chmod(0)
        with pytest.raises(PermissionDenied, match="locked"):
            open_dir(locked / "node")
        locked.chmod(0o700)


def test_a_file_in_place_of_the_directory_is_an_invalid_argument(tmp_path: Path):
    """Also somewhere above it."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "node"):
        with pytest.raises(InvalidArgument, match="file"):
            open_dir(path)


@pytest.mark.parametrize("node_id", [0, -1, 2**32])
def test_node_ids_have_bounds(tmp_path: Path, node_id: int):
    """Nothing is created for an id that is none."""
    with pytest.raises(InvalidArgument, match="node id"):
        open_dir(tmp_path / "node", node_id=node_id)
    assert not (tmp_path / "node").exists()

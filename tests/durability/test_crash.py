"""What a crash of the machine leaves of a cluster is what it promised; and the check would see it if not."""

import errno
import random
import sys
from pathlib import Path

import pytest

from .crash import Check, make_recording
from .disk import Disk, put_image, read_image
from .facts import TOLD, Facts
from .life import BEHIND, LEVEL
from .recording import build_recorder, parse, run_recorded, without_fdatasync

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the recorder is a seccomp filter")
REPLAY = "python -m tests.durability crash --seed {} --states {}"


@pytest.mark.parametrize("seed", [21, 20], ids=["on disk", "in memory"])
def test_a_crash_at_any_moment_loses_nothing(tmp_path: Path, seed: int):
    report = Check(seed).run(tmp_path, 80, lives=2)
    assert report.ok, f"{report.as_dict()}\n{REPLAY.format(seed, report.states)}"
    assert (report.states, report.verified) == (80, 4)
    assert report.salvaged > 30
    assert report.seen >= {"install", "truncation", "collection"}


def test_a_crash_at_every_write_of_a_snapshot_install_loses_nothing(tmp_path: Path):
    """At every operation between the moment a node can be reached again and the one when it is level."""
    recording = make_recording(build_recorder(tmp_path), tmp_path / "life", 26, {}, Facts())
    told = {one.data: at for at, one in enumerate(recording.operations) if one.name == TOLD}
    begin, installed, end = (told[b'["seen", "%s"]\n' % what.encode()] for what in (BEHIND, "install", LEVEL))
    assert begin < installed < end
    check = Check(26)
    check.check(recording, range(begin, end + 1), "the install")
    assert check.report.ok, check.report.as_dict()
    assert check.report.states == end - begin + 1


def test_a_state_store_is_there_once_it_was_opened(tmp_path: Path):
    """LMDB flushes what is in its file, and not the name of the file."""
    folder = tmp_path / "state"
    folder.mkdir()
    program = (
        "import os, sys; from multiraft.engine.statemachine.lmdb_store import LmdbStateStore\n"
        "LmdbStateStore.open(sys.argv[1]); os._exit(0)"
    )
    done, record = run_recorded(build_recorder(tmp_path), folder, ["-c", program, str(folder)])
    assert done.returncode == 0, done.stderr
    disk = Disk({})
    for operation in parse(record.read_bytes()):
        disk.apply(operation)
    for seed in range(20):
        put_image(disk.crashed(random.Random(seed)), tmp_path / f"crashed-{seed}")
        assert read_image(tmp_path / f"crashed-{seed}") == read_image(folder)


def test_a_build_without_fdatasync_is_found_out(tmp_path: Path):
    report = Check(22, without_fdatasync).run(tmp_path, 24, lives=1)
    assert report.lost + report.corrupt > 6


def test_a_build_that_acknowledges_before_its_commit_is_found_out(tmp_path: Path):
    """By crashes right after acknowledgements."""
    recording = make_recording(build_recorder(tmp_path), tmp_path / "life", 23, {}, Facts(), "--eager")
    told = [at for at, one in enumerate(recording.operations) if one.data.startswith(b'["acknowledged"')]
    check = Check(23)
    check.check(recording, [at + 1 for at in told[:100]], "after an acknowledgement")
    assert check.report.lost > 0, check.report.as_dict()


def test_the_record_of_a_cluster_is_complete(tmp_path: Path):
    """Carried out again it makes the very files that are there, and no file is left out."""
    recording = make_recording(build_recorder(tmp_path), tmp_path / "life", 24, {}, Facts())
    disk = Disk({})
    for operation in recording.operations:
        disk.apply(operation)
    there = read_image(tmp_path / "life")
    assert disk.files() == there
    assert disk.crashed(random.Random(1)).keys() <= there.keys()
    for node in (1, 2, 3):
        wanted = {"node", "LOCK", "ballast", "index", "log/data.mdb", "state/data.mdb"}
        assert {f"node-{node}/{name}" for name in wanted} <= there.keys()


WAYS = {
    "sendfile": "os.sendfile(g.fileno(), f.fileno(), 0, 3)",
    "copy_file_range": "os.copy_file_range(f.fileno(), g.fileno(), 3)",
    "splice": "r, w = os.pipe(); os.write(w, b'x'); os.splice(r, g.fileno(), 1)",
    "mapping": "import mmap; mmap.mmap(g.fileno(), 3)",
    "truncate": "os.truncate(d + '/g', 1)",
    "hard link": "os.link(d + '/f', d + '/h')",
    "symbolic link": "os.symlink(d + '/f', d + '/h')",
    "sync": "os.sync()",
    "removed directory": "os.mkdir(d + '/h'); os.rmdir(d + '/h')",
    "rename across directories": "os.mkdir(d + '/h'); os.rename(d + '/f', d + '/h/f')",
    "unknown call": "import ctypes; ctypes.CDLL(None).syscall(425, 1, 0)",  # io_uring_setup
    "other program": "os.execv('/bin/true', ['true'])",
}


def test_memory_that_shows_a_file_cannot_become_writable(tmp_path: Path):
    folder = tmp_path / "files"
    folder.mkdir()
    program = (
        "import ctypes, mmap, os, sys; f = open(sys.argv[1] + '/f', 'w+b', 0); f.write(bytes(4096))\n"
        "m = mmap.mmap(f.fileno(), 4096, mmap.MAP_SHARED, mmap.PROT_READ)\n"
        "c = ctypes.CDLL(None, use_errno=True); c.mmap.restype = ctypes.c_void_p; z = ctypes.c_size_t\n"
        "p = c.mmap(None, z(4096), 1, 1, f.fileno(), ctypes.c_long(0))\n"
        "sys.exit(c.mprotect(ctypes.c_void_p(p), z(4096), 3) == 0 or ctypes.get_errno())"
    )
    done, _ = run_recorded(build_recorder(tmp_path), folder, ["-c", program, str(folder)])
    assert done.returncode == errno.EACCES, done


@pytest.mark.parametrize("way", WAYS)
def test_what_the_recorder_does_not_know_ends_the_process(tmp_path: Path, way: str):
    """Whoever makes the call: the kernel asks the recorder, not the library that the call comes from."""
    library = build_recorder(tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    prepare = "import os, sys; d = sys.argv[1]; f = open(d + '/f', 'w+b', 0); g = open(d + '/g', 'w+b', 0)"
    command = ["-c", f"{prepare}; f.write(b'abc'); g.write(b'abc')\n{WAYS[way]}", str(folder)]
    done, _ = run_recorded(library, folder, command)
    assert (done.returncode, done.stderr.startswith("record: ")) == (99, True), done


def test_the_recorder_sees_writes_that_pass_by_the_c_library(tmp_path: Path):
    """A system call made directly, and one from within the C library."""
    library = build_recorder(tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    program = (
        "import ctypes, os, sys; c = ctypes.CDLL(None); c.fopen.restype = ctypes.c_void_p\n"
        "f = ctypes.c_void_p(c.fopen(os.fsencode(sys.argv[1] + '/f'), b'w'))\n"
        "c.fputs(b'by stdio', f); c.fclose(f)\n"
        "g = os.open(sys.argv[1] + '/g', os.O_WRONLY | os.O_CREAT)\n"
        "import platform; c.syscall({'x86_64': 1, 'aarch64': 64}[platform.machine()], g, b'directly', 8)"
    )
    done, record = run_recorded(library, folder, ["-c", program, str(folder)])
    assert done.returncode == 0, done
    content = record.read_bytes()
    assert b"fby stdio" in content
    assert b"gdirectly" in content

"""What lies between C and Python: statuses, stub, who sees cffi, the GIL, and shared scratch memory."""

import ast
import random
import re
import sys
import threading
from pathlib import Path

import pytest

from multiraft.native import errors
from multiraft.native._native import ffi, lib
from multiraft.native.entries import decode_run, encode_runs
from multiraft.native.messages import decode_messages, encode_messages
from multiraft.native.scratch import Output, Pool

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "native" / "csrc"


def stub() -> dict[str, int | None]:
    """Names in the stub's Lib: number of arguments of a function, None for a constant."""
    tree = ast.parse((ROOT / "native" / "_native.pyi").read_text())
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Lib")
    found: dict[str, int | None] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = len(node.args.posonlyargs + node.args.args) - 1
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = None
    return found


def test_the_stub_declares_what_the_library_has():
    typeof = ffi.typeof  # type: ignore[attr-defined] # the package has no use for it
    members = {name: getattr(lib, name) for name in dir(lib)}
    actual = {name: len(typeof(value).args) if callable(value) else None for name, value in members.items()}
    assert stub() == actual


def test_only_the_native_modules_import_the_extension():
    users = {
        path.relative_to(ROOT).parts[0]
        for part in ("raft", "native", "engine", "shards", "multiraft", "benchmarks")
        for path in (ROOT / part).rglob("*.py")
        if re.search(r"^\s*(from|import) .*\b_native\b", path.read_text(), re.MULTILINE)
    }
    assert users == {"native"}


# ---- statuses ----


def test_every_status_has_one_name_and_a_text():
    assert errors.NAMES[0] == "MR_OK"
    assert len(set(errors.NAMES.values())) == len(errors.NAMES) == lib.mr_status_count()
    assert all(name.startswith("MR_") for name in errors.NAMES.values())
    assert all(errors.TEXTS.values())


@pytest.mark.parametrize("status", [1, -lib.mr_status_count(), 2**31 - 1, -(2**31)])
def test_an_unknown_status_has_neither(status: int):
    assert ffi.string(lib.mr_status_name(status)) == b"?"
    assert ffi.string(lib.mr_status_text(status)) == b"?"


def test_every_failure_becomes_a_named_exception_with_its_reason():
    for status, name in errors.NAMES.items():
        if status == 0:
            continue
        for error in (errors.refusal(status, "x"), errors.damage(status, 5), errors.bad_frame(status, "x")):
            assert type(error) is not errors.NativeError
            assert error.reason == name
            assert errors.TEXTS[status] in str(error)


def test_our_own_faults_are_never_blamed_on_the_data():
    for name in ("MR_BUG", "MR_GROW"):
        status = next(code for code, found in errors.NAMES.items() if found == name)
        for error in (errors.refusal(status, "x"), errors.damage(status, 5), errors.bad_frame(status, "x")):
            assert isinstance(error, errors.NativeBug)


def test_each_thread_has_its_own_last_bug():
    window = ffi.new("struct mr_inflights *")
    lib.mr_inflights_init(window, 1, 0)
    window.count = 2
    assert errors.NAMES[lib.mr_inflights_free_le(window, 1)] == "MR_BUG"
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(ffi.string(lib.mr_last_bug())))
    thread.start()
    thread.join()
    assert found == [b""]
    assert b"window->count <= window->capacity" in ffi.string(lib.mr_last_bug())


# ---- the GIL ----


def test_short_calls_keep_the_gil():
    """A thread that is ready to run does not run while calls are made, as long as nobody is preempted."""
    ready, go, ran = threading.Lock(), threading.Lock(), []
    ready.acquire()
    go.acquire()

    def wait_and_run() -> None:
        ready.release()
        go.acquire()
        ran.append(True)

    thread = threading.Thread(target=wait_and_run)
    interval = sys.getswitchinterval()
    data = bytes(4096)
    crc32c = lib.mr_crc32c
    thread.start()
    ready.acquire()
    try:
        sys.setswitchinterval(1000)
        go.release()
        for _ in range(20_000):
            crc32c(0, data, 4096)
        assert not ran
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert ran


# ---- scratch memory ----


def test_a_pool_lends_each_item_once():
    pool = Pool(Output, keep=1000)
    first, second = pool.take(100), pool.take(100)
    assert first is not second
    pool.give(first)
    assert pool.take(128) is first
    assert first.room == 128


def test_a_pool_makes_larger_items_and_drops_those_over_its_limit():
    pool = Pool(Output, keep=1000)
    pool.give(pool.take(10))
    large = pool.take(1001)
    assert large.room == 1001
    pool.give(large)
    assert pool.take(10) is not large


def test_make_may_decode_another_run():
    inner = encode_runs([[(1, 1, 0, b"inner"), (1, 2, 0, b"second")]])[0]
    outer = encode_runs([[(2, index, 0, b"outer") for index in range(3)]])[0]
    entry = [1, 2, 3, 3, 1, 0, 0, 0, 0, len(outer), 0]
    payload = encode_messages(1, entry, [outer])[24:]

    def make(term: int, index: int, kind: int, data: bytes) -> tuple[object, ...]:
        return (term, index, data, decode_run(inner, lambda *found: found[3]))

    expected = [(2, index, b"outer", [b"inner", b"second"]) for index in range(3)]
    assert decode_run(outer, make) == expected
    assert decode_messages(payload, make)[1][0][10] == expected


def test_an_exception_in_make_leaves_everything_usable():
    run = encode_runs([[(1, 1, 0, b"x")]])[0]
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            decode_run(run, lambda *entry: 1 / 0)
    assert decode_run(run, lambda *entry: entry[3]) == [b"x"]


def test_threads_do_not_see_each_others_results():
    interval = sys.getswitchinterval()
    wrong: list[object] = []

    def work(seed: int) -> None:
        random_ = random.Random(seed)
        for _ in range(150):
            runs = [
                [
                    (seed, first + i, 0, random_.randbytes(random_.randrange(60)))
                    for i in range(random_.randrange(1, 9))
                ]
                for first in range(random_.randrange(1, 20))
            ]
            found = [decode_run(run, lambda *entry: entry) for run in encode_runs(runs)]
            if found != runs:
                wrong.append(seed)

    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []

"""The blocking store: one call to open it, the same operations, and the errors of misuse."""

import os
import subprocess
import sys
import threading

import pytest

import multiraft


def test_the_embedded_store_in_ten_lines(tmp_path):
    with multiraft.open(tmp_path / "data") as db:
        db.put(b"apple", b"green")
        db.put(b"banana", b"yellow")
        assert db.get(b"apple") == b"green"
        assert db.compare_and_swap(b"apple", b"green", b"red")
        with db.batch() as batch:
            batch.put(b"cherry", b"dark")
            batch.delete(b"banana")
        assert list(db.scan()) == [(b"apple", b"red"), (b"cherry", b"dark")]
    with multiraft.open(tmp_path / "data") as db:
        assert list(db.scan(reverse=True, limit=1)) == [(b"cherry", b"dark")]
        assert db.delete(b"cherry")
        assert db.get(b"cherry", b"gone") == b"gone"
        assert db.status()["ranges"] == 1


def change_mind(db):
    with db.batch() as batch:
        batch.put(b"a", b"1")
        raise ZeroDivisionError


def test_a_batch_is_discarded_on_an_exception(tmp_path):
    with multiraft.open(tmp_path) as db:
        with pytest.raises(ZeroDivisionError):
            change_mind(db)
        assert list(db.scan()) == []


def test_threads_may_share_a_store(tmp_path):
    with multiraft.open(tmp_path, ranges=4) as db:

        def write(first):
            for number in range(25):
                db.put(bytes([first * 60, number]), b"x")

        threads = [threading.Thread(target=write, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(db.scan())) == 100


def test_use_after_close_and_after_fork(tmp_path):
    with multiraft.open(tmp_path) as db:
        db.put(b"a", b"1")
        child = os.fork()
        if child == 0:
            try:
                db.get(b"a")
            except multiraft.Forked:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert db.get(b"a") == b"1"
    with pytest.raises(multiraft.Closed):
        db.get(b"a")
    db.close()


def test_a_batch_that_has_ended_takes_nothing_more(tmp_path):
    """Silence would lose the write."""
    with multiraft.open(tmp_path) as db:
        with db.batch() as batch:
            batch.put(b"a", b"1")
        with pytest.raises(multiraft.Closed):
            batch.put(b"b", b"2")
        with pytest.raises(ZeroDivisionError):
            change_mind(db)
        assert list(db.scan()) == [(b"a", b"1")]


def test_a_scan_that_outlives_its_store_is_closed(tmp_path):
    with multiraft.open(tmp_path) as db:
        with db.batch() as batch:
            for number in range(1500):
                batch.put(b"%04d" % number, b"x")
        pairs = db.scan()
        next(pairs)
    with pytest.raises(multiraft.Closed):
        list(pairs)


def test_a_scan_goes_not_on_in_a_forked_child(tmp_path):
    with multiraft.open(tmp_path) as db:
        with db.batch() as batch:
            for number in range(1500):
                batch.put(b"%04d" % number, b"x")
        pairs = db.scan()
        next(pairs)
        child = os.fork()
        if child == 0:
            try:
                list(pairs)
            except multiraft.Forked:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_store_that_was_never_closed_is_warned_about(tmp_path):
    db = multiraft.open(tmp_path)
    with pytest.warns(ResourceWarning, match="never closed"):
        db.__del__()
    db.close()


WRITER = """
import sys, multiraft
db = multiraft.open(sys.argv[1])
number = 0
while True:
    db.put(b"%08d" % number, b"x" * 100)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


def test_what_was_acknowledged_survives_sigkill(tmp_path):
    """Killed at any moment: every write that returned is there when the store opens again."""
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        acknowledged = [int(writer.stdout.readline()) for _ in range(20)][-1]
        writer.kill()
        acknowledged = max([acknowledged, *map(int, writer.stdout.read().split("\n")[:-1])])
        writer.stdout.close()
        writer.wait()
        with multiraft.open(tmp_path) as db:
            keys = [key for key, _ in db.scan()]
            assert keys[: acknowledged + 1] == [b"%08d" % number for number in range(acknowledged + 1)]

"""Errors of a real disk under a real node: on writes, on flushes and on LMDB's meta pages, in both stores."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import orders
from .orders import FLUSH, META, WRITE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is preloaded knows Linux only")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return orders.build(tmp_path_factory.mktemp("failing"))


def live(library: Path, path: Path, store: str, what: int, times: int, code: int = errno.EIO) -> dict:
    order = path / "order"
    orders.make(order)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAIL_FILE": str(order),
        "FAIL_PART": f"/{store}/",
    }
    command = [sys.executable, "-m", "tests.engine.disk_errors.life", str(path / "node"), store]
    done = subprocess.run(
        [*command, *map(str, (what, times, code))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("store", ["log", "state"])
@pytest.mark.parametrize("what", [FLUSH, WRITE, META], ids=["flush", "write", "meta page"])
def test_after_one_input_output_error_the_store_is_copied_and_the_node_goes_on(
    library: Path, tmp_path: Path, store: str, what: int
):
    assert live(library, tmp_path, store, what, times=1) == {
        "ended": None,
        "failed": 1,
        "whole": True,
        "renewed": True,
        "refused": False,
    }


@pytest.mark.parametrize("store", ["log", "state"])
def test_if_the_copy_fails_too_the_node_stops(library: Path, tmp_path: Path, store: str):
    found = live(library, tmp_path, store, FLUSH, times=1000)
    assert found["ended"] == "StorageFailed"


@pytest.mark.parametrize("store", ["log", "state"])
def test_a_full_disk_is_waited_for_and_nothing_is_copied(library: Path, tmp_path: Path, store: str):
    found = live(library, tmp_path, store, WRITE, times=3, code=errno.ENOSPC)
    refused = found.pop("refused")
    assert found == {"ended": None, "failed": 3, "whole": True, "renewed": False}
    assert refused or store == "log", "one write at a time may wait for the log and never be refused"

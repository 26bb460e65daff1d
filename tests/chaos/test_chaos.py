"""A short run on real processes; longer ones by hand (CONTRIBUTING.md, "Live chaos")."""

import json
import subprocess
import sys

import psutil
import pytest

from tests.typing_tree import ROOT

SECONDS = 15
SEED = 11


linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="signals the death of a parent and mounts as Linux does"
)


@linux_only
def test_a_short_run_loses_nothing(tmp_path):
    """Again: ``python -m tests.chaos --seconds 15 --seed 11 --clients 8``: the same faults, other moments."""
    command = [sys.executable, "-m", "tests.chaos", "--json", f"--directory={tmp_path}"]
    command += [f"--seconds={SECONDS}", f"--seed={SEED}", "--clients=8"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    result = json.loads(run.stdout)
    assert run.returncode == 0, run.stderr
    assert result["ok"], run.stderr
    assert result["lost"] == 0
    assert result["linearizable"]
    assert result["acknowledged"] >= 100
    assert result["faults"] >= SECONDS / 60 * 20
    assert len(result["faults_by_kind"]) == result["faults"]  # all different
    assert not list(tmp_path.iterdir())


@linux_only
def test_nothing_outlives_a_driver_that_is_killed(tmp_path):
    command = [sys.executable, "-m", "tests.chaos", "--seconds=60", "--seed=1", f"--directory={tmp_path}"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:  # the first fault comes when all nodes listen
            if line.endswith(" s\n") or " s  " in line:
                break
        nodes = psutil.Process(run.pid).children(recursive=True)
        run.kill()
    _, alive = psutil.wait_procs(nodes, timeout=30)
    assert len(nodes) >= 2
    assert not alive
    assert not any(str(tmp_path) in part.mountpoint for part in psutil.disk_partitions(all=True))

"""Runs a Python target on mutated samples; with atheris, if it is there, on inputs guided by coverage."""

import importlib.util
import re
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.campaign import Outcome
from tests.fuzz.corpus import CORPUS, files
from tests.fuzz.mutate import mutations
from tests.fuzz.targets_python import PythonTarget

LONGEST = 4096


def fuzz(target: PythonTarget, *, seed: int, runs: int | None, seconds: int | None) -> Outcome:
    """Check inputs until ``runs`` or ``seconds`` are used up; what a check raises is a finding."""
    inputs = [file.read_bytes() for file in files(target.name)]
    start = time.monotonic()
    end = start + (float("inf") if seconds is None else seconds)
    tried = 0
    for data in mutations(inputs, seed, LONGEST):
        if (runs is not None and tried >= runs) or (tried % 64 == 0 and time.monotonic() >= end):
            break
        tried += 1
        try:
            target.check(data)
        except Exception:  # noqa: BLE001 - whatever is no typed error of the decoder is a finding
            return Outcome(tried, time.monotonic() - start, data, traceback.format_exc())
    return Outcome(tried, time.monotonic() - start, None, "")


def has_atheris() -> bool:
    """Whether inputs can be guided by coverage."""
    return importlib.util.find_spec("atheris") is not None


def fuzz_guided(target: PythonTarget, *, seed: int, runs: int | None, seconds: int | None) -> Outcome:
    """The same in a process of its own, in which atheris instruments the decoders."""
    with tempfile.TemporaryDirectory() as directory:
        crash = Path(directory) / "crash"
        bounds = [f"-runs={runs}"] if runs is not None else []
        bounds += [f"-max_total_time={seconds}"] if seconds is not None else []
        given = [f"-exact_artifact_path={crash}", f"-seed={seed}", f"-max_len={LONGEST}", *bounds]
        command = [sys.executable, "-m", "tests.fuzz.guided", target.name, *given]
        start = time.monotonic()
        done = subprocess.run(
            [*command, directory, str(CORPUS / target.name)], capture_output=True, text=True, check=False
        )
        finding = crash.read_bytes() if crash.exists() else b"" if done.returncode else None
        counts = re.findall(r"^(?:Done |#)(\d+)\b", done.stderr, re.MULTILINE)
        tried = int(counts[-1]) if counts else 0
        return Outcome(tried, time.monotonic() - start, finding, done.stdout + done.stderr)

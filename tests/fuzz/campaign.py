"""Runs a C target for some time or a number of inputs, and tells what came of it."""

import re
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.build import OUTPUT, Program

SLACK = 60.0
"""Seconds beyond the agreed time after which a program hangs."""


class Outcome(NamedTuple):
    """What a run of a target came to."""

    inputs: int
    seconds: float
    finding: bytes | None
    """The input that broke something."""
    log: str


def replay(program: Program, files: Sequence[Path]) -> Outcome:
    """Give a target these inputs once."""
    arguments = [str(file) for file in files]
    if program.libfuzzer:  # files as arguments: run each and stop
        return _run(program, arguments, timeout=SLACK)
    return _run(program, ["-runs=0", *arguments], timeout=SLACK)


def fuzz(  # a bound on either is required
    program: Program, corpus: Path, *, max_len: int, seed: int, runs: int | None, seconds: int | None
) -> Outcome:
    """Try new inputs, made from those in ``corpus``, until ``runs`` or ``seconds`` are used up."""
    assert runs is not None or seconds is not None
    shared = [f"-max_len={max_len}", f"-seed={seed}"]
    if program.libfuzzer:
        found = OUTPUT / "corpus" / corpus.name
        found.mkdir(parents=True, exist_ok=True)
        bounds = [f"-runs={runs}"] if runs is not None else []
        bounds += [f"-max_total_time={seconds}"] if seconds is not None else []
        arguments = [*shared, *bounds, "-rss_limit_mb=2048", str(found), str(corpus)]
    else:
        files = [str(file) for file in sorted(corpus.iterdir())]
        bounds = [f"-runs={2**62 if runs is None else runs}"]
        bounds += [f"-seconds={seconds}"] if seconds is not None else []
        arguments = [*shared, *bounds, *files]
    return _run(program, arguments, timeout=None if seconds is None else seconds + SLACK)


def _run(program: Program, arguments: list[str], timeout: float | None) -> Outcome:
    crash = OUTPUT / f"crash-{program.path.name}-{time.monotonic_ns()}"
    keep = f"-exact_artifact_path={crash}" if program.libfuzzer else f"-crash={crash}"
    start = time.monotonic()
    done = subprocess.run(
        [str(program.path), keep, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=timeout,
    )
    seconds = time.monotonic() - start
    finding = _finding(crash, libfuzzer=program.libfuzzer) if done.returncode else None
    crash.unlink(missing_ok=True)
    log = done.stdout + done.stderr
    return Outcome(_inputs(log), seconds, finding, log)


def _finding(crash: Path, *, libfuzzer: bool) -> bytes:
    """The input that ended the program; empty if it ended before the first."""
    content = crash.read_bytes() if crash.exists() else b""
    if libfuzzer or len(content) < 8:
        return content
    (length,) = struct.unpack_from("<Q", content)
    return content[8 : 8 + length]


def _inputs(log: str) -> int:
    """How many inputs were tried, by the program's own count."""
    patterns = (r"^Done (\d+) runs", r"^runs: (\d+)", r"^#(\d+)\s")
    for pattern in patterns:
        counts = re.findall(pattern, log, re.MULTILINE)
        if counts:
            return int(counts[-1])
    return 0

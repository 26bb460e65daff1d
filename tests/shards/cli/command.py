"""Runs the command line: in this process where that is enough, as a process of its own where it is not."""

import json
import subprocess
import sys
from typing import NamedTuple

import pytest

from multiraft.shards.cli.app import run

COMMAND = [sys.executable, "-P", "-m", "multiraft"]


class Finished(NamedTuple):
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def result(self) -> dict:
        """The JSON object, which must be all that stands on standard output."""
        assert self.out.count("\n") == 1, self.out
        result: dict = json.loads(self.out)
        return result

    @property
    def complaint(self) -> str:
        """The one line in which the command says what is wrong."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("multiraft: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("multiraft: ")


class Cli:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Finished:
        self._capsys.readouterr()
        status = run([str(one) for one in arguments])
        out, err = self._capsys.readouterr()
        return Finished(status, out, err)


def run_process(*arguments: object, stdin: bytes = b"", env: dict[str, str] | None = None) -> Finished:
    """Run a command as a process of its own and wait for its end."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=100,
        check=False,
        env=env,
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

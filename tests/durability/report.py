"""What a run over crash states has found."""

import faulthandler
import json
import logging
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, NoReturn

from .disk import Image, put_image
from .recording import Operation

Change = Callable[[Sequence[Operation]], Sequence[Operation]]
"""Makes of what was recorded what another build would have done."""


class Lost(AssertionError):
    """Something that was acknowledged, or promised, is not there."""


class Corrupt(AssertionError):
    """Something is there that nobody wrote, or cannot be read."""


@dataclass
class Report:
    """A state is lost or corrupt as its judge has said."""

    states: int = 0
    lost: int = 0
    corrupt: int = 0
    alive: int = 0
    """States that a whole cluster was started from."""
    verified: int = 0
    """States that `multiraft verify` has looked at."""
    salvaged: int = 0
    """Batches that were not in the tree of their log, and were found."""
    operations: int = 0
    """How many were recorded."""
    seen: set[str] = field(default_factory=set)
    """What has happened in the recorded lives."""
    findings: list[str] = field(default_factory=list)
    kept: Path | None = None
    """Where states are put that are not as they should be."""
    isolated: bool = False
    """Whether each state is judged in a process of its own: those of a broken build may end it."""

    @property
    def ok(self) -> bool:
        return not self.lost and not self.corrupt

    def add(self, other: "Report") -> None:
        for name in ("states", "lost", "corrupt", "alive", "verified", "salvaged", "operations", "findings"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seen |= other.seen

    def as_dict(self) -> dict[str, object]:
        names = ("states", "lost", "corrupt", "ok", "alive", "verified", "salvaged", "operations")
        return {**{name: getattr(self, name) for name in names}, "findings": self.findings[:5]}

    def judge(self, left: Image, where: str, judge: Callable[[Path], object]) -> object:
        """Have one state judged, and count it.

        Returns what the judge has returned; None if the state is not as it should be.
        """
        self.states += 1
        verdict, told, salvaged = (isolated if self.isolated else judged)(left, judge)
        self.salvaged += salvaged
        if verdict is Verdict.WHOLE:
            return told
        self.lost += verdict is Verdict.LOST
        self.corrupt += verdict is Verdict.CORRUPT
        self.findings.append(f"{where}: {verdict.value}: {told}")
        if self.kept is not None:
            put_image(left, self.kept / f"{verdict.value}-{len(self.findings)}")
        return None


class Verdict(Enum):
    """What a state is."""

    WHOLE = "whole"
    LOST = "lost"
    CORRUPT = "corrupt"


Judged = tuple[Verdict, object, int]
"""The verdict, what the judge returned or complained of, and how many batches were salvaged."""


@contextmanager
def written(left: Image) -> Iterator[Path]:
    """A directory with what a crash has left; in memory, if there is a place."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        put_image(left, Path(folder))
        yield Path(folder)


def judged(left: Image, judge: Callable[[Path], object]) -> Judged:
    """Judge one state."""
    with written(left) as folder, salvages() as salvaged:
        try:
            return Verdict.WHOLE, judge(folder), salvaged.count
        except Lost as error:
            return Verdict.LOST, str(error), salvaged.count
        except Corrupt as error:
            return Verdict.CORRUPT, str(error), salvaged.count


def isolated(left: Image, judge: Callable[[Path], object]) -> Judged:
    """The same in another process, which ends if LMDB reads where a damaged page leads to."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            _answer(left, judge, answer)
        _, status = os.waitpid(child, 0)
        if status:
            return Verdict.CORRUPT, f"its process ends with {os.waitstatus_to_exitcode(status)}", 0
        answer.seek(0)
        verdict, told, salvaged = json.loads(answer.read())
    return Verdict(verdict), told, salvaged


def _answer(left: Image, judge: Callable[[Path], object], answer: IO[bytes]) -> NoReturn:
    """The child's part; it never returns, whatever happens."""
    status = 98
    faulthandler.disable()  # it is not worth a word if this process ends
    try:
        verdict, told, salvaged = judged(left, judge)
        answer.write(json.dumps([verdict.value, told, salvaged]).encode())
        answer.flush()
        status = 0
    except BaseException:  # noqa: BLE001 # the process ends here, and its status says so
        traceback.print_exc()
    finally:
        os._exit(status)


class Salvages(logging.Handler):
    """Counts what log stores tell of batches that were not in the tree; nothing else is to be heard."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.name.endswith(".salvage")


@contextmanager
def salvages() -> Iterator[Salvages]:
    """While a state is opened."""
    handler, logger = Salvages(), logging.getLogger("multiraft")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield handler
    finally:
        logger.propagate = True
        logger.removeHandler(handler)

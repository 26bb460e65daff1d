"""Crash states of the log store: `python -m tests.engine.logstore.crash_states --states 20000 [--seed 1]`.

A real store lives under the recorder. Each state that a crash could leave is opened by the real store, which
must show what was acknowledged, whole batches only, and nothing else. Some states are lived on from, under
the recorder too: a crash during recovery is a crash like any other.
"""

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from multiraft.engine.errors import Error
from multiraft.engine.logstore.store import LogStore
from tests.engine.logstore.model import Model
from tests.engine.logstore.recording import Image, Operation, build_recorder, record, states, without_syncs
from tests.engine.logstore.workload import ACKNOWLEDGED, STAGED, TOLD, life, open_store, told

BATCHES = 30
LIVES = 4
"""Recordings made one from a crash state of the other."""


@dataclass
class Report:
    """What was found. A state is lost if it lacks what was acknowledged, corrupt if it cannot be opened."""

    states: int = 0
    lost: int = 0
    corrupt: int = 0
    salvaged: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.lost and not self.corrupt

    def add(self, other: "Report") -> None:
        for name in ("states", "lost", "corrupt", "salvaged", "findings"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_json(self) -> str:
        shown = {name: getattr(self, name) for name in ("states", "lost", "corrupt", "salvaged", "ok")}
        return json.dumps({**shown, "findings": self.findings[:5]})


@dataclass
class Life:
    """A recording: where it began, what was done, and how many batches the store held at the beginning."""

    seed: int
    image: Image
    first: int
    count: int
    operations: list[Operation]


def put_image(image: Image, path: Path) -> None:
    """The files of a crashed directory."""
    path.mkdir(parents=True)
    for name, data in image.items():
        (path / name).write_bytes(data)


def make_life(library: Path, path: Path, seed: int, image: Image, first: int) -> Life:
    put_image(image, path)
    count = first + BATCHES
    module = "tests.engine.logstore.workload"
    operations = record(library, path, module, [str(seed), str(first), str(count)])
    return Life(seed, image, first, count, operations)


def bounds(life: Life, prefix: int) -> tuple[int, int]:
    """(batches acknowledged, batches that may be there) after so many operations.

    The life before may have written one more batch in full, not acknowledged, behind one that was hidden. As
    long as no store has been opened on what is left, it may turn up: nobody has seen that it was not there.
    """
    said = told(
        b"".join([one.data for one in life.operations[:prefix] if one.name == TOLD and one.kind == "W"])
    )
    acknowledged = [number for kind, number in said if kind == ACKNOWLEDGED]
    staged = [number for kind, number in said if kind == STAGED]
    return max(acknowledged, default=life.first), max(staged, default=life.first + (life.first > 0))


def shows(store: LogStore, model: Model) -> bool:
    try:
        model.check(store)
    except AssertionError:
        return False
    return True


@dataclass
class Judgement:
    """Of one state: how many batches the store holds, if that is as it should be."""

    held: int | None
    salvaged: bool
    problem: str = ""


class Salvages(logging.Handler):
    """Counts what the store tells of batches that were not in the tree."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._logger = logging.getLogger("multiraft.engine.logstore.salvage")

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1

    def __enter__(self) -> "Salvages":
        self._logger.addHandler(self)
        self._logger.propagate = False
        return self

    def __exit__(self, *_exception: object) -> None:
        self._logger.propagate = True
        self._logger.removeHandler(self)


def judge(path: Path, models: Sequence[Model], low: int, high: int) -> Judgement:
    """Open the store in `path`, which should hold between `low` and `high` batches."""
    with Salvages() as salvages:
        try:
            store = open_store(path)
        except (Error, AssertionError) as error:
            return Judgement(None, False, repr(error))
    try:
        held = next((n for n in range(high, low - 1, -1) if shows(store, models[n])), None)
    finally:
        store.close()
    return Judgement(held, salvages.count > 0)


def take(report: Report, judgement: Judgement, where: str, low: int, high: int) -> None:
    report.states += 1
    report.salvaged += judgement.salvaged
    if judgement.problem:
        report.corrupt += 1
        report.findings.append(f"{where}: {judgement.problem}")
    elif judgement.held is None:
        report.lost += 1
        report.findings.append(f"{where}: not what was there after {low} to {high} batches")


Change = Callable[[Sequence[Operation]], Sequence[Operation]]


def run(work: Path, seed: int, count: int, change: Change = list) -> Report:
    """Check `count` states of the life of `seed`; `change` is done to what was recorded."""
    library = build_recorder(work)
    draw = random.Random(seed)
    report = Report()
    _, models = life(seed, LIVES * BATCHES)
    image: Image = {}
    first = 0
    for number in range(LIVES):
        lived = make_life(library, work / f"life{number}", seed, image, first)
        share = count * (number + 1) // LIVES - report.states
        image, first = check_life(report, lived, models, change(lived.operations), share, draw)
    return report


def check_life(
    report: Report,
    lived: Life,
    models: Sequence[Model],
    operations: Sequence[Operation],
    count: int,
    draw: random.Random,
) -> tuple[Image, int]:
    """Check states of one recording; returns one to live on from, with a batch to salvage if there is one."""
    onward: tuple[Image, int] = ({}, 0)
    best = -1
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    for prefix, left in states(lived.image, operations, count, draw):
        low, high = bounds(lived, prefix)
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            put_image(left, Path(folder) / "log")
            judgement = judge(Path(folder) / "log", models, low, high)
        where = f"seed {lived.seed}, life from batch {lived.first}, operation {prefix}, state {report.states}"
        take(report, judgement, where, low, high)
        merit = judgement.salvaged + (prefix > len(operations) // 2)
        if judgement.held is not None and merit > best:
            onward, best = (left, judgement.held), merit
    image, held = onward
    return {name: data for name, data in image.items() if name != TOLD}, held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-seed", type=int, default=1_000, help="states for each seed")
    parser.add_argument("--without-syncs", action="store_true", help="must fail: nothing is flushed")
    chosen = parser.parse_args()
    change = without_syncs if chosen.without_syncs else list
    total, started = Report(), time.monotonic()
    for number in range(-(-chosen.states // chosen.per_seed)):
        count = min(chosen.per_seed, chosen.states - total.states)
        with tempfile.TemporaryDirectory() as work:
            total.add(run(Path(work), chosen.seed + number, count, change))
        print(f"{time.monotonic() - started:.0f} s: {total.as_json()}", file=sys.stderr, flush=True)
    print(total.as_json())
    return not total.ok


if __name__ == "__main__":
    sys.exit(main())

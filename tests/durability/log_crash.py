"""Crashes of a log store alone, with all that one can hold: conflicts, tombstones, snapshot points.

A real store lives under the recorder. Each state that a crash could leave is opened by the real store, which
must show what was acknowledged, whole batches only, and nothing else. Some states are lived on from, under
the recorder too: a crash during recovery is a crash like any other.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from multiraft.engine.errors import Error
from multiraft.engine.logstore.store import LogStore
from tests.engine.logstore.model import Model
from tests.engine.logstore.workload import life

from .disk import Image, put_image, spread, states
from .facts import TOLD
from .log_life import ACKNOWLEDGED, STAGED, open_store, told
from .recording import Operation, build_recorder, record
from .report import Change, Corrupt, Lost, Report

BATCHES = 30
LIVES = 4
"""Recordings made one from a crash state of the other."""


@dataclass
class Life:
    """A recording: where it began, what was done, and how many batches the store held at the beginning."""

    seed: int
    image: Image
    first: int
    operations: Sequence[Operation]


def make_life(library: Path, path: Path, seed: int, image: Image, first: int) -> Life:
    put_image(image, path)
    arguments = [str(seed), str(first), str(first + BATCHES)]
    return Life(seed, image, first, record(library, path, "tests.durability.log_life", arguments))


def bounds(lived: Life, operations: Sequence[Operation], prefix: int) -> tuple[int, int]:
    """(batches acknowledged, batches that may be there) after so many operations.

    The life before may have written one more batch in full, not acknowledged, behind one that was hidden. As
    long as no store has been opened on what is left, it may turn up: nobody has seen that it was not there.
    """
    writes = [one.data for one in operations[:prefix] if one.name == TOLD and one.kind == "W"]
    said = told(b"".join(writes))
    acknowledged = [number for kind, number in said if kind == ACKNOWLEDGED]
    staged = [number for kind, number in said if kind == STAGED]
    return max(acknowledged, default=lived.first), max(staged, default=lived.first + (lived.first > 0))


def shows(store: LogStore, model: Model) -> bool:
    try:
        model.check(store)
    except AssertionError:
        return False
    return True


def held_batches(path: Path, models: Sequence[Model], low: int, high: int) -> int:
    """How many batches the store in `path` holds, which should be between `low` and `high`.

    Raises `Corrupt`, `Lost`.
    """
    try:
        store = open_store(path)
        try:
            held = next((number for number in range(high, low - 1, -1) if shows(store, models[number])), None)
        finally:
            store.close()
    except (Error, AssertionError) as error:
        raise Corrupt(repr(error)) from error
    if held is None:
        raise Lost(f"not what was there after {low} to {high} batches")
    return held


class Check:
    """Checks the crash states of the life of one seed; `change` is done to what was recorded."""

    def __init__(self, seed: int, change: Change = list) -> None:
        self.report = Report(isolated=change is not list)
        self._seed = seed
        self._change = change
        self._draw = random.Random(seed)
        _, self._models = life(seed, LIVES * BATCHES)

    def run(self, work: Path, count: int) -> Report:
        """`count` states."""
        library = build_recorder(work)
        image: Image = {}
        first = 0
        for number in range(LIVES):
            lived = make_life(library, work / f"life{number}", self._seed, image, first)
            share = count * (number + 1) // LIVES - self.report.states
            image, first = self._check(lived, share)
        return self.report

    def _check(self, lived: Life, count: int) -> tuple[Image, int]:
        """Check states of one recording; returns one to live on from, if possible with a batch to salvage."""
        operations = self._change(lived.operations)
        self.report.operations += len(operations)
        onward: tuple[Image, int] = (lived.image, lived.first)
        best = -1
        prefixes = spread(len(operations), count, self._draw)
        for prefix, left in states(lived.image, operations, prefixes, self._draw):
            low, high = bounds(lived, operations, prefix)
            left.pop(TOLD, None)
            before = self.report.salvaged
            where = f"seed {self._seed}, life from batch {lived.first}, operation {prefix}"
            held = self.report.judge(
                left,
                where,
                lambda path: held_batches(path, self._models, low, high),  # noqa: B023 # called at once
            )
            merit = (self.report.salvaged > before) + (prefix > len(operations) // 2)
            if isinstance(held, int) and merit > best:
                onward, best = (left, held), merit
        return onward

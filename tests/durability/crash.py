"""Crashes of a machine that runs a whole cluster: what is left must be what was acknowledged and promised."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .disk import Image, put_image, spread, states
from .facts import TOLD, Facts, Reader
from .judging import judge, judge_alive, verify_whole
from .nodes import CONFIG, IN_MEMORY
from .recording import Operation, build_recorder, record
from .report import Change, Report

LIVES = 4
"""Recordings made one from a crash state of the other: a crash during recovery is a crash like any other."""
MEMORY_EVERY = 4
"""In one of so many seeds the state machines are kept in memory, and as checkpoints."""
ALIVE_EVERY = 100
VERIFIED_EVERY = 20


@dataclass
class Recording:
    """A life: where it began, and what was done."""

    image: Image
    facts: Facts
    operations: Sequence[Operation]


def make_recording(
    library: Path, path: Path, seed: int, image: Image, facts: Facts, *flags: str
) -> Recording:
    """Have a cluster live on from a crash state; `flags` as `life.py` takes them."""
    put_image(image, path)
    known = path.with_name(path.name + ".known")
    known.write_text("".join(json.dumps(line) + "\n" for line in facts.lines()))
    arguments = [str(seed), str(known), *flags]
    return Recording(image, facts, record(library, path, "tests.durability.life", arguments))


class Check:
    """Checks the crash states of one seed."""

    def __init__(self, seed: int, change: Change = list, *, eager: bool = False) -> None:
        self.report = Report(isolated=change is not list)
        self._seed = seed
        self._change = change
        self._memory = seed % MEMORY_EVERY == 0
        self._flags = ["--eager"] * eager + ["--memory"] * self._memory
        self._draw = random.Random(seed)

    def run(self, work: Path, count: int, lives: int = LIVES) -> Report:
        """`count` states, of some lives."""
        library = build_recorder(work)
        image: Image = {}
        facts = Facts()
        for number in range(lives):
            seed = self._seed * LIVES + number
            recording = make_recording(library, work / f"life{number}", seed, image, facts, *self._flags)
            share = count * (number + 1) // lives - self.report.states
            recording.operations = self._change(recording.operations)
            prefixes = spread(len(recording.operations), share, self._draw)
            image, facts = self.check(recording, prefixes, f"seed {self._seed}, life {number}")
        return self.report

    def check(self, recording: Recording, prefixes: Sequence[int], where: str) -> tuple[Image, Facts]:
        """Check crashes after these numbers of operations; returns a late state, or the beginning."""
        operations, count = recording.operations, len(prefixes)
        self.report.operations += len(operations)
        reader = Reader(recording.facts.copy())
        begin = self._draw.randrange(count // 2, count) if count > 1 else 0
        done, onward = 0, None
        for number, (prefix, left) in enumerate(states(recording.image, operations, prefixes, self._draw)):
            _read(reader, operations[done:prefix])
            done = prefix
            left.pop(TOLD, None)
            whole = self._judge(left, reader.facts, f"{where}, operation {prefix}, state {number}")
            if whole and onward is None and number >= begin:
                onward = left, reader.facts.copy()
        _read(reader, operations[done:])
        self.report.seen |= reader.facts.seen
        return onward or (recording.image, recording.facts)

    def _judge(self, left: Image, facts: Facts, where: str) -> bool:
        number = self.report.states + 1
        verified, alive = number % VERIFIED_EVERY == 0, number % ALIVE_EVERY == 0

        def look(path: Path) -> bool:
            if verified:
                verify_whole(path)
            (judge_alive if alive else judge)(path, facts, IN_MEMORY if self._memory else CONFIG)
            return True

        self.report.verified += verified
        self.report.alive += alive
        return self.report.judge(left, where, look) is not None


def _read(reader: Reader, operations: Sequence[Operation]) -> None:
    """Take what was told between two crashes."""
    for one in operations:
        if one.kind == "W" and one.name == TOLD:
            reader.take(one.data)

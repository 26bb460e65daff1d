"""What the offline commands share: their directory, and progress that shows only where it takes long."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from .options import data_directory
from .progress import Phases

PATIENCE: Final = 1.0
"""Seconds without a word; a command that is done by then prints no progress."""

STORE_LOGGER: Final = "multiraft.engine.logstore"

DirectoryArgument = Annotated[
    Path,
    typer.Argument(
        parser=data_directory, metavar="DIR", help="The data directory of a stopped node, or a copy."
    ),
]


@contextmanager
def looking_on() -> Iterator[Phases]:
    """The surroundings of a command that only looks: its progress, and no word of repairs.

    What the log store does at a start is done in memory here, and its log would claim that it was done.
    """
    logger = logging.getLogger(STORE_LOGGER)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with Phases() as phases:
            yield phases
    finally:
        logger.setLevel(before)


def patient(phases: Phases) -> Callable[[str, int, int], None]:
    """A callback ``(text, done, total)`` that shows the phases of a command once it has taken a while."""
    began = time.monotonic()
    shown: dict[str, Callable[[int, int], None]] = {}

    def update(text: str, done: int, total: int) -> None:
        if text not in shown:
            if time.monotonic() - began < PATIENCE or done >= total:
                return
            shown[text] = phases.phase(text)
        shown[text](done, total)

    return update

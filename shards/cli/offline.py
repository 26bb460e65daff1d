"""What the offline commands share: their directory, and progress that shows only where it takes long."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from .options import data_directory
from .progress import Phases

PATIENCE: Final = 1.0
"""Seconds without a word; a command that is done by then prints no progress."""

DirectoryArgument = Annotated[
    Path,
    typer.Argument(
        parser=data_directory, metavar="DIR", help="The data directory of a stopped node, or a copy."
    ),
]


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

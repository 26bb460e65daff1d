"""How far a command is, on standard error: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from .output import note

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY: Final = 5.0
"""Seconds between two lines about the same phase; its first and its last one always come."""
DRAWN_EVERY: Final = 0.1
"""Seconds between two drawings of the bars; the end of a phase is always drawn."""


class Phases:
    """The phases of a command; a context manager. Nothing is printed before the first phase begins."""

    def __init__(self, *, terminal: bool | None = None) -> None:
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._bars: Progress | None = None

    def phase(self, text: str) -> Callable[[int, int], None]:
        """A callback ``(done, total)`` that shows how far a phase is, from its first call on."""
        return self._bar(text) if self._terminal else _lines(text)

    def say(self, text: str) -> None:
        """Print a line, above the bars if there are any."""
        if self._bars is None:
            note(text)
        else:
            self._bars.console.print(text, markup=False, highlight=False)

    def _bar(self, text: str) -> Callable[[int, int], None]:
        tasks: list[tuple[Progress, TaskID]] = []
        due = 0.0

        def update(done: int, total: int) -> None:
            nonlocal due
            if not tasks:
                if self._bars is None:
                    self._bars = _started_bars()
                tasks.append((self._bars, self._bars.add_task(text)))
            bars, task = tasks[0]
            now = time.monotonic()
            draw = done >= total or now >= due
            if draw:
                due = now + DRAWN_EVERY
            bars.update(task, completed=done, total=total, refresh=draw)

        return update

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()


def _lines(text: str) -> Callable[[int, int], None]:
    due = 0.0
    over = False

    def update(done: int, total: int) -> None:
        nonlocal due, over
        now = time.monotonic()
        if not over and (done >= total or now >= due):
            due, over = now + LINE_EVERY, done >= total
            note(f"{text}: {done} of {total}")

    return update


def _started_bars() -> "Progress":
    from rich.console import Console  # noqa: PLC0415 # `--help` must not pay for it
    from rich.progress import (  # noqa: PLC0415 # likewise
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    bars = Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        auto_refresh=False,  # or a thread draws, and is not waited for when the bars stop
    )
    bars.start()
    return bars

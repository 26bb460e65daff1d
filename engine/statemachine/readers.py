"""Readers of the state's file that stay: while one does, no page that was freed since can be used again."""

import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import lmdb

logger = logging.getLogger(__name__)

LOOK_S: Final = 10.0
"""Seconds between two looks; they come with commits, without which the file does not grow."""
LONG_S: Final = 60.0
"""A reader is reported at this age, and each time that it has doubled."""

_Reader = tuple[str, str, str]
"""Process, thread and transaction, as LMDB lists them."""


class _Seen(NamedTuple):
    since: float
    file_bytes: int
    report_at: float


class ReaderWatch:
    """Frees the places of readers whose process is gone, and reports those that stay, with what they cost."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0
        self._seen: dict[_Reader, _Seen] = {}

    def look(self, environment: lmdb.Environment, file_bytes: Callable[[], int]) -> None:
        """After a commit. Raises `lmdb.Error`, OSError."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + LOOK_S
        gone = environment.reader_check()
        if gone:
            logger.warning("%d readers of the state store had ended without a word", gone)
        size = file_bytes()
        readers = _readers(environment.readers())
        self._seen = {one: self._seen.get(one) or _Seen(now, size, now + LONG_S) for one in readers}
        for reader, seen in self._seen.items():
            if now >= seen.report_at:
                age = now - seen.since
                self._seen[reader] = seen._replace(report_at=now + age)
                _report(reader, age, size - seen.file_bytes, size)


def _readers(listing: str) -> list[_Reader]:
    """The readers that hold a transaction, out of LMDB's table."""
    rows = [line.split() for line in listing.splitlines()]
    return [(row[0], row[1], row[2]) for row in rows if len(row) == 3 and row[2].isdigit()]


def _report(reader: _Reader, age: float, growth: int, size: int) -> None:
    process, thread, transaction = reader
    logger.warning(
        "a reader of the state store (process %s, thread %s, transaction %s) has stayed for %.0f s: what was "
        "freed since then is not used again; the file has grown by %d bytes to %d",
        process,
        thread,
        transaction,
        age,
        growth,
        size,
    )

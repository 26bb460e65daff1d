"""``bench logstore``: the log store beside a plain file, in blocks that alternate."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from .logstore_load import FileSide, Load, Side, StoreSide
from .output import Fields

BLOCK: Final = 0.2
"""Seconds that a block takes at least ..."""
BLOCK_BATCHES: Final = 32
"""... and so many batches: fewer large ones would be mostly a beginning and an end, one flush at a time."""
WINDOWS: Final = 10
MIB: Final = 1 << 20

Progress = Callable[[int, int], None]


class Block(NamedTuple):
    """What one side did while the others waited."""

    batches: int
    seconds: float
    cpu: float
    """Seconds."""
    written: int | None
    """Bytes that the process has written meanwhile, if the system tells."""
    flushes: int

    @property
    def rate(self) -> float:
        """Batches a second."""
        return self.batches / self.seconds


class Round(NamedTuple):
    """A block of each side."""

    store: Block
    file: Block
    preallocated: Block


def run_logstore(root: Path, load: Load, seconds: float, progress: Progress) -> Fields:
    """Append to all sides under ``root``, ``seconds`` to each; returns the fields of the result."""
    count = math.ceil(seconds / BLOCK)
    with ExitStack() as stack:
        store = StoreSide(root, load)
        file = stack.enter_context(closing(FileSide(root / "file", load, preallocated=False)))
        again = stack.enter_context(closing(FileSide(root / "preallocated", load, preallocated=True)))
        sides = (store, file, again)
        for side in sides:
            _block(side)  # a warm-up
        rounds: list[Round] = []
        while len(rounds) < count:
            blocks = {side: _block(side, store) for side in _in_turn(sides, len(rounds))}
            rounds.append(Round(*(blocks[side] for side in sides)))
            progress(len(rounds), count)
        fields = {**_rates(load, rounds), **_costs(load, rounds)}
        if load.truncated:
            fields |= _ends(store, root, rounds)
        return {**fields, "ok": store.is_all_there()}


def _in_turn(sides: Sequence[Side], number: int) -> Sequence[Side]:
    """So that no side always follows the same one."""
    return sides if number % 2 == 0 else sides[::-1]


def _block(side: Side, store: StoreSide | None = None) -> Block:
    side.rest()
    flushes = 0 if store is None else store.environment.flushes
    count, cpu, written, began = 0, time.process_time(), _written(), time.perf_counter()
    while time.perf_counter() - began < BLOCK or count < BLOCK_BATCHES:
        side.append()
        count += 1
    side.wait()
    seconds = time.perf_counter() - began
    after = _written()
    return Block(
        count,
        seconds,
        time.process_time() - cpu,
        None if written is None or after is None else after - written,
        0 if store is None else store.environment.flushes - flushes,
    )


def _written() -> int | None:
    """Bytes that this process has given to the system for writing."""
    counters = getattr(psutil.Process(), "io_counters", None)  # some systems do not count
    if counters is None:
        return None
    found = counters()
    written: int = getattr(found, "write_chars", found.write_bytes)
    return written


def _rates(load: Load, rounds: Sequence[Round]) -> dict[str, object]:
    rate = statistics.median(one.store.rate for one in rounds)
    return {
        "batches_per_second": round(rate),
        "entries_per_second": round(rate * load.batch_entries),
        "file_batches_per_second": round(statistics.median(one.file.rate for one in rounds)),
        "ratio": _median_ratio((one.store, one.file) for one in rounds),
        "ratio_preallocated": _median_ratio((one.store, one.preallocated) for one in rounds),
    }


def _median_ratio(pairs: Iterable[tuple[Block, Block]]) -> float:
    return round(statistics.median(mine.rate / other.rate for mine, other in pairs), 3)


def _costs(load: Load, rounds: Sequence[Round]) -> dict[str, object]:
    mine = [one.store for one in rounds]
    batches = sum(block.batches for block in mine)
    entries = batches * load.batch_entries
    written = [block.written for block in mine if block.written is not None]
    payload = entries * len(load.payload)
    return {
        "bytes_per_payload_byte": round(sum(written) / payload, 3) if written and payload else None,
        "cpu_us_per_entry": round(1e6 * sum(block.cpu for block in mine) / entries, 3),
        "flushes_per_commit": round(sum(block.flushes for block in mine) / batches, 3),
    }


def _ends(store: StoreSide, root: Path, rounds: Sequence[Round]) -> Fields:
    """How the run began and ended, for whoever looks for a trend."""
    window = max(1, len(rounds) // WINDOWS)
    return {
        "first_window": round(statistics.median(one.store.rate for one in rounds[:window])),
        "last_window": round(statistics.median(one.store.rate for one in rounds[-window:])),
        "file_mib": round((root / "log" / "data.mdb").stat().st_size / MIB, 3),
        "live_mib": round(store.store.usage.live_bytes / MIB, 3),
    }

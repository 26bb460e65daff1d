"""Who holds the oldest batches: groups that, compacted, would spare collection the rewriting."""

from typing import Final

from ...native.errors import Refused
from ...native.logindex import LogIndex, Stored
from ..errors import Corruption
from .chunks import chunk_key
from .environment import Environment
from .opening import open_batch, runs_of
from .visit import whole_chunk

_READ_BYTES: Final = 1 << 20
"""No further batch is read once so many bytes have been; one that is larger is never read."""


def named_holders(environment: Environment, index: LogIndex, batches: int) -> dict[int, int]:
    """Groups whose oldest entries are in the oldest batches, so many of them; the most bytes first.

    With the bytes that each of them has there. A batch that cannot be read is left out.
    """
    held: dict[int, int] = {}
    stored = index.oldest()
    room = _READ_BYTES
    for _ in range(batches):
        if stored is None or stored.size > room:
            break
        if stored.live:
            room -= stored.size
            for group, length in _runs_held(environment, index, stored):
                held[group] = held.get(group, 0) + length
        stored = index.batch_after(stored.seq)
    return dict(sorted(held.items(), key=lambda item: (-item[1], item[0])))


def _runs_held(environment: Environment, index: LogIndex, stored: Stored) -> list[tuple[int, int]]:
    """(group, bytes) of each run in a batch that is a log's oldest."""
    try:
        with environment.reading() as get:
            values = [
                whole_chunk(get(chunk_key(stored.seq, number)), stored.seq, number)
                for number in range(stored.chunks)
            ]
        blob, contents = open_batch(stored.seq, values)
        runs = [run for section in contents.sections for run in runs_of(blob, section)]
    except (Corruption, Refused):
        return []
    return [(group, length) for group, at, length in runs if _is_oldest(index, stored.seq, group, at)]


def _is_oldest(index: LogIndex, seq: int, group: int, at: int) -> bool:
    log = index.log(group)
    if log is None or log.last_index < log.first_index:
        return False
    span = next(log.spans(log.first_index, log.first_index + 1))
    return (span.carrier, span.at) == (seq, at)

"""From what a caller asks for to ranges: even cuts, given cuts, pieces for proposals."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ..engine.errors import InvalidRanges
from ..engine.statemachine.commands import check_key
from .directory_commands import MAX_RANGES
from .keyrange import Interval, KeyRange, shown

FRACTION_BYTES: Final = 8
"""An even cut reads a key as a binary fraction of so many bytes."""
CHUNK_BYTES: Final = 200 * 1024
"""Of a command's 256 KiB; the rest is for the nodes and for the command's own bytes."""
MAX_EVEN: Final = 1_000_000
"""Even ranges of one call: their cuts are all made before the first range is created."""
PAIR_OVERHEAD: Final = 1 + 3 + 3
"""Bytes that a pair takes in a command beside its keys: the pair's head, and one head for each key."""


class Deleted(NamedTuple):
    """What came of one chunk of a deletion."""

    deleted: int
    left: int
    """Ranges of the interval that are still to be deleted."""
    resume: bytes | None
    """Where the next chunk begins; None: this was the last one."""


def even_cuts(count: int, start: bytes, end: bytes | None) -> list[bytes]:
    """The ``count - 1`` keys, ascending, that cut ``[start, end)`` into ``count`` ranges of equal width.

    Width counts in the first 8 bytes, read as a fraction; trailing zero bytes of a cut are dropped.

    Raises:
        InvalidRanges: the interval is empty, or too narrow for so many ranges; the count is out of range.
        KeyTooLarge: a bound is longer than a key may be.
    """
    interval = within(start, end)
    if not 1 <= count <= MAX_EVEN:
        raise InvalidRanges(f"an interval is cut into 1 to {MAX_EVEN} ranges at a time, not {count}")
    low = _fraction(start)
    width = (1 << 8 * FRACTION_BYTES if end is None else _fraction(end)) - low
    if count > 1 and width < count:
        raise InvalidRanges(
            f"the first {FRACTION_BYTES} bytes of the interval {interval} leave room for {max(width, 1)} "
            f"even ranges, not {count}: name the keys to split at instead"
        )
    return [_key(low + width * number // count) for number in range(1, count)]


def ranges_from_splits(splits: Iterable[bytes], between: Interval = (b"", None)) -> list[KeyRange]:
    """The ranges that lie between the bounds and meet at the splits; order and repetitions do not matter.

    Raises:
        InvalidRanges: the interval is empty, or a split does not lie inside it.
        KeyTooLarge: a split or bound is longer than a key may be.
        InvalidArgument: a split is not bytes.
    """
    interval = within(*between)
    unique: set[bytes] = set()
    for split in splits:
        check_key(split)
        if split == interval.start or not interval.covers(split):
            raise InvalidRanges(f"the split {shown(split)} does not lie inside {interval}")
        unique.add(split)
    cuts = sorted(unique)
    return list(map(KeyRange, [interval.start, *cuts], [*cuts, interval.end]))


def within(start: bytes, end: bytes | None) -> KeyRange:
    """An interval that a caller names. Raises InvalidRanges if it is empty, KeyTooLarge, InvalidArgument."""
    interval = KeyRange(start, end)
    for bound in interval:
        if bound is not None:
            check_key(bound)
    if interval.empty:
        raise InvalidRanges(f"the interval {interval} is empty")
    return interval


def chunks(ranges: Iterable[Interval]) -> Iterator[list[Interval]]:
    """The ranges in their order, in pieces that fit one command each: at most 1,000, and 200 KiB."""
    chunk: list[Interval] = []
    room = CHUNK_BYTES
    for one in ranges:
        size = PAIR_OVERHEAD + len(one[0]) + len(one[1] or b"")
        if chunk and (len(chunk) == MAX_RANGES or size > room):
            yield chunk
            chunk, room = [], CHUNK_BYTES
        chunk.append(one)
        room -= size
    if chunk:
        yield chunk


def _fraction(key: bytes) -> int:
    return int.from_bytes(key[:FRACTION_BYTES].ljust(FRACTION_BYTES, b"\0"), "big")


def _key(fraction: int) -> bytes:
    return fraction.to_bytes(FRACTION_BYTES, "big").rstrip(b"\0")

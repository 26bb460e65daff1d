"""Reading entries back: from the cache, from a batch in flight, or from the environment."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from ...native.entries import ENTRY_OVERHEAD, RUN_HEADER_SIZE, decode_run, part_of_run
from ...native.errors import Damaged
from ...native.logindex import LogView, Span
from ...raft.entry import Entry, EntryType, limit_size, payload_sizes
from ..errors import Corruption, VersionMismatch
from .cache import EntryCache
from .environment import Environment
from .fetch import InFlight, fetch

_TYPES: Final = {int(kind): kind for kind in EntryType}
_ENCODED_MIN: Final = 4  # no entry takes fewer bytes beside its data in the measure of `max_size`


_WINDOW: Final = 128  # runs that are fetched at a time


class Reader:
    """Reads what an index points to."""

    def __init__(
        self, environment: Environment, in_flight: Mapping[int, InFlight], cache: EntryCache
    ) -> None:
        self._environment = environment
        self._in_flight = in_flight
        self._cache = cache

    def entries(self, group: int, log: LogView, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        """Entries in [low, high), which are present, up to `max_size` encoded bytes but at least one.

        Raises `Corruption` with group and index if stored bytes are not what was written. What is read is not
        kept: a follower that lags must not drive out what all others need.
        """
        found: list[Entry] = []
        least = 0
        for wanted in _windows(log.spans(low, high), max_size):
            cached = [self._cache.get(span.carrier, group, span.first) for span in wanted]
            missing = [span for span, entries in zip(wanted, cached, strict=True) if entries is None]
            runs = fetch(self._environment, self._in_flight, missing) if missing else {}
            for span, entries in zip(wanted, cached, strict=True):
                part = _decode(group, span, runs[span]) if entries is None else _part(span, entries)
                if not found and span.high == high:
                    return limit_size(part, max_size)
                found += part
                least += payload_sizes(part) + _ENCODED_MIN * len(part)
                if max_size is not None and least > max_size:
                    return limit_size(found, max_size)
        return limit_size(found, max_size)


def _windows(found: Iterable[Span], max_size: int | None) -> Iterator[list[Span]]:
    """Spans in lists that are worth being fetched at once: not many more bytes than are wanted altogether."""
    window: list[Span] = []
    size = 0
    for span in found:
        window.append(span)
        size += span.length - RUN_HEADER_SIZE - ENTRY_OVERHEAD * (span.high - span.first)
        if len(window) == _WINDOW or (max_size is not None and size > max_size):
            yield window
            window = []
    if window:
        yield window


def _part(span: Span, entries: Sequence[Entry]) -> Sequence[Entry]:
    """What a span means of the entries of its run."""
    start = span.low - span.first
    whole = start == 0 and span.high - span.first == len(entries)
    return entries if whole else entries[start : span.high - span.first]


def _decode(group: int, span: Span, run: bytes | Corruption) -> Sequence[Entry]:
    """The entries of a span, from its run. Others of the run may be damaged: these need not be."""
    try:
        if isinstance(run, Corruption):
            raise run
        try:
            found = _part(span, decode_run(run, _make_entry))
        except Damaged:
            found = decode_run(part_of_run(run, span.low, span.high), _make_entry)
    except Damaged as error:
        index = error.index if span.low <= error.index < span.high else span.low
        raise Corruption(f"group {group}: {error}", group, index) from error
    except Corruption as error:
        raise Corruption(f"group {group}: {error}", group, span.low) from error
    if not found or (found[0].index, found[-1].index) != (span.low, span.high - 1):
        raise Corruption(f"group {group}: other entries are stored in its place", group, span.low)
    return found


def _make_entry(term: int, index: int, kind: int, data: bytes) -> Entry:
    try:
        return Entry(term, index, _TYPES[kind], data)
    except KeyError as error:
        raise VersionMismatch(f"entry {index} is of type {kind}, which this version does not know") from error

"""Reading entries back: from the cache, from a batch in flight, or from the environment."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from ...native.entries import decode_run, part_of_run
from ...native.errors import Damaged
from ...native.logindex import LogView, Span
from ...raft.entry import Entry, EntryType, limit_size, payload_sizes
from ..errors import Corruption, VersionMismatch
from .cache import EntryCache
from .chunks import chunk_key, read_header, spans
from .environment import Environment

_TYPES: Final = {int(kind): kind for kind in EntryType}
_ENCODED_MIN: Final = 4  # no entry takes fewer bytes beside its data in the measure of `max_size`


class InFlight(Protocol):
    """A batch that may not be in the environment yet."""

    @property
    def blob(self) -> bytes:
        """The encoded batch."""
        ...


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

        Raises `Corruption` with group and index if stored bytes are not what was written.
        """
        found: list[Entry] = []
        least = 0
        for span in log.spans(low, high):
            part = self._span(group, span)
            if not found and span.high == high:
                return limit_size(part, max_size)
            found += part
            least += payload_sizes(part) + _ENCODED_MIN * len(part)
            if max_size is not None and least > max_size:
                break
        return limit_size(found, max_size)

    def _span(self, group: int, span: Span) -> Sequence[Entry]:
        entries = self._cache.get(span.carrier, group, span.first)
        if entries is None:
            return self._decode(group, span)
        start = span.low - span.first
        if start == 0 and span.high - span.first == len(entries):
            return entries
        return entries[start : span.high - span.first]

    def _decode(self, group: int, span: Span) -> Sequence[Entry]:
        """The entries of a span, from its run. Others of the run may be damaged: these need not be."""
        try:
            run = self._run(span)
            try:
                entries = decode_run(run, _make_entry)
            except Damaged:
                entries = decode_run(part_of_run(run, span.low, span.high), _make_entry)
                start = 0
            else:
                start = span.low - span.first
        except Damaged as error:
            index = error.index if span.low <= error.index < span.high else span.low
            raise Corruption(f"group {group}: {error}", group, index) from error
        except Corruption as error:
            raise Corruption(f"group {group}: {error}", group, span.low) from error
        found = entries[start : start + span.high - span.low]
        if not found or (found[0].index, found[-1].index) != (span.low, span.high - 1):
            raise Corruption(f"group {group}: other entries are stored in its place", group, span.low)
        return found

    def _run(self, span: Span) -> bytes:
        """The bytes of a span's run, copied out."""
        batch = self._in_flight.get(span.carrier)
        if batch is not None:
            return batch.blob[span.at : span.at + span.length]
        pieces = []
        with self._environment.reading() as get:
            for number, start, stop in spans(span.at, span.length):
                value = get(chunk_key(span.carrier, number))
                if value is None:
                    raise Corruption(f"chunk {number} of log batch {span.carrier} is missing")
                read_header(value, span.carrier, number)
                pieces.append(bytes(value[start:stop]))
        return b"".join(pieces)


def _make_entry(term: int, index: int, kind: int, data: bytes) -> Entry:
    try:
        return Entry(term, index, _TYPES[kind], data)
    except KeyError as error:
        raise VersionMismatch(f"entry {index} is of type {kind}, which this version does not know") from error

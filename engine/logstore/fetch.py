"""The stored bytes of runs: each batch is looked at once, and all pages are asked for before one is read.

Consecutive entries of a group mostly lie in as many batches, far apart in the file. If that is not in memory,
every page would be waited for by itself.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from ...native.logindex import Span
from ...native.pages import will_need
from ..errors import Corruption
from .chunks import HEADER_SIZE, Buffer, body_size, chunk_key, read_header, spans
from .environment import Environment, Get

Place = tuple[int, int]
"""A value: the number of its batch, and its own in the batch."""


class InFlight(Protocol):
    """A batch that may not be in the environment yet."""

    @property
    def blob(self) -> bytearray:
        """The encoded batch."""
        ...


def fetch(
    environment: Environment, in_flight: Mapping[int, InFlight], wanted: Sequence[Span]
) -> dict[Span, bytes | Corruption]:
    """The run of each span, copied out, or why there is none."""
    runs: dict[Span, bytes | Corruption] = {}
    stored = []
    for span in wanted:
        batch = in_flight.get(span.carrier)
        if batch is None:
            stored.append(span)
        else:
            runs[span] = bytes(memoryview(batch.blob)[span.at : span.at + span.length])
    if stored:
        with environment.reading() as get:
            runs.update(_read(get, stored))
    return runs


def _read(get: Get, wanted: Sequence[Span]) -> dict[Span, bytes | Corruption]:
    values: dict[Place, Buffer | None] = {}
    pieces: dict[Span, list[tuple[Place, int, int]]] = {}
    for span in wanted:
        first = (span.carrier, 0)
        if first not in values:
            values[first] = get(chunk_key(*first))
        found = spans(span.at, span.length, body_size(values[first]))
        pieces[span] = [((span.carrier, number), start, stop) for number, start, stop in found]
        for place, start, stop in pieces[span]:
            if place not in values:
                values[place] = get(chunk_key(*place))
            if len(wanted) > 1:
                _ask(values[place], start, stop)
    sound: set[Place] = set()
    return {span: _joined(values, sound, found) for span, found in pieces.items()}


def _ask(value: Buffer | None, start: int, stop: int) -> None:
    """Have a part of a value, and its header, brought into memory."""
    if isinstance(value, memoryview) and stop <= len(value):
        will_need(value, 0, HEADER_SIZE)
        will_need(value, start, stop)


def _joined(
    values: Mapping[Place, Buffer | None], sound: set[Place], pieces: Sequence[tuple[Place, int, int]]
) -> bytes | Corruption:
    """The bytes of a run; `sound` are the values whose header has been looked at."""
    parts = []
    for place, start, stop in pieces:
        value = values[place]
        if value is None:
            return Corruption(f"chunk {place[1]} of log batch {place[0]} is missing")
        if place not in sound:
            try:
                read_header(value, *place)
            except Corruption as error:
                return error
            sound.add(place)
        parts.append(bytes(value[start:stop]))
    return b"".join(parts)

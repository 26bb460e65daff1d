"""A closed loop of puts: so many are outstanding at any time, and each answer starts the next one.

``bench throughput`` and the benchmarks share it. What it costs to make the puts and to look at their answers
is timed apart, so that it can be told from what the nodes cost. :mod:`.load_targets` says where the puts go.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from ..engine.errors import Error, Retryable
from ..engine.statemachine.commands import encode_put

KEY_BYTES: Final = 16
KEY_SPACE: Final = 1 << 8 * KEY_BYTES
SMALLEST_PAYLOAD: Final = 8
"""A value begins with a number of its own: all values differ."""
PAUSE: Final = 0.02
"""Seconds until a put that was refused is made again."""
BATCH_BYTES: Final = 1 << 20
PUT_BYTES: Final = 64
"""What a put takes beside its value: more than enough for its key and their heads."""
LATENCY_UNIT: Final = 1e-5
"""Latencies are counted by so many seconds."""


class LoadedRange:
    """A range ``[start, end)`` that gets puts, and how many of its commands were acknowledged."""

    __slots__ = ("acknowledged", "low", "number", "start", "width")

    def __init__(self, number: int, start: bytes, end: bytes | None) -> None:
        """``number`` is its place among the ranges of the load."""
        self.number = number
        self.start = start
        self.low = _position(start)
        self.width = (KEY_SPACE if end is None else _position(end)) - self.low
        self.acknowledged = 0


class Target(Protocol):
    """Where puts go."""

    @property
    def ranges(self) -> Sequence[LoadedRange]:
        """What gets puts, in the order of the keys."""
        ...

    def prepare(self, place: LoadedRange, puts: int) -> Any:  # noqa: ANN401 # each target's own
        """Make a request of so many puts into one range: the generator's work."""
        ...

    def submit(self, place: LoadedRange, request: Any) -> "asyncio.Future[Any]":  # noqa: ANN401 # as above
        """Hand a request over. Raises :class:`Error`, as the future never does: see :meth:`refusal`."""
        ...

    def refusal(self, place: LoadedRange, answer: Any, /) -> Error | None:  # noqa: ANN401 # as above
        """The error in a future's result, None if every put of the request was applied."""
        ...

    def commands(self, puts: int, /) -> int:
        """How many commands, each a log entry, a request of so many puts is."""
        ...


class Puts:
    """Makes puts: keys uniform over their range, and no two values alike."""

    def __init__(self, payload: int, seed: int, keys: int | None = None) -> None:
        """Values have ``payload`` bytes, at least :data:`SMALLEST_PAYLOAD`.

        Each range has so many ``keys``, at even distances; None: as many as there are puts.
        """
        key, value = b"k" * KEY_BYTES, b"v" * payload
        self._before, rest = encode_put(key, value).split(key)
        self._between = rest.removesuffix(value)
        self._filler = bytes(payload - SMALLEST_PAYLOAD)
        self._number = 0
        self._keys = keys
        self._bits = random.Random(seed).getrandbits

    def key(self, place: LoadedRange) -> bytes:
        """Any key of the range."""
        if self._keys is None:
            offset = self._bits(64) * place.width >> 64
        else:
            offset = (self._bits(64) * self._keys >> 64) * place.width // self._keys
        return (place.low + offset).to_bytes(KEY_BYTES, "big")

    def value(self) -> bytes:
        """A value that no other put has."""
        self._number += 1
        return self._number.to_bytes(SMALLEST_PAYLOAD, "big") + self._filler

    def body(self, key: bytes) -> bytes:
        """What ``encode_put(key, self.value())`` gives, several times as fast."""
        return b"".join((self._before, key, self._between, self.value()))


class Slot:
    """A place for one outstanding request of ``size`` puts."""

    __slots__ = ("answered", "began", "future", "place", "size")

    def __init__(self, place: LoadedRange, size: int) -> None:
        self.place = place
        self.size = size
        self.began = 0.0
        self.future: asyncio.Future[Any]
        self.answered: Callable[[asyncio.Future[Any]], None]


class Mark(NamedTuple):
    """How far a load is at a moment: differences of two marks are what happened between them."""

    time: float
    operations: int
    generator_cpu: float
    """Seconds of CPU that making puts and taking their answers has cost."""


class ClosedLoop:
    """Keeps ``clients`` puts outstanding, spread evenly over the ranges of the target.

    With ``most`` = 1 each of them is a request of its own; otherwise those of a range share requests of at
    most so many. With fewer clients than ranges every client goes round the ranges.
    """

    def __init__(self, target: Target, clients: int, most: int = 1) -> None:
        self.operations = 0
        """Puts acknowledged so far."""
        self.refused = 0
        """Requests that were refused, to be made again: their range had no leader at that moment."""
        self.latencies: Counter[int] = Counter()
        """Puts by latency in units of :data:`LATENCY_UNIT`, while ``recording``."""
        self.recording = False
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._slots = slots_of(target.ranges, clients, most)
        self._stride = len(self._slots) if len(self._slots) < len(target.ranges) else 0
        self._answered: list[Slot] = []
        self._outstanding = 0
        self._stopping = False
        self._generator_cpu = 0.0
        self._goal = 0
        self._reached: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._error: Error | None = None

    def start(self) -> None:
        """Make the first puts."""
        for slot in self._slots:
            slot.answered = self._answer_noter(slot)
        self._outstanding = len(self._slots)
        self._answered = self._slots
        self._submit(self._prepare(self._take_answered()))

    def mark(self) -> Mark:
        """How far the load is now."""
        return Mark(time.perf_counter(), self.operations, self._generator_cpu)

    async def run_for(self, seconds: float) -> None:
        """Let the load run. Raises what makes it impossible to go on."""
        await asyncio.wait([self._ended], timeout=seconds)
        self._check()

    async def run_until(self, operations: int) -> None:
        """Return once so many puts were acknowledged in all. Raises as :meth:`run_for`."""
        if self.operations < operations:
            self._goal, self._reached = operations, self._loop.create_future()
            await asyncio.wait([self._ended, self._reached], return_when=asyncio.FIRST_COMPLETED)
        self._check()

    async def stop(self) -> None:
        """Make no more puts, and return once all have their answers. Raises as :meth:`run_for`."""
        self._stopping = True
        await self._ended
        self._check()

    def abandon(self) -> None:
        """Make no more puts, and forget those that have no answer yet: the nodes are about to go."""
        if not self._ended.done():
            self._ended.set_result(None)

    # -- one pass over the answers ---------------------------------------------------------------

    def _answer_noter(self, slot: Slot) -> "Callable[[asyncio.Future[Any]], None]":
        def note(_future: "asyncio.Future[Any]") -> None:
            if not self._answered:
                self._loop.call_soon(self._take_pass)
            self._answered.append(slot)

        return note

    def _take_pass(self) -> None:
        """Count what was answered since the last pass and make the puts that follow."""
        if self._ended.done():
            return
        began = time.thread_time()
        accepted = self._count(self._take_answered())
        requests = self._prepare(accepted) if not self._stopping else []
        self._outstanding -= len(accepted) - len(requests)
        self._generator_cpu += time.thread_time() - began
        if requests:
            self._submit(requests)
        elif not self._outstanding and not self._ended.done():
            self._ended.set_result(None)
        if self.operations >= self._goal and not self._reached.done():
            self._reached.set_result(None)

    def _take_answered(self) -> list[Slot]:
        answered, self._answered = self._answered, []
        return answered

    def _count(self, answered: list[Slot]) -> list[Slot]:
        """Note acknowledgements; returns the slots that are free for their next request."""
        now = time.perf_counter()
        accepted = []
        target = self._target
        for slot in answered:
            error = target.refusal(slot.place, slot.future.result())
            if error is not None:
                self._refused(slot, error)
                continue
            accepted.append(slot)
            slot.place.acknowledged += target.commands(slot.size)
            self.operations += slot.size
            if self.recording:
                self.latencies[round((now - slot.began) / LATENCY_UNIT)] += slot.size
        return accepted

    def _prepare(self, free: list[Slot]) -> list[tuple[Slot, Any]]:
        ranges, prepare = self._target.ranges, self._target.prepare
        if self._stride:
            for slot in free:
                slot.place = ranges[(slot.place.number + self._stride) % len(ranges)]
        return [(slot, prepare(slot.place, slot.size)) for slot in free]

    def _submit(self, requests: list[tuple[Slot, Any]]) -> None:
        now = time.perf_counter()
        submit = self._target.submit
        for slot, request in requests:
            slot.began = now
            try:
                slot.future = submit(slot.place, request)
            except Error as error:
                self._refused(slot, error)
            else:
                slot.future.add_done_callback(slot.answered)

    # -- refusals and the end --------------------------------------------------------------------

    def _refused(self, slot: Slot, error: Error) -> None:
        """Nothing happened: make another request later. Anything else ends the load."""
        if isinstance(error, Retryable):
            self.refused += 1
            self._loop.call_later(PAUSE, self._again, slot)
        elif not self._ended.done():
            self._error = error
            self._ended.set_result(None)

    def _again(self, slot: Slot) -> None:
        if self._ended.done():
            return
        if self._stopping:
            self._outstanding -= 1
            if not self._outstanding:
                self._ended.set_result(None)
        else:
            self._submit(self._prepare([slot]))

    def _check(self) -> None:
        if self._error is not None:
            raise self._error


def slots_of(ranges: Sequence[LoadedRange], clients: int, most: int) -> list[Slot]:
    """The slots of so many clients, each with at most ``most`` of one range's."""
    share, more = divmod(clients, len(ranges))
    slots = []
    for place in ranges:
        left = share + (place.number < more)
        while left:
            slots.append(Slot(place, min(left, most)))
            left -= slots[-1].size
    return slots


def puts_in_a_batch(payload: int) -> int:
    """How many puts make a request of about 1 MiB, with values of so many bytes."""
    return max(1, BATCH_BYTES // (payload + PUT_BYTES))


def percentile_ms(latencies: Counter[int], share: float) -> float | None:
    """The latency in milliseconds within which a share of the puts was answered, None without puts."""
    left = share * latencies.total()
    for units in sorted(latencies):
        left -= latencies[units]
        if left <= 0:
            return round(units * LATENCY_UNIT * 1000, 2)
    return None


def _position(key: bytes) -> int:
    """Where a key lies, of :data:`KEY_SPACE` places."""
    return int.from_bytes(key[:KEY_BYTES].ljust(KEY_BYTES, b"\0"), "big")

"""What a link does to the frames that pass it: decided by plain functions from one source of randomness."""

import random as random_module
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from enum import IntEnum
from functools import reduce
from typing import NamedTuple

from multiraft.engine.transport.kinds import FrameKind
from multiraft.native.frames import HEADER_SIZE, open_header

# TCP neither repeats nor reorders, and the request protocol between nodes relies on it: a request that came
# twice would be carried out twice. What consensus sends must bear both.
REPEATABLE = frozenset({FrameKind.MESSAGES, FrameKind.CHUNK, FrameKind.REPLY, FrameKind.PING})


class Frame(NamedTuple):
    kind: int
    data: bytes
    """Header and payload."""


class FrameCutter:
    """Cuts one direction of a byte stream at its frame boundaries. Raises BadFrame: it is no such stream."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now."""
        self._held += data
        frames, offset = [], 0
        while len(self._held) - offset >= HEADER_SIZE:
            kind, length, _ = open_header(self._held, offset)
            end = offset + HEADER_SIZE + length
            if end > len(self._held):
                break
            frames.append(Frame(kind, bytes(self._held[offset:end])))
            offset = end
        del self._held[:offset]
        return frames


class Cut(IntEnum):
    """Whether anything passes; the higher one wins."""

    OPEN = 0
    STALL = 1
    """Nothing passes now, and everything passes later: packets that the kernel sends again and again."""
    DROP = 2
    """Whole frames vanish while the connection lives on."""


@dataclass(frozen=True)
class Weather:
    """The conditions of one direction between two nodes."""

    delay: tuple[float, float] = (0.0, 0.0)
    """Seconds, drawn evenly between the two for each frame."""
    ordered: bool = True
    """Whether a later frame waits for an earlier one that is delayed for longer."""
    loss: float = 0.0
    """The part of the frames that vanishes."""
    repeat: float = 0.0
    """The part of the frames that comes twice (only of :data:`REPEATABLE` kinds)."""
    damage: float = 0.0
    """The part of the frames with a flipped bit."""
    rate: float = float("inf")
    """Bytes per second."""
    cut: Cut = Cut.OPEN

    def under(self, other: "Weather") -> "Weather":
        """Both at once: of everything the worse."""
        return Weather(
            delay=max(self.delay, other.delay),
            ordered=self.ordered and other.ordered,
            loss=max(self.loss, other.loss),
            repeat=max(self.repeat, other.repeat),
            damage=max(self.damage, other.damage),
            rate=min(self.rate, other.rate),
            cut=max(self.cut, other.cut),
        )


CALM = Weather()


def combined(weathers: Iterable[Weather]) -> Weather:
    return reduce(Weather.under, weathers, CALM)


class Delivery(NamedTuple):
    at: float
    """On the clock of ``now``."""
    data: bytes
    damaged: bool = False


@dataclass
class Tally:
    """How many frames met which fate."""

    passed: int = 0
    lost: int = 0
    repeated: int = 0
    damaged: int = 0
    overtaking: int = 0
    snapshots: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))


class Fates:
    """What becomes of the frames of one direction of one connection."""

    def __init__(self, random: random_module.Random, tally: Tally) -> None:
        self._random = random
        self._tally = tally
        self._latest = 0.0
        self._barrier = 0.0

    def deliveries(self, weather: Weather, frame: Frame, now: float) -> list[Delivery]:
        """When the frame arrives, and as what: not at all, once, or twice. The rate is the link's matter."""
        chance, tally = self._random.random, self._tally
        if weather.cut is Cut.DROP or (weather.loss and chance() < weather.loss):
            tally.lost += 1
            return []
        data, damaged = frame.data, weather.damage > 0 and chance() < weather.damage
        if damaged:
            tally.damaged += 1
            data = flip_bit(data, self._random.randrange(8 * len(data)))
        copies = 1
        if weather.repeat and frame.kind in REPEATABLE and chance() < weather.repeat:
            tally.repeated += 1
            copies = 2
        tally.passed += 1
        tally.snapshots += frame.kind == FrameKind.DONE
        return [Delivery(self._arrival(weather, frame, now), data, damaged) for _ in range(copies)]

    def _arrival(self, weather: Weather, frame: Frame, now: float) -> float:
        at = max(self._barrier, now + self._random.uniform(*weather.delay))
        if weather.ordered or frame.kind not in REPEATABLE:
            at = max(at, self._latest)
        elif at < self._latest:
            self._tally.overtaking += 1
        if frame.kind not in REPEATABLE:
            self._barrier = at
        self._latest = max(self._latest, at)
        return at


def flip_bit(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)

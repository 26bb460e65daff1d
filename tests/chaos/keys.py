"""Which keys are asked for: few at a time, so that clients meet, and each only so often.

A checker of linearizability tries the orders of operations that overlap. It stays quick as long as a key has
few clients, at most :data:`OPERATIONS` operations and few of unknown outcome, which overlap with everything
that follows. So clients work in teams, a team has a few keys, and keys that have had their share give way to
fresh ones.
"""

import random as random_module
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

TEAM: Final = 8
"""Clients that share keys."""
OPERATIONS: Final = 1000
"""On one key, the reads at the end included."""
LAST_READS: Final = 50
"""Of them kept for when the key has given way."""
UNKNOWN: Final = 5
"""Operations of unknown outcome on one key until it gives way."""
PLOTS: Final = 2
KEYS: Final = 3
HOT: Final = 0
"""The range that always has a plot of every team."""


def range_start(number: int) -> bytes:
    """The first key of the range of this number; it ends where the next one begins."""
    return b"%05d/" % number


@dataclass(eq=False)
class Plot:
    """Keys of one range that are in use together."""

    number: int
    """Of the range."""
    keys: tuple[bytes, ...]


@dataclass(slots=True)
class Use:
    """How a key was used so far."""

    operations: int = 0
    unknown: int = 0
    seen: list[bytes | None] = field(default_factory=lambda: [None])
    """Values that the key may hold, the latest last: what a compare-and-swap expects."""


class Keys:
    """The keys of one team."""

    def __init__(self, team: int, ranges: Sequence[int], random: random_module.Random) -> None:
        """``ranges`` are the numbers of the ranges that exist, and may grow."""
        self._team = team
        self._ranges = ranges
        self._random = random
        self._made = 0
        self._uses: dict[bytes, Use] = {}
        self._left: list[bytes] = []
        self._plots = [self._plot(place) for place in range(PLOTS)]

    @property
    def all(self) -> list[bytes]:
        """Every key so far."""
        return list(self._uses)

    def one(self) -> bytes:
        """A key to use now."""
        return self._random.choice(self._random.choice(self._plots).keys)

    def one_left(self) -> bytes | None:
        """A key that has given way, to look at once more; None if there is none with operations left."""
        if not self._left:
            return None
        place = self._random.randrange(len(self._left))
        key = self._left[place]
        if self._uses[key].operations >= OPERATIONS - 1:  # the last one is the read at the end
            self._left[place] = self._left[-1]
            self._left.pop()
            return None
        return key

    def several(self) -> tuple[bytes, ...]:
        """Keys of one range, for a batch."""
        keys = self._random.choice(self._plots).keys
        return tuple(self._random.sample(keys, self._random.randint(2, len(keys))))

    def expected(self, key: bytes) -> bytes | None:
        """A value that the key may hold."""
        seen = self._uses[key].seen
        return seen[-1] if self._random.random() < 0.8 else self._random.choice(seen)

    def used(self, keys: Sequence[bytes]) -> None:
        """An operation on these keys begins."""
        for key in keys:
            self._uses[key].operations += 1
        self._renew()

    def unknown(self, keys: Sequence[bytes]) -> None:
        """An operation on these keys has ended with an unknown outcome."""
        for key in keys:
            self._uses[key].unknown += 1
        self._renew()

    def saw(self, key: bytes, value: bytes | None) -> None:
        """The key had this value just now."""
        seen = self._uses[key].seen
        seen.append(value)
        del seen[:-3]

    def _renew(self) -> None:
        for place, plot in enumerate(self._plots):
            if any(map(self._spent, plot.keys)):
                self._left += plot.keys
                self._plots[place] = self._plot(place)

    def _spent(self, key: bytes) -> bool:
        use = self._uses[key]
        return use.operations >= OPERATIONS - LAST_READS or use.unknown >= UNKNOWN

    def _plot(self, place: int) -> Plot:
        number = HOT if place == 0 else self._random.choice(self._ranges)
        first = self._made
        self._made += KEYS
        keys = tuple(b"%s%d-%d" % (range_start(number), self._team, first + i) for i in range(KEYS))
        self._uses |= {key: Use() for key in keys}
        return Plot(number, keys)

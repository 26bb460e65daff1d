"""How many keys a group has on the disk, and a sum over all of them: what shows that one is missing or stale.

A checksum beside each value says that a value found is the one that was written. It says nothing of a value
that is not found any more, nor of an older one that a stray page brought back.
"""

from typing import Final, NamedTuple

from .records import CRC

_MASK: Final = 2**64 - 1


class Tally(NamedTuple):
    """Of one group's data. ``total`` is a sum of :func:`weight` modulo 2^64, in whatever order."""

    keys: int = 0
    total: int = 0


class Tallying:
    """A tally that changes with every key written or deleted.

    ``fresh``: nothing was counted before. What is found in the file then comes from the same flush, written
    once more.
    """

    __slots__ = ("_keys", "_total", "fresh")

    def __init__(self, start: Tally | None = None) -> None:
        self._keys, self._total = start or Tally()
        self.fresh = start is None

    def add(self, stored: bytes) -> None:
        """A value, as it is stored."""
        self._keys += 1
        self._total += weight(stored)

    def remove(self, stored: bytes) -> None:
        """A value that was counted in."""
        self._keys -= 1
        self._total -= weight(stored)

    def result(self) -> Tally:
        """The tally of what is left. A count below zero, after damage, is as wrong as any other."""
        return Tally(self._keys & _MASK, self._total & _MASK)


def weight(stored: bytes) -> int:
    """A 64-bit number that stands for a key and its value: a function of the checksum before the value.

    Not linear, for a checksum is: of two keys whose values were exchanged, the plain sum may stay the same.
    """
    crc = CRC.unpack_from(stored)[0] if len(stored) >= CRC.size else 0
    mixed: int = crc << 32 | crc ^ 0xFFFF_FFFF
    return mixed * (mixed | 1) & _MASK


def tally_problem(said: Tally, found: Tally) -> str:
    """What two tallies that differ tell of the data."""
    if said.keys != found.keys:
        return f"there are {found.keys} keys, its record says {said.keys}"
    return "the sum over keys and values is not that of its record: one of them is an older one"

"""Which faults come when: drawn from the seed alone, before anything runs."""

import itertools
import random as random_module
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from .proxy import Direction
from .weather import Cut, Weather

GAP_S: Final = (1.0, 3.0)
"""Between the beginnings of two faults: thirty a minute."""
FIRST_S: Final = 1.0

Random = random_module.Random


@dataclass(frozen=True)
class Fault:
    """What happens, when, to whom, and for how long."""

    at: float
    """Seconds from the beginning."""
    kind: str
    nodes: tuple[int, ...]
    """Whom it is meant for; for faults of the network see ``directions``."""
    seconds: float
    """How long it lasts, as far as that is for us to say."""
    directions: tuple[Direction, ...] = ()
    weather: Weather | None = None
    """What is imposed on the directions."""
    variant: bool = False
    """One of two ways to do it; which they are is the kind's business."""

    def __str__(self) -> str:
        place = " ".join(f"{one}>{two}" for one, two in self.directions) or ",".join(map(str, self.nodes))
        more = f" {describe(self.weather)}" if self.weather else " (variant)" if self.variant else ""
        return f"{self.at:7.2f} s  {self.kind:13} {place} for {self.seconds:.2f} s{more}"


Maker = Callable[[Random, Sequence[int], float], Fault]


def schedule(seed: int, nodes: int, seconds: float, election_s: float) -> list[Fault]:
    """The faults of a run, in their order.

    Every kind comes once before any comes again, so that a short run has many and a long one as many of each.
    ``election_s`` is the election timeout, which pauses are measured by.
    """
    random = random_module.Random(f"schedule {seed}")
    makers = kinds(election_s)
    numbers = range(1, nodes + 1)
    faults: list[Fault] = []
    at = FIRST_S
    for kind in _rounds(random, sorted(makers)):
        if at >= seconds:
            return faults
        fault = makers[kind](random, numbers, at)
        faults.append(replace(fault, seconds=min(fault.seconds, seconds - at)))
        at += random.uniform(*GAP_S)
    raise AssertionError("the rounds never end")


def _rounds(random: Random, names: Sequence[str]) -> Iterator[str]:
    while True:
        yield from random.sample(names, len(names))


def kinds(election_s: float) -> Mapping[str, Maker]:
    """How a fault of each kind is drawn."""
    return {**NETWORK, **_process_kinds(election_s)}


# -- the network --------------------------------------------------------------------------------------


def _network(
    kind: str, draw: Callable[[Random], Weather], shortest: float = 1.0, longest: float = 5.0
) -> Maker:
    """Weather on some directions: of all links, of one node's, or of one direction alone."""

    def make(random: Random, nodes: Sequence[int], at: float) -> Fault:
        directions = random.choice([_all, _around, _single])(random, nodes)
        return Fault(at, kind, (), random.uniform(shortest, longest), directions, draw(random))

    return make


def _cut(kind: str, choose: Callable[[Random, Sequence[int]], tuple[Direction, ...]]) -> Maker:
    """Nothing passes: stalled as by a network that drops packets, or with whole frames vanishing."""

    def make(random: Random, nodes: Sequence[int], at: float) -> Fault:
        weather = Weather(cut=random.choice([Cut.STALL, Cut.DROP]))
        return Fault(at, kind, (), random.uniform(1.0, 4.0), choose(random, nodes), weather)

    return make


def _reset(random: Random, nodes: Sequence[int], at: float) -> Fault:
    """Connections are reset, one or all of them, again and again; the variant: in the middle of a frame."""
    directions = random.choice([_all, _around, _single])(random, nodes)
    seconds = random.choice([0.0, random.uniform(1.0, 4.0)])
    return Fault(at, "reset", (), seconds, directions, variant=random.random() < 0.5)


def _all(random: Random, nodes: Sequence[int]) -> tuple[Direction, ...]:
    return tuple(itertools.permutations(nodes, 2))


def _around(random: Random, nodes: Sequence[int]) -> tuple[Direction, ...]:
    """Both directions between one node and all others: isolated, if they are cut."""
    alone = random.choice(nodes)
    return tuple(pair for pair in _all(random, nodes) if alone in pair)


def _single(random: Random, nodes: Sequence[int]) -> tuple[Direction, ...]:
    one, two = random.sample(nodes, 2)
    return ((one, two),)


def _pair(random: Random, nodes: Sequence[int]) -> tuple[Direction, ...]:
    """Two nodes that reach all others, and not each other."""
    one, two = random.sample(nodes, 2)
    return ((one, two), (two, one))


def _one_way(random: Random, nodes: Sequence[int]) -> tuple[Direction, ...]:
    """A node that hears all others and is not heard, or the other way round."""
    alone, end = random.choice(nodes), random.randrange(2)
    return tuple(pair for pair in _all(random, nodes) if pair[end] == alone)


def _split(random: Random, nodes: Sequence[int]) -> tuple[Direction, ...]:
    """A minority and a majority."""
    few = set(random.sample(nodes, random.randint(1, (len(nodes) - 1) // 2)))
    return tuple(pair for pair in _all(random, nodes) if (pair[0] in few) != (pair[1] in few))


def _storm(random: Random) -> Weather:
    return Weather((0.0, 0.1), ordered=False, loss=0.05, repeat=0.1, damage=0.001)


NETWORK: Final[Mapping[str, Maker]] = {
    "delay": _network("delay", lambda random: Weather(delay=(0.0, random.uniform(0.02, 0.5)))),
    "reorder": _network("reorder", lambda random: Weather((0.0, random.uniform(0.01, 0.1)), ordered=False)),
    "loss": _network("loss", lambda random: Weather(loss=random.uniform(0.02, 0.4))),
    "repeat": _network("repeat", lambda random: Weather(repeat=random.uniform(0.1, 0.6))),
    "damage": _network("damage", lambda random: Weather(damage=random.uniform(0.005, 0.05))),
    "slow": _network("slow", lambda random: Weather(rate=random.uniform(10e3, 200e3))),
    "storm": _network("storm", _storm, 3.0, 8.0),
    "reset": _reset,
    "one-way": _cut("one-way", _one_way),
    "isolate": _cut("isolate", _around),
    "pair": _cut("pair", _pair),
    "split": _cut("split", _split),
}


# -- processes and disks ------------------------------------------------------------------------------


def _process_kinds(election_s: float) -> Mapping[str, Maker]:
    def process(kind: str, shortest: float, longest: float) -> Maker:
        def make(random: Random, nodes: Sequence[int], at: float) -> Fault:
            seconds = random.uniform(shortest, longest)
            return Fault(at, kind, (random.choice(nodes),), seconds, variant=random.random() < 0.5)

        return make

    def kill_all(random: Random, nodes: Sequence[int], at: float) -> Fault:
        return Fault(at, "kill-all", tuple(nodes), random.uniform(0.0, 0.5))

    return {
        "kill": process("kill", 0.0, 2.0),
        "kill-long": process("kill-long", 6.0, 10.0),
        "kill-twice": process("kill-twice", 0.0, 1.0),
        "kill-all": kill_all,
        "restart": process("restart", 0.0, 1.0),
        "pause-short": process("pause-short", 0.05 * election_s, 0.5 * election_s),
        "pause-long": process("pause-long", 2 * election_s, 8 * election_s),
        "pause-cut": process("pause-cut", 2 * election_s, 4 * election_s),
        "wipe": process("wipe", 0.0, 0.0),
        "disk-full": process("disk-full", 3.0, 5.0),
    }


def describe(weather: Weather) -> str:
    """What is not as it should be."""
    usual = Weather()
    parts = []
    for name in Weather.__dataclass_fields__:
        value = getattr(weather, name)
        if value != getattr(usual, name):
            text = value.name if isinstance(value, Cut) else f"{value}"
            if isinstance(value, float):
                text = f"{value:.3g}"
            elif isinstance(value, tuple):
                text = "-".join(f"{one:.3g}" for one in value)
            parts.append(f"{name}={text}")
    return " ".join(parts)

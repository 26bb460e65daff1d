"""Who rests: the books of a node, with a digest for every node that it shares resting groups with."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..native.restdigest import RestDigest, RestPoint
from .timers import Timers

if TYPE_CHECKING:
    from .replica import Replica


class Rests(NamedTuple):
    """How a replica rests."""

    point: RestPoint
    leads: bool
    nodes: tuple[int, ...]
    """Whose digest counts the group: of a follower its leader's node, of a leader those that it counts on."""


@dataclass(slots=True)
class Quiet:
    """A time in which nothing happens to a leader."""

    since: tuple[int, int]
    """The last index of its log, and its rounds of reads."""
    beats: int = 0
    members: dict[int, None] = field(default_factory=dict)
    """Members that have answered a beat, and lack nothing."""


class Resting:
    """Resting replicas. They have no ticks to come; whoever does anything to one ends its rest first."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self.led: dict[int, RestDigest] = {}
        """By node: groups that are led here and that the node should have at rest."""
        self.followed: dict[int, RestDigest] = {}
        """By node: groups that rest here because the node leads them."""

    def begin(self, replica: "Replica", rests: Rests) -> None:
        """A replica that has nothing to do goes to rest."""
        assert replica.rests is None, f"group {replica.group} rests already"
        replica.rests = rests
        self._timers.rest(replica)
        for node in rests.nodes:
            self._side(rests).setdefault(node, RestDigest()).add(replica.group, rests.point)

    def end(self, replica: "Replica") -> None:
        """It has something to do again, or stops. One that does not rest is left alone."""
        rests, replica.rests = replica.rests, None
        if rests is None:
            return
        self._timers.wake(replica)
        for node in rests.nodes:
            self._side(rests)[node].remove(replica.group)

    def _side(self, rests: Rests) -> dict[int, RestDigest]:
        return self.led if rests.leads else self.followed

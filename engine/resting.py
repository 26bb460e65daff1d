"""Who rests: the books of a node, with a digest for every node that it shares resting groups with."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..native.restdigest import RestDigest, RestPoint
from ..raft.dormancy import settle
from .logstore.port import Birth
from .timers import Timers

if TYPE_CHECKING:
    from .replica import Replica


class Rests(NamedTuple):
    """How a replica rests."""

    point: RestPoint
    leads: bool
    nodes: tuple[int, ...]
    """Whose digest counts the group: of a follower its leader's node, of a leader those that it counts on."""


def full_rest(birth: Birth, point: RestPoint, lead: int) -> Rests:
    """How a replica rests whose leader, itself or another one, counts on every member."""
    nodes = dict(birth.peers)
    if lead != birth.replica_id:
        return Rests(point, leads=False, nodes=(nodes[lead],))
    others = tuple([node for one, node in nodes.items() if one != lead])
    return Rests(point, leads=True, nodes=others)


@dataclass(slots=True)
class Quiet:
    """A time in which nothing happens to a leader."""

    since: tuple[int, int]
    """The last index of its log, and its rounds of reads."""
    beats: int = 0
    members: dict[int, None] = field(default_factory=dict)
    """Members that have answered a beat, and lack nothing."""


class Resting:
    """Resting replicas. They have no ticks to come; whoever does anything to one ends its rest first.

    One that is put away rests on: the digests count its group, and nothing else here knows of it.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self.led: dict[int, RestDigest] = {}
        """By node: groups that are led here and that the node should have at rest."""
        self.followed: dict[int, RestDigest] = {}
        """By node: groups that rest here because the node leads them."""
        self.at_hand: dict[int, int] = {}
        """Groups that rest and have an object: since which tick, the longest first."""

    def begin(self, replica: "Replica", rests: Rests) -> None:
        """A replica that has nothing to do goes to rest."""
        assert replica.rests is None, f"group {replica.group} rests already"
        settle(replica.raw.raft)
        replica.rests = rests
        self.keep_at_hand(replica)
        self._timers.rest(replica)
        self.lay_down(replica.group, rests)

    def end(self, replica: "Replica") -> None:
        """It has something to do again, or stops. One that does not rest is left alone."""
        rests, replica.rests = replica.rests, None
        if rests is None:
            return
        del self.at_hand[replica.group]
        self._timers.wake(replica)
        self.strike(replica.group, rests)

    def keep_at_hand(self, replica: "Replica") -> None:
        """It rests, and its object is not put away for a while."""
        self.at_hand.pop(replica.group, None)
        self.at_hand[replica.group] = self._timers.ticks

    def put_away(self, replica: "Replica") -> None:
        """It rests on without its object."""
        del self.at_hand[replica.group]

    def take_up(self, replica: "Replica", rests: Rests) -> None:
        """A replica that was put away has an object again, and rests on."""
        replica.rests = rests
        self.keep_at_hand(replica)

    def lay_down(self, group: int, rests: Rests) -> None:
        """A replica that has no object rests from now on."""
        digests = self._side(rests)
        for node in rests.nodes:
            if node not in digests:
                digests[node] = RestDigest()
            digests[node].add(group, rests.point)

    def strike(self, group: int, rests: Rests) -> None:
        """A group that has rested like this rests no more."""
        for node in rests.nodes:
            self._side(rests)[node].remove(group)

    def _side(self, rests: Rests) -> dict[int, RestDigest]:
        return self.led if rests.leads else self.followed

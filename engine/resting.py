"""Who rests: the books of a node, with a digest for every node that it shares resting groups with."""

from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from ..native.restdigest import RestDigest, RestPoint
from ..raft.dormancy import settle
from .logstore.port import Birth
from .timers import Timers

if TYPE_CHECKING:
    from .replica import Replica

_LISTED_ONE: Final = Struct("<QQQ")
_MOVED_AT_ONCE: Final = 4096


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
        self._orphaned: dict[int, RestDigest] = {}
        """By node: groups that rest here though the node, which has led them, does so no more."""
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
            orphans = None if rests.leads else self._orphaned.get(node)
            if orphans is not None and group in orphans:
                orphans.remove(group)
            else:
                self._side(rests)[node].remove(group)

    # -- without a leader ------------------------------------------------------------------------

    def orphan(self, node: int) -> list[int]:
        """A node leads nothing any more. Returns the groups that rest here because of it."""
        orphans = self._orphaned.setdefault(node, RestDigest())
        return _move_all(self.followed.get(node) or RestDigest(), orphans)

    def adopt(self, node: int) -> None:
        """A node that was silent speaks, and has led all the time: what still rests has its leader again."""
        followed = self.followed.setdefault(node, RestDigest())
        _move_all(self._orphaned.get(node) or RestDigest(), followed)

    def is_orphan(self, group: int) -> bool:
        """Whether the group rests here and has lost its leader."""
        return any(group in orphans for orphans in self._orphaned.values())

    def _side(self, rests: Rests) -> dict[int, RestDigest]:
        return self.led if rests.leads else self.followed


def _move_all(source: RestDigest, target: RestDigest) -> list[int]:
    """Have the groups of one digest counted by another one; both stay what they are to who holds them."""
    moved = [one for _, _, listed in source.lists(_MOVED_AT_ONCE) for one in _LISTED_ONE.iter_unpack(listed)]
    for group, term, commit in moved:
        source.remove(group)
        target.add(group, RestPoint(term, commit))
    return [group for group, _, _ in moved]

"""What the directory says of one range."""

from functools import lru_cache
from typing import NamedTuple

from ..engine.logstore.port import Birth
from ..raft.state import ConfState
from .keyrange import KeyRange

Replicas = tuple[tuple[int, int], ...]
"""(replica id, node id) of each member; the first is the designated one, which forces the first election."""


class RangeDescriptor(NamedTuple):
    """One range as the directory knows it. It routes; what the range is, its own group's state says.

    A range has no id of its own: **its id is the id of its group**, which is never used again.
    """

    group: int
    start: bytes
    end: bytes | None
    """Exclusive; None: no upper bound."""
    epoch: int
    """Grows with every change of bounds; commands carry the one that they were routed by."""
    replicas: Replicas
    created: int
    """The directory's version at which the range came into being."""

    @property
    def bounds(self) -> KeyRange:
        """The keys that it holds."""
        return KeyRange(self.start, self.end)

    def replica_on(self, node: int) -> int | None:
        """The id of the replica on a node, None if there is none."""
        return _placed(self.replicas, node)[0]

    def birth_on(self, node: int) -> Birth | None:
        """How the replica on a node is born, None if there is none."""
        replica, members = _placed(self.replicas, node)
        if replica is None:
            return None
        group, start, end, epoch, replicas, created = self
        return Birth(group, replica, members, replicas, start, end, epoch, created, "kv")


@lru_cache(maxsize=1024)
def _placed(replicas: Replicas, node: int) -> tuple[int | None, ConfState]:
    """The replica on a node, and the members: the same objects for thousands of groups placed alike."""
    here = next((replica for replica, home in replicas if home == node), None)
    return here, ConfState(voters=tuple(sorted(replica for replica, _ in replicas)))

"""State stores that are lost, fall back to what they were, or rot; the logs beside them stay whole.

Nothing that a node has promised is in doubt then: it goes on voting and replicating, and gets its state from
its log or from its peers. So unlike a node that has lost its log it must catch up.
"""

from multiraft.engine.statemachine.records import HEAD_KEY

from .cluster import Cluster
from .plan import Fault

FLIPPED = 4
"""So many values rot at once, at most."""


def lose_state(cluster: Cluster, node: int, fault: Fault) -> None:
    """The state store is deleted while the node is down."""
    cluster.crash(node)
    cluster.lose_state(node, {})
    cluster.restart(node, fault.lasts)


def age_state(cluster: Cluster, node: int, fault: Fault) -> None:
    """After some time the state store is again what it is now."""
    old = dict(cluster.disks[node].contents.state)
    cluster.world.after(2 * fault.lasts + 1, _fall_back, cluster, node, old)


def _fall_back(cluster: Cluster, node: int, old: dict[bytes, bytes]) -> None:
    if not cluster.healed and node in cluster.processes and cluster.may_lose(node):
        cluster.crash(node)
        cluster.lose_state(node, old)
        cluster.restart(node, 0.3)


def damage_state(cluster: Cluster, node: int, fault: Fault) -> None:
    """Bits of some values turn over; the node meets them at once, or when it has started again."""
    disk, luck = cluster.disks[node], fault.luck
    keys = [key for key in disk.contents.state if key != HEAD_KEY]
    cluster.lose_state(node, None)
    for _ in range(1 + int(luck[2] * FLIPPED) if keys else 0):
        disk.flip_in(disk.contents.state, disk.random.choice(keys))
    if luck[3] < 0.5:
        cluster.crash(node)
        cluster.restart(node, fault.lasts)

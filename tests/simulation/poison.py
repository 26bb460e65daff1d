"""State machines that raise: the one of a single replica, or that of every replica at the same entry.

The first kind is a machine's own trouble, and over once its node has started again. The second is a command
that no replica can apply: wherever it is replayed it raises again, so its group is lost to its users, and
nothing else may be.
"""

from multiraft.engine.errors import Fatal, OutcomeUnknown, Quarantined, Retryable
from multiraft.engine.statemachine.commands import encode_put
from multiraft.shards.descriptor import RangeDescriptor
from multiraft.shards.engine import Engine

from .astray import PATIENCE_S, ranges_of
from .cluster import Cluster
from .fragile import MARK
from .plan import Fault, pick


def sicken(cluster: Cluster, node: int, fault: Fault) -> bool:
    """The machine of one replica of a node raises at whatever it is to apply next."""
    process, groups = cluster.processes[node], list(cluster.nodes[node].replicas.running)
    if not groups:
        return False
    group = pick(groups, fault.luck[2])
    cluster.note(node, fault.kind, f"group {group}")
    cluster.world.check(cluster.watch.poisoned, node, group)
    process.sick.add(group)
    return True


def poison(cluster: Cluster, node: int, fault: Fault) -> bool:
    """A command that no replica can apply is proposed to one of the ranges."""
    engine = cluster.engines.get(node)
    ranges = ranges_of(engine) if engine is not None else []
    if engine is None or not ranges:
        return False
    one = pick(ranges, fault.luck[2])
    cluster.note(node, fault.kind, f"group {one.group}")
    cluster.world.check(cluster.watch.poisoned, 0, one.group)
    loop = cluster.processes[node].loop
    loop.external(lambda: loop.create_task(_propose(cluster, engine, one)))
    return True


async def _propose(cluster: Cluster, engine: Engine, one: RangeDescriptor) -> None:
    router = engine.assembly.router
    body = encode_put((one.start or b"0") + b"/poison", MARK)
    try:
        await router._propose(one, body, router._loop.time() + PATIENCE_S)
    except (Retryable, OutcomeUnknown, Fatal):
        return
    cluster.world.fail(AssertionError(f"{one} has applied what no machine can apply"))


def quarantined(cluster: Cluster, group: int) -> bool:
    """Whether any replica of the group has met something that it cannot apply."""
    held = (node.replicas.running.get(group) for node in cluster.nodes.values())
    return any(replica is not None and replica.quarantine is not None for replica in held)


def reports(error: str, group: int) -> bool:
    """Whether a caller was told that this group is quarantined."""
    return error.startswith(f"{Quarantined.__name__}: group {group} is quarantined")

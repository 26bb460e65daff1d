"""Writes that a node routes by a directory that is not, or no more, the present one."""

from collections.abc import Sequence
from typing import Final

from multiraft.engine.errors import Fatal, OutcomeUnknown, Retryable
from multiraft.engine.statemachine.commands import encode_put
from multiraft.shards.descriptor import RangeDescriptor
from multiraft.shards.engine import Engine

from .cluster import Cluster
from .plan import pick

PATIENCE_S: Final = 2.0


def ranges_of(engine: Engine) -> list[RangeDescriptor]:
    """The ranges that a node knows of."""
    return engine.directory.overlapping(b"", None) if engine.assembly._machines.directory else []


def ranges_led(cluster: Cluster, node: int) -> list[RangeDescriptor]:
    """The ranges that a node leads."""
    engine = cluster.engines.get(node)
    if engine is None:
        return []
    leads = cluster.nodes[node].replicas.running.leads  # who looks takes up nobody
    return [one for one in ranges_of(engine) if leads(one.group)]


def propose_astray(cluster: Cluster, number: int, luck: Sequence[float]) -> bool:
    """Have some node propose a write to a range that does not hold its key, or by another epoch.

    The range itself has to refuse it; the value is one that no client writes.
    """
    engines = cluster.engines
    if not engines:
        return False
    node = pick(engines, luck[0])
    ranges = ranges_of(engines[node])
    if not ranges:
        return False
    right, wrong = pick(ranges, luck[1]), pick(ranges, luck[2])
    if right is wrong:
        wrong = right._replace(epoch=right.epoch + (1 if luck[3] < 0.5 else -1))
    body = encode_put((right.start or b"0") + b"/0", b"astray%d" % number)
    cluster.note(node, "proposes astray", f"to group {wrong.group} of epoch {wrong.epoch}")
    loop = cluster.processes[node].loop
    loop.external(lambda: loop.create_task(_propose(cluster, engines[node], wrong, body)))
    return True


async def _propose(cluster: Cluster, engine: Engine, wrong: RangeDescriptor, body: bytes) -> None:
    router = engine.assembly.router
    try:
        await router._propose(wrong, body, router._loop.time() + PATIENCE_S)
    except (Retryable, OutcomeUnknown, Fatal):
        return
    cluster.world.fail(AssertionError(f"{wrong} took a command that was routed by mistake"))

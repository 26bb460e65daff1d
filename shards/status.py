"""What a node says of itself."""

from itertools import islice
from typing import Final

from ..engine.host import Host
from ..engine.node import Node
from ..engine.replica import SYSTEM_GROUP
from ..engine.statemachine.kv import KVMachine
from .explanation import cut_text

TOLD: Final = 16
"""So many replicas that cannot run are told of by one line."""


def node_status(host: Host, addresses: dict[int, str]) -> dict[str, object]:
    """One line of ``status``: replicas, leaders and lag of this node.

    ``ready`` counts the ranges' replicas that have applied an entry of their first leader, ``led_ready`` the
    ranges that this node leads and that can take writes; ``lost`` the replicas that cannot run, of which
    ``damage`` names the first few, with the reason in words; ``rebuilding`` those whose state is on its way
    from a peer, ``resting`` those that have nothing to do and exchange nothing, the directory's perhaps among
    them, and ``dormant`` those of them that have left memory. ``elections_postponed`` counts how often a
    replica had to wait before it campaigned, because too many did. ``turns`` is what
    :meth:`~multiraft.engine.figures.Turns.summary` says.
    """
    node = host.node
    replicas = list(node.replicas.running.glances())
    ranges = [one for one in replicas if one.group != SYSTEM_GROUP]
    led = [one for one in ranges if one.leads]
    return {
        "node": node.node_id,
        "address": addresses.get(node.node_id, ""),
        "alive": True,
        "leaders": len(led),
        "replicas": len(ranges),
        "applied_lag": max((one.lag for one in ranges), default=0),
        "ready": sum(one.applied > 1 for one in ranges),
        "led_ready": sum(one.applied > 1 for one in led),
        "applied": sum(one.applied - 1 for one in ranges),
        "max_term": max((one.term for one in ranges), default=0),
        "resting": sum(one.rests for one in replicas),
        "dormant": node.replicas.running.dormant,
        "elections_postponed": node.elections.postponed,
        "lost": len(node.replicas.lost),
        "damage": [
            cut_text(f"range {group}: {error}") for group, error in islice(node.replicas.lost.items(), TOLD)
        ],
        "rebuilding": len(node.replicas.rebuilding),
        "longest_turn_ms": round(host.turns.longest_seconds * 1000, 3),
        "turns": host.turns.summary(),
        "log_batches": host.log_batches,
        "state_flushes": host.state_flushes,
        "directory_version": node.directory_index,
    }


def led_ranges(node: Node) -> list[bytes]:
    """The first keys of the ranges that this node leads."""
    births, replicas = node.log.births(), node.replicas.running.glances()
    return sorted(births[one.group].start for one in replicas if one.leads and one.group != SYSTEM_GROUP)


def digests(node: Node) -> dict[str, list[int]]:
    """Applied index, commands applied since the node started, and digest of the contents, by first key.

    The first keys are hexadecimal: clients know ranges by their keys and not by their groups.
    """
    return {
        one.birth.start.hex(): [one.applied.index, one.commands_applied, one.machine.digest()]
        for one in node.replicas.running.values()
        if isinstance(one.machine, KVMachine)
    }

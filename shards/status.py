"""What a node says of itself."""

import logging
from collections.abc import Sequence
from itertools import islice
from typing import Final

from ..engine.host import Host
from ..engine.node import Node
from ..engine.replica import SYSTEM_GROUP
from ..engine.statemachine.kv import KVMachine
from .answers import node_line
from .explanation import cut_text
from .requests import Malformed, Scalar

logger = logging.getLogger("multiraft.engine")

TOLD: Final = 16
"""So many replicas that cannot run are told of by one line."""


def node_status(host: Host, addresses: dict[int, str]) -> dict[str, object]:
    """One line of ``status``: replicas, leaders and lag of this node.

    ``ready`` counts the ranges' replicas that have applied an entry of their first leader, ``led_ready`` the
    ranges that this node leads and that can take writes; ``lost`` the replicas that cannot run, of which
    ``damage`` names the first few, with the reason in words; ``rebuilding`` those whose state is on its way
    from a peer, ``resting`` those that have nothing to do and exchange nothing, the directory's perhaps among
    them, and ``dormant`` those of them that have left memory. ``waiting`` are those that nobody has needed
    since the node started, and that are in none of the other numbers; ``laid_down`` counts those among the
    dormant that their leaders have vouched for. ``orphans`` stand in the queue of those whose leader's node
    is gone, ``orphans_woken`` counts those who have left it to elect; ``elections_in_flight`` are under way,
    ``elections_admitted`` were since the start, and ``elections_postponed`` counts how often a replica had to
    wait before it campaigned, because too many did. ``turns`` is what
    :meth:`~multiraft.engine.figures.Turns.summary` says.
    """
    node = host.node
    running = node.replicas.running
    dormant = running.dormant_totals()  # the directory's replica is never among them: it stays in memory
    replicas = list(running.glances_at_loaded())
    ranges = [one for one in replicas if one.group != SYSTEM_GROUP]
    led = [one for one in ranges if one.leads]
    return {
        "node": node.node_id,
        "address": addresses.get(node.node_id, ""),
        "alive": True,
        "leaders": len(led) + dormant.leading,
        "replicas": len(ranges) + running.dormant + len(running.waiting),
        "applied_lag": max((one.lag for one in ranges), default=0),
        "ready": sum(one.applied > 1 for one in ranges) + dormant.ready,
        "led_ready": sum(one.applied > 1 for one in led) + dormant.led_ready,
        "applied": sum(one.applied - 1 for one in ranges) + dormant.entries,
        "max_term": max([one.term for one in ranges] + [dormant.max_term]),
        "resting": sum(one.rests for one in replicas) + running.dormant,
        "dormant": running.dormant,
        "waiting": len(running.waiting),
        "laid_down": node.returning.laid_down,
        "orphans": len(node.orphans),
        "orphans_woken": node.orphans.woken,
        "elections_in_flight": node.elections.in_flight,
        "elections_admitted": node.elections.admitted,
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


def line_of(node: int, fields: Sequence[Scalar], unknown: dict[str, object]) -> dict[str, object]:
    """What a node said of itself. One that makes no sense must not hide the others."""
    try:
        return node_line(fields, node)
    except Malformed as error:
        logger.warning("node %d: %s", node, error)
        return {**unknown, "error": str(error)}


def dead_line(node: int, address: str) -> dict[str, object]:
    """What is said of a node that does not answer."""
    return {
        "node": node,
        "address": address,
        "alive": False,
        "leaders": 0,
        "replicas": 0,
        "applied_lag": None,
    }

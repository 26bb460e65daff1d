"""Why a group's requests are not finished: asks every node that holds it, and has the answers judged."""

import asyncio
import logging
from contextlib import suppress
from typing import Final, NamedTuple

from ..engine.errors import InvalidArgument, NoRange, Overloaded
from ..engine.replica import SYSTEM_GROUP
from .assembly import Assembly
from .explanation import Explanation
from .groupfacts import GroupFacts, decode_facts, group_facts
from .reasons import judge
from .requests import Malformed, Op, Reply

logger = logging.getLogger("multiraft.explain")

PATIENCE: Final = 2.0
"""Seconds that the nodes have for their answers: one that takes longer counts as silent."""


class Home(NamedTuple):
    """A group, and the nodes that hold it."""

    group: int
    nodes: tuple[int, ...]


async def explain(assembly: Assembly, place: bytes | int) -> Explanation:
    """Explain the range that holds a key, or the one of a group number.

    It asks no quorum and waits for none: the range is looked up in this node's own directory.

    Raises:
        NoRange: no range holds the key, or has this number, as far as this node knows.
        InvalidArgument: ``place`` is neither a key nor a number.
    """
    found = find(assembly, place)
    node = assembly.place.node_id
    facts = {node: group_facts(assembly.host, found.group)} if node in found.nodes else {}
    facts |= await _ask(assembly, found)
    return judge(found.group, node, found.nodes, facts)


def find(assembly: Assembly, place: bytes | int) -> Home:
    """Where a range is, by a key or its group's number; errors as in :func:`explain`."""
    if type(place) not in {int, bytes}:
        raise InvalidArgument(
            f"a range is named by a key (bytes) or its number, not by {type(place).__name__}"
        )
    if place == SYSTEM_GROUP:
        return Home(SYSTEM_GROUP, assembly.place.members)
    directory = assembly.machine.directory
    if isinstance(place, int):
        descriptor, name = directory.by_group(place), f"range {place}"
    else:
        descriptor, name = directory.lookup(place), f"range that covers the key {place!r}"
    if descriptor is None:
        node = assembly.place.node_id
        raise NoRange(
            f"there is no {name}, as far as node {node} knows (directory version {directory.version})"
        )
    return Home(descriptor.group, tuple(sorted(node for _, node in descriptor.replicas)))


async def _ask(assembly: Assembly, home: Home) -> dict[int, GroupFacts]:
    """What the other nodes say that answer in time."""
    asked: dict[int, asyncio.Future[Reply]] = {}
    for node in home.nodes:
        channel = assembly.service.channels.get(node)
        if channel is not None:
            with suppress(Overloaded):  # then nobody gets an answer from that node
                asked[node] = channel.ask(Op.GROUP_FACTS, int(PATIENCE * 1000), [home.group])
    if asked:
        await asyncio.wait(asked.values(), timeout=PATIENCE)
    facts = {}
    for node, future in asked.items():
        if future.done() and future.result().error is None:
            try:
                facts[node] = decode_facts(future.result().fields, node)
            except Malformed as error:  # as if it had not answered
                logger.warning("node %d: %s", node, error)
    return facts

"""The first start of a node: who the cluster is, and the birth of the system group."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from ..engine.errors import ClusterMismatch, Corruption, InvalidArgument
from ..engine.logstore.port import Birth, GroupWrite, LogStore
from ..engine.replica import SYSTEM_GROUP
from ..engine.transport.address import parse_address
from ..raft.state import ConfState

MOST_NODES: Final = 5
"""Until membership commands exist every node votes in the system group."""
NODE_ID_LIMIT: Final = 2**32


def members_of(node_id: int, peers: Mapping[int, str]) -> tuple[int, ...]:
    """The nodes that form the system group, ascending.

    Raises:
        InvalidArgument: a node id or an address is malformed, or there are too many nodes.
    """
    members = tuple(sorted({node_id, *peers}))
    for member in members:
        if not 1 <= member < NODE_ID_LIMIT:
            raise InvalidArgument(f"a node id is 1..{NODE_ID_LIMIT - 1}, not {member}")
    if len(members) > MOST_NODES:
        raise InvalidArgument(f"a cluster has at most {MOST_NODES} nodes for now, not {len(members)}")
    addresses = [parse_address(address) for address in peers.values()]
    for address in addresses:
        if address.port and addresses.count(address) > 1:
            raise InvalidArgument(f"two nodes cannot both have the address {address}")
    return members


def bootstrap_digest(cluster: str, members: tuple[int, ...]) -> bytes:
    """What nodes compare until the system group has given the cluster its uuid."""
    text = "\n".join([cluster, *map(str, members)])
    return hashlib.sha256(text.encode()).digest()


def system_birth(node_id: int, members: tuple[int, ...]) -> Birth:
    """The system group's replica on this node: ids 1..n in the order of the node ids."""
    peers = tuple(enumerate(members, start=1))
    return Birth(
        group=SYSTEM_GROUP,
        replica_id=members.index(node_id) + 1,
        conf_state=ConfState(voters=tuple(replica for replica, _ in peers)),
        peers=peers,
        start=b"",
        end=None,
        epoch=0,
        directory_index=0,
        machine="directory",
    )


def ensure_system_group(log: LogStore[Any], node_id: int, members: tuple[int, ...], *, founded: bool) -> bool:
    """Give birth to the system group if this node has never held it. Returns whether it did.

    Args:
        log: the node's log store.
        node_id: this node.
        members: the nodes that form the system group.
        founded: whether this data directory has belonged to a running cluster before.

    Raises:
        ClusterMismatch: the system group was formed by other nodes.
        Corruption: it held the system group once, and the log has lost it.
    """
    birth = log.births().get(SYSTEM_GROUP)
    if birth is not None:
        nodes = tuple(sorted(node for _, node in birth.peers))
        if nodes != members:
            raise ClusterMismatch(
                f"the directory belongs to a cluster of the nodes {nodes}, not of {members}"
            )
        return False
    if founded or log.births() or log.has_gaps:
        raise Corruption("the log store has lost the system group", SYSTEM_GROUP)
    birth = system_birth(node_id, members)
    batch = log.stage([GroupWrite(group=birth.group, replica_id=birth.replica_id, birth=birth)])
    log.commit(batch)
    log.finish(batch)
    return True

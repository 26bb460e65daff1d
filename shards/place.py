"""Where a node stands: its identity, its address and its peers', as its user says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..engine.errors import InvalidArgument
from ..engine.transport.memory import MemoryNetwork
from .bootstrap import members_of


@dataclass(frozen=True, slots=True)
class Place:
    """What tells one node of a cluster from another."""

    path: Path
    node_id: int
    cluster: str
    listen: str | None
    peers: Mapping[int, str]
    """Node id → "host:port"; this node may be among them."""
    members: tuple[int, ...]
    """The nodes that form the system group, ascending; this node is among them."""
    insecure: bool = False
    network: MemoryNetwork | None = None
    """Set for nodes of one process; the others speak TCP."""


def make_place(
    path: str | os.PathLike[str],
    node_id: int,
    cluster: str,
    listen: str | None,
    peers: Mapping[int, str] | None,
    *,
    insecure: bool,
    network: MemoryNetwork | None,
) -> Place:
    """Check what a user says about a node; by default it listens at its own entry in ``peers``.

    Raises:
        InvalidArgument: something is missing or cannot be meant.
    """
    if not os.fspath(path):
        raise InvalidArgument("the path of the data directory is empty")
    if not cluster:
        raise InvalidArgument("the cluster's name is empty")
    if not isinstance(peers or {}, Mapping):
        raise InvalidArgument('peers maps node ids to "host:port"')
    peers = dict(peers or {})
    listen = listen or peers.get(node_id)
    others = sorted(set(peers) - {node_id})
    if others and listen is None and network is None:
        raise InvalidArgument(f"node {node_id} has peers {others} but no address to listen on")
    members = members_of(node_id, peers)
    return Place(Path(path), node_id, cluster, listen, peers, members, insecure, network)

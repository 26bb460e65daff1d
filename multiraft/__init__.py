"""multiraft: an embeddable, replicated, range-sharded key-value storage engine.

The parts, from the bottom up: :mod:`multiraft.raft` is the consensus core (sans-IO, standard library
only), :mod:`multiraft.native` the C extension, :mod:`multiraft.engine` a node that hosts many groups,
:mod:`multiraft.shards` ranges over groups and everything a user opens.

This module is the front door. Its names load on first use, so importing it costs nothing:

- ``multiraft.open(path)``: a blocking store in this process, one replica, no server
- ``multiraft.Engine.open(...)``: one node of a cluster, for asyncio
- ``multiraft.Cluster.local(nodes=3)``: several nodes in this process
- ``multiraft.Client``: requests to a running cluster
- ``multiraft.Config``: what can be tuned
- ``multiraft.Error`` and its children: each tells the caller what to do next
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engine.config import EngineConfig as Config
    from .engine.errors import (
        AddressInUse,
        AlreadyOpen,
        Closed,
        ClusterMismatch,
        CommandTooLarge,
        Corruption,
        CrossRange,
        DiskFull,
        Error,
        Fatal,
        Forked,
        InvalidArgument,
        InvalidRanges,
        KeyTooLarge,
        NoRange,
        NotLeader,
        OutcomeUnknown,
        Overloaded,
        PermissionDenied,
        ProposalDropped,
        Quarantined,
        QueryFailed,
        RangeDeleted,
        RangeMoved,
        Retryable,
        SnapshotTooLarge,
        StorageFailed,
        Unavailable,
        Unknown,
        ValueTooLarge,
        VersionMismatch,
    )
    from .shards.client import Client
    from .shards.cluster import Cluster
    from .shards.engine import Engine
    from .shards.sync import Store, open  # noqa: A004 # the name that users know from every other store

__version__ = "0.1.0"

__all__ = [
    "AddressInUse",
    "AlreadyOpen",
    "Client",
    "Closed",
    "Cluster",
    "ClusterMismatch",
    "CommandTooLarge",
    "Config",
    "Corruption",
    "CrossRange",
    "DiskFull",
    "Engine",
    "Error",
    "Fatal",
    "Forked",
    "InvalidArgument",
    "InvalidRanges",
    "KeyTooLarge",
    "NoRange",
    "NotLeader",
    "OutcomeUnknown",
    "Overloaded",
    "PermissionDenied",
    "ProposalDropped",
    "Quarantined",
    "QueryFailed",
    "RangeDeleted",
    "RangeMoved",
    "Retryable",
    "SnapshotTooLarge",
    "StorageFailed",
    "Store",
    "Unavailable",
    "Unknown",
    "ValueTooLarge",
    "VersionMismatch",
    "__version__",
    "open",
]

_HOMES = {
    "Client": ("multiraft.shards.client", "Client"),
    "Cluster": ("multiraft.shards.cluster", "Cluster"),
    "Config": ("multiraft.engine.config", "EngineConfig"),
    "Engine": ("multiraft.shards.engine", "Engine"),
    "Store": ("multiraft.shards.sync", "Store"),
    "open": ("multiraft.shards.sync", "open"),
}
_ERRORS = "multiraft.engine.errors"


def __getattr__(name: str) -> object:
    """Load what a public name stands for. Later uses find it without coming here."""
    if name not in __all__:
        raise AttributeError(f"module 'multiraft' has no attribute {name!r}")
    module, attribute = _HOMES.get(name, (_ERRORS, name))
    value: object = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

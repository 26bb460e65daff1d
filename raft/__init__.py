"""The consensus core: one replica of one Raft group, without a clock, a thread or any I/O.

It decides; its host acts. A `RawNode` takes in ticks, messages and proposals, and hands out work as a
`Ready`. Its behaviour is that of etcd's Raft library, to the letter of the recorded scenarios that
`tests/raft/scenarios.py` runs; section numbers in comments are those of the Raft paper, or of the
thesis where they say so. The host has four duties:

1. *Tick* it at a steady pace, and step every message that arrives for it.
2. *Persist*: what a Ready brings (snapshot, then entries, then hard state) goes to stable storage as one
   unit, in the order handed out. Only then are its `messages_after_append` due, those to the replica itself
   included.
3. *Send* `messages` at once. They may be lost, doubled or reordered; report what you know to be lost, and
   for every snapshot whether it arrived.
4. *Apply* `committed_entries` in order and say so. A configuration change among them is put into force by
   `RawNode.apply_conf_change` as well. At start, the stored commit index must include what is applied.

There are two forms. With `Config.async_storage_writes` several Readys may be on their way to the disk: every
duty is acknowledged by a message, so nothing waits for anything else. Without, each Ready is dealt with at
once and closed by `advance`. They are one model: `advance` steps all acknowledgements together.

Three replicas in memory, in the synchronous form:

>>> import random
>>> from multiraft.raft import Config, ConfState, MemoryStorage, RawNode
>>> members = ConfState(voters=(1, 2, 3))
>>> storages = {id: MemoryStorage(members) for id in members.voters}
>>> nodes = {
...     id: RawNode(Config(id, storage, election_tick=10, heartbeat_tick=1, random=random.Random(id)))
...     for id, storage in storages.items()
... }
>>> applied = {id: [] for id in nodes}
>>> def settle():
...     while busy := [id for id, node in nodes.items() if node.has_ready()]:
...         for id in busy:
...             ready = nodes[id].ready()
...             if ready.snapshot:
...                 storages[id].apply_snapshot(ready.snapshot)
...             storages[id].append(ready.entries)
...             if ready.hard_state:
...                 storages[id].set_hard_state(ready.hard_state)
...             applied[id] += [entry.data for entry in ready.committed_entries if entry.data]
...             nodes[id].advance()
...             for message in [*ready.messages, *ready.messages_after_append]:
...                 nodes[message.to].step(message)
>>> nodes[2].campaign()
>>> settle()
>>> nodes[2].propose(b"first")
EntryId(term=1, index=2)
>>> settle()
>>> applied
{1: [b'first'], 2: [b'first'], 3: [b'first']}

Where to read on: `ready` (the work), `dispatch` (which handler a message meets), `follower`, `candidate` and
`leader` (the handlers), `log`, `progress`, `quorum` and `membership` (what they reckon with), `invariants`.
"""

from .confchange import Change, ChangeType, ConfChange, Transition
from .config import Config, FullWindow, ReadOnly
from .election import ElectionRefusal
from .entry import Entry, EntryId, EntryType
from .errors import (
    BadMessage,
    Compacted,
    ConfChangeError,
    ConfigError,
    CorruptLog,
    DropReason,
    LocalMessage,
    Misuse,
    PeerNotFound,
    ProposalDropped,
    RaftError,
    ReadDropped,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    Unavailable,
)
from .export import ReplicaState
from .ids import LOCAL_APPEND, LOCAL_APPLY, NO_REPLICA
from .inflights import Inflights, InflightWindow
from .messages import Message, MsgType
from .node import RawNode
from .progress import ProgressState
from .ready import CommitNotice, DroppedRead, ReadDropReason, ReadState, Ready, Refusal, RefusalReason
from .state import ConfState, HardState, Role, Snapshot, SoftState
from .status import BasicStatus, ProgressStatus, Status
from .storage import MemoryStorage, Storage

__all__ = [
    "LOCAL_APPEND",
    "LOCAL_APPLY",
    "NO_REPLICA",
    "BadMessage",
    "BasicStatus",
    "Change",
    "ChangeType",
    "CommitNotice",
    "Compacted",
    "ConfChange",
    "ConfChangeError",
    "ConfState",
    "Config",
    "ConfigError",
    "CorruptLog",
    "DropReason",
    "DroppedRead",
    "ElectionRefusal",
    "Entry",
    "EntryId",
    "EntryType",
    "FullWindow",
    "HardState",
    "InflightWindow",
    "Inflights",
    "LocalMessage",
    "MemoryStorage",
    "Message",
    "Misuse",
    "MsgType",
    "PeerNotFound",
    "ProgressState",
    "ProgressStatus",
    "ProposalDropped",
    "RaftError",
    "RawNode",
    "ReadDropReason",
    "ReadDropped",
    "ReadOnly",
    "ReadState",
    "Ready",
    "Refusal",
    "RefusalReason",
    "ReplicaState",
    "Role",
    "Snapshot",
    "SnapshotOutOfDate",
    "SnapshotTemporarilyUnavailable",
    "SoftState",
    "Status",
    "Storage",
    "Transition",
    "Unavailable",
]

"""The consensus core: one replica of one Raft group, without a clock, a thread or any I/O.

It decides; its host acts. A `RawNode` takes in ticks, messages and requests, and hands out work as a
`Ready`. Its behaviour is that of etcd's Raft library, to the letter of the recorded scenarios that
`tests/raft/scenarios.py` runs. Section numbers are those of the Raft paper, or of the thesis where they say
so.

**Duties of the host**

1. *Tick* it at a steady pace, and `step` every message that arrives for it. Ask `has_ready` after each
   batch of calls, and take the `ready` if there is one.
2. *Persist*: a Ready's snapshot, then its entries, then its hard state go to stable storage as one unit,
   units in the order handed out; `must_sync` says whether to flush, and a snapshot is always flushed. New
   entries replace all from their first index.
3. *Send* `messages` and `commit_notices` at once, in order; `messages_after_append` only when the unit is
   durable: they promise what was written. A careful host lets `MsgType.VOTE` wait like a promise. Messages
   may be lost, doubled and reordered. Report what you know to be lost (`report_unreachable`), and of every
   snapshot whether it arrived (`report_snapshot`): until then nothing else goes to its receiver.
4. *Apply* `committed_entries` in order, and say so. Entries that `confchange.decode` makes a change of are
   put into force by `apply_conf_change` as well, and the `ConfState` it returns belongs into every later
   snapshot, and to what is stored as applied: a restart finds the members of `Config.applied`. A change that
   raises `ConfChangeError` here, on every replica alike, changes nothing and counts as applied.

**Two forms.** Synchronous: do all of that for one Ready, then call `advance`, then take the next one.
Asynchronous (`Config.async_storage_writes`): take Readys as they come. When a unit is durable, step those
of its `messages_after_append` that are addressed to this replica, and send the others; when entries are
applied, call `acknowledge_apply`. Committed entries are handed out here only once they are durable here,
but perhaps before the hard state that commits them: a host that stores what it has applied keeps the stored
commit index at that or above, and lets no later unit lower it. Both forms are one model: `advance` steps all
acknowledgements together.

**After a crash** make a new `RawNode` from what is durable. The stored commit index must include
`Config.applied`, what the state machine holds durably; what follows is handed out again. A unit that was
not durable as a whole must be gone as a whole. Never come back under an id whose storage was lost:
`CorruptLog` says that it was, and the replica must be set aside. A replica that only rests is put away by
`export_state` and taken up by `from_state`, with the same storage.

**Proposals** have an `EntryId` on the leader. One counts when an entry of that term is applied at that
index; another term there means that it is lost. A follower passes proposals on and hears no more of them,
so a host that forwards does it by its own messages to the leader's host: with an id inside the data by
which it knows its entry again, and with the leader's host answering `ProposalDropped`, because messages get
lost, too. Set `Config.disable_proposal_forwarding` then. Never propose again what may yet be applied,
unless that is harmless.

**Reads.** `read_index` with a context of your own; when `Ready.read_states` names it, wait until its index
is applied, then read. `Ready.dropped_reads` names what will not be answered. Both may be lost with a
message between replicas: ask again, under a new context, after an election timeout.

**Snapshots.** The storage serves one on request, or raises `SnapshotTemporarilyUnavailable` and is asked
again. It may compact the log up to any applied index at any time; who needs more than is left gets a
snapshot.

**Configuration changes.** One at a time: the leader puts an empty entry in the place of any other, and
names it in `Ready.refusals`. Several changes at once go through a joint configuration, which the leader
leaves by itself unless told otherwise. A newcomer starts with an empty storage and is sent a snapshot,
which it takes only if it is named there: serve one from after the change, because an older one is sent again
as fast as it is refused. So a group is born at a snapshot point (index 1) and not at an empty log. A leader
that is removed leads on and takes no proposals: hand leadership over before, or set
`Config.step_down_on_removal`. Whether a voter would remain is not asked before a change is applied. Replica
ids are never used again.

**Limits** are in `Config`. Proposals beyond `max_uncommitted_size` (those without data always pass) and
reads beyond `max_pending_reads` are refused, appends per follower and what is handed out to be applied
wait. Votes, acknowledgements and notices are kept for members only. Whatever else a Ready holds is what
came of the calls since the last one: take it after a bounded number of calls.

**Errors** are those of `errors`. Anything but `CorruptLog` leaves the replica as it was: drop a bad
message, mend the caller. `CorruptLog` and `AssertionError` (a bug here; never run with ``-O``) are for this
replica only, which must stop; an error that your storage causes is to be treated likewise. One thread at a
time may use a replica. Nothing is shared between replicas, and with equal calls and `Config.random` they do
the same.

A group in memory, in the synchronous form, on a network that may lose what it likes:

>>> import contextlib, random
>>> from multiraft.raft import *
>>> from multiraft.raft.confchange import decode
>>> storages, nodes, applied, reads = {}, {}, {}, []
>>> def start(id, storage):
...     storages[id], applied[id] = storage, []
...     nodes[id] = RawNode(Config(id, storage, election_tick=10, heartbeat_tick=1, random=random.Random(id)))
>>> def handle(id, ready):
...     if ready.snapshot:
...         storages[id].apply_snapshot(ready.snapshot)
...         applied[id] = ready.snapshot.data.split()
...     storages[id].append(ready.entries)
...     if ready.hard_state:
...         storages[id].set_hard_state(ready.hard_state)
...     for entry in ready.committed_entries:
...         change = decode(entry)
...         if change is not None:
...             members = nodes[id].apply_conf_change(change)
...             storages[id].create_snapshot(entry.index, members, b" ".join(applied[id]))
...         elif entry.data:
...             applied[id].append(entry.data)
...     reads.extend(ready.read_states)
...     nodes[id].advance()
...     return ready.messages + ready.messages_after_append
>>> def settle(lost=lambda message: False):
...     while busy := [id for id in nodes if nodes[id].has_ready()]:
...         for message in [m for id in busy for m in handle(id, nodes[id].ready())]:
...             if not lost(message):
...                 with contextlib.suppress(PeerNotFound):  # an answer of a member that has left meanwhile
...                     nodes[message.to].step(message)
...             if message.snapshot:
...                 nodes[message.from_].report_snapshot(message.to, ok=not lost(message))

It is born, and elects:

>>> for id in (1, 2, 3):
...     storage = MemoryStorage()
...     storage.apply_snapshot(Snapshot(index=1, term=1, conf_state=ConfState(voters=(1, 2, 3))))
...     storage.set_hard_state(HardState(term=0, vote=0, commit=1))
...     start(id, storage)
>>> nodes[2].force_election()
>>> settle()
>>> nodes[2].basic_status().soft_state
SoftState(lead=2, role=<Role.LEADER: 2>)

What replica 3 misses is made up for after the next heartbeat:

>>> nodes[2].propose(b"first")
EntryId(term=1, index=3)
>>> settle(lost=lambda message: message.to == 3)
>>> applied
{1: [b'first'], 2: [b'first'], 3: []}
>>> nodes[2].tick()
True
>>> settle()
>>> applied[3]
[b'first']

A read at any replica, and a change of members, through a joint configuration and back:

>>> nodes[3].read_index(b"a name for it")
>>> settle()
>>> reads
[ReadState(index=3, context=b'a name for it')]
>>> start(4, MemoryStorage())
>>> changes = Change(ChangeType.ADD_VOTER, 4), Change(ChangeType.REMOVE, 1)
>>> nodes[2].propose_conf_change(ConfChange(changes))
EntryId(term=1, index=4)
>>> settle()
>>> nodes[4].status().conf_state
ConfState(voters=(2, 3, 4), voters_outgoing=(), learners=(), learners_next=(), auto_leave=False)
>>> applied[4]
[b'first']

Where to read on: `ready` (the work), `dispatch` (which handler a message meets), `follower`, `candidate`
and `leader` (the handlers), `log`, `progress`, `quorum` and `membership` (what they reckon with),
`validity` (what is refused), `invariants` (what always holds), `rest` (for a host of many groups: when one
needs no ticks).
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

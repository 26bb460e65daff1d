"""Replicas in memory for tests: one to be fed by hand, or a group whose messages a test can hold back."""

import contextlib
import random
from collections.abc import Callable, Iterable, Sequence

from multiraft.raft import (
    Config,
    ConfState,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    MsgType,
    PeerNotFound,
    RawNode,
    Ready,
    Role,
    Snapshot,
    invariants,
)
from multiraft.raft.confchange import decode


def storage_with(
    terms: Sequence[int] = (),
    *,
    conf: ConfState | None = None,
    hard_state: HardState | None = None,
    snapshot: tuple[int, int] = (0, 0),
) -> MemoryStorage:
    """A storage that holds one entry per term given, behind a snapshot at (index, term)."""
    conf = conf or ConfState((1, 2, 3))
    storage = MemoryStorage(conf)
    index, term = snapshot
    if index:
        storage.apply_snapshot(Snapshot(index, term, conf))
    storage.append([Entry(term, index + n, data=b"%d" % (index + n)) for n, term in enumerate(terms, 1)])
    storage.set_hard_state(hard_state or HardState(max([*terms, term], default=0), 0, index))
    return storage


def replica(storage: MemoryStorage | None = None, *, id_: int = 1, **settings: object) -> RawNode:
    """A replica on `storage` (default: empty, of a group of three)."""
    settings = {"election_tick": 10, "heartbeat_tick": 1, "random": random.Random(id_)} | settings
    return RawNode(Config(id=id_, storage=storage or storage_with(), **settings))


def storage_of(raw: RawNode) -> MemoryStorage:
    storage = raw.raft.config.storage
    assert isinstance(storage, MemoryStorage)
    return storage


def persist(storage: MemoryStorage, ready: Ready) -> None:
    """What a host writes before it says so."""
    if ready.snapshot is not None:
        storage.apply_snapshot(ready.snapshot)
    storage.append(ready.entries)
    if ready.hard_state is not None:
        storage.set_hard_state(ready.hard_state)


def handle(raw: RawNode) -> Ready:
    """Deal with one Ready completely, in the synchronous form."""
    ready = raw.ready()
    persist(storage_of(raw), ready)
    raw.advance()
    invariants.check(raw)
    return ready


def drain(raw: RawNode) -> list[Message]:
    """Deal with Readys until there are none; returns everything sent."""
    sent: list[Message] = []
    while raw.has_ready():
        ready = handle(raw)
        sent += [*ready.messages, *ready.messages_after_append]
    return sent


def answer(m: Message, **fields: object) -> Message:
    """The answer of the receiver of `m`, in its term, with the given fields."""
    kinds = {
        MsgType.APP: MsgType.APP_RESP,
        MsgType.SNAP: MsgType.APP_RESP,
        MsgType.HEARTBEAT: MsgType.HEARTBEAT_RESP,
        MsgType.VOTE: MsgType.VOTE_RESP,
        MsgType.PRE_VOTE: MsgType.PRE_VOTE_RESP,
    }
    fields = {"term": m.term, "context": m.context} | fields
    return Message(kinds[m.type], to=m.from_, from_=m.to, **fields)


def lead(raw: RawNode) -> RawNode:
    """Make `raw` the leader of a new term, by the votes of everyone; what it sends is lost."""
    raw.campaign()
    for _ in range(2):  # the pre-vote, then the vote
        for m in drain(raw):
            if m.type in (MsgType.VOTE, MsgType.PRE_VOTE):
                raw.step(answer(m))
    drain(raw)
    assert raw.raft.role is Role.LEADER
    return raw


def acknowledge(raw: RawNode, index: int, *members: int) -> None:
    """Tell the leader `raw` that `members` (default: all others) hold its log up to `index`."""
    for member in members or [id_ for id_ in raw.raft.tracker.progress if id_ != raw.raft.id]:
        raw.step(Message(MsgType.APP_RESP, raw.raft.id, member, raw.raft.term, index=index))


def replicating(raw: RawNode) -> RawNode:
    """Make `raw` a leader to which everyone has acknowledged its whole log."""
    lead(raw)
    acknowledge(raw, raw.raft.log.last_index())
    drain(raw)
    return raw


def of_type(messages: Iterable[Message], kind: MsgType, to: int | None = None) -> list[Message]:
    return [m for m in messages if m.type is kind and to in (None, m.to)]


class Group:
    """Several replicas, the messages between them, and what each has applied (synchronous form)."""

    def __init__(
        self, ids: Iterable[int] = (1, 2, 3), conf: ConfState | None = None, **settings: object
    ) -> None:
        conf = conf or ConfState(tuple(ids))
        self.nodes = {id_: replica(storage_with(conf=conf), id_=id_, **settings) for id_ in ids}
        self.applied: dict[int, list[bytes]] = {id_: [] for id_ in self.nodes}
        self.sent: list[Message] = []
        """Everything ever sent."""
        self.queue: list[Message] = []
        self.lost: Callable[[Message], bool] = lambda _: False
        """Which messages the network loses."""

    def handle(self, id_: int) -> Ready:
        raw = self.nodes[id_]
        ready = raw.ready()
        persist(storage_of(raw), ready)
        for entry in ready.committed_entries:
            change = decode(entry)
            if change is not None:
                raw.apply_conf_change(change)
            elif entry.data:
                self.applied[id_].append(entry.data)
        raw.advance()
        invariants.check(raw)
        messages = [*ready.messages, *ready.messages_after_append]
        self.sent += messages
        self.queue += [m for m in messages if not self.lost(m)]
        return ready

    def settle(self) -> None:
        """Handle Readys and deliver messages until nothing is left to do."""
        while True:
            busy = [id_ for id_, node in self.nodes.items() if node.has_ready()]
            for id_ in busy:
                self.handle(id_)
            queue, self.queue = self.queue, []
            for m in queue:
                if m.to in self.nodes:
                    with contextlib.suppress(PeerNotFound):  # an answer of a member removed meanwhile
                        self.nodes[m.to].step(m)
                    invariants.check(self.nodes[m.to])
            if not busy and not queue:
                return

    def elect(self, id_: int = 1) -> RawNode:
        self.nodes[id_].campaign()
        self.settle()
        assert self.nodes[id_].raft.role is Role.LEADER
        return self.nodes[id_]

    def cut_off(self, *ids: int) -> None:
        """Lose everything to and from these replicas from now on; none: heal the network."""
        self.lost = lambda m: m.to in ids or m.from_ in ids
        self.queue = [m for m in self.queue if not self.lost(m)]

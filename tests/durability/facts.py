"""What a cluster has told its clients, and its nodes have told one another: all of it binds them.

The recorded process writes it, a JSON array a line, to the file `told` as it happens: what is told before a
crash binds what is found after it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.logstore.store import StagedBatch
from multiraft.engine.wire import Received
from multiraft.raft.messages import Message, MsgType

TOLD = "told"


def key_of(number: int, prefix: str) -> bytes:
    """A key of the range with this prefix."""
    return b"%s%02d" % (prefix.encode(), number)


def value_of(number: int, size: int) -> bytes:
    """The `number`th value of a key."""
    return (b"%d." % number).ljust(size, b"x")


def number_of(value: bytes | None) -> int:
    """Which value of a key it is; 0 for none."""
    return 0 if value is None else int(value.partition(b".")[0])


@dataclass
class Promise:
    """What a replica has told others that it holds."""

    term: int = 0
    vote: int = 0
    """Whom it voted for in that term; 0 if it has not said."""
    index: int = 0
    """Up to where it has acknowledged, in that term, its leader's log."""

    def takes(self, message: Message) -> bool:
        """Note what a message promises; says whether that is more than before."""
        before = (self.term, self.vote, self.index)
        if message.term > self.term:
            self.term, self.vote, self.index = message.term, 0, 0
        if message.term == self.term:
            if message.type is MsgType.VOTE:
                self.vote = message.from_
            elif message.type is MsgType.VOTE_RESP and not message.reject:
                self.vote = message.to
            elif message.type is MsgType.APP_RESP and not message.reject:
                self.index = max(self.index, message.index)
        return before != (self.term, self.vote, self.index)


PROMISES = frozenset({MsgType.VOTE, MsgType.VOTE_RESP, MsgType.APP_RESP})
"""Of a pre-vote nothing is durable."""


@dataclass
class Facts:
    """Everything told so far."""

    acknowledged: dict[bytes, int] = field(default_factory=dict)
    """By key the newest value whose write was acknowledged, or that was read."""
    sent: dict[bytes, int] = field(default_factory=dict)
    """By key the newest value that was ever to be written."""
    promises: dict[tuple[int, int], Promise] = field(default_factory=dict)
    """By node and group."""
    digests: dict[tuple[int, int], int] = field(default_factory=dict)
    """What a group's state is at an index: the digest of its machine."""
    incarnations: dict[int, int] = field(default_factory=dict)
    """By node how often it had started when it last said so."""
    seen: set[str] = field(default_factory=set)
    """What has happened besides, by name: see `Teller`."""

    def copy(self) -> "Facts":
        return deepcopy(self)

    def take(self, line: str) -> None:
        """One more line of the file."""
        match json.loads(line):
            case ["sent", key, number]:
                self.sent[key.encode()] = number
            case ["acknowledged", key, number]:
                self.acknowledged[key.encode()] = number
            case ["promise", node, group, term, vote, index]:
                self.promises[node, group] = Promise(term, vote, index)
            case ["state", group, index, digest]:
                known = self.digests.setdefault((group, index), digest)
                assert known == digest, f"two states of group {group} at index {index}"
            case ["start", node, incarnation]:
                self.incarnations[node] = incarnation
            case ["seen", *kinds]:
                self.seen |= set(kinds)
            case other:
                raise AssertionError(other)

    def lines(self) -> Iterator[list[object]]:
        """What `take` would take to know the same."""
        for key, number in self.sent.items():
            yield ["sent", key.decode(), number]
        for key, number in self.acknowledged.items():
            yield ["acknowledged", key.decode(), number]
        for (node, group), one in self.promises.items():
            yield ["promise", node, group, one.term, one.vote, one.index]
        for (group, index), digest in self.digests.items():
            yield ["state", group, index, digest]
        for node, incarnation in self.incarnations.items():
            yield ["start", node, incarnation]

    def bounds(self, key: bytes) -> tuple[int, int]:
        """(oldest, newest) value that a key may have."""
        low = self.acknowledged.get(key, 0)
        return low, max(low, self.sent.get(key, 0))


class Reader:
    """Takes the lines of a file that is written piece by piece."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._rest = b""

    def take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.facts.take(line.decode())


class Teller:
    """Tells what the nodes of this process do; nothing that is known already."""

    def __init__(self, tell: Callable[..., None], facts: Facts) -> None:
        self.tell = tell
        self.facts = facts

    def saw(self, what: str) -> None:
        """Something has happened that is worth a crash; it is told once."""
        if what not in self.facts.seen:
            self.facts.seen.add(what)
            self.tell("seen", what)

    def staged(self, writes: Sequence[GroupWrite], batch: StagedBatch, in_flight: int) -> None:
        """A batch is handed over while so many are in flight."""
        if batch.retired:
            self.saw("collection")
            self.saw(f"collection with {in_flight} in flight")
        if any(write.truncate is not None for write in writes):
            self.saw("truncation")
        if any(write.snapshot_point is not None for write in writes):
            self.saw("install")

    def sent_message(self, node: int, received: Received) -> None:
        """A message leaves."""
        if received.message.type not in PROMISES:
            return
        promise = self.facts.promises.setdefault((node, received.group), Promise())
        if promise.takes(received.message):
            self.tell("promise", node, received.group, promise.term, promise.vote, promise.index)

    def state(self, group: int, index: int, digest: int) -> None:
        """A replica has applied up to an index."""
        if (group, index) not in self.facts.digests:
            self.facts.digests[group, index] = digest
            self.tell("state", group, index, digest)
        assert self.facts.digests[group, index] == digest, f"two states of group {group} at index {index}"

"""A group of replicas in one process: their storages, the messages on their way, what has been printed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from multiraft.raft import confchange, dispatch
from multiraft.raft.config import Config
from multiraft.raft.describe import (
    MESSAGE_NAMES,
    describe_error,
    describe_message,
    describe_ready,
)
from multiraft.raft.entry import Entry
from multiraft.raft.errors import BadMessage, PeerNotFound, ProposalDropped
from multiraft.raft.ids import LOCAL_APPEND, LOCAL_APPLY
from multiraft.raft.messages import Message
from multiraft.raft.node import RawNode
from multiraft.raft.state import HardState, Snapshot
from multiraft.raft.storage import MemoryStorage
from tests.raft.datadriven import Block
from tests.raft.values import CommandError, unsigned

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE")


class AppenderStorage(MemoryStorage):
    """Serves as snapshot the latest state of a machine that strings all applied payloads together."""

    __slots__ = ("latest",)

    def __init__(self) -> None:
        super().__init__()
        self.latest = Snapshot()

    def snapshot(self) -> Snapshot:
        return self.latest

    def persist(self, hard_state: HardState | None, entries: Iterable[Entry], snapshot: Snapshot | None):
        if hard_state is not None:
            self.set_hard_state(hard_state)
        if snapshot is not None:
            if entries:
                raise CommandError("can't apply snapshot and entries at the same time")
            self.apply_snapshot(snapshot)
            self.latest = snapshot
        else:
            self.append(list(entries))


@dataclass
class Node:
    """One replica with its storage and the work queued for its two storage threads."""

    raw: RawNode
    storage: AppenderStorage
    config: Config
    append_work: list[Message] = field(default_factory=list)
    apply_work: list[Message] = field(default_factory=list)

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            change = confchange.decode(entry)
            before = self.storage.latest
            if change is None:
                conf_state, update = before.conf_state, entry.data
            else:
                conf_state, update = self.raw.apply_conf_change(change), change.context
            self.storage.latest = Snapshot(entry.index, entry.term, conf_state, before.data + update)


def is_local(m: Message) -> bool:
    return m.from_ == m.to or m.from_ in (LOCAL_APPEND, LOCAL_APPLY)


def take_in(raw: RawNode, m: Message) -> None:
    """Step `m`, also if it contradicts what `raw` knows.

    The reference believes its peers, so a recording goes on with such a message: of a node that was started
    ahead of its leader, say. There the rules behind our check are compared.
    """
    try:
        raw.step(m)
    except BadMessage:
        dispatch.step(raw.raft, m)


class Environment:
    """The replicas, the messages on their way, and what has been printed since the command began."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.messages: list[Message] = []
        self.output = ""
        self.level = LEVELS.index("DEBUG")

    # -- printing -----------------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        if LEVELS[self.level] != "NONE":
            self.output += text

    @contextmanager
    def indented(self) -> Iterator[None]:
        before, self.output = self.output, ""
        try:
            yield
        finally:
            body = "".join(
                f"  {line}\n" for line in self.output.removesuffix("\n").split("\n") if self.output
            )
            self.output = before + body

    def set_level(self, name: str) -> None:
        if name.upper() not in LEVELS:
            raise CommandError(f"log levels must be either of [{' '.join(LEVELS)}]")
        self.level = LEVELS.index(name.upper())

    # -- nodes --------------------------------------------------------------------------------------------

    def node(self, id_: int) -> Node:
        if not 0 < id_ <= len(self.nodes):
            raise LookupError(f"there is no node {id_}, only {len(self.nodes)} have been added")
        return self.nodes[id_ - 1]

    def named(self, block: Block) -> list[int]:
        return [unsigned(word) for word in block.words()]

    def each(self, block: Block, title: str, act: Callable[[int], None]) -> None:
        """Do it for the nodes named: several get a header each."""
        ids = self.named(block)
        for id_ in ids:
            if len(ids) == 1:
                act(id_)
            else:
                self.write(f"> {id_} {title}\n")
                with self.indented():
                    act(id_)

    def process_ready(self, id_: int) -> None:
        node = self.node(id_)
        is_async = node.config.async_storage_writes
        ready = node.raw.ready()
        self.write(describe_ready(ready, id_, async_storage_writes=is_async) + "\n")
        self.messages += ready.messages
        if is_async:
            append, apply = ready.append_message(id_), ready.apply_message(id_)
            node.append_work += [append] if append else []
            node.apply_work += [apply] if apply else []
            return
        messages_before = len(self.messages) - len(ready.messages)
        try:
            node.storage.persist(ready.hard_state, ready.entries, ready.snapshot)
        except CommandError:
            del self.messages[messages_before:]
            raise
        node.apply(ready.committed_entries)
        self.messages += ready.messages_after_append
        node.raw.advance()

    def process_append(self, id_: int) -> None:
        node = self.node(id_)
        if not node.append_work:
            self.write("no append work to perform")
            return
        m = self._take(node.append_work)
        state = HardState(m.term, m.vote, m.commit)
        node.storage.persist(state if state != HardState() else None, m.entries, m.snapshot)
        self._respond(m)

    def process_apply(self, id_: int) -> None:
        node = self.node(id_)
        if not node.apply_work:
            self.write("no apply work to perform")
            return
        m = self._take(node.apply_work)
        node.apply(m.entries)
        self._respond(m)

    def _take(self, work: list[Message]) -> Message:
        m = work.pop(0)
        responses, m.responses = m.responses, ()
        self.write(f"Processing:\n{describe_message(m)}\n")
        m.responses = responses
        return m

    def _respond(self, m: Message) -> None:
        self.write("".join(f"{line}\n" for line in ["Responses:", *map(describe_message, m.responses)]))
        self.messages += m.responses

    # -- network ------------------------------------------------------------------------------------------

    def queued(self, to: int, kind: str = "", *, drop: bool = False) -> list[Message]:
        return [
            m
            for m in self.messages
            if m.to == to and not (drop and is_local(m)) and kind in ("", MESSAGE_NAMES[m.type])
        ]

    def deliver(self, to: int, kind: str = "", *, drop: bool = False) -> int:
        """Deliver or drop what is queued for a node; returns how many messages that were."""
        due = self.queued(to, kind, drop=drop)
        taken = set(map(id, due))
        self.messages = [m for m in self.messages if id(m) not in taken]
        for m in due:
            self.write(("dropped: " if drop else "") + describe_message(m) + "\n")
            if not drop:
                try:
                    take_in(self.node(to).raw, m)
                except (PeerNotFound, ProposalDropped) as error:
                    self.write(describe_error(error) + "\n")
        return len(due)

    def stabilize(self, ids: list[int]) -> None:
        """Round after round of Readys, messages and storage work, until a round finds nothing to do."""
        steps: list[tuple[str, Callable[[int], bool], Callable[[int], object]]] = [
            ("handling Ready", lambda id_: self.node(id_).raw.has_ready(), self.process_ready),
            ("receiving messages", lambda id_: bool(self.queued(id_)), self.deliver),
            (
                "processing append thread",
                lambda id_: bool(self.node(id_).append_work),
                self._all_appends,
            ),
            ("processing apply thread", lambda id_: bool(self.node(id_).apply_work), self._all_applies),
        ]
        busy = True
        while busy:
            busy = False
            for title, due, act in steps:
                for id_ in ids:
                    if due(id_):
                        busy = True
                        self.write(f"> {id_} {title}\n")
                        with self.indented():
                            act(id_)

    def _all_appends(self, id_: int) -> None:
        while self.node(id_).append_work:
            self.process_append(id_)

    def _all_applies(self, id_: int) -> None:
        while self.node(id_).apply_work:
            self.process_apply(id_)

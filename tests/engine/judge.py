"""What a cluster has done so far, and whether it may: every contradiction is an assertion.

The log that a group applies is the truth: it says what every command must have answered, which values a
read may have seen and how every replica's state looks at each index. :class:`Disk` is what each node's log
store has been told to keep, written down a second time.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from multiraft.engine.errors import Error, Fatal, OutcomeUnknown, Retryable
from multiraft.engine.logstore.port import GroupLog, GroupWrite
from multiraft.engine.statemachine.commands import CompareAndSwap, Delete, Put, decode, open_envelope
from multiraft.raft.entry import Entry
from multiraft.raft.messages import MsgType
from multiraft.raft.state import HardState

FIRST = 2
"""Index of a group's first entry: it is born at index 1."""


@dataclass(eq=False)
class Operation:
    """Something a client asked of one group: commands to append together, or a key to read."""

    number: int
    group: int
    host: object
    commands: tuple[bytes, ...] = ()
    key: bytes | None = None
    after: int = 0
    """What was known to be committed when it began: it must take place behind that."""
    answers: list[object] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return bool(self.answers)

    def __repr__(self) -> str:
        what = f"read {self.key!r}" if self.key is not None else f"{len(self.commands)} commands"
        return f"<{self.number}: {what}, group {self.group}>"


class History:
    """What one group has committed, and what follows from it."""

    def __init__(self, group: int) -> None:
        self.group = group
        self.entries: list[Entry] = []
        self.results: list[object] = []
        self.terms: list[int] = []
        """Terms by which each entry was known to be committed."""
        self.digests = [0]
        """An order-free sum of all pairs, by index, from the birth on."""
        self.place: dict[bytes, int] = {}
        """Where each command stands."""
        self.changes: dict[bytes, list[tuple[int, bytes | None]]] = {}
        self.refused: set[bytes] = set()
        """Commands whose callers were told that they did not happen."""
        self.known = 1
        """The last index that some caller knows to be committed."""
        self._values: dict[bytes, bytes] = {}

    @property
    def last(self) -> int:
        return FIRST - 1 + len(self.entries)

    def entry(self, index: int) -> Entry:
        return self.entries[index - FIRST]

    def digest(self, index: int) -> int:
        return self.digests[index - FIRST + 1]

    def extend(self, entry: Entry) -> None:
        """The next entry is applied, by the first replica to do so."""
        assert entry.index == self.last + 1, f"group {self.group}: {entry} follows {self.last}"
        assert not self.entries or entry.term >= self.entries[-1].term
        result = None
        if entry.data:
            assert entry.data not in self.place, f"{entry} repeats the command at {self.place[entry.data]}"
            assert entry.data not in self.refused, f"{entry} was refused and happened all the same"
            self.place[entry.data] = entry.index
            result = self._run(entry)
        self.entries.append(entry)
        self.results.append(result)
        if len(self.digests) < len(self.entries) + 1:
            self.digests.append(self.digests[-1])

    def _run(self, entry: Entry) -> object:
        command = decode(open_envelope(entry.data).body)
        if isinstance(command, Put):
            self._change(entry.index, command.key, command.value)
            return None
        old = self._values.get(command.key)
        if isinstance(command, Delete):
            self._change(entry.index, command.key, None)
            return old is not None
        assert isinstance(command, CompareAndSwap)
        if old != command.expected:
            return False
        self._change(entry.index, command.key, command.new)
        return True

    def _change(self, index: int, key: bytes, value: bytes | None) -> None:
        old = self._values.pop(key, None)
        total = self.digests[-1] - (_sum(key, old) if old is not None else 0)
        if value is not None:
            self._values[key] = value
            total += _sum(key, value)
        self.digests.append(total)
        self.changes.setdefault(key, [(1, None)]).append((index, value))

    def seen_at(self, key: bytes, value: object, after: int) -> int | None:
        """The first index from `after` on at which the key has this value."""
        changes = self.changes.get(key, [(1, None)])
        for number, (index, present) in enumerate(changes):
            until = changes[number + 1][0] if number + 1 < len(changes) else self.last + 1
            if present == value and until > after:
                return max(index, after)
        return None


def _sum(key: bytes, value: bytes) -> int:
    return zlib.crc32(b"%d " % len(key) + key + value) ** 2


class Shadow:
    """One replica's log as its batches describe it."""

    def __init__(self) -> None:
        self.hard_state = HardState(0, 0, 1)
        self.point = (1, 1)
        self.entries: dict[int, Entry] = {}

    @property
    def last(self) -> int:
        return self.point[0] + len(self.entries)

    def write(self, write: GroupWrite) -> None:
        if write.snapshot_point is not None:
            self.entries.clear()
            self.point = write.snapshot_point[:2]
        if write.entries:
            for index in range(write.entries[0].index, self.last + 1):
                del self.entries[index]
            self.entries.update((entry.index, entry) for entry in write.entries)
        if write.truncate is not None and write.truncate[0] > self.point[0]:
            for index in range(self.point[0] + 1, write.truncate[0] + 1):
                del self.entries[index]
            self.point = write.truncate
        if write.hard_state is not None:
            self.hard_state = write.hard_state

    def holds(self, index: int, term: int) -> bool:
        if index <= self.point[0]:
            return index < self.point[0] or term == self.point[1]
        return index in self.entries and self.entries[index].term == term


class Disk:
    """The durable part of a node's log store, and what is on its way there."""

    def __init__(self) -> None:
        self.groups: dict[int, Shadow] = {}
        self.staged: dict[int, list[GroupWrite]] = {}

    def commit(self, batch: int) -> None:
        for write in self.staged.pop(batch, ()):
            if write.birth is not None:
                self.groups[write.group] = Shadow()
            self.groups[write.group].write(write)

    def holds(self, group: int, index: int, term: int) -> bool:
        shadow = self.groups.get(group)
        return shadow is not None and shadow.holds(index, term)

    def check_log(self, group: int, log: GroupLog) -> None:
        """What the store finds after a crash is what was committed to it."""
        shadow = self.groups[group]
        assert log.hard_state == shadow.hard_state, f"{log.hard_state} found, {shadow.hard_state} written"
        assert (log.first_index() - 1, log.last_index()) == (shadow.point[0], shadow.last)
        if shadow.entries:
            assert list(log.entries(log.first_index(), shadow.last + 1, None)) == list(
                shadow.entries.values()
            )

    def check_promise(self, group: int, message) -> None:
        """Nothing that `message` promises is still on its way."""
        assert group in self.groups, f"group {group} speaks before its birth is durable"
        shadow = self.groups[group]
        where = f"{message.type.name} of replica {message.from_}, term {message.term}"
        if message.type is not MsgType.PRE_VOTE_RESP:
            assert shadow.hard_state.term >= message.term, f"{where}: the term is not durable"
        if message.type is MsgType.VOTE or (message.type is MsgType.VOTE_RESP and not message.reject):
            voted = message.from_ if message.type is MsgType.VOTE else message.to
            if shadow.hard_state.term == message.term:
                assert shadow.hard_state.vote == voted, f"{where}: the vote is not durable"
        if message.type is MsgType.APP_RESP and not message.reject:
            replaced = (
                shadow.hard_state.term > message.term
            )  # by entries of a later term, since it was queued
            assert replaced or message.index <= shadow.last, f"{where}: {message.index} is not durable"
            self._check_nothing_better_staged(group, message, where)

    def _check_nothing_better_staged(self, group: int, message, where: str) -> None:
        """What is acknowledged is not on its way only. Entries of a later term may be about to replace it."""
        term = self.groups[group].hard_state.term
        for write in (write for batch in self.staged.values() for write in batch if write.group == group):
            term = max(term, write.hard_state.term if write.hard_state else 0)
            if write.entries and term <= message.term:
                assert write.entries[0].index > message.index, f"{where}: {message.index} is not durable"


PROMISES = (MsgType.VOTE, MsgType.VOTE_RESP, MsgType.PRE_VOTE_RESP, MsgType.APP_RESP)


class Judge:
    """All groups of a cluster."""

    def __init__(self, disks: dict[int, Disk]) -> None:
        self.disks = disks
        self.histories: dict[int, History] = {}
        self._leaders: dict[tuple[int, int], int] = {}
        self._votes: dict[tuple[int, int, int], int] = {}

    def history(self, group: int) -> History:
        if group not in self.histories:
            self.histories[group] = History(group)
        return self.histories[group]

    # -- what leaves a node ----------------------------------------------------------------------

    def sent(self, node: int, group: int, message) -> None:
        if message.type not in PROMISES:
            return
        self.disks[node].check_promise(group, message)
        if message.reject or message.type not in {MsgType.VOTE, MsgType.VOTE_RESP}:
            return
        voted = message.from_ if message.type is MsgType.VOTE else message.to
        before = self._votes.setdefault((group, message.from_, message.term), voted)
        assert before == voted, f"replica {message.from_} votes for {before} and {voted} in {message.term}"

    # -- what a replica is and does --------------------------------------------------------------

    def leads(self, group: int, raft) -> None:
        """One leader in a term, and it has everything that was committed in earlier terms.

        Late votes may elect a leader of an old term: it owes nothing to those after its own.
        """
        key = (group, raft.term)
        if key not in self._leaders:
            self._leaders[key] = raft.id
            history = self.history(group)
            for index in range(max(raft.log.first_index(), FIRST), history.last + 1):
                entry = history.entry(index)
                if history.terms[index - FIRST] < raft.term:
                    assert raft.log.term_or_zero(index) == entry.term, f"leader {raft.id} lacks {entry}"
        assert self._leaders[key] == raft.id, f"group {group}: two leaders in term {raft.term}"

    def applied(self, node: int, group: int, term: int, entries: Iterable[Entry]) -> None:
        """A replica, which has reached this term, has applied these entries of its log."""
        history = self.history(group)
        for entry in entries:
            assert self.disks[node].holds(group, entry.index, entry.term), f"{entry} is not in the local log"
            if entry.index > history.last:
                holders = sum(disk.holds(group, entry.index, entry.term) for disk in self.disks.values())
                assert 2 * holders > len(self.disks), f"{entry} is committed on {holders} disks"
                history.extend(entry)
                history.terms.append(term)
            assert history.entry(entry.index) == entry, f"{entry} where {history.entry(entry.index)} was"

    def state(self, group: int, index: int, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """A replica that has applied everything up to `index` holds these pairs."""
        history = self.history(group)
        assert index <= history.last, f"group {group}: state at {index}, committed is {history.last}"
        total = sum(_sum(key, value) for key, value in pairs)
        assert history.digest(index) == total, f"group {group}: another state at index {index}"

    # -- what callers are told -------------------------------------------------------------------

    def answered(self, operation: Operation, value: object) -> None:
        assert not operation.answers, f"{operation} is answered twice: {operation.answers[0]!r}, {value!r}"
        operation.answers.append(value)
        history = self.history(operation.group)
        if isinstance(value, Error):
            self._refused(operation, value, history)
        elif operation.key is not None:
            index = history.seen_at(operation.key, value, operation.after)
            assert index is not None, f"{operation} saw {value!r}, after index {operation.after}"
            history.known = max(history.known, index)
        else:
            places = [history.place.get(command) for command in operation.commands]
            assert None not in places, f"{operation} is acknowledged and not committed: {places}"
            assert places == list(range(places[0], places[0] + len(places))), f"{operation}: {places}"
            assert places[0] > operation.after, f"{operation} at {places}, after {operation.after}"
            results = [history.results[place - FIRST] for place in places]
            assert results == value, f"{operation} answered {value}, the log says {results}"
            history.known = max(history.known, places[-1])

    @staticmethod
    def _refused(operation: Operation, error: Error, history: History) -> None:
        if isinstance(error, OutcomeUnknown):
            assert operation.key is None, f"{operation}: {error!r}"
            return
        assert isinstance(error, (Retryable, Fatal)), f"{operation}: {error!r}"
        for command in operation.commands:
            assert command not in history.place, f"{operation} is refused and committed: {error!r}"
            history.refused.add(command)

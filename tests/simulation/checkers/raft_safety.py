"""The safety of Raft over all replicas of a group, restarts included (thesis, figure 3.2).

*Election Safety*, *Log Matching*, *Leader Completeness*, *State Machine Safety* and *Leader Append-Only*,
with what they rest on: one vote a term, and what is committed is on the disks of a quorum. Only what a turn
changed is looked at, each entry once when it becomes durable and once when it is applied; everything before
it follows by induction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.node import Node
from multiraft.engine.replica import Replica
from multiraft.raft.entry import Entry
from multiraft.raft.messages import Message, MsgType
from multiraft.raft.raft import Raft

from .base import Checker, Touched
from .chosen import BIRTH_TERM, FIRST, Chosen, ChosenLog
from .disk import Disks, ShadowLog

LEADERS_ONLY = frozenset({MsgType.APP, MsgType.HEARTBEAT, MsgType.SNAP, MsgType.TIMEOUT_NOW})
"""What only the leader of its term sends."""


class _Leadership(NamedTuple):
    """A leader as it was after its last turn."""

    term: int
    commit: int
    last: int
    last_term: int


class _Group:
    """What is known of one group over all its replicas."""

    __slots__ = ("entries", "leaders", "votes")

    def __init__(self) -> None:
        self.leaders: dict[int, int] = {}
        """Who led each term, by replica id."""
        self.votes: dict[tuple[int, int], int] = {}
        """Whom each replica voted for, by replica and term."""
        self.entries: dict[tuple[int, int], tuple[int, Entry]] = {}
        """By index and term: the term of the entry before it, and the entry."""


class _Groups(dict[int, _Group]):
    def __missing__(self, group: int) -> _Group:
        made = self[group] = _Group()
        return made


class RaftSafety(Checker):
    """See the module."""

    def __init__(self, disks: Disks, chosen: Chosen) -> None:
        self._disks = disks
        self._chosen = chosen
        self._groups = _Groups()
        self._nodes: dict[int, Node] = {}
        self._leads: dict[tuple[int, int], _Leadership] = {}
        """By node and group those that led after their last turn."""

    # -- nodes come and go -----------------------------------------------------------------------

    def started(self, node_id: int, node: Node) -> None:
        self._nodes[node_id] = node
        for replica in node.replicas.running.loaded.values():
            self.begun(node_id, replica)

    def begun(self, node_id: int, replica: Replica) -> None:
        if replica.silence is None:  # else it has no state until a snapshot comes
            self._check_point(node_id, replica.group, replica.applied.index, replica.applied.term)

    def stopped(self, node_id: int) -> None:
        self._nodes.pop(node_id, None)
        for key in [key for key in self._leads if key[0] == node_id]:
            del self._leads[key]

    # -- what becomes durable --------------------------------------------------------------------

    def committed(self, node_id: int, seq: int) -> None:
        disk = self._disks.of(node_id)
        written: set[int] = set()
        for write in disk.staged[seq]:
            log = disk.logs.get(write.group)
            if log is None or write.birth is not None or not _matters(write):
                continue
            if write.group in written:
                log = _after(log, disk.staged[seq], write)
            self._check_write(node_id, write, log)
            written.add(write.group)

    def _check_write(self, node_id: int, write: GroupWrite, log: ShadowLog) -> None:
        where = f"node {node_id}, group {write.group}"
        if write.hard_state is not None and write.hard_state.vote:
            self._voted(write.group, write.replica_id, write.hard_state.term, write.hard_state.vote)
        if write.snapshot_point is not None:
            index, term, _ = write.snapshot_point
            if index < log.hard_state.commit:
                raise self.violation(
                    f"{where}: a snapshot of {index} replaces {log.hard_state.commit} committed entries"
                )
            self._check_point(node_id, write.group, index, term)
        if write.entries:
            self._check_entries(where, write, log)

    def _check_entries(self, where: str, write: GroupWrite, log: ShadowLog) -> None:
        """Log Matching, by induction: an entry's index and term fix its bytes and the term before it."""
        first = write.entries[0].index
        point = write.snapshot_point[:2] if write.snapshot_point else log.point
        last = point[0] if write.snapshot_point else log.last
        if not point[0] < first <= last + 1:
            raise self.violation(f"{where}: entries from {first} do not follow a log of {point[0]}..{last}")
        if first <= log.hard_state.commit and not write.snapshot_point:
            raise self.violation(
                f"{where}: entries from {first} replace committed ones up to {log.hard_state.commit}"
            )
        known = self._groups[write.group].entries
        before = point[1] if first == point[0] + 1 else log.term(first - 1)
        assert before is not None
        for index, entry in enumerate(write.entries, first):
            if entry.index != index or entry.term < before:
                raise self.violation(f"{where}: {entry} at {index}, behind term {before}")
            same = known.setdefault((index, entry.term), (before, entry))
            if same[1] is not entry and same != (before, entry):
                raise self.violation(
                    f"{where}: index {index} of term {entry.term} is {entry} behind term {before}, and was "
                    f"{same[1]} behind term {same[0]}"
                )
            before = entry.term

    # -- what is said ----------------------------------------------------------------------------

    def sent(self, node_id: int, to: int, group: int, message: Message) -> None:
        kind = message.type
        if kind is MsgType.VOTE:
            self._voted(group, message.from_, message.term, message.from_)
        elif kind is MsgType.VOTE_RESP and not message.reject:
            self._voted(group, message.from_, message.term, message.to)
        elif kind in LEADERS_ONLY:
            self._led(group, message.term, message.from_)

    def _voted(self, group: int, voter: int, term: int, candidate: int) -> None:
        before = self._groups[group].votes.setdefault((voter, term), candidate)
        if before != candidate:
            raise self.violation(
                f"group {group}: replica {voter} votes for {before} and for {candidate} in term {term}"
            )

    def _led(self, group: int, term: int, replica: int) -> None:
        before = self._groups[group].leaders.setdefault(term, replica)
        if before != replica:
            raise self.violation(f"group {group}: replicas {before} and {replica} both lead term {term}")

    # -- what a replica is after a turn ----------------------------------------------------------

    def turned(self, node_id: int, node: Node, touched: Touched) -> None:
        for group, replica in touched.items():
            if replica is not None and replica.leads:
                self._check_leader(node_id, group, replica.raw.raft)
            else:
                self._leads.pop((node_id, group), None)

    def _check_leader(self, node_id: int, group: int, raft: Raft) -> None:
        before = self._leads.get((node_id, group))
        if before is not None and before.term == raft.term:
            self._check_append_only(node_id, group, raft, before)
        else:
            self._led(group, raft.term, raft.id)
            self._check_completeness(group, raft)
        term, last = raft.log.last_id()
        self._leads[node_id, group] = _Leadership(raft.term, raft.log.committed, last, term)

    def _check_append_only(self, node_id: int, group: int, raft: Raft, before: _Leadership) -> None:
        log, where = raft.log, f"node {node_id}, group {group}, leader of term {raft.term}"
        kept = before.last < log.first_index() or log.match_term(before.last_term, before.last)
        if not kept:
            raise self.violation(f"{where}: its log lost the entry {before.last} of term {before.last_term}")
        if log.committed > before.commit and log.term(log.committed) != raft.term:
            raise self.violation(
                f"{where}: it commits {log.committed}, an entry of term {log.term(log.committed)}"
            )

    def _check_completeness(self, group: int, raft: Raft) -> None:
        """A new leader has the newest entry committed in a term before its own, hence all before that."""
        chosen = self._chosen[group]
        for index in range(chosen.last, FIRST - 1, -1):
            if chosen.terms[index - FIRST] < raft.term:
                self._check_has(group, raft, index, chosen)
                return

    def _check_has(self, group: int, raft: Raft, index: int, chosen: ChosenLog) -> None:
        log = raft.log
        if log.first_index() <= index and log.term_or_zero(index) != chosen.term(index):
            raise self.violation(
                f"group {group}: replica {raft.id} leads term {raft.term} without {chosen.entry(index)}, "
                f"committed in term {chosen.terms[index - FIRST]}"
            )

    # -- what is applied -------------------------------------------------------------------------

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        group = replica.group
        chosen, news = self._chosen[group], False
        for entry in entries:
            if entry.index <= chosen.last:
                known = chosen.entry(entry.index)
                if known is not entry and known != entry:
                    raise self.violation(
                        f"group {group}: node {node_id} applies {entry}, applied was {known}"
                    )
            elif entry.index == chosen.last + 1:
                chosen.extend(entry, replica.raw.raft.term)
                news = True
            else:
                raise self.violation(f"group {group}: node {node_id} applies {entry} behind {chosen.last}")
        if news:
            self._check_quorum(group, replica, entries[-1])
            self._check_leaders_have(group, entries[-1].index, replica.raw.raft.term)

    def installed(self, node_id: int, replica: Replica) -> None:
        self._check_point(node_id, replica.group, replica.applied.index, replica.applied.term)

    def _check_point(self, node_id: int, group: int, index: int, term: int) -> None:
        """A snapshot, or a recovered state, stands at a place that was committed."""
        chosen = self._chosen[group]
        known = chosen.term(index) if BIRTH_TERM <= index <= chosen.last else None
        if known != term:
            raise self.violation(
                f"node {node_id}, group {group}: state of index {index}, term {term}; "
                f"committed is {chosen.last}, there of term {known}"
            )

    def _check_quorum(self, group: int, replica: Replica, entry: Entry) -> None:
        """The newest committed entry, and so all before it, is durable on a quorum of the members."""
        conf = replica.raw.raft.tracker.conf
        for half in (conf.voters, conf.voters_outgoing):
            holders = [voter for voter in half if self._is_held(replica.nodes[voter], group, entry)]
            if half and 2 * len(holders) <= len(half):
                raise self.violation(
                    f"group {group}: {entry} is applied, durable on replicas {holders} of {half}"
                )

    def _is_held(self, node_id: int, group: int, entry: Entry) -> bool:
        disk = self._disks.of(node_id)
        if group in disk.tombstones:
            return True  # buried since: only what follows the range's retirement is first applied then
        log = disk.logs.get(group)
        return disk.excused or (log is not None and log.holds(entry.index, entry.term))

    def _check_leaders_have(self, group: int, index: int, term: int) -> None:
        """Leaders of later terms, elected before this was known to be committed, have it as well."""
        leaders = self._groups[group].leaders
        if not leaders or max(leaders) <= term:
            return
        for node in self._nodes.values():
            replica = node.replicas.running.get(group)
            if replica is not None and replica.leads and replica.raw.raft.term > term:
                self._check_has(group, replica.raw.raft, index, self._chosen[group])


def _matters(write: GroupWrite) -> bool:
    return bool(write.entries or write.hard_state or write.snapshot_point)


def _after(log: ShadowLog, writes: Sequence[GroupWrite], end: GroupWrite) -> ShadowLog:
    """The log as the group's writes before `end` in the same batch leave it."""
    copy = ShadowLog(log.birth)
    copy.hard_state, copy.point, copy.conf_state = log.hard_state, log.point, log.conf_state
    copy.entries = list(log.entries)
    for write in writes:
        if write is end:
            break
        if write.group == end.group:
            copy.write(write)
    return copy

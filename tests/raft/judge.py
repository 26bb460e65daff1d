"""What a group as a whole may do: every contradiction between its replicas is an assertion.

The judge knows nothing about faults. It is told what the replicas say, commit, apply and read, and looks at
their disks for what is really durable.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Protocol

from multiraft.raft import (
    ConfChange,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MsgType,
    RawNode,
    Role,
)
from multiraft.raft.confchange import ChangeType
from multiraft.raft.log import RaftLog
from multiraft.raft.raft import Raft

FROM_LEADERS = (MsgType.APP, MsgType.HEARTBEAT, MsgType.SNAP, MsgType.TIMEOUT_NOW)
CHANGES = (EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2)


class Disk(Protocol):
    """What would be there after a crash at this moment."""

    def durable_hard_state(self) -> HardState:
        """Term, vote and commit index."""
        ...

    def holds(self, term: int, index: int) -> bool:
        """Whether the entry at `index`, of `term`, is there or covered by a snapshot."""
        ...


class Replica(Protocol):
    """A replica as the judge sees it."""

    id: int
    raw: RawNode
    disk: Disk

    def conf_index(self) -> int:
        """Up to where its configuration is that of its state machine."""
        ...


class Judge:
    """What the group has done so far. Committed entries and leaders are kept from the beginning."""

    def __init__(self, replicas: Mapping[int, Replica], conf: ConfState, base: int = 1) -> None:
        """A group that begins with `conf`, its log behind `base`."""
        self.replicas = replicas
        self.base = base
        self.leaders: dict[int, int] = {}
        self.votes: dict[tuple[int, int], int] = {}
        self.committed: dict[int, Entry] = {}
        self.committed_in: dict[int, int] = {}
        self.highest_commit = base
        self.known: dict[tuple[int, int], tuple[Entry, int]] = {}
        self.proposed: dict[tuple[int, int], bytes] = {}
        self.offered: set[bytes] = {b""}
        self.confs: list[tuple[int, ConfState]] = [(base, conf)]
        self._seen: dict[int, int] = {}

    # -- after every call ---------------------------------------------------------------------------------

    def observe(self, replica: Replica) -> None:
        """Look at a replica after a call: whether it leads, and what it has committed."""
        raft = replica.raw.raft
        if raft.role is Role.LEADER:
            self._leads(replica)
        seen = self._seen.get(replica.id, self.base)
        if raft.log.committed > seen:
            self._commits(raft, seen)
        self._seen[replica.id] = raft.log.committed

    def _leads(self, replica: Replica) -> None:
        """Election safety; when a leader is seen for the first time, its votes and its completeness."""
        raft = replica.raw.raft
        if raft.term in self.leaders:
            assert self.leaders[raft.term] == raft.id, f"two leaders in term {raft.term}"
            return
        self.leaders[raft.term] = raft.id
        if replica.disk.durable_hard_state()[:2] == (raft.term, raft.id):
            self.votes[raft.id, raft.term] = raft.id
        for half in (raft.tracker.conf.voters, raft.tracker.conf.voters_outgoing):
            votes = [voter for voter in half if self.votes.get((voter, raft.term)) == raft.id]
            assert not half or 2 * len(votes) > len(half), f"{raft.id} is elected by {votes} of {half} only"
        for index in self.committed:
            self._must_hold(raft, index)

    def _must_hold(self, raft: Raft, index: int) -> None:
        # Late votes may elect a leader of an old term; it owes nothing to the terms after its own.
        if self.committed_in[index] < raft.term and index >= raft.log.first_index():
            entry = self.committed[index]
            assert raft.log.term_or_zero(index) == entry.term, f"leader {raft.id} lacks {entry}"

    def _commits(self, raft: Raft, seen: int) -> None:
        """State machine safety; a leader commits what is of its term and on a durable quorum."""
        log = raft.log
        if raft.role is Role.LEADER:
            term = log.term(log.committed)
            assert term == raft.term, f"leader of {raft.term} commits {log.committed} of term {term}"
            self._must_be_durable(raft.tracker.conf, term, log.committed)
        first = max(seen + 1, log.first_index())
        for entry in log.slice(first, log.committed + 1, None) if first <= log.committed else ():
            known = self.committed.setdefault(entry.index, entry)
            assert known == entry, f"{raft.id} commits {entry} where {known} was"
            if entry.index not in self.committed_in:
                self.committed_in[entry.index] = raft.term
                for other in self.replicas.values():
                    if other.raw.raft.role is Role.LEADER:
                        self._must_hold(other.raw.raft, entry.index)
        self.highest_commit = max(self.highest_commit, log.committed)

    def _must_be_durable(self, conf: ConfState, term: int, index: int) -> None:
        for half in (conf.voters, conf.voters_outgoing):
            holders = [id_ for id_ in half if self.replicas[id_].disk.holds(term, index)]
            assert not half or 2 * len(holders) > len(half), (
                f"{index} of term {term} is committed, but durable at {holders} of {half} only"
            )

    def restarted(self, replica: Replica) -> None:
        """Nothing durable is taken back by a restart."""
        raft, (term, vote, commit) = replica.raw.raft, replica.disk.durable_hard_state()
        assert (raft.term, raft.vote) == (term, vote), f"{replica.id} restarts with {raft.term}, {raft.vote}"
        assert raft.log.committed >= commit, f"{replica.id} restarts with commit {raft.log.committed}"
        assert raft.role is Role.FOLLOWER, f"{replica.id} restarts as {raft.role.name}"
        self._seen[replica.id] = self.base
        self.observe(replica)

    # -- what replicas say --------------------------------------------------------------------------------

    def appends(self, raft: Raft, entries: Iterable[Entry]) -> None:
        """Log matching, by induction: an entry's place and term name it and the one before it."""
        for entry in entries:
            before = raft.log.term_or_zero(entry.index - 1)
            known = self.known.setdefault((entry.term, entry.index), (entry, before))
            assert known == (entry, before), f"{raft.id} appends {entry} behind term {before}, not {known}"

    def sent(self, replica: Replica, m: Message) -> None:
        """A message leaves; what it promises must be durable, and the sender entitled to it."""
        state = replica.disk.durable_hard_state()
        if m.type in FROM_LEADERS:
            assert self.leaders.get(m.term) == replica.id, f"{replica.id} speaks for the leader of {m.term}"
            self.appends_sent(m)
        elif m.type is MsgType.VOTE:
            self._votes(replica, m.term, replica.id, state)
        elif m.type is MsgType.VOTE_RESP and not m.reject:
            self._votes(replica, m.term, m.to, state)
        elif m.type is MsgType.APP_RESP and not m.reject and m.index > self.base:
            assert state.term >= m.term, f"{replica.id} agrees in term {m.term}, durable is {state.term}"
            # What a later leader has replaced in the same batch is promised to an earlier one in vain, and
            # harmlessly: it cannot be committed, because whoever elected the later one did not hold it.
            terms = [term for term, index in self.known if index == m.index]
            held = m.index in self.committed or any(replica.disk.holds(term, m.index) for term in terms)
            assert held or state.term > m.term, f"{replica.id} agrees up to {m.index}, which is not durable"

    def appends_sent(self, m: Message) -> None:
        """No leader tells of a commit or of an entry that is not."""
        assert m.commit <= self.highest_commit, f"{m.from_} tells of commit {m.commit}"
        for entry in m.entries:
            known = self.known.get((entry.term, entry.index))
            assert known is None or known[0] == entry, f"{m.from_} sends {entry}, not {known}"

    def _votes(self, replica: Replica, term: int, candidate: int, state: HardState) -> None:
        assert state.term > term or (state.term, state.vote) == (term, candidate), (
            f"{replica.id} votes for {candidate} in {term}, durable is {state}"
        )
        known = self.votes.setdefault((replica.id, term), candidate)
        assert known == candidate, f"{replica.id} votes for {known} and {candidate} in term {term}"

    # -- what they do -------------------------------------------------------------------------------------

    def proposes(self, term: int, index: int, data: bytes) -> None:
        """A leader has said where a command stands."""
        self.proposed[term, index] = data

    def applies(self, replica: Replica, entry: Entry, change: ConfChange | None) -> None:
        """Only committed entries are applied, the same everywhere, and they hold what was proposed there."""
        assert self.committed.get(entry.index) == entry, f"{replica.id} applies {entry}, never committed"
        if entry.type is EntryType.NORMAL:
            assert entry.data in self.offered, f"{entry} was proposed by nobody"
            said = self.proposed.get((entry.term, entry.index), entry.data)
            assert entry.data == said, f"{entry} stands where {said!r} was to"
        if change is not None and entry.index > self.confs[-1][0]:
            self.confs.append((entry.index, follow(self.confs[-1][1], change)))

    def conf_at(self, index: int) -> ConfState:
        """The configuration once everything up to `index` is applied."""
        return self.confs[bisect_right(self.confs, index, key=lambda known: known[0]) - 1][1]

    def rests(self, replica: Replica) -> None:
        """Between two steps: the configuration in use, and how many changes a log holds."""
        raft, log = replica.raw.raft, replica.raw.raft.log
        expected = self.conf_at(replica.conf_index()) if replica.conf_index() >= self.base else ConfState()
        assert raft.tracker.conf == expected, f"{replica.id} uses {raft.tracker.conf}, not {expected}"
        low = max(self.highest_commit + 1, log.first_index())
        tail = log.slice(low, log.last_index() + 1, None) if low <= log.last_index() else ()
        changes = [entry.index for entry in tail if entry.type in CHANGES]
        assert len(changes) <= 1, f"{replica.id} holds uncommitted changes at {changes}"

    def reads(self, replica: Replica, index: int, asked_at: int) -> None:
        """A read reflects whatever was committed anywhere when it was asked for."""
        assert index >= asked_at, f"{replica.id} reads at {index}, {asked_at} was committed before"

    def logs_match(self) -> None:
        """Log matching over whole logs: where two hold the same term, they are the same up to there."""
        logs = [replica.raw.raft.log for replica in self.replicas.values()]
        for position, first in enumerate(logs):
            for second in logs[position + 1 :]:
                _match(first, second)


def _match(first: RaftLog, second: RaftLog) -> None:
    low = max(first.first_index(), second.first_index())
    high = min(first.last_index(), second.last_index())
    while high >= low and first.term(high) != second.term(high):
        high -= 1
    if high >= low:
        assert list(first.slice(low, high + 1, None)) == list(second.slice(low, high + 1, None))


def follow(conf: ConfState, change: ConfChange) -> ConfState:
    """The configuration after a change, in the obvious way; one that cannot follow changes nothing."""
    if change.leaves_joint:
        if not conf.voters_outgoing:
            return conf
        return ConfState(conf.voters, (), tuple(sorted({*conf.learners, *conf.learners_next})))
    if conf.voters_outgoing:
        return conf
    part = dict.fromkeys(conf.learners, "learner") | dict.fromkeys(conf.voters, "voter")
    for single in change.changes:
        if single.type is ChangeType.ADD_VOTER:
            part[single.replica] = "voter"
        elif single.type is ChangeType.ADD_LEARNER:
            part[single.replica] = "learner"
        elif single.type is ChangeType.REMOVE:
            part.pop(single.replica, None)
    voters = tuple(sorted(id_ for id_, name in part.items() if name == "voter"))
    learners = sorted(id_ for id_, name in part.items() if name == "learner")
    changed = len({*voters} ^ {*conf.voters})
    if not voters or (changed > 1 and not change.enters_joint):
        return conf
    if not change.enters_joint:
        return ConfState(voters, (), tuple(learners))
    staged = tuple(id_ for id_ in learners if id_ in conf.voters)
    learners = [id_ for id_ in learners if id_ not in conf.voters]
    return ConfState(voters, conf.voters, tuple(learners), staged, change.auto_leave)

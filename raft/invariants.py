"""What must hold of a replica between any two calls: one function per subject, all run by `check`.

Tests and the simulator call it after every step. Each function states its inequalities as assertions, so that
the line that fails names the one that is broken. What must hold from one call to the next (nothing that was
promised is taken back) needs a memory, and is the tests' `watch`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from .config import NO_LIMIT
from .entry import Entry, EntryType, encoded_size, encoded_sizes, payload_sizes
from .errors import Compacted, Unavailable
from .ids import LOCAL_APPEND, LOCAL_APPLY, NO_REPLICA
from .log import RaftLog
from .messages import VOTES, Message, MsgType
from .node import RawNode
from .progress import Progress, ProgressState
from .quorum import VoteResult
from .raft import OUTSIDE_TERMS, Raft
from .state import Role

CHANGES = (EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2)
NO_REPLICAS = frozenset({NO_REPLICA, LOCAL_APPEND, LOCAL_APPLY})

# Looked up once: in Python 3.11 it takes ten times as long to get a member from its enum.
LEADER: Final = Role.LEADER
WITHOUT_TERM: Final = (Role.FOLLOWER, Role.PRE_CANDIDATE)
CAMPAIGNING: Final = (Role.CANDIDATE, Role.PRE_CANDIDATE)
PROBE: Final = ProgressState.PROBE
REPLICATE: Final = ProgressState.REPLICATE
SNAPSHOT: Final = ProgressState.SNAPSHOT


def check(node: RawNode) -> None:
    """Check every invariant of a replica; `AssertionError` names the broken one."""
    check_membership(node.raft)
    check_step(node)


def check_step(node: RawNode) -> None:
    """Check what any step may break: all but the membership, which stays while members, term and role do."""
    raft = node.raft
    check_unstable(raft)
    check_positions(raft)
    unapplied = _unapplied(raft.log)
    check_terms(raft, unapplied)
    check_apply_budget(raft.log)
    check_role(raft)
    check_votes(raft)
    if raft.messages or raft.after_append:
        check_messages(raft)
    if raft.role is LEADER:
        check_reads(raft)
        check_leader(raft, unapplied)
        for replica, progress in raft.tracker.progress.items():
            check_progress(raft, replica, progress)
    else:
        check_nothing_of_a_leader(raft)


# -- the log ------------------------------------------------------------------------------------------------


def check_positions(raft: Raft) -> None:
    """``first - 1 <= applied <= applying <= committed <= last``, but for a snapshot not installed yet."""
    log = raft.log
    first, last = log.first_index(), log.last_index()
    assert 0 <= log.applied <= log.applying <= log.committed <= last, (
        f"applied {log.applied} <= applying {log.applying} <= committed {log.committed} <= last {last}"
    )
    snapshot = log.unstable.snapshot
    if snapshot is None:
        assert first - 1 <= log.applied, f"compacted up to {first - 1}, applied only {log.applied}"
    else:
        assert log.applying < snapshot.index <= log.committed, (
            f"snapshot {snapshot.index} pending, applying {log.applying}, committed {log.committed}"
        )
    assert 0 <= raft.acknowledged <= last, f"acknowledged {raft.acknowledged} of {last}"


def check_unstable(raft: Raft) -> None:
    """Unstable entries are consecutive and join the stable log, or a snapshot, without a gap."""
    unstable = raft.log.unstable
    end = unstable.offset + len(unstable.entries)
    assert 1 <= unstable.offset <= unstable.offset_in_progress <= end, "offset <= in progress <= end"
    snapshot = unstable.snapshot
    if snapshot is None:
        assert unstable.offset <= raft.log.storage.last_index() + 1, "a gap behind the stable log"
        assert not unstable.snapshot_in_progress, "no snapshot is being written"
    else:
        assert snapshot.index > 0, "a pending snapshot of nothing"
        assert unstable.offset == snapshot.index + 1, "entries follow the snapshot directly"
        handed_out = unstable.offset_in_progress > unstable.offset
        assert unstable.snapshot_in_progress or not handed_out, "entries handed out before their snapshot"
    if unstable.entries:
        for index, entry in enumerate(unstable.entries, unstable.offset):
            assert entry.index == index, f"entry {entry.index} stands at {index}"


def _applied(log: RaftLog) -> int:
    """Index of what is applied, or will be with the snapshot that is pending."""
    snapshot = log.unstable.snapshot
    return log.applied if snapshot is None else snapshot.index


def _unapplied(log: RaftLog) -> Sequence[Entry]:
    """What is not applied yet; read once for all that look at it."""
    low, last = _applied(log), log.last_index()
    return log.slice(low + 1, last + 1, None) if last > low else ()


def check_terms(raft: Raft, unapplied: Sequence[Entry]) -> None:
    """Terms never fall along what is not applied yet, and none is in the future."""
    term = raft.log.term(_applied(raft.log))
    for entry in unapplied:
        assert term <= entry.term, f"term {entry.term} at {entry.index} follows term {term}"
        term = entry.term
    # A newborn group stands behind an entry of term 1 that nobody led.
    assert term <= raft.term or raft.term == 0, f"term {term} in the log, {raft.term} is the present one"


def check_apply_budget(log: RaftLog) -> None:
    """What is handed out to be applied stays within the budget, but for one entry, and is accounted for."""
    limit = log.max_applying_size
    assert limit > 0, f"an apply budget of {limit}"
    if limit == NO_LIMIT:
        assert not log.applying_paused, "paused without a limit"
        assert log.applying_size == 0, "counted without a limit"
        return
    assert log.applying_size >= 0, f"{log.applying_size} bytes are being applied"
    assert log.applying_paused or log.applying_size < limit, "the budget is used up, and goes on"
    assert log.applying_size or not log.applying_paused, "paused for nothing: it would never go on"
    if log.applied < log.applying and log.unstable.snapshot is None and log.first_index() <= log.applied + 1:
        handed_out = log.slice(log.applied + 1, log.applying + 1, None)
        assert log.applying_size >= encoded_sizes(handed_out), "handed out and not counted"
        last = encoded_size(handed_out[-1])
        assert log.applying_size <= limit or log.applying_size - last < limit, "the budget is exceeded"


# -- role and votes -----------------------------------------------------------------------------------------


def check_role(raft: Raft) -> None:
    """Who leads, and what a role implies."""
    assert raft.election_elapsed >= 0, f"{raft.election_elapsed} ticks"
    assert raft.randomized_election_timeout > 0, f"timeout after {raft.randomized_election_timeout}"
    role = raft.role
    if raft.term == 0:
        assert role in WITHOUT_TERM, f"{role.name} of no term"
        assert raft.vote == raft.lead == NO_REPLICA, "a vote or a leader in no term"
    if role is LEADER:
        assert raft.lead == raft.id, f"leader follows {raft.lead}"
        assert raft.vote == raft.id, f"leader voted for {raft.vote}"
    else:
        assert raft.lead != raft.id, "leads without being leader"
    if role in CAMPAIGNING:
        assert raft.lead == NO_REPLICA, f"{role.name} follows {raft.lead}"
        assert raft.log.unstable.snapshot is None, "campaigns while a snapshot is pending"
        if role is Role.CANDIDATE:
            assert raft.vote == raft.id, f"candidate voted for {raft.vote}"


def check_votes(raft: Raft) -> None:
    """Votes are counted during a campaign only, and a campaign goes on only while it is undecided."""
    votes = raft.tracker.votes
    if raft.role in CAMPAIGNING:
        assert raft.tracker.tally() is VoteResult.PENDING, f"the election is decided: {votes}"
    else:
        assert not votes, f"votes {votes} of no election"


def check_nothing_of_a_leader(raft: Raft) -> None:
    """Whoever does not lead has forgotten what leaders keep."""
    assert raft.lead_transferee == NO_REPLICA, "hands over what it has not"
    assert raft.pending_conf_index == 0, f"guards changes up to {raft.pending_conf_index}"
    assert raft.uncommitted_size == 0, f"counts {raft.uncommitted_size} uncommitted bytes"
    assert len(raft.reads) == 0, "reads wait for a quorum that will not be asked"
    assert not raft.postponed_reads, "reads wait for a commit of another's term"
    assert not raft.commits_to_tell, f"announces commits {raft.commits_to_tell}"
    for replica, progress in raft.tracker.progress.items():
        assert progress.state is PROBE, f"{replica}: {progress.state.name}"
        assert progress.inflights.count == progress.pending_snapshot == 0, f"{replica}: something on its way"
        assert progress.match == 0 or replica == raft.id, f"{replica}: match {progress.match}"


# -- members ------------------------------------------------------------------------------------------------


def check_membership(raft: Raft) -> None:
    """Every member has a progress, nobody else has, and the parts exclude each other as they must."""
    conf, progress = raft.tracker.conf, raft.tracker.progress
    for part in (conf.voters, conf.voters_outgoing, conf.learners, conf.learners_next):
        assert len(part) < 2 or list(part) == sorted(set(part)), f"{part} is not ascending"
    voters, learners = {*conf.voters, *conf.voters_outgoing}, {*conf.learners}
    assert progress.keys() == voters | learners, "progress of exactly the members"
    assert list(progress) == sorted(progress), "members in ascending order"
    assert NO_REPLICAS.isdisjoint(progress), "members that are no replicas"
    assert voters.isdisjoint(learners), "a voter that is a learner"
    assert set(conf.learners_next) <= set(conf.voters_outgoing) - set(conf.voters), "learners to be"
    assert conf.voters or not conf.voters_outgoing, "nobody votes in the incoming half"
    assert not (conf.auto_leave and not conf.voters_outgoing), "auto-leave without a joint configuration"
    for replica, known in progress.items():
        assert known.is_learner == (replica in learners), f"learner flag of {replica}"
    windows = {id(known.inflights) for known in progress.values()}
    assert len(windows) == len(progress), "two members share a window"


# -- a leader -----------------------------------------------------------------------------------------------


def check_leader(raft: Raft, unapplied: Sequence[Entry]) -> None:
    """What a leader keeps fits its log and its members."""
    log, tracker = raft.log, raft.tracker
    assert log.last_id().term == raft.term, "a leader's log ends with an entry of its term"
    assert raft.heartbeat_elapsed < raft.config.heartbeat_tick, "a heartbeat is overdue"
    last = log.last_index()
    assert raft.pending_conf_index <= last, "pending change beyond the log"
    own = 0
    if unapplied:
        changes = [one.index for one in unapplied if one.type in CHANGES]
        later = [index for index in changes if index > raft.pending_conf_index]
        assert not later, f"changes at {later} behind the pending one at {raft.pending_conf_index}"
        own = payload_sizes(entry for entry in unapplied if entry.term == raft.term)
    assert 0 <= raft.uncommitted_size <= own, f"counts {raft.uncommitted_size} uncommitted bytes of {own}"
    for replica, commit in raft.commits_to_tell.items():
        assert raft.commit_notices, f"announces commits to {replica}, which is switched off"
        assert 0 < commit <= log.committed, f"announces commit {commit} of {log.committed} to {replica}"
    if raft.id in tracker.progress and not raft.is_learner():
        _check_voting_leader(raft)


def _check_voting_leader(raft: Raft) -> None:
    """What a removed leader need not keep up with."""
    log, tracker = raft.log, raft.tracker
    assert tracker.progress[raft.id].recent_active, "a leader hears itself"
    assert tracker.progress[raft.id].match <= log.storage.last_index(), "counts itself without being durable"
    transferee = raft.lead_transferee
    assert transferee != raft.id, "hands over to itself"
    assert transferee == NO_REPLICA or tracker.is_voter(transferee), f"hands over to {transferee}"
    held = tracker.committed()
    assert held <= log.committed or not log.match_term(raft.term, held), (
        f"a quorum holds {held}, committed is {log.committed}"
    )


def check_progress(raft: Raft, replica: int, progress: Progress) -> None:
    """``match < next <= last + 1``, with the window in between, according to the state."""
    last, state = raft.log.last_index(), progress.state
    assert 0 <= progress.match < progress.next, f"{replica}: match {progress.match} < next {progress.next}"
    assert progress.match <= last, f"{replica}: match {progress.match} beyond the last index {last}"
    assert progress.sent_commit <= raft.log.committed, f"{replica}: told of commit {progress.sent_commit}"
    pending, count = progress.pending_snapshot, progress.inflights.count
    if state is SNAPSHOT:
        assert pending > 0, f"{replica}: waits for no snapshot"
        # A late rejection may lower it; what comes after the snapshot starts behind that all the same.
        assert progress.next <= max(pending, progress.match) + 1, f"{replica}: next is beyond {pending}"
    else:
        assert progress.next <= last + 1, f"{replica}: next {progress.next} beyond the last index {last}"
        assert pending == 0, f"{replica}: snapshot pending in {state.name}"
    if state is REPLICATE:
        _check_window(raft, replica, progress)
        assert progress.inflights.full() or not progress.flow_paused, f"{replica}: paused for nothing"
    else:
        assert count == progress.inflights.bytes == 0, f"{replica}: window used in {state.name}"


def _check_window(raft: Raft, replica: int, progress: Progress) -> None:
    """The window covers (match, next), in ascending order, and counts what it holds."""
    window = progress.inflights
    assert 0 <= window.count <= raft.config.max_inflight_msgs, f"{replica}: window overflows"
    assert window.bytes >= 0, f"{replica}: {window.bytes} bytes on their way"
    if window.count == window.bytes == 0:
        return
    held = window.items() if window.count else ()
    assert window.count == len(held), f"{replica}: {len(held)} appends counted as {window.count}"
    assert window.bytes == sum(size for _, size in held), f"{replica}: bytes of the window"
    assert all(before < after for (before, _), (after, _) in pairwise(held)), f"{replica}: not ascending"
    if held:
        assert progress.match < held[0][0], f"{replica}: acknowledged, and still on its way"
        assert held[-1][0] == progress.next - 1, f"{replica}: the window ends where the next append begins"


# -- reads and messages -------------------------------------------------------------------------------------


def check_reads(raft: Raft) -> None:
    """Reads wait for a quorum, in order, at indexes that were committed; nobody waits in vain."""
    if not (raft.postponed_reads or len(raft.reads)):
        return
    assert not raft.postponed_reads or not raft.has_committed_in_term(), "reads postponed after the commit"
    assert len(raft.reads) == 0 or not raft.lease_based_reads, "a lease asks nobody"
    indexes = [index for _, index, _ in raft.reads.items()]
    assert indexes == sorted(indexes), f"reads at {indexes}"
    assert all(index <= raft.log.committed for index in indexes), f"reads at {indexes}, of the future"
    assert len(raft.reads) == 0 or raft.has_committed_in_term(), "a read begun before the first commit"
    for context, confirmed in raft.reads.pending():
        assert raft.id in confirmed, f"{context!r}: the leader confirms it"
        if raft.tracker.is_voter(raft.id):
            assert not raft.tracker.has_quorum(confirmed), f"{context!r} is confirmed and not answered"


def check_messages(raft: Raft) -> None:
    """What is about to leave says nothing that this replica could not have said."""
    for m in raft.messages:
        assert m.to != raft.id, f"{m.type.name} to its sender"
        _check_sent_term(raft, m)
        if m.type is MsgType.APP:
            _check_append(raft, m)
        elif m.type is MsgType.HEARTBEAT:
            assert m.commit <= raft.log.committed, f"heartbeat with commit {m.commit}"
        elif m.type is MsgType.SNAP:
            assert m.snapshot is not None, "a snapshot message without one"
            assert 0 < m.snapshot.index <= raft.log.last_index(), f"snapshot at {m.snapshot.index} sent"
    for m in raft.after_append:
        assert m.from_ == raft.id, f"{m.type.name} promised for {m.from_}"
        _check_sent_term(raft, m)
        if m.type is MsgType.APP_RESP and m.term == raft.term and not m.reject:
            assert m.index <= raft.log.last_index(), f"agrees up to {m.index}, beyond its log"


def _check_sent_term(raft: Raft, m: Message) -> None:
    if m.type in OUTSIDE_TERMS:
        assert m.term == 0, f"{m.type.name} of term {m.term}"
        return
    # A pre-vote, and its grant, name the term that would be entered.
    assert m.term > 0, f"{m.type.name} names no term"
    if m.type not in VOTES or m.type in (MsgType.VOTE, MsgType.VOTE_RESP):
        assert m.term <= raft.term, f"{m.type.name} of term {m.term}, in term {raft.term}"


def _check_append(raft: Raft, m: Message) -> None:
    assert (m.index == 0) == (m.log_term == 0), f"append behind {m.index}, of term {m.log_term}"
    assert m.commit <= raft.log.committed, f"append with commit {m.commit}"
    term = m.log_term
    for index, entry in enumerate(m.entries, m.index + 1):
        assert entry.index == index, f"entry {entry.index} sent as {index}"
        assert term <= entry.term <= m.term, f"entry {index} of term {entry.term} behind term {term}"
        term = entry.term


def check_whole_log(log: RaftLog) -> None:
    """Terms and indexes along the whole log, applied or not: slow, so `check` leaves it to the tests."""
    first, last = log.first_index(), log.last_index()
    try:
        term = log.term(first - 1)
        entries = log.slice(first, last + 1, None)
    except (Compacted, Unavailable) as error:
        raise AssertionError(f"a hole in [{first - 1}, {last}]: {error}") from error
    assert len(entries) == last + 1 - first, f"a hole in [{first}, {last}]"
    for index, entry in enumerate(entries, first):
        assert entry.index == index, f"entry {entry.index} stands at {index}"
        assert term <= entry.term, f"term {entry.term} at {index} follows term {term}"
        term = entry.term

"""What must hold of a replica between any two calls: one function per subject, all run by `check`.

Tests and the simulator call it after every step. Each function states its inequalities as assertions, so that
the line that fails names the one that is broken.
"""

from .ids import NO_REPLICA
from .node import RawNode
from .progress import Progress, ProgressState
from .raft import Raft
from .state import Role


def check(node: RawNode) -> None:
    """Check every invariant of a replica; `AssertionError` names the broken one."""
    raft = node.raft
    check_unstable(raft)
    check_positions(raft)
    check_role(raft)
    check_membership(raft)
    if raft.role is Role.LEADER:
        for replica, progress in raft.tracker.progress.items():
            check_progress(raft, replica, progress)


def check_positions(raft: Raft) -> None:
    """``first - 1 <= applied <= applying <= committed <= last``, but for a snapshot not installed yet."""
    log = raft.log
    first, last = log.first_index(), log.last_index()
    assert log.applied <= log.applying <= log.committed <= last, "applied <= applying <= committed <= last"
    if log.unstable.snapshot is None:
        assert first - 1 <= log.applied, f"compacted up to {first - 1}, applied only {log.applied}"
    assert log.last_id().term <= raft.term or raft.term == 0, "the last entry's term is not in the future"
    assert raft.acknowledged <= last, f"acknowledged {raft.acknowledged} of {last}"


def check_unstable(raft: Raft) -> None:
    """Unstable entries are consecutive, their terms ascend, and they join the stable log without a gap."""
    unstable = raft.log.unstable
    end = unstable.offset + len(unstable.entries)
    assert unstable.offset <= unstable.offset_in_progress <= end, "offset <= in progress <= end"
    if unstable.snapshot is None:
        assert unstable.offset <= raft.log.storage.last_index() + 1, "a gap behind the stable log"
    else:
        assert unstable.offset >= unstable.snapshot.index + 1, "entries before the snapshot"
    term = 0
    for index, entry in enumerate(unstable.entries, unstable.offset):
        assert entry.index == index, f"entry {entry.index} stands at {index}"
        assert term <= entry.term <= raft.term, f"term {entry.term} after {term}, in term {raft.term}"
        term = entry.term


def check_role(raft: Raft) -> None:
    """Who leads, whom this replica voted for, and what its role implies."""
    if raft.role is Role.LEADER:
        assert raft.lead == raft.id, f"leader follows {raft.lead}"
        assert raft.pending_conf_index <= raft.log.last_index(), "pending change beyond the log"
    else:
        assert raft.lead != raft.id, "leads without being leader"
        assert raft.lead_transferee == NO_REPLICA, "hands over what it has not"
    if raft.role is Role.CANDIDATE:
        assert raft.vote == raft.id, f"candidate voted for {raft.vote}"
        assert raft.lead == NO_REPLICA, f"candidate follows {raft.lead}"
    if raft.role is Role.PRE_CANDIDATE:
        assert raft.lead == NO_REPLICA, f"pre-candidate follows {raft.lead}"


def check_membership(raft: Raft) -> None:
    """Every member has a progress, nobody else has, and the parts exclude each other as they must."""
    conf, progress = raft.tracker.conf, raft.tracker.progress
    voters = {*conf.voters, *conf.voters_outgoing}
    assert set(progress) == voters | set(conf.learners), "progress of exactly the members"
    assert list(progress) == sorted(progress), "members in ascending order"
    assert not voters & set(conf.learners), "a voter that is a learner"
    assert set(conf.learners_next) <= set(conf.voters_outgoing) - set(conf.voters), "learners to be"
    assert not (conf.auto_leave and not conf.voters_outgoing), "auto-leave without a joint configuration"
    for replica, known in progress.items():
        assert known.is_learner == (replica in conf.learners), f"learner flag of {replica}"


def check_progress(raft: Raft, replica: int, progress: Progress) -> None:
    """``match < next <= last + 1``, with the window in between."""
    last = raft.log.last_index()
    assert progress.match < progress.next, f"{replica}: match {progress.match} < next {progress.next}"
    assert progress.match <= last, f"{replica}: match {progress.match} beyond the last index {last}"
    if progress.state is not ProgressState.SNAPSHOT:
        assert progress.next <= last + 1, f"{replica}: next {progress.next} beyond the last index {last}"
        assert progress.pending_snapshot == 0, f"{replica}: snapshot pending in {progress.state.name}"
    if progress.state is ProgressState.REPLICATE:
        assert progress.inflights.count <= raft.config.max_inflight_msgs, f"{replica}: window overflows"
    else:
        assert progress.inflights.count == 0, f"{replica}: window used in {progress.state.name}"

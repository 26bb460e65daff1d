"""Changes of role. Who may become what, and what is forgotten on the way."""

from .entry import Entry
from .ids import NO_REPLICA
from .raft import Raft
from .ready import ReadDropReason
from .state import Role


def become_follower(raft: Raft, term: int, lead: int) -> None:
    """Follow `lead` (NO_REPLICA: whoever shows up) in `term`."""
    reset(raft, term)
    raft.lead = lead
    raft.role = Role.FOLLOWER


def become_candidate(raft: Raft) -> None:
    """Begin a term of one's own and vote for oneself (§5.2)."""
    assert raft.role is not Role.LEADER, f"leader {raft.id} of term {raft.term} would campaign against itself"
    reset(raft, raft.term + 1)
    raft.vote = raft.id
    raft.role = Role.CANDIDATE


def become_pre_candidate(raft: Raft) -> None:
    """Ask whether an election could be won; term and vote stay as they are (thesis §9.6)."""
    assert raft.role is not Role.LEADER, f"leader {raft.id} of term {raft.term} would campaign against itself"
    raft.tracker.votes.clear()
    raft.lead = NO_REPLICA
    raft.role = Role.PRE_CANDIDATE


def become_leader(raft: Raft) -> None:
    """Lead the term of the election just won, beginning with an empty entry of its own (§5.4.2, §8)."""
    assert raft.role is not Role.FOLLOWER, f"follower {raft.id} would lead term {raft.term} without election"
    reset(raft, raft.term)
    raft.lead = raft.id
    raft.role = Role.LEADER
    own = raft.tracker.progress[raft.id]
    own.become_replicate()
    own.recent_active = True
    # A configuration change of an earlier leader may be in the log and not applied yet, anywhere up to here.
    raft.pending_conf_index = last = raft.log.last_index()
    appended = raft.append_own([Entry(raft.term, last + 1)], 0)
    assert appended, "an entry without payload was refused"


def reset(raft: Raft, term: int) -> None:
    """Forget what belongs to the role or the term that ends."""
    if raft.term != term:
        assert term > raft.term, f"term {term} after term {raft.term}"
        raft.term = term
        raft.vote = NO_REPLICA
        raft.acknowledged = 0
    raft.lead = NO_REPLICA
    raft.lead_transferee = NO_REPLICA
    raft.election_elapsed = 0
    raft.heartbeat_elapsed = 0
    draw_election_timeout(raft)
    raft.tracker.votes.clear()
    last = raft.log.last_index()
    for replica, progress in raft.tracker.progress.items():
        progress.reset(last + 1, last if replica == raft.id else 0)
    raft.pending_conf_index = 0
    raft.uncommitted_size = 0
    # A later leadership of this replica would answer postponed reads correctly, but nobody waits that long.
    raft.drop_reads(ReadDropReason.LEADERSHIP_LOST)
    raft.commits_to_tell.clear()


def draw_election_timeout(raft: Raft) -> None:
    """Draw the silence after which this replica campaigns, so that rivals rarely do so at once (§5.2)."""
    election_tick = raft.config.election_tick
    raft.randomized_election_timeout = election_tick + raft.config.random.randrange(election_tick)

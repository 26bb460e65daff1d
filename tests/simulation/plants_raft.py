"""Plants in the core: elections, replication, commitment and reads."""

from typing import Final

from multiraft.raft import (
    dispatch,
    durability,
    election,
    follower,
    leader,
    replication,
    role,
)
from multiraft.raft.log import RaftLog
from multiraft.raft.unstable import Unstable

from .plants_edits import Edit, Plant

IF_NOT_LED: Final = "* (raft.heartbeat_elapsed >= 0)"
"""Of use to bug-20 only: 0 times an index is no news."""

PLANTS: Final = [
    Plant(
        "bug-1",
        "entries of earlier terms are committed by counting replicas",
        (
            Edit(
                replication,
                "maybe_commit",
                "index <= log.committed or not log.match_term(raft.term, index)",
                "index <= log.committed",
            ),
        ),
    ),
    Plant(
        "bug-5",
        "a heartbeat, or the answer to one, raises the term on a path of its own, while the leader appends",
        (
            Edit(
                dispatch,
                "step",
                "if m.term != raft.term",
                "if m.type in (MsgType.HEARTBEAT, MsgType.APP_RESP) and m.term > raft.term:\n"
                "        raft.term = m.term\n"
                "    if m.term != raft.term",
            ),
        ),
    ),
    Plant(
        "bug-8",
        "a read is begun before the leader has committed in its term",
        (Edit(leader, "read_index", "elif raft.has_committed_in_term():", "elif raft.term:"),),
    ),
    Plant(
        "bug-9",
        "a read trusts a lease that is counted in ticks, which stand still while the process is paused",
        (
            Edit(
                leader,
                "_begin_read",
                "if raft.lease_based_reads or",
                "if raft.election_elapsed < raft.config.election_tick or",
            ),
        ),
    ),
    Plant(
        "bug-15",
        "entries that replace others are taken for written, as those were",
        (
            Edit(Unstable, "truncate_and_append", "self.offset = self.offset_in_progress", "self.offset"),
            Edit(
                Unstable,
                "truncate_and_append",
                "self.offset_in_progress = min(self.offset_in_progress, first)",
                "self.offset_in_progress = min(self.offset_in_progress, self.offset + len(self.entries))",
            ),
        ),
    ),
    Plant(
        "bug-17",
        "a new proposal changes the bytes of those of its length that are still in memory",
        (
            Edit(
                leader,
                "propose",
                "if not raft.append_own",
                "unstable, data = raft.log.unstable.entries, entries[0].data\n"
                "    for at, old in enumerate(unstable):\n"
                "        if old.data and len(old.data) == len(data):\n"
                "            unstable[at] = old._replace(data=data)\n"
                "    if not raft.append_own",
            ),
        ),
    ),
    Plant(
        "bug-18",
        "what is applied goes on counting as uncommitted",
        (Edit(durability, "applied", "if raft.uncommitted_size:", "if raft.uncommitted_size < 0:"),),
    ),
    Plant(
        "bug-20",
        "a leader that becomes follower does not hear what is committed in the next term",
        (
            # Only leaders count this up, so that a follower can carry the mark in it.
            Edit(
                role,
                "become_follower",
                "reset(raft, term)",
                "led = raft.role is Role.LEADER\n    reset(raft, term)\n    raft.heartbeat_elapsed = -led",
            ),
            Edit(
                follower,
                "take_append",
                "m.entries, m.commit)",
                "m.entries, m.commit * (raft.heartbeat_elapsed >= 0))",
            ),
            Edit(
                follower,
                "take_heartbeat",
                "commit_to(m.commit)",
                "commit_to(m.commit * (raft.heartbeat_elapsed >= 0))",
            ),
            Edit(
                follower, "take_commit_notice", "min(commit,", "min(commit * (raft.heartbeat_elapsed >= 0),"
            ),
        ),
    ),
    Plant(
        "bug-21",
        "a voter compares the term that is proposed with its current one, and does not enter it",
        (
            Edit(
                dispatch,
                "_settle_terms",
                "if m.type is MsgType.PRE_VOTE:",
                "if m.type in (MsgType.PRE_VOTE, MsgType.VOTE):",
            ),
            Edit(dispatch, "step", "(MsgType.PRE_VOTE, ", "(MsgType.PRE_VOTE, MsgType.VOTE, "),
            Edit(election, "answer_vote", "m.type is MsgType.PRE_VOTE and m.term", "m.term"),
        ),
    ),
    Plant(
        "bug-22",
        "neither pre-votes nor quorum checks: who hears no leader deposes the one that others have",
        (
            Edit(election, "start", "if raft.pre_vote", "if raft.pre_vote and not raft.term"),
            Edit(election, "in_lease", "return raft.check_quorum and", "return raft.term < 0 and"),
            Edit(leader, "check_quorum", "if not raft.tracker.quorum_active():", "if raft.term < 0:"),
        ),
    ),
    Plant(
        "rule-election-restriction",
        "a candidate gets votes whatever its log lacks",
        (Edit(election, "answer_vote", "if can_vote and raft", "if can_vote or raft is None and raft"),),
    ),
    Plant(
        "rule-previous-entry",
        "an append is taken although the entry before it is another one",
        (
            Edit(
                RaftLog,
                "maybe_append",
                "if not self.match_term(prev_term, prev_index):",
                "if prev_index > self.last_index():",
            ),
        ),
    ),
    Plant(
        "rule-attestation-of-the-term",
        "what the disk attests counts for entries, whatever has replaced them since",
        (
            Edit(
                dispatch,
                "_answer_from_later_term",
                "durability.appended_in_earlier_term(raft, m)",
                "durability.appended(raft, m)",
            ),
            Edit(Unstable, "stable_to", " or self.entries[position].term != term", ""),
        ),
    ),
    Plant(
        "rule-applied-beyond-local-log",
        "entries are applied before they are durable in the local log",
        (
            Edit(
                RaftLog,
                "_appliable_index",
                "self.committed if allow_unstable else min(self.committed, self.unstable.offset - 1)",
                "self.committed",
            ),
        ),
    ),
    Plant(
        "rule-commit-notice-beyond-acknowledged",
        "a commit notice moves commit beyond what the follower has acknowledged in the term",
        (
            Edit(
                replication,
                "notify_commit",
                "commit = min(progress.match, raft.log.committed)",
                "commit = raft.log.committed",
            ),
            Edit(
                follower,
                "take_commit_notice",
                "min(commit, raft.acknowledged)",
                "min(commit, raft.log.last_index())",
            ),
        ),
    ),
    Plant(
        "rule-beat-within-match",
        "a heartbeat announces a commit index beyond what its receiver is known to hold",
        (
            Edit(
                replication,
                "send_heartbeat",
                "commit = min(progress.match, raft.log.committed)",
                "commit = raft.log.committed",
            ),
            Edit(
                follower,
                "take_heartbeat",
                "raft.log.commit_to(m.commit)",
                "raft.log.commit_to(min(m.commit, raft.log.last_index()))",
            ),
        ),
    ),
    Plant(
        "rule-leader-without-quorum",
        "a leader that hears no quorum goes on leading",
        (Edit(leader, "check_quorum", "if not raft.tracker.quorum_active():", "if raft.term == 0:"),),
    ),
]

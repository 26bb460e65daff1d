"""States that no replica may be in: a good state, the damage done to it, and the words that name it."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from multiraft.raft import (
    NO_REPLICA,
    Change,
    ChangeType,
    ConfChange,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Inflights,
    Message,
    MsgType,
    ProgressState,
    RawNode,
    Role,
    Snapshot,
)
from multiraft.raft.raft import Raft
from multiraft.raft.unstable import Unstable
from tests.raft.harness import acknowledge, drain, lead, replica, replicating, storage_of, storage_with

SNAPSHOT = Snapshot(9, 2, ConfState((1, 2, 3)))


# -- good states --------------------------------------------------------------------------------------------


def leader() -> RawNode:
    """Leads three, with a proposal on its way to everyone."""
    raw = replicating(replica(storage_with([1, 1]), commit_notices=True))
    raw.propose(b"x")
    return raw


def follower() -> RawNode:
    """Follows 2, with entries that are not durable and some that are not applied."""
    raw = replica(storage_with([1, 1, 2], hard_state=HardState(2, 0, 2)))
    raw.step(Message(MsgType.APP, 1, 2, 2, log_term=2, index=3, entries=[Entry(2, 4), Entry(2, 5)], commit=4))
    return raw


def candidate() -> RawNode:
    """Asks for votes."""
    raw = replica(storage_with([1]))
    raw.campaign()
    return raw


def restoring() -> RawNode:
    """A snapshot is on its way to the disk, and so is an entry behind it."""
    raw = replica(storage_with([1]), async_storage_writes=True)
    raw.step(Message(MsgType.SNAP, 1, 2, 2, snapshot=SNAPSHOT))
    raw.step(Message(MsgType.APP, 1, 2, 2, log_term=2, index=9, entries=[Entry(2, 10)]))
    raw.ready()
    return raw


def applying() -> RawNode:
    """Two entries of 9 bytes each are handed out, of six, with a budget of 20."""
    storage = storage_with([1] * 6, hard_state=HardState(1, 0, 6))
    raw = replica(storage, max_committed_size_per_ready=20, async_storage_writes=True)
    raw.ready()
    return raw


def reader() -> RawNode:
    """Leads, and waits for a quorum to confirm two reads."""
    raw = replicating(replica())
    raw.propose(b"x")
    raw.read_index(b"a")
    raw.read_index(b"b")
    return raw


def snapshotting() -> RawNode:
    """Leads, and has sent a snapshot to replica 3."""
    raw = lead(replica(storage_with([1] * 3)))
    acknowledge(raw, 4, 2)
    drain(raw)
    storage_of(raw).create_snapshot(3, ConfState((1, 2, 3)), b"")
    storage_of(raw).compact(3)
    raw.step(Message(MsgType.HEARTBEAT_RESP, 1, 3, raw.raft.term))
    raw.step(Message(MsgType.APP_RESP, 1, 3, raw.raft.term, index=3, reject=True))
    return raw


def joint() -> RawNode:
    """Leads a joint configuration."""
    raw = replicating(replica())
    raw.apply_conf_change(ConfChange((Change(ChangeType.ADD_LEARNER, 3), Change(ChangeType.REMOVE, 2))))
    return raw


GOOD = [leader, follower, candidate, restoring, applying, reader, snapshotting, joint, replica]


# -- damages ------------------------------------------------------------------------------------------------


class Damage(NamedTuple):
    """What is done to which state, and what the assertion that notices says."""

    make: Callable[[], RawNode]
    do: Callable[[Raft], object]
    words: str


def put(path: str, value: object) -> Callable[[Raft], None]:
    """Set the attribute at the end of a dotted path; a number in it is a key."""
    *way, name = path.split(".")

    def do(raft: Raft) -> None:
        at = raft
        for step in way:
            at = at[int(step)] if step.isdigit() else getattr(at, step)  # type: ignore[index]  # a dict there
        setattr(at, name, value)

    return do


def several(*damages: Callable[[Raft], object]) -> Callable[[Raft], None]:
    """Do one after the other."""

    def do(raft: Raft) -> None:
        for damage in damages:
            damage(raft)

    return do


def conf(**parts: object) -> Callable[[Raft], None]:
    """Put other parts into the configuration."""

    def do(raft: Raft) -> None:
        raft.tracker.conf = replace(raft.tracker.conf, **parts)

    return do


def sent(**fields: object) -> Callable[[Raft], None]:
    """A message about to leave."""
    return lambda raft: raft.messages.append(Message(**({"to": 2, "from_": 1, "term": 1} | fields)))


def promised(**fields: object) -> Callable[[Raft], None]:
    """A message about to leave when all is durable."""
    return lambda raft: raft.after_append.append(Message(**({"to": 2, "from_": 1, "term": 1} | fields)))


def appended(*entries: Entry, index: int = 1, log_term: int = 1, commit: int = 0) -> Callable[[Raft], None]:
    """An append about to leave."""
    return sent(type=MsgType.APP, index=index, log_term=log_term, entries=entries, commit=commit)


def share_a_window(raft: Raft) -> None:
    raft.tracker.progress[2].inflights = raft.tracker.progress[3].inflights


def lose_a_member(raft: Raft) -> None:
    del raft.tracker.progress[3]


def disorder_members(raft: Raft) -> None:
    raft.tracker.progress = dict(reversed(raft.tracker.progress.items()))


def admit_nobody(raft: Raft) -> None:
    raft.tracker.progress = {NO_REPLICA: raft.tracker.progress[2]} | raft.tracker.progress
    raft.tracker.conf = ConfState((NO_REPLICA, 1, 2, 3))


def slip_in_a_change(raft: Raft) -> None:
    raft.log.append([Entry(raft.term, raft.log.last_index() + 1, EntryType.CONF_CHANGE_V2)])


def hold_uncommitted(raft: Raft) -> None:
    raft.tracker.progress[2].maybe_update(raft.log.last_index())
    raft.tracker.progress[2].inflights.reset()
    raft.tracker.progress[3].maybe_update(raft.log.last_index())
    raft.tracker.progress[3].inflights.reset()


def drop_read_of_leader(raft: Raft) -> None:
    raft.reads._requests[b"a"].acknowledged.clear()


def confirm_read_unseen(raft: Raft) -> None:
    raft.reads._requests[b"a"].acknowledged[2] = True


def disorder_reads(raft: Raft) -> None:
    raft.reads._requests[b"b"].index = 0


def read_of_the_future(raft: Raft) -> None:
    raft.reads._requests[b"b"].index = 99


def swap_window(raft: Raft) -> None:
    window = raft.tracker.progress[2].inflights
    window.count = 2
    window._buffer = [(3, 1), (3, 0)]


class Odd(Inflights):
    """A window of a host's own, which miscounts."""

    def __init__(self, count: int = 1, bytes_: int = 1) -> None:
        super().__init__(256)
        self.count, self.bytes = count, bytes_

    def items(self) -> list[tuple[int, int]]:
        return [(4, 1)]


UNSTABLE = "log.unstable."
OF_2, OF_3 = "tracker.progress.2.", "tracker.progress.3."
DAMAGES = [
    # positions
    Damage(leader, put("log.applying", 99), "<= applying 99 <="),
    Damage(leader, put("log.applied", -1), "applied -1 <="),
    Damage(follower, put("log.committed", 9), "<= committed 9 <="),
    Damage(follower, lambda raft: raft.log.storage.compact(1), "compacted up to 1, applied only 0"),
    Damage(restoring, put("log.applying", 9), "snapshot 9 pending, applying 9"),
    Damage(leader, put("acknowledged", 99), "acknowledged 99 of"),
    # the unstable part
    Damage(follower, put(UNSTABLE + "offset_in_progress", 3), "offset <= in progress"),
    Damage(follower, lambda raft: setattr(raft.log, "unstable", Unstable(77)), "a gap behind"),
    Damage(follower, put(UNSTABLE + "snapshot_in_progress", True), "no snapshot is being written"),
    Damage(restoring, put(UNSTABLE + "snapshot", Snapshot()), "snapshot of nothing"),
    Damage(restoring, put(UNSTABLE + "snapshot", replace(SNAPSHOT, index=8)), "follow the snapshot directly"),
    Damage(restoring, put(UNSTABLE + "snapshot_in_progress", False), "before their snapshot"),
    Damage(follower, put(UNSTABLE + "entries", [Entry(2, 4), Entry(2, 6)]), "entry 6 stands at 5"),
    # terms
    Damage(follower, put(UNSTABLE + "entries", [Entry(2, 4), Entry(1, 5)]), "term 1 at 5 follows term 2"),
    Damage(follower, put(UNSTABLE + "entries", [Entry(2, 4), Entry(9, 5)]), "term 9 in the log, 2"),
    # the apply budget
    Damage(applying, put("log.max_applying_size", 0), "an apply budget of 0"),
    Damage(leader, put("log.applying_paused", True), "paused without a limit"),
    Damage(leader, put("log.applying_size", 1), "counted without a limit"),
    Damage(applying, put("log.applying_size", -1), "-1 bytes are being applied"),
    Damage(
        applying,
        several(put("log.applying_paused", False), put("log.applying_size", 20)),
        "used up, and goes on",
    ),
    Damage(applying, put("log.applying_size", 0), "paused for nothing"),
    Damage(applying, put("log.applying_size", 13), "handed out and not counted"),
    Damage(applying, put("log.applying_size", 40), "the budget is exceeded"),
    # roles and votes
    Damage(replica, put("term", -1), "in the log, -1 is the present one"),
    Damage(replica, put("election_elapsed", -1), "-1 ticks"),
    Damage(replica, put("randomized_election_timeout", 0), "timeout after 0"),
    Damage(replica, put("role", Role.CANDIDATE), "CANDIDATE of no term"),
    Damage(replica, put("lead", 2), "a vote or a leader in no term"),
    Damage(leader, put("lead", 2), "leader follows 2"),
    Damage(leader, put("lead", 0), "leader follows 0"),
    Damage(leader, put("vote", 2), "leader voted for 2"),
    Damage(follower, put("lead", 1), "leads without being leader"),
    Damage(candidate, put("lead", 2), "CANDIDATE follows 2"),
    Damage(
        candidate,
        lambda raft: raft.log.restore(replace(SNAPSHOT, term=1)),
        "campaigns while a snapshot is pending",
    ),
    Damage(candidate, put("vote", 2), "candidate voted for 2"),
    Damage(candidate, put("tracker.votes", {2: True, 3: True}), "the election is decided"),
    Damage(follower, put("tracker.votes", {2: True}), "votes {2: True} of no election"),
    # what only a leader has
    Damage(follower, put("lead_transferee", 2), "hands over what it has not"),
    Damage(follower, put("pending_conf_index", 1), "guards changes up to 1"),
    Damage(follower, put("uncommitted_size", 1), "counts 1 uncommitted bytes"),
    Damage(
        follower, lambda raft: raft.reads.add(Message(MsgType.READ_INDEX, context=b"a"), 1, 1), "not be asked"
    ),
    Damage(follower, put("postponed_reads", [Message(MsgType.READ_INDEX)]), "commit of another's term"),
    Damage(follower, put("commits_to_tell", {2: 1}), "announces commits {2: 1}"),
    Damage(follower, put(OF_2 + "state", ProgressState.REPLICATE), "2: REPLICATE"),
    Damage(follower, put(OF_2 + "pending_snapshot", 4), "2: something on its way"),
    Damage(follower, put(OF_2 + "match", 1), "2: match 1"),
    # members
    Damage(leader, conf(voters=(1, 3, 2)), "is not ascending"),
    Damage(leader, lose_a_member, "progress of exactly the members"),
    Damage(leader, disorder_members, "members in ascending order"),
    Damage(leader, admit_nobody, "members that are no replicas"),
    Damage(leader, conf(learners=(3,)), "a voter that is a learner"),
    Damage(leader, conf(learners_next=(3,)), "learners to be"),
    Damage(joint, conf(voters=(), learners_next=()), "nobody votes in the incoming half"),
    Damage(leader, conf(auto_leave=True), "auto-leave without"),
    Damage(leader, put(OF_3 + "is_learner", True), "learner flag of 3"),
    Damage(leader, share_a_window, "two members share a window"),
    # a leader
    Damage(leader, put("term", 9), "ends with an entry of its term"),
    Damage(leader, put("heartbeat_elapsed", 1), "a heartbeat is overdue"),
    Damage(leader, put("pending_conf_index", 99), "pending change beyond the log"),
    Damage(leader, slip_in_a_change, "behind the pending one"),
    Damage(leader, put("uncommitted_size", 2), "counts 2 uncommitted bytes of 1"),
    Damage(reader, put("commits_to_tell", {2: 1}), "which is switched off"),
    Damage(leader, put("commits_to_tell", {2: 9}), "announces commit 9 of"),
    Damage(leader, put("tracker.progress.1.recent_active", False), "a leader hears itself"),
    Damage(
        leader,
        several(put("tracker.progress.1.match", 4), put("tracker.progress.1.next", 5)),
        "without being durable",
    ),
    Damage(leader, put("lead_transferee", 1), "hands over to itself"),
    Damage(leader, put("lead_transferee", 9), "hands over to 9"),
    Damage(leader, hold_uncommitted, "a quorum holds 4, committed is 3"),
    # progress
    Damage(leader, put(OF_2 + "match", 9), "2: match 9 < next"),
    Damage(snapshotting, several(put(OF_3 + "match", 5), put(OF_3 + "next", 6)), "beyond the last index 4"),
    Damage(leader, put(OF_2 + "sent_commit", 9), "2: told of commit 9"),
    Damage(snapshotting, put(OF_3 + "pending_snapshot", 0), "3: waits for no snapshot"),
    Damage(snapshotting, put(OF_3 + "next", 5), "3: next is beyond 3"),
    Damage(leader, put(OF_2 + "next", 99), "2: next 99 beyond"),
    Damage(leader, put(OF_2 + "pending_snapshot", 2), "2: snapshot pending in REPLICATE"),
    Damage(leader, put(OF_2 + "flow_paused", True), "2: paused for nothing"),
    Damage(leader, put(OF_2 + "state", ProgressState.PROBE), "2: window used in PROBE"),
    # windows
    Damage(leader, put(OF_2 + "inflights.count", 300), "2: window overflows"),
    Damage(leader, put(OF_2 + "inflights", Odd(bytes_=-1)), "2: -1 bytes on their way"),
    Damage(leader, put(OF_2 + "inflights", Odd(count=2)), "2: 1 appends counted as 2"),
    Damage(leader, put(OF_2 + "inflights.bytes", 7), "2: bytes of the window"),
    Damage(leader, swap_window, "2: not ascending"),
    Damage(leader, put(OF_2 + "inflights._buffer", [(3, 1)]), "2: acknowledged, and still"),
    Damage(leader, put(OF_2 + "next", 4), "2: the window ends where"),
    # reads
    Damage(reader, put("postponed_reads", [Message(MsgType.READ_INDEX)]), "postponed after the commit"),
    Damage(reader, put("lease_based_reads", True), "a lease asks nobody"),
    Damage(reader, disorder_reads, "reads at [1, 0]"),
    Damage(reader, read_of_the_future, "of the future"),
    Damage(
        lambda: lead(replica(storage_with([1]))),
        lambda raft: raft.reads.add(Message(MsgType.READ_INDEX, context=b"a"), 0, 1),
        "begun before the first commit",
    ),
    Damage(reader, drop_read_of_leader, "the leader confirms it"),
    Damage(reader, confirm_read_unseen, "is confirmed and not answered"),
    # messages
    Damage(leader, sent(type=MsgType.HEARTBEAT, to=1), "HEARTBEAT to its sender"),
    Damage(leader, sent(type=MsgType.HEARTBEAT, commit=9), "heartbeat with commit 9"),
    Damage(leader, sent(type=MsgType.SNAP), "a snapshot message without one"),
    Damage(leader, sent(type=MsgType.SNAP, snapshot=SNAPSHOT), "snapshot at 9 sent"),
    Damage(leader, sent(type=MsgType.SNAP, snapshot=Snapshot()), "snapshot at 0 sent"),
    Damage(leader, promised(type=MsgType.APP_RESP, from_=3), "APP_RESP promised for 3"),
    Damage(leader, promised(type=MsgType.APP_RESP, from_=0), "APP_RESP promised for 0"),
    Damage(leader, promised(type=MsgType.APP_RESP, term=2, index=9), "agrees up to 9"),
    Damage(leader, sent(type=MsgType.PROP), "PROP of term 1"),
    Damage(leader, sent(type=MsgType.VOTE, term=0), "VOTE names no term"),
    Damage(leader, sent(type=MsgType.VOTE, term=9), "VOTE of term 9"),
    Damage(leader, appended(index=1, log_term=0), "append behind 1, of term 0"),
    Damage(leader, appended(commit=9), "append with commit 9"),
    Damage(leader, appended(Entry(1, 3)), "entry 3 sent as 2"),
    Damage(leader, appended(Entry(1, 1)), "entry 1 sent as 2"),
    Damage(leader, appended(Entry(2, 2)), "entry 2 of term 2 behind term 1"),
]

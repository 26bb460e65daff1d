"""One replica's state: what the handlers of each role read and move.

The rules are in the modules of the roles and subjects; here is what they share: the fields, each with its
invariant, and `send`, which decides when a message may leave.
"""

from .config import NO_LIMIT, Config, FullWindow, ReadOnly
from .entry import Entry
from .errors import CorruptLog
from .ids import NO_REPLICA
from .inflights import InflightWindow
from .log import RaftLog
from .membership import contradiction, restore
from .messages import VOTES, Message, MsgType
from .progress import Progress
from .readindex import ReadQueue
from .ready import DroppedRead, ReadDropReason, ReadState, Refusal
from .state import ConfState, HardState, Role
from .tracker import Tracker

_AFTER_APPEND = frozenset({MsgType.APP_RESP, MsgType.VOTE_RESP, MsgType.PRE_VOTE_RESP})
OUTSIDE_TERMS = frozenset({MsgType.PROP, MsgType.READ_INDEX})


class Raft:
    """The state machine of one replica.

    term: the latest term seen; never falls. vote: whom this replica voted for in it, or NO_REPLICA.
    lead: the leader of `term` as far as known; ``role is LEADER`` implies ``lead == id``.
    acknowledged: the last index that this replica has told the leader of `term` to agree on;
        ``acknowledged <= last_index`` while a follower.
    election_elapsed, heartbeat_elapsed: ticks since a leader was last heard of, or a beat was sent.
    pending_conf_index: on a leader, no configuration change beyond it is in the log; a new one is refused
        while it is not applied.
    uncommitted_size: payload bytes that a leader appended and that are not applied yet (an estimate).
    lead_transferee: to whom leadership is being handed over, or NO_REPLICA.
    messages: may leave at once. after_append: may leave when everything unstable so far is durable.

    What bounds the queues: reads of all kinds `Config.max_pending_reads`; commits_to_tell and votes the
    number of members; messages, after_append and refusals the calls between two Readys; what is unstable
    `Config.max_uncommitted_size` on a leader, and its window and message size on a follower.
    """

    __slots__ = (
        "acknowledged",
        "after_append",
        "check_quorum",
        "commit_notices",
        "commits_to_tell",
        "config",
        "dropped_reads",
        "election_elapsed",
        "free_first_on_heartbeat",
        "heartbeat_elapsed",
        "id",
        "lead",
        "lead_transferee",
        "lease_based_reads",
        "log",
        "max_message_size",
        "max_uncommitted_size",
        "messages",
        "pending_conf_index",
        "postponed_reads",
        "pre_vote",
        "randomized_election_timeout",
        "read_states",
        "reads",
        "refusals",
        "role",
        "term",
        "tracker",
        "uncommitted_size",
        "vote",
    )

    def __init__(self, config: Config) -> None:
        """Take the settings, and know nothing yet: `load` or an exported state comes next. `ConfigError`."""
        config.validate()
        self.config = config
        self.id = config.id
        self.pre_vote = config.pre_vote
        self.check_quorum = config.check_quorum
        self.commit_notices = config.commit_notices
        self.max_message_size = config.max_size_per_msg
        self.max_uncommitted_size = config.max_uncommitted_size or NO_LIMIT
        self.lease_based_reads = config.read_only is ReadOnly.LEASE_BASED
        self.free_first_on_heartbeat = config.full_window_on_heartbeat is FullWindow.FREE_FIRST
        self.log = RaftLog(config.storage, _apply_budget(config))

        self.tracker = Tracker(ConfState(), {})
        self.term = 0
        self.vote = NO_REPLICA
        self.role = Role.FOLLOWER
        self.lead = NO_REPLICA
        self.lead_transferee = NO_REPLICA
        self.acknowledged = 0
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.randomized_election_timeout = 0
        self.pending_conf_index = 0
        self.uncommitted_size = 0
        self.messages: list[Message] = []
        self.after_append: list[Message] = []
        self.read_states: list[ReadState] = []
        self.dropped_reads: list[DroppedRead] = []
        self.refusals: list[Refusal] = []
        self.commits_to_tell: dict[int, int] = {}
        self.reads = ReadQueue()
        self.postponed_reads: list[Message] = []

    def load(self) -> None:
        """Take over what was durable. `CorruptLog` if it contradicts itself."""
        hard_state, conf_state = self.config.storage.initial_state()
        reason = contradiction(conf_state)
        if reason is not None:
            raise CorruptLog(f"the stored configuration is none: {reason}", self.log.committed)
        self.tracker = Tracker(*restore(conf_state, self.new_progress))
        self.term, self.vote, commit = hard_state
        last = self.log.last_index()
        if hard_state != HardState():
            if not self.log.committed <= commit <= last:
                raise CorruptLog(
                    f"the stored commit {commit} is not in the stored log [{self.log.committed}, {last}]",
                    commit,
                )
            self.log.committed = commit
        if self.config.applied:
            if self.config.applied > self.log.committed:
                raise CorruptLog(
                    f"applied {self.config.applied} is beyond the stored commit {self.log.committed}",
                    self.config.applied,
                )
            self.log.applied_to(self.config.applied, 0)

    def new_progress(self) -> Progress:
        """The progress of a newcomer: guessed to need what comes last, and counted as active.

        Active, because otherwise a leader that checks its quorum might step down before the newcomer has had
        a chance to answer.
        """
        return Progress(max(self.log.last_index(), 1), self.new_window(), recent_active=True)

    def new_window(self) -> InflightWindow:
        """An empty inflight window of the size that the settings ask for."""
        config = self.config
        return config.inflights_factory(config.max_inflight_msgs, config.max_inflight_bytes)

    # -- what others ask of it ----------------------------------------------------------------------------

    def hard_state(self) -> HardState:
        """What has to be durable, as it is now."""
        return HardState(self.term, self.vote, self.log.committed)

    def conf_state(self) -> ConfState:
        """The configuration in force."""
        return self.tracker.conf

    def is_learner(self) -> bool:
        """Whether this replica receives the log without a vote."""
        return self.id in self.tracker.conf.learners

    def promotable(self) -> bool:
        """Whether this replica may campaign: a voter whose state is not about to be replaced."""
        progress = self.tracker.progress.get(self.id)
        return progress is not None and not progress.is_learner and self.log.unstable.snapshot is None

    def has_committed_in_term(self) -> bool:
        """Whether the commit index includes all that earlier leaders committed (thesis §6.4)."""
        return self.log.term_or_zero(self.log.committed) == self.term

    # -- reads --------------------------------------------------------------------------------------------

    def waiting_reads(self) -> int:
        """Read requests that are kept here: unconfirmed, postponed, or answered and not handed out."""
        return len(self.reads) + len(self.postponed_reads) + len(self.read_states) + len(self.dropped_reads)

    def drop_read(self, request: Message, reason: ReadDropReason) -> None:
        """Tell the host, if it is its own request. Other replicas notice that their leader changed."""
        if request.from_ in (NO_REPLICA, self.id):
            self.dropped_reads.append(DroppedRead(request.context, reason))

    def drop_reads(self, reason: ReadDropReason) -> None:
        """Drop every request that waits to be confirmed."""
        waiting = [*(message for message, _, _ in self.reads.items()), *self.postponed_reads]
        self.reads.clear()
        self.postponed_reads.clear()
        for request in waiting:
            self.drop_read(request, reason)

    # -- sending ------------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Queue `message`: responses that promise something until the log is durable, others to leave."""
        if message.from_ == NO_REPLICA:
            message.from_ = self.id
        kind = message.type
        if kind in VOTES:
            assert message.term, f"{kind.name} names no term"
        else:
            assert not message.term, f"{kind.name} names the term {message.term}"
            # What is forwarded to the leader belongs to no term: it counts like a local request there.
            if kind not in OUTSIDE_TERMS:
                message.term = self.term
        if kind in _AFTER_APPEND:
            self.after_append.append(message)
        else:
            assert message.to != self.id, f"{kind.name} addressed to its sender {self.id}"
            self.messages.append(message)

    def append_own(self, entries: list[Entry], size: int) -> bool:
        """Append a leader's `entries`, already numbered, of `size` payload bytes.

        Returns False, with nothing appended, if too much is uncommitted. Entries without payload always pass:
        the one that opens a term and those that leave a joint configuration must.
        """
        if (
            size > 0
            and self.uncommitted_size > 0
            and self.uncommitted_size + size > self.max_uncommitted_size
        ):
            return False
        self.uncommitted_size += size
        self.log.append(entries)
        # The leader's acknowledgement counts, like a follower's, when the entries are durable.
        last = entries[-1].index
        self.after_append.append(Message(MsgType.APP_RESP, self.id, self.id, self.term, 0, last))
        return True

    def reduce_uncommitted(self, size: int) -> None:
        """Note that `size` payload bytes are applied. Never below 0: some were another leader's."""
        self.uncommitted_size = max(0, self.uncommitted_size - size)


def _apply_budget(config: Config) -> int:
    if config.max_committed_size_per_ready:
        return config.max_committed_size_per_ready
    return NO_LIMIT if config.max_size_per_msg is None else max(1, config.max_size_per_msg)

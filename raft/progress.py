"""What a leader knows of one member, itself included."""

from enum import IntEnum

from .inflights import InflightWindow


class ProgressState(IntEnum):
    """How a leader feeds a follower.

    PROBE: it does not know where the logs agree, and sends one append at a time. REPLICATE: it streams
    appends ahead of the answers, within the inflight window. SNAPSHOT: one is on its way, and nothing else
    is sent.
    """

    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2


class Progress:
    """A member's log as the leader believes it to be.

    Invariants: ``match < next``; in REPLICATE the window covers entries in (match, next);
    in SNAPSHOT ``next == pending_snapshot + 1`` until an answer moves it. `match` never falls within one
    leadership. `sent_commit` is a hint only, and never exceeds the leader's commit.
    """

    __slots__ = (
        "flow_paused",
        "inflights",
        "is_learner",
        "match",
        "next",
        "pending_snapshot",
        "recent_active",
        "sent_commit",
        "state",
    )

    def __init__(self, next_index: int, inflights: InflightWindow, *, recent_active: bool = False) -> None:
        """Know nothing but a guess: `next_index` is what will be sent first."""
        self.match = 0
        self.next = next_index
        self.state = ProgressState.PROBE
        self.pending_snapshot = 0
        self.sent_commit = 0
        self.recent_active = recent_active
        self.flow_paused = False
        self.inflights = inflights
        self.is_learner = False

    def reset(self, next_index: int, match: int) -> None:
        """Forget everything: a term begins, or the leader's role ends."""
        self.match = match
        self.next = next_index
        self.sent_commit = 0
        self.recent_active = False
        self._enter(ProgressState.PROBE)

    def _enter(self, state: ProgressState) -> None:
        self.flow_paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.reset()

    def become_probe(self) -> None:
        """Go on carefully, one append at a time, from behind what is known to agree."""
        # A snapshot that was on its way has arrived or failed; if it arrived, what follows it is next.
        pending = self.pending_snapshot if self.state is ProgressState.SNAPSHOT else 0
        self._enter(ProgressState.PROBE)
        self.next = max(self.match, pending) + 1
        self.sent_commit = min(self.sent_commit, self.next - 1)

    def become_replicate(self) -> None:
        """Stream from behind what is known to agree."""
        self._enter(ProgressState.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """Wait for the snapshot at `index`, just sent."""
        self._enter(ProgressState.SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def sent_entries(self, count: int, size: int) -> None:
        """Note an append of `count` entries, of `size` payload bytes, sent from `next` on."""
        if self.state is ProgressState.REPLICATE:
            if count:
                self.next += count
                self.inflights.add(self.next - 1, size)
            # Pausing after an empty append, too: a follower that is stuck gets one per heartbeat answer.
            self.flow_paused = self.inflights.full()
        elif count:
            assert self.state is ProgressState.PROBE, "entries sent while a snapshot is pending"
            self.flow_paused = True

    def can_bump_commit(self, committed: int) -> bool:
        """Whether an append would tell the member more about the commit index than the last one did."""
        return committed > self.sent_commit and self.sent_commit < self.next - 1

    def maybe_update(self, index: int) -> bool:
        """Take the answer that the logs agree up to `index`. False if that is no news."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.flow_paused = False
        return True

    def maybe_decrease(self, rejected: int, hint: int) -> bool:
        """Take the answer that nothing follows `rejected` there, and that the logs may agree up to `hint`.

        Returns False if the answer is stale: it does not refuse what was sent last.
        """
        if self.state is ProgressState.REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
            self.sent_commit = min(self.sent_commit, self.next - 1)
            return True
        if self.next - 1 != rejected:
            return False
        self.next = max(min(rejected, hint + 1), self.match + 1)
        self.sent_commit = min(self.sent_commit, self.next - 1)
        self.flow_paused = False
        return True

    @property
    def paused(self) -> bool:
        """Whether nothing may be sent now."""
        return self.flow_paused or self.state is ProgressState.SNAPSHOT

"""The members of a group as one replica sees them: configuration, progress of each, votes received."""

from collections.abc import Collection, Iterator

from .progress import Progress
from .quorum import VoteResult, joint_vote_result, majority_index
from .state import ConfState


class Tracker:
    """Configuration, and per member its `Progress`.

    Invariants: `progress` has exactly the members named by `conf`, in ascending order of id;
    ``progress[id].is_learner == (id in conf.learners)``; learners are disjoint from both voter sets;
    ``learners_next`` is a subset of the outgoing voters and disjoint from the incoming ones.
    """

    __slots__ = ("conf", "progress", "votes")

    def __init__(self, conf: ConfState, progress: dict[int, Progress]) -> None:
        """Take a configuration and the progress of exactly its members, in ascending order."""
        self.conf = conf
        self.progress = progress
        self.votes: dict[int, bool] = {}

    def voters(self) -> list[int]:
        """Ids of the voters of both halves, ascending."""
        return sorted({*self.conf.voters, *self.conf.voters_outgoing})

    def is_voter(self, replica: int) -> bool:
        """Whether `replica` votes in either half."""
        return replica in self.conf.voters or replica in self.conf.voters_outgoing

    def is_joint(self) -> bool:
        """Whether a joint configuration is in force."""
        return bool(self.conf.voters_outgoing)

    def others(self, replica: int) -> Iterator[tuple[int, Progress]]:
        """Every member but `replica`, ascending."""
        return ((member, progress) for member, progress in self.progress.items() if member != replica)

    def committed(self) -> int:
        """The highest index that the quorum has acknowledged; no voters at all: no limit."""
        progress, conf = self.progress, self.conf
        committed = majority_index([progress[voter].match for voter in conf.voters])
        if conf.voters_outgoing:
            committed = min(
                committed, majority_index([progress[voter].match for voter in conf.voters_outgoing])
            )
        return committed

    def has_quorum(self, approving: Collection[int]) -> bool:
        """Whether the members named make a quorum."""
        return self._result(dict.fromkeys(approving, True)) is VoteResult.WON

    def quorum_active(self) -> bool:
        """Whether a quorum of voters has been heard of since `mark_inactive`."""
        return self._result({id_: p.recent_active for id_, p in self.progress.items()}) is VoteResult.WON

    def mark_inactive(self, except_for: int) -> None:
        """Begin a new interval: only what is heard from now on counts as activity."""
        for _, progress in self.others(except_for):
            progress.recent_active = False

    def record_vote(self, voter: int, *, granted: bool) -> None:
        """Note a vote; a voter's first answer stands."""
        self.votes.setdefault(voter, granted)

    def tally(self) -> VoteResult:
        """Where the election stands. Votes of learners and strangers do not count."""
        return self._result(self.votes)

    def _result(self, votes: dict[int, bool]) -> VoteResult:
        return joint_vote_result(self.conf.voters, self.conf.voters_outgoing, votes)

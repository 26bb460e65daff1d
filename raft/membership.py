"""The algebra of configurations: which one follows from a configuration and a change.

Pure: nothing is changed in place unless the whole change is legal. Progress objects of members that stay
are kept, newcomers get one from the factory that the caller passes.
"""

from collections.abc import Callable, Iterable, Mapping

from .confchange import Change, ChangeType, ConfChange
from .errors import ConfChangeError
from .ids import LOCAL_APPLY
from .progress import Progress
from .state import ConfState

NewProgress = Callable[[], Progress]
Members = tuple[ConfState, dict[int, Progress]]


def contradiction(conf: ConfState) -> str | None:
    """What makes `conf` no configuration; `None` if it is one, or empty."""
    parts = (conf.voters, conf.voters_outgoing, conf.learners, conf.learners_next)
    everyone = [replica for part in parts for replica in part]
    outgoing_only = set(conf.voters_outgoing) - set(conf.voters)
    wrong = {
        "what is no replica": not all(0 < replica < LOCAL_APPLY for replica in everyone),
        "a replica twice": any(len(set(part)) < len(part) for part in parts),
        "no voter": bool(everyone) and not conf.voters,
        "a learner that votes": not set(conf.learners).isdisjoint(conf.voters + conf.voters_outgoing),
        "a learner to be that is no outgoing voter": not outgoing_only.issuperset(conf.learners_next),
        "no joint configuration to leave": conf.auto_leave and not conf.voters_outgoing,
    }
    return next((f"{conf} has {reason}" for reason, found in wrong.items() if found), None)


def restore(conf: ConfState, new_progress: NewProgress) -> Members:
    """The configuration that a snapshot or the log's owner has stored, with nothing known of its members."""
    draft = _Draft(ConfState(), {})
    draft.voters = set(conf.voters)
    draft.outgoing = set(conf.voters_outgoing)
    draft.learners = set(conf.learners)
    draft.learners_next = set(conf.learners_next)
    draft.known = dict.fromkeys(draft.voters | draft.outgoing | draft.learners)
    return draft.finish(new_progress, auto_leave=conf.auto_leave)


def change(
    conf: ConfState, progress: Mapping[int, Progress], change: ConfChange, new_progress: NewProgress
) -> Members:
    """What `change` makes of a configuration. Raises `ConfChangeError` if it cannot follow it."""
    if change.leaves_joint:
        return leave_joint(conf, progress, new_progress)
    if change.enters_joint:
        return enter_joint(conf, progress, change.changes, new_progress, auto_leave=change.auto_leave)
    return simple(conf, progress, change.changes, new_progress)


def simple(
    conf: ConfState, progress: Mapping[int, Progress], changes: Iterable[Change], new_progress: NewProgress
) -> Members:
    """Change at most one voter, and any number of learners, in one step."""
    if conf.voters_outgoing:
        raise ConfChangeError("can't apply simple config change in joint config")
    draft = _Draft(conf, progress)
    draft.apply(changes)
    if len(draft.voters ^ set(conf.voters)) > 1:
        raise ConfChangeError("more than one voter changed without entering joint config")
    return draft.finish(new_progress, auto_leave=False)


def enter_joint(
    conf: ConfState,
    progress: Mapping[int, Progress],
    changes: Iterable[Change],
    new_progress: NewProgress,
    *,
    auto_leave: bool,
) -> Members:
    """Begin a change of several voters: old and new majority decide together for now (thesis §4.3)."""
    if conf.voters_outgoing:
        raise ConfChangeError("config is already joint")
    if not conf.voters:
        raise ConfChangeError("can't make a zero-voter config joint")
    draft = _Draft(conf, progress)
    draft.outgoing = set(conf.voters)
    draft.apply(changes)
    return draft.finish(new_progress, auto_leave=auto_leave)


def leave_joint(conf: ConfState, progress: Mapping[int, Progress], new_progress: NewProgress) -> Members:
    """End a joint configuration: the new half decides alone, demoted voters become learners."""
    if not conf.voters_outgoing:
        raise ConfChangeError("can't leave a non-joint config")
    draft = _Draft(conf, progress)
    draft.learners |= draft.learners_next
    draft.learners_next = set()
    for replica in draft.outgoing - draft.voters - draft.learners:
        del draft.known[replica]
    draft.outgoing = set()
    return draft.finish(new_progress, auto_leave=False)


class _Draft:
    """A configuration in the making; `known` maps members to their progress, newcomers to `None`."""

    __slots__ = ("known", "learners", "learners_next", "outgoing", "voters")

    def __init__(self, conf: ConfState, progress: Mapping[int, Progress]) -> None:
        self.voters = set(conf.voters)
        self.outgoing = set(conf.voters_outgoing)
        self.learners = set(conf.learners)
        self.learners_next = set(conf.learners_next)
        self.known: dict[int, Progress | None] = dict(progress)

    def apply(self, changes: Iterable[Change]) -> None:
        """Make the changes in order; at least one voter must remain."""
        for single in changes:
            if single.replica == 0:
                continue
            if single.type is ChangeType.ADD_VOTER:
                self._add_voter(single.replica)
            elif single.type is ChangeType.ADD_LEARNER:
                self._add_learner(single.replica)
            elif single.type is ChangeType.REMOVE:
                self._remove(single.replica)
        if not self.voters:
            raise ConfChangeError("removed all voters")

    def _add_voter(self, replica: int) -> None:
        self.known.setdefault(replica)
        self.learners.discard(replica)
        self.learners_next.discard(replica)
        self.voters.add(replica)

    def _add_learner(self, replica: int) -> None:
        if replica in self.learners:
            return
        self.known.setdefault(replica)
        self.voters.discard(replica)
        # A voter of the outgoing half goes on voting there; it becomes a learner when that half ends.
        (self.learners_next if replica in self.outgoing else self.learners).add(replica)

    def _remove(self, replica: int) -> None:
        for group in (self.voters, self.learners, self.learners_next):
            group.discard(replica)
        if replica not in self.outgoing:
            self.known.pop(replica, None)

    def finish(self, new_progress: NewProgress, *, auto_leave: bool) -> Members:
        """The configuration in ascending order, with the progress of every member."""
        progress: dict[int, Progress] = {}
        for replica in sorted(self.known):
            kept = self.known[replica]
            progress[replica] = kept if kept is not None else new_progress()
            progress[replica].is_learner = replica in self.learners
        conf = ConfState(
            voters=tuple(sorted(self.voters)),
            voters_outgoing=tuple(sorted(self.outgoing)),
            learners=tuple(sorted(self.learners)),
            learners_next=tuple(sorted(self.learners_next)),
            auto_leave=auto_leave,
        )
        return conf, progress

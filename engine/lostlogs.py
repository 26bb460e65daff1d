"""Replicas whose log has lost entries that they had promised to hold (`design.md` §5.3).

Such a replica keeps its term and its vote, and takes no part: it neither votes nor campaigns nor
acknowledges, until a snapshot that reaches at least its last durable entry has taken the place of its log.
What that entry was stands in the state store, so that a restart changes nothing. To its core the log is empty
meanwhile, and the snapshot is installed as by any newborn; nothing but the snapshot gets through to it. What
is left of the log stays on the disk until then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..raft.entry import Entry, EntryId
from ..raft.errors import Unavailable
from ..raft.messages import Message, MsgType
from ..raft.state import ConfState, HardState, Snapshot
from .errors import Corruption
from .logstore.port import Birth, Doubt, GroupLog
from .statemachine.store import Applied, StateStore
from .wire import COMMIT_NOTICE

_OF_LEADERS: Final = frozenset({MsgType.APP, MsgType.HEARTBEAT})

NOBODY: Final = ConfState()
"""The members as an empty log knows them: a replica that is none of them does not campaign."""


UNKNOWN: Final = EntryId(2**64 - 1, 2**64 - 1)
"""Noted of a replica of which nobody knows what it had promised: no snapshot makes up for that."""


def most_promised(state: StateStore, doubt: Doubt) -> EntryId:
    """What a replica must reach before it takes part again: what is in doubt now, and what was before."""
    try:
        before = state.promised(doubt.group)
    except Corruption:
        before = UNKNOWN
    return max(doubt.promised or UNKNOWN, before or EntryId(0, 0))


def no_way_back(promised: EntryId) -> str:
    """Why no snapshot can make a replica whole."""
    if promised == UNKNOWN:
        return "a batch of its log was damaged, and nobody knows what it had promised: it must be replaced"
    return f"its log has lost entries up to {promised.index}, and it has no peer"


class SupersededLog:
    """A damaged log, shown as empty until it stands on a snapshot that reaches what it had promised."""

    snapshot_source: Callable[[], Snapshot] | None = None

    def __init__(self, log: GroupLog, promised: EntryId) -> None:
        self._log = log
        self.promised = promised

    @property
    def whole(self) -> bool:
        """Whether nothing is missing any more."""
        point = self._log.first_index() - 1
        return EntryId(self._log.term(point), point) >= self.promised

    @property
    def birth(self) -> Birth:
        """See `GroupLog`, here and below."""
        return self._log.birth

    @property
    def hard_state(self) -> HardState:
        """Term and vote are kept."""
        return self._log.hard_state

    def initial_state(self) -> tuple[HardState, ConfState]:
        """Term and vote, and nothing else."""
        return self._log.hard_state._replace(commit=0), NOBODY

    def first_index(self) -> int:
        """1 if it is empty."""
        return self._log.first_index() if self.whole else 1

    def last_index(self) -> int:
        """0 if it is empty."""
        return self._log.last_index() if self.whole else 0

    def term(self, index: int) -> int:
        """0 at index 0 if it is empty."""
        if self.whole:
            return self._log.term(index)
        if index:
            raise Unavailable(index, 0)
        return 0

    def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        """None if it is empty."""
        if not self.whole:
            raise Unavailable(low, 0)
        return self._log.entries(low, high, max_size)

    def size(self) -> int:
        """Bytes of its entries."""
        return self._log.size() if self.whole else 0

    def snapshot(self) -> Snapshot:
        """See `GroupLog`."""
        return self._log.snapshot()


@dataclass(slots=True)
class Silence:
    """What a replica that takes no part knows."""

    log: SupersededLog
    leader: tuple[int, int] | None = None
    """(node, replica id) of the leader that it heard of last."""
    ticks: int = 0
    """Until that is asked for a snapshot again."""

    def heard(self, node: int, kind: int, message: Message) -> None:
        """Take note of who leads: of what peers send nothing else counts."""
        led = kind == COMMIT_NOTICE or kind in _OF_LEADERS
        if led and message.term >= self.log.hard_state.term:
            self.leader = node, message.from_

    def ends_with(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot makes up for what is lost."""
        return EntryId(snapshot.term, snapshot.index) >= self.log.promised


def check_log_holds(group: int, log: GroupLog, applied: Applied) -> None:
    """Compare what the state store says is applied with the log.

    Raises:
        Corruption: the log has lost entries that were applied.
    """
    first, last = log.first_index(), log.last_index()
    if applied.index > last:
        raise Corruption(f"state is at index {applied.index}, the log ends at {last}", group, applied.index)
    assert applied.index >= first - 1, "a state that is older is not taken for the replica's"
    term = log.term(applied.index)
    if term != applied.term:
        said = f"applied with term {applied.term}, the log says {term}"
        raise Corruption(f"index {applied.index} was {said}", group, applied.index)

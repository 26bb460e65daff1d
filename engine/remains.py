"""What can still be read of a replica that cannot go on, and is its group's only one (`design.md` §5.3).

Its state at one index of the log, which no longer moves: what the state store holds, and behind that what
the log has up to the damage. Every entry of such a log is committed, since its only voter has it durably. It
is no answer to a linearizable read: what was acknowledged beyond it is lost.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..raft.entry import Entry, EntryType
from ..raft.errors import CorruptLog, RaftError
from .errors import Corruption, Error, Quarantined
from .logstore.port import Birth, GroupLog
from .statemachine.protocol import StateMachine
from .statemachine.store import Applied, StateStore

logger = logging.getLogger("multiraft.node")

_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Remains:
    """The state of a replica that does not run."""

    machine: StateMachine
    applied: Applied
    """Of which point of the log it is the state."""

    def reason(self, error: Error, group: int) -> Corruption:
        """What to tell whoever wants more of the group than that; its index is the first that is missing."""
        index = self.applied.index
        left = f"nothing can be written; what it held at index {index} can be read with consistency='stale'"
        return Corruption(f"{error}; {left}", group, index + 1)


def bring_up(
    group: int,
    found: Remains,
    log: GroupLog,
    last: int,
    state: StateStore,
    reopen: Callable[[], Remains],
) -> Remains:
    """Apply what the log has behind a state, up to the first damage, at most up to index ``last``.

    A machine that raises may have carried out half a command: then what it wrote is taken back, and applied
    again up to that command.

    Args:
        group: its id.
        found: the state as it is.
        log: its log.
        last: the last entry that is durable and committed.
        state: where the machine keeps its state, if it is durable.
        reopen: opens the machine as the state store has it.

    Raises:
        Corruption: the state cannot be opened again.
    """
    while True:
        machine, applied = found.machine, found.applied
        try:
            for entry in _readable(log, applied, last):
                if entry.data and entry.type is EntryType.NORMAL:
                    machine.apply([entry.data])
                applied = applied._replace(index=entry.index, term=entry.term, metadata=machine.metadata())
        except Exception as error:  # whatever a machine raises: what it held before is left
            logger.warning("group %d: its state ends at index %d: %r", group, applied.index, error)
            if not machine.durable:
                raise Corruption(
                    f"what it has done of a command cannot be taken back: {error!r}", group
                ) from error
            last = applied.index
            state.discard(group)
            found = reopen()
            continue
        if machine.durable and applied != found.applied:
            state.set_applied(group, applied)
        return Remains(machine, applied)


def _readable(log: GroupLog, applied: Applied, last: int) -> Iterator[Entry]:
    """The entries that follow a point of the log, as far as all of them can be read."""
    low = applied.index + 1
    last = min(last, log.last_index())
    try:
        follows = log.first_index() <= low <= last and log.term(applied.index) == applied.term
        while follows and low <= last:
            try:
                entries = log.entries(low, last + 1, _READ_BYTES)
            except Corruption as error:
                last = low - 1 if error.index is None else error.index - 1
                continue
            yield from entries
            low = entries[-1].index + 1
    except (RaftError, Error) as error:
        logger.warning("the log behind index %d cannot be read: %s", low - 1, error)


def is_alone(birth: Birth) -> bool:
    """Whether nobody else holds the group."""
    return len(birth.peers) == 1


def stopped_by(error: Exception, birth: Birth, last: int) -> Error:
    """What to tell of a replica that cannot go on, whose log ends with ``last``.

    Damage that no peer can mend is told as what it is.
    """
    reason: Error
    if is_alone(birth) and isinstance(error, Corruption | CorruptLog):
        reason = Corruption(str(error), birth.group, error.index)
    else:
        reason = Quarantined(birth.group, last, str(error) or repr(error))
    reason.__cause__ = error
    return reason

"""The keys and values of a stopped node as it would serve them: what is flushed, and the log behind it."""

from collections.abc import Callable
from typing import TypeVar

from ...raft.entry import EntryType
from ..errors import Corruption
from ..statemachine.kv import KVMachine
from ..statemachine.opening import check_tally
from ..statemachine.overlay import OverlayStore
from ..statemachine.protocol import StateMachine
from ..statemachine.store import Applied
from .entries import whole_entries
from .findings import Findings
from .grouplog import NEWBORN, GroupLog
from .logscan import LogContents, scan_log
from .medium import open_state
from .stopped import STORES, StoppedNode
from .verify import Progress, check_structure

Machine = TypeVar("Machine", bound=StateMachine)


class Export:
    """The replicas of a stopped node. Whatever it gives out is whole: damage is an error.

    Raises `Corruption` if the log, or the pages of either store, are damaged anywhere; `VersionMismatch`.
    """

    def __init__(self, node: StoppedNode, progress: Progress = lambda *_: None) -> None:
        findings = Findings()
        if node.identity_damage is not None:
            findings.add("node", node.identity_damage)
        for store in STORES:
            check_structure(node, store, findings, progress)
        self._log_file = node.log()
        self._log = LogContents() if self._log_file is None else scan_log(self._log_file, findings)
        if findings.count:
            first = findings.kept[0]
            raise Corruption(
                f"{node.path} is damaged in {findings.count} places; the first: {first}",
                first.group,
                first.index,
            )
        self._state: OverlayStore = open_state(node.store("state"))

    def groups(self) -> list[GroupLog]:
        """The replicas that exist."""
        return list(self._log.groups.values())

    def range_of(self, log: GroupLog) -> tuple[KVMachine, int]:
        """The machine of a range, up to date, and how many entries it lacks; it serves until `release`.

        These entries other nodes may have committed, and this one did not know. Raises `Corruption` if its
        state is damaged or does not fit its log.
        """
        birth = log.birth
        assert birth is not None, "checked by the scan"
        check_tally(self._state.medium, log.group)
        kept = self._state.checkpoint(log.group)
        applied = self._state.applied(log.group)
        in_memory = kept is not None and applied is None
        store = self._state.memory_group(log.group) if in_memory else self._state.group(log.group)
        machine = KVMachine(store, birth.start, birth.end, birth.epoch)
        if kept is not None and in_memory:
            applied = kept[0]
            machine.restore(kept[1])
        elif applied is not None and applied.metadata:
            machine = KVMachine.from_metadata(store, applied.metadata)
        return machine, self._apply_rest(log, machine, applied)

    def catch_up(self, log: GroupLog, make: Callable[[OverlayStore], Machine]) -> Machine:
        """Another machine, made on the state store, and up to date. Raises as `range_of`."""
        machine = make(self._state)
        self._apply_rest(log, machine, self._state.applied(log.group))
        return machine

    def release(self, log: GroupLog) -> None:
        """Forget what a replica's log added to its state: it is read no more."""
        self._state.remove(log.group)
        self._state.discard(log.group)

    def _apply_rest(self, log: GroupLog, machine: StateMachine, applied: Applied | None) -> int:
        """Apply what is committed behind the applied point; returns how many entries are left."""
        index = NEWBORN[0] if applied is None else applied.index
        known = log.last_index if _is_alone(log) else min(log.hard_state.commit, log.last_index)
        target = max(index, known)
        if target > index:
            file = self._log_file
            assert file is not None, "there are entries"
            for entries in whole_entries(file, log, index + 1, target + 1):
                machine.apply([one.data for one in entries if one.data and one.type is EntryType.NORMAL])
        return max(0, log.last_index - target)


def _is_alone(log: GroupLog) -> bool:
    """Whether the replica is a majority by itself: what is in its log is committed."""
    members = log.members
    return members is not None and members.voters == (log.replica,) and not members.voters_outgoing

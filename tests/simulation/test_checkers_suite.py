"""The suite tells everybody who listens, and keeps what the checkers share."""

import pytest

from multiraft.engine.logstore.port import GroupWrite
from multiraft.raft.messages import Message, MsgType
from multiraft.raft.state import HardState, Snapshot
from tests.simulation.checkers.base import Checker, Kind, Operation, Violation
from tests.simulation.checkers.disk import Disks
from tests.simulation.checkers.suite import DERIVED, HOOKS, everything
from tests.simulation.traces import CONF, GROUP, Trace, birth, put


class Listener(Checker):
    """Writes down which hooks were called."""

    def __init__(self) -> None:
        self.heard: list[str] = []


def _listen(hook: str):
    def heard(self, *told) -> None:
        self.heard.append(hook)

    return heard


for _hook in HOOKS:
    setattr(Listener, _hook, _listen(_hook))


def test_every_hook_reaches_those_who_listen_and_nobody_else():
    silent, first, second = Checker(), Listener(), Listener()
    trace = Trace(lambda shared: [silent, first, second])
    for listener in (first, second):
        listener.heard.clear()
    trace.write(1, put(2))
    trace.set_applied(1, 2, 1)
    trace.replicas[2].installing = type("Ready", (), {"snapshot": Snapshot(2, 1, CONF)})
    trace.set_applied(2, 2, 1)
    suite, op = trace.suite, Operation(1, 1, Kind.GET)
    suite.passed(1.0)
    suite.sent(1, 2, GROUP, Message(MsgType.HEARTBEAT, 2, 1, 1))
    suite.invoked(op)
    suite.completed(op)
    suite.healed(1.0)
    suite.rolled_back(1, trace.stage(1, GroupWrite(GROUP, 1)))
    trace.restart(1)
    suite.lost(3)
    suite.damaged(3)
    suite.state_lost(3)
    suite.poisoned(3, GROUP)
    suite.queued(1, 0, 0, 1)
    suite.begun(1, trace.replicas[1])
    trace.finish()
    assert first.heard == second.heard
    assert set(first.heard) == set(HOOKS)
    assert first.heard.count("applied") == first.heard.count("installed") == 1
    assert first.heard.index("applied") < first.heard.index("installed")
    assert set(DERIVED) < set(HOOKS)


def test_a_log_that_goes_on_from_a_snapshot_without_its_state_has_installed_it():
    """The data were damaged: what follows is applied from there on, and nothing was applied before."""
    listener = Listener()
    trace = Trace(lambda shared: [listener])
    replica = trace.replicas[2]
    replica.rebuilding = object()
    replica.log.unstable.snapshot = Snapshot(4, 1, CONF)
    trace.set_applied(2, 4, 1)
    assert "installed" in listener.heard
    assert "applied" not in listener.heard
    replica.log.unstable.snapshot = None
    with pytest.raises(Violation, match="applied went from 4 to 6, and 0 entries"):
        trace.set_applied(2, 6, 1)


def test_every_run_has_checkers_of_its_own():
    one, other = everything(), everything()
    names = [checker.name for checker in one.checkers]
    assert len(set(names)) == len(names) == len(other.checkers)
    assert not {id(checker) for checker in one.checkers} & {id(checker) for checker in other.checkers}


def test_applied_entries_that_the_log_lacks():
    trace = Trace(lambda shared: Checker())
    trace.write(1, put(2))
    with pytest.raises(Violation, match="applied went from 1 to 4, and 1 entries"):
        trace.set_applied(1, 4, 1)


# -- the shadow disk ------------------------------------------------------------------------------


def disk_with(*writes: GroupWrite) -> Disks:
    disks = Disks()
    disks.staged(1, 1, [GroupWrite(GROUP, 1, birth=birth(1))])
    disks.committed(1, 1)
    disks.staged(1, 2, list(writes))
    disks.committed(1, 2)
    return disks


def test_a_shadow_log_keeps_what_its_batches_say():
    disks = disk_with(
        GroupWrite(GROUP, 1, hard_state=HardState(1, 2, 1), entries=[put(2), put(3), put(4)]),
        GroupWrite(GROUP, 1, entries=[put(3, term=2)]),
        GroupWrite(GROUP, 1, truncate=(2, 1)),
        GroupWrite(GROUP, 1, truncate=(1, 1)),
    )
    log = disks.log(1, GROUP)
    assert (log.hard_state, log.point, log.entries) == (HardState(1, 2, 1), (2, 1), [put(3, term=2)])
    assert [log.term(index) for index in (1, 2, 3, 4)] == [None, 1, 2, None]
    assert [log.holds(*one) for one in ((1, 9), (2, 1), (2, 2), (3, 2), (3, 1), (4, 2))] == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]
    assert log.slice(1, 9) == [put(3, term=2)]


def test_a_snapshot_empties_a_shadow_log():
    disks = disk_with(
        GroupWrite(GROUP, 1, entries=[put(2)]),
        GroupWrite(GROUP, 1, snapshot_point=(9, 3, CONF), entries=[put(10, term=3)]),
    )
    log = disks.log(1, GROUP)
    assert (log.point, log.last, log.term(10)) == ((9, 3), 10, 3)


def test_a_crash_takes_what_is_staged_and_a_loss_everything():
    disks = disk_with(GroupWrite(GROUP, 1, hard_state=HardState(3, 0, 1)))
    disks.staged(1, 3, [GroupWrite(GROUP, 1, hard_state=HardState(4, 0, 1))])
    disks.stopped(1)
    assert not disks.of(1).staged
    assert disks.log(1, GROUP).hard_state == HardState(3, 0, 1)
    disks.damaged(1)
    assert disks.of(1).excused
    assert disks.log(1, GROUP) is not None
    disks.lost(1)
    assert disks.of(1).excused
    assert disks.log(1, GROUP) is None


def test_a_removed_replica_leaves_a_tombstone():
    disks = disk_with(GroupWrite(GROUP, 1, tombstone=True))
    assert disks.log(1, GROUP) is None
    assert disks.of(1).tombstones == {GROUP: 1}

"""What random faults and reading with faults in mind have found, each as its shortest story.

``docs/bugs-found.md`` is the list.
"""

from dataclasses import replace

import pytest

from multiraft.engine.errors import (
    CommandTooLarge,
    InvalidArgument,
    Quarantined,
    QueryFailed,
)
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.outbox import Outbox
from multiraft.engine.pending import Read
from multiraft.engine.runs import Runs
from multiraft.native.frames import HEADER_SIZE
from multiraft.raft.entry import Entry
from multiraft.raft.errors import CorruptLog
from multiraft.raft.messages import Message, MsgType
from multiraft.raft.progress import ProgressState
from multiraft.raft.state import HardState

from .harness import CONFIG, Host, Machine, Nodes, Ticket, put

GROUP = 5
SHORT_LOG = replace(CONFIG, log_keep_entries=10, snapshot_ms=5000)


def settled(config=CONFIG, count: int = 3) -> Nodes:
    nodes = Nodes(count, config)
    nodes.create(GROUP)
    nodes.settle()
    return nodes


def lagging(config=SHORT_LOG) -> Nodes:
    """Node 3 was away, and what it lacks is gone from the leader's log."""
    nodes = settled(config)
    nodes.cut.add(3)
    nodes[1].inputs.peers_lost.append(3)
    for number in range(40):
        nodes[1].propose(GROUP, put(b"%03d" % number, b"x"), token=number)
        nodes.settle()
    nodes.pass_time(2)
    nodes[1].propose(GROUP, put(b"last", b"x"))
    nodes.settle()
    assert nodes[1].replica(GROUP).raw.raft.log.first_index() > 20
    return nodes


def progress(nodes: Nodes, node: int):
    return nodes[1].replica(GROUP).raw.raft.tracker.progress[10 + node]


# -- a machine that raises -------------------------------------------------------------------------------


def break_half_way(machine: Machine) -> None:
    """The machine carries out one command of those it is given, then raises."""

    def apply(commands):
        Machine.apply(machine, commands[:1])
        raise RuntimeError("the machine is broken")

    machine.apply = apply


def test_what_a_machine_did_before_it_raised_never_reaches_the_disk():
    """No index of the log has that state: after a restart the commands would be applied a second time."""
    nodes = settled()
    nodes[1].propose(GROUP, put(b"a", b"good"), token="good")
    nodes.settle()
    nodes.pass_time(1)
    break_half_way(nodes[1].machine(GROUP))
    nodes[1].propose(GROUP, put(b"a", b"half"), put(b"b", b"rest"), token="bad")
    nodes.settle()
    nodes.pass_time(1)
    assert isinstance(nodes[1].replica(GROUP).quarantine, Quarantined)
    machine = nodes[1].crash().machine(GROUP)
    assert machine.get(b"a") == b"good"
    nodes.pass_time(3)
    assert nodes[1].machine(GROUP).digest() == nodes[2].machine(GROUP).digest()
    assert nodes[1].machine(GROUP).get(b"b") == b"rest"


@pytest.mark.parametrize("kind", ["lmdb", "memory"])
def test_a_machine_that_raised_sends_nothing_of_what_it_was_doing(kind: str):
    """A follower would take half a command for the state of an index; so it gets the state before that."""
    nodes = lagging(replace(SHORT_LOG, state_machine=kind))
    break_half_way(nodes[1].machine(GROUP))
    nodes[1].propose(GROUP, put(b"a", b"half"), put(b"b", b"rest"), token="bad")
    nodes.settle()
    assert nodes[1].replica(GROUP).leads
    assert nodes[1].machine(GROUP).get(b"a") == (b"half" if kind == "memory" else None)
    nodes[3].machine(GROUP).fails = True
    nodes.cut.clear()
    nodes.pass_time(1)
    assert nodes[3].machine(GROUP).get(b"020") == b"x"
    assert nodes[3].machine(GROUP).get(b"a") is None
    assert progress(nodes, 3).state is ProgressState.REPLICATE


# -- one group's trouble stays its own -------------------------------------------------------------------


class BrokenCore:
    """The core of a replica of which one method raises."""

    def __init__(self, raw, method: str) -> None:
        self._raw, self._method = raw, method

    def __getattr__(self, name: str):
        if name == self._method:
            raise CorruptLog("planted", 1)
        return getattr(self._raw, name)


@pytest.mark.parametrize("method", ["tick", "ready", "propose_batch", "read_index"])
def test_a_core_that_breaks_stops_its_replica_and_nothing_else(method: str):
    """Whatever call finds the damage: those who wait are answered, and the other groups go on."""
    nodes = settled()
    nodes.create(GROUP + 1)
    nodes.settle()
    host = nodes[1]
    host.propose(GROUP, put(b"a", b"1"), token="appended")
    host.turn()
    host.replica(GROUP).raw = BrokenCore(host.replica(GROUP).raw, method)
    host.propose(GROUP, put(b"a", b"2"), token="queued")
    host.read(GROUP, b"a")
    host.propose(GROUP + 1, put(b"a", b"1"), token="other")
    nodes.pass_time(1)
    assert GROUP not in host.node.replicas.running
    assert {answer.token.name for answer in host.answers} == {"appended", "queued", "read", "other"}
    assert host.answer("other") == [None]
    assert isinstance(host.node.replicas.lost[GROUP], Quarantined)


def test_a_damaged_log_does_not_keep_a_node_from_starting():
    """A commit index beyond the log: that replica is lost, the others come back."""
    nodes = settled()
    nodes.create(GROUP + 1)
    nodes.settle()
    log = nodes[2].log
    write = GroupWrite(GROUP, 12, hard_state=HardState(9, 0, 99))
    batch = log.stage([write])
    log.commit(batch)
    reborn = nodes[2].crash()
    assert reborn.node.replicas.running.get(GROUP) is None
    assert list(reborn.node.replicas.running) == [GROUP + 1]
    assert isinstance(reborn.node.replicas.lost[GROUP], Quarantined)


def test_more_entries_than_a_run_holds_become_durable_in_one_turn():
    """A follower that catches up takes several appends of small commands in one turn."""
    nodes = settled()
    host = nodes[2]
    raft = host.replica(GROUP).raw
    last, term, size = raft.raft.log.last_index(), raft.raft.term, 30_000
    for _ in range(3):
        entries = [Entry(term, last + number, data=b"") for number in range(1, size + 1)]
        host.replica(GROUP).raw.step(
            Message(MsgType.APP, 12, 11, term, log_term=term, index=last, entries=entries)
        )
        last += size
    host.node._activate(host.replica(GROUP))
    host.turn()
    host.write()
    host.turn()
    assert host.crash().log.group(GROUP).last_index() == last


@pytest.mark.parametrize(
    ("commands", "error"),
    [((), InvalidArgument), ((b"short",), InvalidArgument), ((b"x" * 16, b"y" * (5 << 20)), CommandTooLarge)],
)
def test_a_proposal_that_cannot_become_entries_is_refused(commands: tuple[bytes, ...], error: type):
    """It would have failed in the middle of a turn, for all groups of the node."""
    nodes = settled()
    nodes[1].propose(GROUP, *commands, token="wrong")
    nodes[1].propose(GROUP, put(b"a", b"1"), token="right")
    nodes.settle()
    assert isinstance(nodes[1].answer("wrong"), error)
    assert nodes[1].answer("right") == [None]


def test_a_query_that_raises_fails_alone():
    nodes = settled()
    nodes[1].inputs.reads.append(Read(GROUP, lambda machine: machine.no_such_thing, Ticket("bad")))
    nodes[1].read(GROUP, b"a")
    nodes.settle()
    assert isinstance(nodes[1].answer("bad"), QueryFailed)
    assert isinstance(nodes[1].answer("bad").__cause__, AttributeError)
    assert nodes[1].answer("read") is None


@pytest.mark.parametrize(
    "message",
    [
        Message(MsgType.APP, 12, 11, 1, log_term=1, index=3, entries=[Entry(1, 5, data=b"gap")]),
        Message(MsgType.APP, 12, 11, 1, log_term=1, index=2, entries=[Entry(9, 3, data=b"future")]),
        Message(MsgType.HEARTBEAT, 12, 11, 0),
    ],
    ids=["gap", "term", "no term"],
)
def test_a_message_that_contradicts_itself_is_a_bad_frame(message: Message):
    """Stepped, it would have stopped the replica, or the node when the log refuses its entries."""
    nodes = settled()
    runs = Runs()
    outbox = Outbox(runs)
    outbox.add(2, GROUP, message)
    runs.encode()
    nodes[2].inputs.frames += [(1, frame.data[HEADER_SIZE:]) for frame in outbox.frames(1)]
    nodes.settle()
    assert [node for node, _ in nodes[2].hang_ups] == [1]
    nodes[1].propose(GROUP, put(b"a", b"1"))
    nodes.pass_time(1)
    assert nodes[2].machine(GROUP).get(b"a") == b"1"


# -- promptness ------------------------------------------------------------------------------------------


def test_births_that_an_entry_orders_are_written_without_waiting_for_a_tick():
    nodes = settled(count=1)
    host = nodes[1]
    machine = host.machine(GROUP)

    def apply(commands):
        nodes.create(GROUP + 1)
        return Machine.apply(machine, commands)

    machine.apply = apply
    host.propose(GROUP, put(b"create", b"it"))
    nodes.settle()
    assert GROUP + 1 in host.node.replicas.running


# -- rules that no seed is sure to meet ------------------------------------------------------------------


def cut_off_between_state_and_log(own: HardState, marker_term: int) -> Host:
    """A node that crashed when the snapshot at (20, term 2) was in its state store and not in its log."""
    nodes = settled()
    host = nodes[2].crash()
    host.log.commit(host.log.stage([GroupWrite(GROUP, 12, hard_state=own)]))
    applied = host.replica(GROUP).applied
    host.state.group(GROUP).put(b"a", b"1")
    host.state.set_applied(GROUP, applied._replace(index=20, term=2))
    host.state.set_install_marker(GROUP, marker_term)
    host.state.write(host.state.freeze())
    return host.crash()


@pytest.mark.parametrize(
    ("own", "marker_term", "found"),
    [
        (HardState(1, 11, 2), 7, HardState(7, 0, 20)),
        (HardState(7, 13, 2), 7, HardState(7, 13, 20)),
        (HardState(9, 13, 2), 7, HardState(9, 13, 20)),
    ],
    ids=["older", "same", "newer"],
)
def test_an_installation_finished_at_start_takes_over_the_messages_term(own, marker_term, found):
    """A log may not end in a term that its replica has not reached; a vote belongs to its own term."""
    host = cut_off_between_state_and_log(own, marker_term)
    assert host.log.group(GROUP).hard_state == found
    assert host.log.group(GROUP).first_index() == 21
    assert host.replica(GROUP).raw.raft.vote == found.vote

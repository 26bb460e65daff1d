"""Machines that take their time: what waits for them, and who does not."""

import asyncio
import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest

from multiraft.engine.applying import SLOW_APPLY, Applied, ApplyWork, Run
from multiraft.engine.applytasks import ApplyTasks
from multiraft.engine.errors import Corruption, InvalidArgument, Overloaded, Quarantined
from multiraft.engine.logstore.port import Birth
from multiraft.engine.statemachine.protocol import StateMachine
from multiraft.engine.transport.kinds import FrameKind
from multiraft.engine.turn import Inputs

from .harness import CONFIG, Host, Machine, Nodes, birth, put
from .settled import GROUP
from .test_receiving import Sender, offer_of

OTHER = GROUP + 1
SMALL = replace(CONFIG, apply_backlog_bytes=1000)


class Patient(Machine):
    """Applies outside the turn; given to one group, in memory."""

    surplus = 0

    def apply(self, commands):
        raise AssertionError("it has async_apply")

    async def async_apply(self, commands):
        return super().apply(commands) + [None] * self.surplus


class Slow(Nodes):
    """Nodes on which the machine of one group takes its time."""

    def machine(self, host: Host, birth: Birth, metadata: bytes | None) -> StateMachine:
        if birth.group != GROUP:
            return super().machine(host, birth, metadata)
        store = host.state.memory_group(birth.group)
        if metadata:
            return Patient.from_metadata(store, metadata)
        return Patient(store, birth.start, birth.end, birth.epoch)

    def finish(self) -> None:
        """Let all machines finish, and what follows from that."""
        while any(host.applying for host in self.hosts.values()):
            for host in self.hosts.values():
                host.finish_applies()
            self.settle()


@pytest.fixture
def nodes() -> Slow:
    nodes = Slow(config=SMALL)
    for group in (GROUP, OTHER):
        nodes.create(group)
    nodes.settle()
    return nodes


def test_only_its_own_group_waits_for_a_machine(nodes: Slow):
    host = nodes.leader(GROUP)
    host.propose(GROUP, put(b"a", b"1"), token="slow")
    host.propose(OTHER, put(b"a", b"1"), token="quick")
    nodes.settle()
    assert (host.answered("slow"), host.answer("quick")) == (False, [None])
    nodes.finish()
    assert host.answer("slow") == [None]
    assert {one.machine(GROUP).get(b"a") for one in nodes.hosts.values()} == {b"1"}


def test_runs_come_one_after_the_other_and_in_order(nodes: Slow):
    host = nodes.leader(GROUP)
    for number in range(5):
        host.propose(GROUP, put(b"a", b"%d" % number), token=number)
        nodes.settle()
        assert [len(one.applying) for one in nodes.hosts.values()] == [1, 1, 1]
    assert [len(work.run.commands) for work in host.applying] == [1]
    host.finish_applies()
    nodes.settle()
    assert [len(work.run.commands) for work in host.applying] == [4]
    nodes.finish()
    assert [host.answer(number) for number in range(5)] == [[None]] * 5
    assert host.machine(GROUP).get(b"a") == b"4"


def test_a_linearizable_read_waits_for_the_run(nodes: Slow):
    host = nodes.leader(GROUP)
    host.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    host.read(GROUP, b"a")
    nodes.settle()
    assert not host.answered("read")
    nodes.finish()
    assert host.answer("read") == b"1"


def test_what_waits_for_a_machine_is_bounded_and_is_taken_again_when_it_goes_on(nodes: Slow):
    host = nodes.leader(GROUP)
    for number in range(30):
        host.propose(GROUP, put(b"a", b"x" * 100), token=number)
        nodes.settle()
    refused = [number for number in range(30) if host.answered(number)]
    assert 0 < len(refused) < 30
    assert all(isinstance(host.answer(number), Overloaded) for number in refused)
    host.read(GROUP, b"a", token="read too much")
    host.propose(OTHER, put(b"a", b"1"), token="other")
    nodes.settle()
    assert isinstance(host.answer("read too much"), Overloaded)
    assert host.answer("other") == [None]
    nodes.finish()
    host.propose(GROUP, put(b"a", b"2"), token="after")
    nodes.settle()
    nodes.finish()
    assert host.answer("after") == [None]


@pytest.mark.parametrize("surplus", [0, 1])
def test_a_machine_that_raises_or_answers_amiss_is_quarantined(nodes: Slow, surplus: int):
    host = nodes.leader(GROUP)
    machine = host.machine(GROUP)
    machine.fails, machine.surplus = not surplus, surplus
    host.propose(GROUP, put(b"a", b"1"), token="slow")
    host.read(GROUP, b"a")
    nodes.settle()
    nodes.finish()
    assert host.answered("slow")
    host.propose(GROUP, put(b"a", b"1"), token="later")
    host.propose(OTHER, put(b"a", b"1"), token="other")
    nodes.settle()
    assert isinstance(host.answer("later"), Quarantined)
    assert host.answer("other") == [None]


def test_damage_that_it_meets_costs_it_its_state(nodes: Slow):
    host = nodes.leader(GROUP)
    host.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    ((run, _),), host.applying = host.applying, []
    host.inputs.applied.append(Applied(run, Corruption("a bit has flipped", GROUP)))
    host.turn()
    assert host.replica(GROUP).rebuilding is not None
    assert host.replica(GROUP).rebuilding.unapplied == list(run.entries)


def test_a_state_that_is_lost_meanwhile_does_not_count_as_applied(nodes: Slow):
    host = nodes.leader(GROUP)
    host.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    before = host.replica(GROUP).applied
    host.replica(GROUP).lose_state(Corruption("a bit has flipped", GROUP))
    host.finish_applies()
    host.turn()
    assert host.replica(GROUP).applied == before


def test_a_result_for_a_replica_that_is_gone_is_of_no_use(nodes: Slow):
    host = nodes.leader(GROUP)
    host.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    (work,) = host.applying
    stranger = Run(host.replica(GROUP), work.run.entries)
    host.inputs.applied.append(Applied(stranger, [None]))
    host.turn()
    assert host.replica(GROUP).applying is work.run
    assert not host.answered()


def test_its_group_does_not_rest(nodes: Slow):
    host = nodes.leader(GROUP)
    host.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    nodes.pass_time(10)
    assert host.replica(GROUP).rests is None
    assert host.replica(OTHER).rests is not None
    nodes.finish()
    nodes.pass_time(10)
    assert host.replica(GROUP).rests is not None


def test_no_checkpoint_is_taken_of_a_machine_that_is_half_way(nodes: Slow):
    host = nodes.leader(GROUP)
    host.propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    replica = host.replica(GROUP)
    replica.machine.snapshot = lambda: pytest.fail("it is half-way")
    host.node._flusher.ask_checkpoint(replica)
    nodes.pass_time(2)
    assert replica.applying is not None


def test_no_snapshot_takes_the_place_of_a_machine_that_is_half_way(nodes: Slow):
    nodes.leader(GROUP).propose(GROUP, put(b"a", b"1"))
    nodes.settle()
    assert nodes[3].replica(GROUP).applying is not None
    assert Sender(nodes).send(offer_of(nodes)) == [None]
    assert nodes[3].node.backlog()["snapshots received"] == 0
    nodes.finish()
    assert FrameKind.GRANT in Sender(nodes).send(offer_of(nodes))


def test_one_whose_state_is_in_the_store_cannot_take_its_time():
    class Mixed(Nodes):
        def machine(self, host: Host, birth: Birth, metadata: bytes | None) -> StateMachine:
            return Patient(host.state.group(birth.group), birth.start, birth.end, birth.epoch)

    with pytest.raises(InvalidArgument, match="Patient cannot have async_apply"):
        Mixed()[1].node.replicas.stores.open_state(birth(GROUP, 1))


def test_a_machine_that_holds_up_a_turn_is_named(nodes: Slow, caplog: pytest.LogCaptureFixture):
    host = nodes.leader(OTHER)
    readings = iter(range(10_000))
    host.node._applier._stopwatch = lambda: next(readings) * 2 * SLOW_APPLY
    with caplog.at_level(logging.WARNING, "multiraft.node"):
        host.propose(OTHER, put(b"a", b"1"))
        nodes.settle()
    assert f"group {OTHER}: its Machine has held up all groups for 200 ms with 1 commands" in caplog.messages


class Stubborn:
    """Hears of its cancellation, and goes on."""

    def __init__(self, end: asyncio.Event) -> None:
        self.end = end
        self.cancelled = 0

    async def async_apply(self, commands):
        while not self.end.is_set():
            try:
                await self.end.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
        return [None for _ in commands]


def test_a_machine_that_does_not_end_with_its_node_is_named_and_left(caplog, monkeypatch):
    monkeypatch.setattr("multiraft.engine.applytasks.PATIENCE", 0.01)

    async def story() -> None:
        inputs, end = Inputs(), asyncio.Event()
        machine = Stubborn(end)
        replica = SimpleNamespace(group=7, machine=machine)
        tasks = ApplyTasks(lambda: inputs)
        tasks.start([ApplyWork(SimpleNamespace(commands=[b"x"], replica=replica), machine)])
        await asyncio.sleep(0)
        await tasks.close()
        assert machine.cancelled
        assert "group 7: its Stubborn goes on applying although it was cancelled" in caplog.messages
        end.set()
        await asyncio.wait(list(tasks._tasks))
        await asyncio.sleep(0)  # its callback
        assert inputs.applied == []

    asyncio.run(story())


def test_what_becomes_of_a_run_is_an_input_of_the_next_turn():
    class Odd:
        async def async_apply(self, commands):
            if commands == [b"raise"]:
                raise ValueError("no")
            if commands == [b"cancel"]:
                asyncio.current_task().cancel()
                await asyncio.sleep(0)
            return [len(command) for command in commands]

    async def story() -> None:
        inputs = Inputs()
        tasks = ApplyTasks(lambda: inputs)
        runs = [SimpleNamespace(commands=[one]) for one in (b"ok", b"raise", b"cancel")]
        tasks.start([ApplyWork(run, Odd()) for run in runs])
        await asyncio.wait(list(tasks._tasks))
        await asyncio.sleep(0)  # the last one's callback
        done, raised, cancelled = [applied.outcome for applied in inputs.applied]
        assert done == [2]
        assert isinstance(raised, ValueError)
        assert isinstance(cancelled, RuntimeError)

    asyncio.run(story())

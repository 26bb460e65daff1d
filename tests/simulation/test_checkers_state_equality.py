"""The checker of equal states and right answers, and the model behind it."""

import random

import pytest

from multiraft.engine.errors import Corruption
from multiraft.engine.rebuilding import Rebuilding
from multiraft.engine.statemachine.commands import (
    encode_batch,
    encode_cas,
    encode_delete,
    encode_put,
    envelope,
)
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.engine.statemachine.memory_group import MemoryGroup
from multiraft.raft.entry import Entry, EntryType
from multiraft.raft.state import Snapshot
from tests.simulation.checkers.base import Kind, Operation, Outcome, Violation
from tests.simulation.checkers.models import REFUSED, RangeModel, state_sum
from tests.simulation.checkers.raft_safety import RaftSafety
from tests.simulation.checkers.state_equality import StateEquality
from tests.simulation.traces import CONF, NODES, Trace, birth, command, put


@pytest.fixture
def trace() -> Trace:
    return Trace(
        lambda shared: [
            RaftSafety(shared.disks, shared.chosen),
            shared.models,
            StateEquality(shared.disks, shared.models),
        ]
    )


def broken(text: str):
    return pytest.raises(Violation, match=f"state_equality: .*{text}")


def agree(trace: Trace, *entries: Entry) -> None:
    """The group commits these entries, and every node applies them."""
    trace.everywhere(*entries)
    for node in NODES:
        trace.apply(node, *entries)


def test_equal_replicas_pass(trace: Trace):
    agree(
        trace, put(2), put(3, b"a"), command(4, encode_delete(b"a")), command(5, encode_cas(b"k", None, b"x"))
    )
    agree(trace, command(6, encode_batch([(b"k", None), (b"b", b"1")])), Entry(1, 7))
    trace.restart(2)
    trace.finish()


def test_a_state_given_up_for_nothing(trace: Trace):
    agree(trace, put(2))
    trace.replicas[2].rebuilding = Rebuilding(Corruption("it is lost", 2))
    with broken("it is lost, and nothing is wrong"):
        trace.finish()
    trace.suite.state_lost(2)
    trace.finish()


def test_a_state_lost_right_after_it_was_applied(trace: Trace):
    """A read of the same turn has met damage, and what was not flushed has been taken back."""
    trace.everywhere(put(2))
    trace.apply(1, put(2))
    trace.replicas[2].rebuilding = Rebuilding(Corruption("it is lost", 2))
    with broken("it is lost, and nothing is wrong"):
        trace.set_applied(2, 2, 1)
    trace.suite.state_lost(3)
    trace.replicas[3].rebuilding = Rebuilding(Corruption("it is lost", 2))
    trace.set_applied(3, 2, 1)


def test_a_silence_for_nothing(trace: Trace):
    """A silent replica has no state; only who lost entries of its log may be one."""
    agree(trace, put(2))
    trace.replicas[2].silence = object()
    with broken("is silent, and nothing is wrong"):
        trace.finish()
    trace.suite.damaged(2)
    trace.finish()


# -- states ---------------------------------------------------------------------------------------


def test_a_write_applied_wrongly(trace: Trace):
    trace.everywhere(put(2))
    trace.apply(1, put(2))
    trace.replicas[2].machine.store.put(b"k", b"wrong")
    with broken("node 2, group 2, index 2: b'k' is b'wrong', the model has b'v2'"):
        trace.set_applied(2, 2, 1)


def test_a_write_left_out(trace: Trace):
    trace.everywhere(put(2), put(3, b"other"))
    trace.apply(1, put(2), put(3, b"other"))
    trace.replicas[2].machine.apply([put(2).data])
    with broken("b'other' is None"):
        trace.set_applied(2, 3, 1)


@pytest.mark.parametrize("when", ["restart", "finish", "install"])
def test_what_changed_behind_everybodys_back(trace: Trace, when: str):
    agree(trace, put(2))
    trace.replicas[3].machine.store.put(b"stray", b"x")
    with broken("the state differs from the model's in .*stray"):
        if when == "restart":
            trace.restart(3)
        elif when == "finish":
            trace.finish()
        else:
            trace.replicas[3].installing = type("Ready", (), {"snapshot": Snapshot(4, 1, CONF)})
            for node in (1, 2):
                trace.write(node, put(3), put(4))
            trace.apply(1, put(3), put(4))
            trace.set_applied(3, 4, 1)


def test_a_state_that_went_back_without_saying_so(trace: Trace):
    agree(trace, put(2), put(3))
    trace.replicas[1].machine.store.put(b"k", b"v2")
    with broken(r"differs from the model's in \[\(b'k', b'v2'\), \(b'k', b'v3'\)\]"):
        trace.restart(1)


def test_other_bounds_than_the_range_was_born_with(trace: Trace):
    trace.replicas[1].machine = KVMachine(MemoryGroup(), b"", None, 9)
    with broken("bounds and epoch are"):
        trace.restart(1)


# -- answers --------------------------------------------------------------------------------------


def told(kind: str, keys: tuple, arguments: tuple, result: object) -> Operation:
    return Operation(1, 1, Kind(kind), keys, arguments, 0.0, 1.0, Outcome.OK, result)


def test_right_answers_pass(trace: Trace):
    agree(
        trace,
        put(2),
        command(3, encode_cas(b"k", b"v2", b"w")),
        command(4, encode_cas(b"k", b"v2", b"y")),
        command(5, encode_batch([(b"a", b"1")])),
    )
    trace.suite.completed(told("put", (b"k",), (b"v2",), None))
    trace.suite.completed(told("cas", (b"k",), (b"v2", b"w"), True))
    trace.suite.completed(told("cas", (b"k",), (b"v2", b"y"), False))
    trace.suite.completed(told("batch", (b"a",), (b"1",), None))
    trace.suite.completed(told("get", (b"k",), (), b"whatever"))  # judged elsewhere


@pytest.mark.parametrize(
    "op",
    [
        told("cas", (b"k",), (b"v2", b"w"), False),
        told("put", (b"k",), (b"v2",), True),
        told("put", (b"k",), (b"never",), None),
    ],
)
def test_a_wrong_answer(trace: Trace, op: Operation):
    agree(trace, put(2), command(3, encode_cas(b"k", b"v2", b"w")))
    with broken("the model says"):
        trace.suite.completed(op)


def test_success_told_of_a_write_that_the_range_refused(trace: Trace):
    agree(trace, Entry(1, 2, data=envelope(7, 1, 99, encode_put(b"k", b"x"))))
    with broken("the model says .*refused"):
        trace.suite.completed(told("put", (b"k",), (b"x",), None))


# -- the model itself -----------------------------------------------------------------------------


def test_the_model_and_the_machine_agree_on_random_commands():
    chance = random.Random(7)
    model, machine = RangeModel(birth(1)), KVMachine(MemoryGroup())
    keys = [b"a", b"b", b"ab", b""]
    for index in range(2, 800):
        key, value = chance.choice(keys), chance.choice([b"", b"x", b"%d" % index])
        body = chance.choice(
            [
                encode_put(key, value),
                encode_delete(key),
                encode_cas(key, chance.choice([None, b"x", machine.get(key)]), chance.choice([None, value])),
                encode_batch([(one, chance.choice([None, value])) for one in chance.sample(keys, 2)]),
                b"no command",
            ]
        )
        entry = Entry(1, index, data=envelope(1, index, chance.choice([1, 1, 1, 2]), body))
        [result] = machine.apply([entry.data])
        model.apply(entry)
        expected = model.results[index]
        assert result == expected or (expected == REFUSED and isinstance(result, Exception)), entry
        assert dict(machine.scan()) == model.state_at(index)
        assert state_sum(machine.scan()) == model.sums[index - 1]


def test_the_model_remembers_every_index():
    model = RangeModel(birth(1))
    for entry in (put(2), Entry(1, 3), put(4), Entry(1, 5, EntryType.CONF_CHANGE, b"x")):
        model.apply(entry)
    assert [model.value_at(b"k", index) for index in range(1, 6)] == [None, b"v2", b"v2", b"v4", b"v4"]
    assert list(model.spans(b"k", b"v2")) == [(2, 3)]
    assert list(model.spans(b"k", b"v4")) == [(4, 5)]
    assert list(model.spans(b"k", None)) == [(1, 1)]
    assert model.results == {2: None, 4: None}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({b"a": b"1", b"b": b"2"}, {b"a": b"2", b"b": b"1"}),
        ({b"ab": b"c"}, {b"a": b"bc"}),
        ({b"": b""}, {}),
        ({b"a": b""}, {b"": b"a"}),
    ],
)
def test_the_sum_tells_states_apart_and_knows_no_order(one: dict, other: dict):
    assert state_sum(one.items()) != state_sum(other.items())
    assert state_sum(reversed(one.items())) == state_sum(one.items())

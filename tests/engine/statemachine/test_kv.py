"""The key-value machine: results, refusals, reads within bounds, and equality of replicas."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiraft.engine.errors import Corruption, RangeDeleted, RangeMoved
from multiraft.engine.statemachine.commands import (
    MalformedCommand,
    encode_batch,
    encode_cas,
    encode_delete,
    encode_put,
    encode_retire,
    envelope,
)
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.statemachine.memory_group import MemoryGroup
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.protocol import StateMachine
from multiraft.engine.statemachine.store import OrderedStore

NewStore = Callable[[], OrderedStore]


@pytest.fixture(params=["memory group", "memory store", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OrderedStore]:
    if request.param == "lmdb":
        node = LmdbStateStore.open(tmp_path / "state", "none")
        yield node.group(5)
        node.close()
    else:
        memory = MemoryStateStore()
        yield memory.group(5) if request.param == "memory store" else memory.memory_group(5)


def apply(machine: KVMachine, *bodies: bytes, epoch: int | None = None) -> list[object]:
    epoch = machine.epoch if epoch is None else epoch
    return machine.apply([envelope(1, number, epoch, body) for number, body in enumerate(bodies)])


def contents(machine: KVMachine) -> list[tuple[bytes, bytes]]:
    return list(machine.scan())


def test_results_of_every_command(store: OrderedStore):
    machine = KVMachine(store)
    assert apply(
        machine,
        encode_put(b"a", b"1"),
        encode_delete(b"a"),
        encode_delete(b"a"),
        encode_cas(b"b", None, b"2"),
        encode_cas(b"b", None, b"3"),
        encode_cas(b"b", b"2", b"4"),
        encode_cas(b"b", b"4", None),
        encode_cas(b"b", None, None),
        encode_batch([(b"c", b"5"), (b"d", b"6"), (b"c", None), (b"e", None)]),
    ) == [None, True, False, True, False, True, True, True, None]
    assert contents(machine) == [(b"d", b"6")]


def test_an_empty_value_is_not_the_absence_of_a_key(store: OrderedStore):
    machine = KVMachine(store)
    assert apply(machine, encode_put(b"", b""), encode_cas(b"", None, b"x"), encode_delete(b"")) == [
        None,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "body",
    [
        encode_put(b"k", b"new"),
        encode_delete(b"k"),
        encode_cas(b"k", b"old", b"new"),
        encode_batch([(b"k", b"new")]),
    ],
)
def test_another_epoch_is_refused_and_changes_nothing(store: OrderedStore, body: bytes):
    machine = KVMachine(store, epoch=3)
    apply(machine, encode_put(b"k", b"old"))
    for epoch in (2, 4):
        (result,) = apply(machine, body, epoch=epoch)
        assert isinstance(result, RangeMoved)
    assert contents(machine) == [(b"k", b"old")]


@pytest.mark.parametrize("key", [b"", b"a", b"az", b"c", b"d"])
def test_a_key_outside_the_bounds_is_refused(store: OrderedStore, key: bytes):
    machine = KVMachine(store, b"b", b"c")
    for body in (
        encode_put(key, b""),
        encode_delete(key),
        encode_cas(key, None, b""),
        encode_batch([(b"b", b"inside"), (key, b"")]),
    ):
        (result,) = apply(machine, body)
        assert isinstance(result, RangeMoved)
    assert contents(machine) == [], "not even the part of a batch that lies inside"


def test_bounds_include_the_start_only(store: OrderedStore):
    machine = KVMachine(store, b"b", b"c")
    assert apply(machine, encode_put(b"b", b""), encode_put(b"b\xff", b"")) == [None, None]


def test_what_is_no_command_is_a_result(store: OrderedStore):
    machine = KVMachine(store)
    results = machine.apply([b"", b"x" * 23, envelope(1, 2, 1, b""), envelope(1, 2, 9, b"\xc1")])
    assert all(isinstance(result, MalformedCommand) for result in results)
    assert all("command" in str(result) for result in results)


def test_reads_are_clipped_to_the_bounds(store: OrderedStore):
    """The store may hold more, as two ranges will share it while one is being split."""
    for key in (b"a", b"b", b"ba", b"bb", b"c", b"d"):
        store.put(key, key)
    machine = KVMachine(store, b"b", b"d")

    def keys(**arguments: object) -> list[bytes]:
        return [key for key, _ in machine.scan(**arguments)]

    assert keys() == [b"b", b"ba", b"bb", b"c"]
    assert keys(reverse=True) == [b"c", b"bb", b"ba", b"b"]
    assert keys(start=b"", stop=b"z") == [b"b", b"ba", b"bb", b"c"]
    assert keys(start=b"ba", stop=b"c") == [b"ba", b"bb"]
    assert keys(prefix=b"b") == [b"b", b"ba", b"bb"]
    assert keys(prefix=b"b", start=b"ba", reverse=True) == [b"bb", b"ba"]
    assert keys(prefix=b"b", stop=b"bb") == [b"b", b"ba"]
    assert keys(prefix=b"d") == []
    assert keys(limit=2) == [b"b", b"ba"]
    assert keys(limit=2, reverse=True) == [b"c", b"bb"]
    assert keys(limit=0) == []
    assert keys(start=b"c", stop=b"b") == []


def test_a_retired_machine_serves_nothing_for_good(store: OrderedStore):
    """Whatever is asked of it, by whatever epoch, also after a restart and where its state is taken to."""
    machine = KVMachine(store, b"a", b"z", 3)
    assert apply(machine, encode_put(b"k", b"1"), encode_retire()) == [None, None]
    again = KVMachine.from_metadata(store, machine.metadata())
    other = KVMachine(MemoryStateStore().memory_group(5))
    other.restore(machine.snapshot())
    for one in (machine, again, other):
        for epoch in (0, 3, 4):
            results = apply(
                one, encode_put(b"k", b"2"), encode_cas(b"k", b"1", None), encode_retire(), epoch=epoch
            )
            assert [type(result) for result in results] == [RangeDeleted] * 3
        assert isinstance(one.moved(3, b"k"), RangeDeleted)
        assert one.get(b"k") == b"1"
    one.reload(machine.metadata())
    assert one.retired


def test_a_retirement_routed_by_another_epoch_retires_nothing(store: OrderedStore):
    machine = KVMachine(store, b"a", b"z", 3)
    (refusal,) = apply(machine, encode_retire(), epoch=2)
    assert type(refusal) is RangeMoved
    assert not machine.retired


def test_a_machine_is_opened_again_from_its_metadata(store: OrderedStore):
    for bounds in (
        (b"", None, 1, False),
        (b"", b"", 2, True),
        (b"a", b"b", 2**64 - 1, False),
        (b"\xff" * 480, None, 7, True),
    ):
        machine = KVMachine(store, *bounds)
        again = KVMachine.from_metadata(store, machine.metadata())
        assert again.bounds == machine.bounds == bounds
        for stop in range(len(machine.metadata())):
            with pytest.raises(Corruption):
                KVMachine.from_metadata(store, machine.metadata()[:stop])
    for too_long in ((b"k" * 481, None), (b"", b"k" * 481)):
        with pytest.raises(Corruption):
            KVMachine.from_metadata(store, KVMachine(store, *too_long).metadata())


def test_it_is_a_state_machine(store: OrderedStore):
    machine: StateMachine = KVMachine(store)
    assert machine.durable is store.durable


OPERATIONS = st.lists(
    st.one_of(
        st.builds(encode_put, st.sampled_from([b"a", b"b", b"c"]), st.binary(max_size=3)),
        st.builds(encode_delete, st.sampled_from([b"a", b"b", b"c"])),
        st.builds(
            encode_cas,
            st.sampled_from([b"a", b"b", b"c"]),
            st.none() | st.binary(max_size=1),
            st.none() | st.binary(max_size=1),
        ),
        st.builds(
            encode_batch,
            st.lists(st.tuples(st.sampled_from([b"a", b"z"]), st.none() | st.binary(max_size=1)), max_size=3),
        ),
        st.binary(max_size=6),
    ),
    max_size=30,
)


@given(OPERATIONS, st.data())
@settings(max_examples=200)
def test_two_machines_fed_the_same_are_equal(bodies: list[bytes], data: st.DataObject):
    """Over different stores, with flushes at different moments, or none."""
    node = MemoryStateStore()
    durable, volatile = KVMachine(node.group(1), end=b"y"), KVMachine(MemoryGroup(), end=b"y")
    for body in bodies:
        assert repr(apply(durable, body)) == repr(apply(volatile, body))
        if data.draw(st.booleans()) and (flush := node.freeze()):
            node.write(flush)
            node.flushed(flush)
    assert contents(durable) == contents(volatile)
    assert durable.digest() == volatile.digest()
    assert durable.snapshot() == volatile.snapshot()


def test_the_digest_sees_every_difference():
    """Also where a key ends and its value begins; not the order in which keys were written."""
    digests = []
    for pairs in (
        [],
        [(b"a", b"bc")],
        [(b"ab", b"c")],
        [(b"a", b"b")],
        [(b"", b"")],
        [(b"a", b"b"), (b"c", b"d")],
    ):
        machine = KVMachine(MemoryGroup())
        machine.store.load(pairs)
        digests.append(machine.digest())
    assert len(set(digests)) == len(digests)
    turned = KVMachine(MemoryGroup())
    turned.store.load([(b"c", b"d"), (b"a", b"b")])
    assert turned.digest() == digests[-1]

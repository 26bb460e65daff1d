"""A damaged replica that is its group's only one: what it held can be read, and nothing can be written."""

import random

import pytest

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import Corruption
from multiraft.engine.logstore.chunks import chunk_key
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.remains import Remains, bring_up
from multiraft.engine.statemachine.commands import encode_batch, envelope
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.records import PREFIX, Kind, record_key
from multiraft.raft.state import HardState
from multiraft.shards.queries import get_query, read_stale

from .harness import CONFIG, Host, Nodes, put

GROUP, OTHER = 5, 6
MEMORY = EngineConfig(tick_ms=100, beat_ms=200, election_timeout_ms=500, flush_ms=300, state_machine="memory")


def alone(config: EngineConfig = CONFIG) -> Nodes:
    """One node with two groups; of the first five writes of each the state store knows."""
    nodes = Nodes(1, config)
    for group in (GROUP, OTHER):
        nodes.create(group)
    nodes.settle()
    for number in range(5):
        write(nodes, GROUP, number)
        write(nodes, OTHER, number)
    nodes.pass_time(1)
    return nodes


def write(nodes: Nodes, group: int, number: int) -> int:
    """One acknowledged write. Returns its index."""
    token = (group, number)
    nodes[1].propose(group, put(key(number), b"value %d" % number, number + 1), token=token)
    nodes.settle()
    assert nodes[1].answer(token) == [None]
    return nodes[1].log.group(group).last_index()


def key(number: int) -> bytes:
    return b"%03d" % number


def unflushed(nodes: Nodes) -> dict[int, int]:
    """Five more writes that only the log has. Returns their indexes by number."""
    nodes[1].flush = lambda: None  # type: ignore[method-assign] # its state store takes no flush
    return {number: write(nodes, GROUP, number) for number in range(5, 10)}


def stale(host: Host, number: int, group: int = GROUP) -> object:
    (value,) = read_stale(host.node, group, get_query(1, key(number)))
    return value


def assert_readable_up_to(nodes: Nodes, index: int, numbers: range) -> None:
    """Stale reads show the writes of these numbers and no other; all else is told how far that is."""
    host, ask = nodes[1], random.random()
    assert [number for number in range(20) if stale(host, number) == b"value %d" % number] == [*numbers]
    host.read(GROUP, key(0), token=("read", ask))
    host.propose(GROUP, put(b"new", b"value"), token=("write", ask))
    nodes.pass_time(0.5)
    for what in ("read", "write"):
        error = host.answer((what, ask))
        assert isinstance(error, Corruption)
        assert (error.group, error.index) == (GROUP, index + 1)
        assert f"at index {index}" in str(error)
        assert "stale" in str(error)
    write(nodes, OTHER, 50)
    host.read(OTHER, key(50), token=("other", ask))
    nodes.settle()
    assert host.answer(("other", ask)) == b"value 50"


def destroy_batch(host: Host, entry: int) -> None:
    """The batch that an entry stands in cannot be read any more."""
    span = next(host.log._index.log(GROUP).spans(entry, entry + 1))
    host.log.environment.values[chunk_key(span.carrier, 0)] = b"damaged"


def destroy_entry(host: Host, wanted: bytes) -> None:
    """A byte of an entry's payload is another one."""
    values = host.log.environment.values
    (place,) = [place for place, value in values.items() if wanted in value]
    at = values[place].index(wanted)
    values[place] = values[place][:at] + b"X" + values[place][at + 1 :]


def restarted(nodes: Nodes, times: int = 2) -> None:
    for _ in range(times):
        nodes[1].crash()
        nodes.pass_time(0.5)


@pytest.mark.parametrize("config", [CONFIG, MEMORY], ids=["lmdb", "memory"])
def test_a_damaged_entry_is_the_end_of_what_can_be_read(config: EngineConfig):
    """What stands before it in the log is applied first; a restart finds the same."""
    nodes = alone(config)
    entries = unflushed(nodes)
    destroy_entry(nodes[1], b"value 7")
    restarted(nodes, 1)
    for _ in range(3):
        assert_readable_up_to(nodes, entries[6], range(7))
        nodes.pass_time(1)
        if config is CONFIG:
            assert nodes[1].state.durable_applied(GROUP) == entries[6], "what is applied is flushed as such"
        restarted(nodes, 1)


def test_a_damaged_newest_batch_is_the_end_of_what_can_be_read():
    """The write in it was acknowledged: nobody is told that it is not there, and nobody that it is.

    It may have been one of the other group as well.
    """
    nodes = alone()
    entries = unflushed(nodes)
    destroy_batch(nodes[1], entries[9])
    for _ in range(2):
        again = nodes[1].crash()
        nodes.pass_time(0.5)
        for group, held in ((GROUP, 9), (OTHER, 5)):
            assert isinstance(again.node.replicas.lost[group], Corruption)
            assert [number for number in range(20) if stale(again, number, group)] == [*range(held)]
            again.read(group, key(0), token=(group, "read"))
            again.propose(group, put(b"new", b"value"), token=(group, "write"))
            nodes.settle()
            assert isinstance(again.answer((group, "read")), Corruption)
            assert isinstance(again.answer((group, "write")), Corruption)


@pytest.mark.parametrize("part", ["hard state", "entry"])
def test_a_damaged_batch_is_the_end_of_what_can_be_read(part: str):
    """Later batches speak for the other group. What of it is said to be durable is durable."""
    nodes = alone()
    entries = unflushed(nodes)
    if part == "hard state":
        batch = nodes[1].log.stage([GroupWrite(GROUP, 11, hard_state=HardState(9, 11, entries[9]))])
        nodes[1].log.commit(batch)
        nodes[1].log.finish(batch)
        nodes[1].log.environment.values[chunk_key(batch.seq, 0)] = b"damaged"
    else:
        destroy_batch(nodes[1], entries[9])
    write(nodes, OTHER, 10)
    restarted(nodes, 1)
    last, numbers = (entries[9], range(10)) if part == "hard state" else (entries[8], range(9))
    for _ in range(3):
        assert_readable_up_to(nodes, last, numbers)
        restarted(nodes, 1)


def test_a_log_that_ends_before_its_state_leaves_the_state():
    """Whoever has deleted the newest batches has not deleted what they led to."""
    early, nodes = alone(), alone()
    applied = early[1].replica(GROUP).applied.index
    for number in range(5, 8):
        write(nodes, GROUP, number)
    nodes.pass_time(1)
    ahead = dict(nodes[1].state.medium.contents)
    host = Host(early, 1, early[1].log.crash(), MemoryStateStore(ahead))
    early.pass_time(0.5)
    assert host.node.replicas.remains[GROUP].applied.index == applied + 3
    assert_readable_up_to(early, applied + 3, range(8))


def test_a_damaged_value_is_told_and_the_others_are_served():
    """Reads of it are; a command that needs it ends what can be applied, and all before it can be read."""
    nodes = alone()
    entries = unflushed(nodes)
    state = nodes[1].state
    stored_key = PREFIX.pack(state.group(GROUP).stored_prefix()) + key(2)
    contents = state.medium.contents
    contents[stored_key] = contents[stored_key][:-1] + b"X"
    for number, served in ((2, False), (3, True), (7, True)):
        nodes[1].read(GROUP, key(number), token=("read", number))
        nodes.settle()
        assert isinstance(nodes[1].answer(("read", number)), bytes) is served
    assert isinstance(nodes[1].answer(("read", 2)), Corruption)
    both = envelope(7, 99, 1, encode_batch([(key(12), b"half"), (key(2), None)]))
    nodes[1].propose(GROUP, put(key(10), b"value 10"), both, put(key(11), b"never"), token="met")
    nodes.settle()
    numbers = [number for number in range(20) if number not in {2, 11}]
    for _ in range(3):
        host = nodes[1]
        lost = host.node.replicas.lost[GROUP]
        assert isinstance(lost, Corruption)
        assert lost.index == entries[9] + 2
        assert [number for number in numbers if stale(host, number)] == [0, 1, *range(3, 11)]
        assert stale(host, 11) is None
        assert stale(host, 12) is None, "a batch is carried out as a whole or not at all"
        with pytest.raises(Corruption):
            stale(host, 2)
        nodes.pass_time(0.5)
        restarted(nodes, 1)


def test_of_a_state_that_is_gone_nothing_is_read():
    """No reader is told that a key is not there, when all of them are lost."""
    nodes = Nodes(1, EngineConfig(tick_ms=100, beat_ms=200, election_timeout_ms=500, log_keep_entries=2))
    nodes.create(GROUP)
    nodes.settle()
    for number in range(20):
        write(nodes, GROUP, number)
    nodes.pass_time(3)
    write(nodes, GROUP, 20)
    nodes.pass_time(3)
    assert nodes[1].log.group(GROUP).first_index() > 10
    contents = dict(nodes[1].state.medium.contents)
    for spoilt in (None, b"spoiled"):
        place = record_key(Kind.GROUP, GROUP)
        kept = {} if spoilt is None else {**contents, place: spoilt}
        host = Host(nodes, 1, nodes[1].log.crash(), MemoryStateStore(kept))
        nodes.pass_time(2)
        assert GROUP in host.node.replicas.lost
        assert GROUP not in host.node.replicas.remains
        with pytest.raises(Corruption):
            stale(host, 3)
        assert {**contents, **kept} == {**contents, **host.state.medium.contents} or not kept
        assert spoilt is None or host.state.medium.contents[place] == spoilt, "what is left stays on the disk"


def test_a_record_that_is_found_damaged_by_a_flush_ends_it():
    """Where the data is nobody knows any more; if the log reaches back, a start makes it anew."""
    nodes = alone()
    host, place = nodes[1], record_key(Kind.GROUP, GROUP)
    host.state.medium.contents[place] = b"spoiled"
    write(nodes, GROUP, 5)
    nodes.pass_time(1)
    assert isinstance(host.node.replicas.lost[GROUP], Corruption)
    with pytest.raises(Corruption):
        stale(host, 5)
    again = host.crash()
    nodes.pass_time(0.5)
    assert [number for number in range(20) if stale(again, number)] == [*range(6)]
    write(nodes, GROUP, 6)


def test_a_log_that_is_not_the_one_which_led_to_the_state_is_not_applied_to_it():
    nodes = alone()
    machine, log = nodes[1].machine(GROUP), nodes[1].log.group(GROUP)
    of_another_term = Remains(machine, nodes[1].replica(GROUP).applied._replace(index=3, term=9))
    found = bring_up(GROUP, of_another_term, log, log.last_index(), nodes[1].state, lambda: of_another_term)
    assert found.applied.index == 3

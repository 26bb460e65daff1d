"""The checker of promises and of the disk that keeps them."""

from types import SimpleNamespace

import pytest

from multiraft.engine.logstore.memory import MemoryLogStore
from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.replica import SYSTEM_GROUP
from multiraft.native.entries import encode_runs
from multiraft.raft.entry import Entry
from multiraft.raft.messages import MsgType
from multiraft.raft.state import HardState, Role
from multiraft.shards.directory_machine import DirectoryMachine
from tests.simulation.checkers.base import Violation
from tests.simulation.checkers.durability import Durability
from tests.simulation.traces import CONF, GROUP, FakeReplica, Trace, birth, put


class Store(MemoryLogStore):
    """A log store that is told what the trace commits, so that a restart finds it."""

    def take(self, *writes: GroupWrite) -> None:
        for write in writes:
            if write.entries:
                [write.run] = encode_runs([write.entries])
        batch = self.stage(writes)
        self.commit(batch)
        self.finish(batch)


class WithStores(Trace):
    """Every commit goes into a real log store as well."""

    def __init__(self, make) -> None:
        self.stores: dict[int, Store] = {}
        super().__init__(make)

    def commit(self, node: int, *writes: GroupWrite) -> None:
        store = self.stores.setdefault(node, Store())
        self.nodes[node].log = store
        store.take(*writes)
        super().commit(node, *writes)


@pytest.fixture
def trace() -> WithStores:
    return WithStores(lambda shared: Durability(shared.disks))


def broken(text: str):
    return pytest.raises(Violation, match=text)


def test_a_node_that_waits_for_its_disk_passes(trace: WithStores):
    trace.write(1, term=1, vote=1)
    for kind in (MsgType.VOTE, MsgType.PRE_VOTE):
        trace.say(1, kind, 2, term=1)
    trace.say(1, MsgType.PRE_VOTE_RESP, 2, term=9)  # granted for a term that nobody has entered
    trace.write(1, put(2), put(3), term=1, vote=1)
    trace.say(1, MsgType.APP_RESP, 2, term=1, index=3)
    trace.set_applied(1, 3, 1)
    trace.replicas[1].raft.tracker.votes[1] = True
    trace.replicas[1].raft.tracker.progress[1].match = 3
    trace.lead(1, term=1)
    trace.nodes[1].durable[GROUP] = 3
    trace.write(1, term=1, vote=1, commit=3, truncate=(2, 1))
    trace.write(1, snapshot_point=(9, 1, CONF), vote=1, commit=9)
    trace.restart(1)


# -- promises -------------------------------------------------------------------------------------


def staged_only(trace: WithStores, *entries: Entry, term: int = 2, vote: int = 1) -> None:
    trace.stage(1, GroupWrite(GROUP, 1, hard_state=HardState(term, vote, 1), entries=list(entries)))
    trace.turn(1)


@pytest.mark.parametrize("kind", [MsgType.VOTE, MsgType.VOTE_RESP])
def test_a_vote_before_its_term_is_durable(trace: WithStores, kind: MsgType):
    staged_only(trace)
    with broken(f"{kind.name} of term 2 leaves, durable is term 0"):
        trace.say(1, kind, 2, term=2)


@pytest.mark.parametrize(("kind", "to"), [(MsgType.VOTE, 2), (MsgType.VOTE_RESP, 2), (MsgType.VOTE_RESP, 3)])
def test_a_vote_that_is_not_the_durable_one(trace: WithStores, kind: MsgType, to: int):
    trace.write(1, term=2, vote=0)
    with broken("is not durable but one for 0"):
        trace.say(1, kind, to, term=2)


@pytest.mark.parametrize("kind", [MsgType.VOTE_RESP, MsgType.PRE_VOTE_RESP, MsgType.APP_RESP])
def test_a_rejection_before_its_term_is_durable(trace: WithStores, kind: MsgType):
    with broken(f"{kind.name} of term 3 leaves, durable is term 0"):
        trace.say(1, kind, 2, term=3, reject=True)


def test_an_acknowledgement_before_the_entries_are_durable(trace: WithStores):
    trace.write(1, put(2), term=1)
    staged_only(trace, put(3), term=1, vote=0)
    trace.say(1, MsgType.APP_RESP, 2, term=1, index=2)
    with broken("APP_RESP of term 1 leaves for index 3, durable is 2"):
        trace.say(1, MsgType.APP_RESP, 2, term=1, index=3)


def test_an_acknowledgement_of_entries_that_are_yet_to_replace_others(trace: WithStores):
    trace.write(1, put(2), put(3), term=2)
    staged_only(trace, put(3, term=2), vote=0)
    with broken("leaves for index 3, which batch"):
        trace.say(1, MsgType.APP_RESP, 2, term=2, index=3)


def test_a_word_before_the_birth_is_durable(trace: WithStores):
    with broken("HEARTBEAT_RESP leaves as replica 1, and the birth of that is not durable"):
        trace.suite.sent(1, 2, 77, message(MsgType.HEARTBEAT_RESP))


def message(kind: MsgType):
    return SimpleNamespace(type=kind, from_=1, to=2, term=1, reject=False, index=0)


def test_a_word_as_a_replica_that_this_node_has_not(trace: WithStores):
    with broken("leaves as replica 1"):
        trace.suite.sent(2, 1, GROUP, message(MsgType.HEARTBEAT))


# -- what counts ----------------------------------------------------------------------------------


def test_a_replica_that_runs_unborn(trace: WithStores):
    trace.nodes[1].replicas.running[77] = FakeReplica(1, 77)
    with broken("77 runs, and its birth is not durable"):
        trace.suite.turned(1, trace.nodes[1], trace.nodes[1].replicas.running)


def test_a_leader_that_counts_what_is_not_durable(trace: WithStores):
    trace.write(1, put(2), term=1, vote=1)
    trace.replicas[1].log.entries.append(put(3))
    trace.replicas[1].raft.tracker.progress[1].match = 3
    with broken("leader of term 1: it counts its entry 3, durable is 2"):
        trace.lead(1, term=1)


def test_a_candidate_that_counts_a_vote_that_is_not_durable(trace: WithStores):
    raft = trace.replicas[1].raft
    raft.term, raft.vote, raft.role = 1, 1, Role.CANDIDATE
    trace.turn(1)
    raft.tracker.votes[1] = True
    with broken("candidate of term 1: durable are term 0 and a vote for 0"):
        trace.turn(1)


def test_a_leader_whose_election_is_not_durable(trace: WithStores):
    with broken("leader of term 1: durable are term 0"):
        trace.lead(1, term=1)


def test_an_entry_applied_that_is_not_in_the_local_log(trace: WithStores):
    trace.write(1, put(2))
    with broken("applied went from 1 to 3, and 1 entries of that are durable in its log"):
        trace.set_applied(1, 3, 1)


def test_an_entry_applied_with_another_term_than_the_local_log_has(trace: WithStores):
    trace.write(1, put(2))
    with broken("index 2 of term 5 is applied, and not durable in the local log"):
        trace.set_applied(1, 2, 5)


# -- batches --------------------------------------------------------------------------------------


def test_two_batches_in_one_turn(trace: WithStores):
    trace.stage(1, GroupWrite(GROUP, 1, hard_state=HardState(1, 0, 1)))
    trace.stage(1, GroupWrite(GROUP, 1, entries=[put(2)]))
    with broken("node 1 staged 2 batches in one turn"):
        trace.turn(1)


def test_entries_without_the_term_that_they_came_in(trace: WithStores):
    with broken("becomes durable, and with it or before it only term 0"):
        trace.commit(1, GroupWrite(GROUP, 1, entries=[put(2)]))


def test_the_term_may_stand_in_another_write_of_the_batch(trace: WithStores):
    state = GroupWrite(GROUP, 1, hard_state=HardState(1, 0, 1), entries=[put(2)])
    trace.commit(1, state, GroupWrite(GROUP, 1, entries=[put(3)]))


def test_a_sequence_number_used_again(trace: WithStores):
    trace.write(1, put(2))
    with broken("batch 2 is staged after batch 2"):
        trace.suite.staged(1, 2, [])


def test_batches_that_become_durable_out_of_order(trace: WithStores):
    first = trace.stage(1, GroupWrite(GROUP, 1, hard_state=HardState(1, 0, 1)))
    second = trace.stage(1, GroupWrite(GROUP, 1, hard_state=HardState(2, 0, 1)))
    with broken(f"batch {second} is durable before batch {first}"):
        trace.suite.committed(1, second)


def test_a_log_cut_beyond_what_the_state_store_has(trace: WithStores):
    trace.write(1, put(2), put(3))
    trace.nodes[1].durable[GROUP] = 2
    with broken("the log is cut up to 3, the state store has 2"):
        trace.stage(1, GroupWrite(GROUP, 1, truncate=(3, 1)))


def test_a_removed_replica_that_is_born_again(trace: WithStores):
    trace.commit(1, GroupWrite(GROUP, 1, tombstone=True))
    with broken("is born, and was removed before"):
        trace.stage(1, GroupWrite(GROUP, 1, birth=birth(1)))


def test_a_directory_flushed_before_the_births_that_it_ordered(trace: WithStores):
    class Machine(DirectoryMachine):
        def births_here(self):
            return [birth(1, 5)]

    node = trace.nodes[1]
    trace.commit(1, GroupWrite(SYSTEM_GROUP, 1, birth=birth(1, SYSTEM_GROUP)))
    system = node.replicas.running[SYSTEM_GROUP] = FakeReplica(1, SYSTEM_GROUP)
    system.machine = Machine.__new__(Machine)
    trace.turn(1)
    node.state.flushing = SimpleNamespace(groups={GROUP: None})
    trace.turn(1)
    node.state.flushing = SimpleNamespace(groups={SYSTEM_GROUP: None})
    with broken(r"the directory is flushed, and the births of \[5\] are not durable"):
        trace.turn(1)


# -- what a start finds ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lie", "text"),
    [
        (GroupWrite(GROUP, 1, hard_state=HardState(2, 0, 2)), "are found, durable are"),
        (GroupWrite(GROUP, 1, entries=[put(4)]), "a log of 2..4 is found, durable is 2..3"),
        (GroupWrite(GROUP, 1, truncate=(2, 1)), "a log of 3..3 is found, durable is 2..3"),
        (GroupWrite(GROUP, 1, entries=[put(3, value=b"another")]), r"are found, durable are"),
        (GroupWrite(7, 1, birth=birth(1, 7)), r"finds the groups \[2, 7\]"),
        (GroupWrite(GROUP, 1, tombstone=True), r"finds the groups \[\] and the tombstones"),
    ],
)
def test_a_store_that_shows_something_else_after_a_restart(trace: WithStores, lie: GroupWrite, text: str):
    trace.write(1, put(2), put(3), term=1, commit=2)
    trace.restart(1)
    trace.stores[1].take(lie)
    with broken(text):
        trace.restart(1)


def test_a_node_that_runs_with_batches_that_are_not_durable(trace: WithStores):
    trace.stage(1, GroupWrite(GROUP, 1, hard_state=HardState(1, 0, 1)))
    with broken(r"runs before its batches \[2\] are durable"):
        trace.suite.started(1, trace.nodes[1])


def test_what_a_crash_took_must_not_be_found(trace: WithStores):
    trace.stores[1].take(GroupWrite(GROUP, 1, hard_state=HardState(1, 1, 1)))
    trace.stage(1, GroupWrite(GROUP, 1, hard_state=HardState(1, 1, 1)))
    with broken("are found, durable are"):
        trace.restart(1)


def test_a_damaged_disk_may_show_anything(trace: WithStores):
    trace.stores[1].take(GroupWrite(GROUP, 1, hard_state=HardState(1, 1, 1)))
    trace.suite.damaged(1)
    trace.restart(1)

"""Questions to a replica as it is: every trouble is a typed error."""

from types import SimpleNamespace

import pytest

from multiraft.engine.errors import Corruption, NotLeader, Quarantined, QueryFailed, RangeMoved
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.shards.queries import get_query, read_stale


class Replicas:
    """One replica of group 5, and what a node says of groups that it cannot serve."""

    def __init__(self, quarantine=None):
        store = MemoryStateStore().memory_group(5)
        store.put(b"a", b"1")
        self.machine = KVMachine(store, b"", None, 1)
        self.quarantine = quarantine

    def state_here(self, group):
        if group != 5 or self.quarantine is not None:
            raise self.quarantine or NotLeader(group)
        return self.machine


def read(replicas, group=5, query=None):
    return read_stale(SimpleNamespace(replicas=replicas), group, query or get_query(1, b"a"))


def test_the_replicas_own_value():
    assert read(Replicas()) == [b"1"]


def test_a_replica_set_aside_answers_nobody():
    """Its state may hold half a command: a peer must not see it either."""
    with pytest.raises(Quarantined):
        read(Replicas(Quarantined(5, 7, "the machine raised")))


def test_no_replica_another_epoch_and_damage():
    with pytest.raises(NotLeader):
        read(Replicas(), group=6)
    with pytest.raises(RangeMoved):
        read(Replicas(), query=get_query(2, b"a"))

    def damaged(_):
        raise Corruption("damaged", 5)

    with pytest.raises(Corruption):
        read(Replicas(), query=damaged)


def test_a_query_that_raises_fails_alone():
    with pytest.raises(QueryFailed):
        read(Replicas(), query=lambda machine: machine.no_such_thing)

"""What a crash leaves on a simulated disk, and what its damage leads to."""

import pytest

from multiraft.engine.errors import ClusterMismatch, DiskFull
from multiraft.engine.logstore.port import GroupWrite
from multiraft.raft.state import HardState
from multiraft.shards.bootstrap import system_birth
from tests.simulation.checkers.base import Checker
from tests.simulation.disk import Contents, Disk, LogWriter, Mount, StateWriter
from tests.simulation.identity import Identity
from tests.simulation.loop import World

DIGEST = b"d" * 32


class Machine:
    """A disk in use, with a log that one system group lives in."""

    def __init__(self) -> None:
        self.world = World(1)
        self.disk = Disk(self.world)
        self.told: list[object] = []
        self.mount = self.open()
        birth = system_birth(1, (1, 2, 3))
        self.submit(GroupWrite(group=1, replica_id=1, birth=birth))
        self.world.run(1)

    def open(self) -> Mount:
        mount = Mount(self.disk, 1, Checker())
        self.log = mount.open_log()
        self.writer = LogWriter(mount, self.log, lambda batch, error: self.told.append(error), self.trapped)
        return mount

    def trapped(self) -> None:
        self.told.append("trap")

    def submit(self, write: GroupWrite) -> None:
        self.writer.submit(self.log.stage([write]))

    def vote(self, term: int) -> None:
        self.submit(GroupWrite(group=1, replica_id=1, hard_state=HardState(term, 1, 1)))

    def term(self) -> int:
        return self.log.group(1).hard_state.term


def test_a_batch_is_durable_after_a_while_and_not_before():
    machine = Machine()
    machine.told.clear()
    machine.vote(1)
    machine.vote(2)
    assert machine.told == []
    machine.world.run(machine.world.now + 1)
    assert machine.told == [None, None]


def test_a_crash_takes_everything_that_is_not_durable_but_perhaps_the_first():
    found = set()
    for seed in range(20):
        machine = Machine()
        machine.disk.random.seed(seed)
        for term in (1, 2, 3):
            machine.vote(term)
        assert machine.mount.crash() is False
        machine.open()
        found.add(machine.term())
    assert found == {0, 1}


def test_nothing_reaches_the_disk_of_a_killed_process():
    machine = Machine()
    machine.vote(1)
    machine.mount.alive = False
    machine.world.run(machine.world.now + 1)
    machine.open()
    assert machine.term() == 0


def test_a_torn_batch_is_recognised():
    torn = 0
    for seed in range(20):
        machine = Machine()
        machine.disk.random.seed(seed)
        machine.mount.tear_share = 1.0
        machine.vote(1)
        if machine.mount.crash():
            torn += 1
            machine.open()
            assert machine.log.has_gaps
            assert machine.term() == 0
    assert torn


def test_a_disk_that_refuses_says_so_to_everybody_behind():
    machine = Machine()
    machine.told.clear()
    machine.disk.error = DiskFull
    machine.vote(1)
    machine.vote(2)
    machine.world.run(machine.world.now + 1)
    assert [type(error) for error in machine.told] == [DiskFull, DiskFull]
    assert machine.disk.failed


def test_a_trap_springs_in_the_transaction_it_was_set_for():
    machine = Machine()
    machine.told.clear()
    machine.disk.trap = 2
    for term in (1, 2, 3):
        machine.vote(term)
    machine.world.run(machine.world.now + 1)
    assert machine.told == [None, "trap"]


def test_a_flipped_bit_is_noticed():
    machine = Machine()
    assert machine.disk.flip() == "log"
    machine.mount.crash()
    machine.open()
    assert machine.log.has_gaps


def test_an_empty_disk_has_no_bit_to_flip():
    assert Disk(World(1)).flip() is None


def test_every_start_counts_and_a_wiped_disk_is_another():
    disk = Disk(World(1))
    identities = [Identity(Mount(disk, 1, Checker()), "c", DIGEST) for _ in range(3)]
    assert [one.incarnation for one in identities] == [1, 2, 3]
    assert len({one.store_uuid for one in identities}) == 1
    disk.contents = Contents()
    again = Identity(Mount(disk, 1, Checker()), "c", DIGEST)
    assert again.incarnation == 1
    assert again.store_uuid != identities[0].store_uuid


def test_the_disk_of_another_node_is_refused():
    disk = Disk(World(1))
    Identity(Mount(disk, 1, Checker()), "c", DIGEST)
    with pytest.raises(ClusterMismatch):
        Identity(Mount(disk, 2, Checker()), "c", DIGEST)


def test_work_that_was_taken_back_is_not_done_and_what_has_begun_is():
    """As of a thread: a node that closes no longer waits for what it has asked for."""
    machine = Machine()
    thread = StateWriter(machine.mount, machine.trapped)
    begun, waiting, last = (thread.submit(machine.told.append, name) for name in ("begun", "waiting", "last"))
    assert not begun.cancel()
    assert waiting.cancel()
    machine.told.clear()
    thread.shutdown()
    assert machine.told == ["begun", "last"]
    assert (begun.done(), last.done()) == (True, True)

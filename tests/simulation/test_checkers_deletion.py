"""The checker of deletions."""

from types import SimpleNamespace

import pytest

from multiraft.engine.logstore.port import GroupWrite
from multiraft.engine.replica import SYSTEM_GROUP
from multiraft.engine.statemachine.commands import encode_put, encode_retire, envelope
from multiraft.shards.descriptor import RangeDescriptor
from multiraft.shards.directory_commands import Doomed, delete_body
from tests.simulation.checkers.base import Kind, Operation, Outcome, Violation
from tests.simulation.checkers.chosen import Chosen
from tests.simulation.checkers.deletion import Deletion
from tests.simulation.checkers.directory import Directory
from tests.simulation.checkers.disk import Disks, ShadowLog
from tests.simulation.checkers.models import REFUSED, Models, RangeModel
from tests.simulation.test_checkers_directory import create, machine, system
from tests.simulation.traces import command

GROUP = 2
SYSTEM = SimpleNamespace(group=SYSTEM_GROUP)


class World:
    """A directory that has deleted the first of its two ranges, and what the checker knows of them."""

    def __init__(self) -> None:
        self.disks, chosen = Disks(), Chosen()
        self.models = Models(chosen)
        directory = Directory(self.disks, chosen)
        self.model = directory.model
        self.model.members = {1, 2, 3}
        self.checker = Deletion(self.disks, self.models, directory)
        self.machine = machine(1)
        self.do(create(2, (b"", b"m"), (b"m", None)))
        birth = self.machine.directory.by_group(GROUP).birth_on(1)
        self.ranges = self.models.by_group[GROUP] = RangeModel(birth)
        self.disks.of(1).logs[GROUP] = ShadowLog(birth)

    def do(self, entry) -> None:
        self.model.apply(entry)
        self.machine.apply([entry.data])

    def delete(self) -> None:
        self.do(system(3, delete_body([Doomed(GROUP, 1)])))

    def retire(self) -> None:
        self.ranges.apply(command(2, encode_retire())._replace(data=envelope(7, 1, 1, encode_retire())))

    def flush(self) -> None:
        running = {SYSTEM_GROUP: SimpleNamespace(machine=self.machine)}
        state = SimpleNamespace(flushing=SimpleNamespace(groups={SYSTEM_GROUP: None}))
        node = SimpleNamespace(state=state, replicas=SimpleNamespace(running=running))
        self.checker.turned(1, node, {})


@pytest.fixture
def world() -> World:
    return World()


def test_the_model_of_a_directory_deletes_what_is_there(world: World):
    world.delete()
    world.do(system(4, delete_body([Doomed(GROUP, 1)])))
    world.do(create(5, (b"", b"m")))
    found = world.machine.directory.overlapping(b"", None)
    assert sorted(found) == world.model.alive_at(world.model.version)
    assert [one.group for one in world.model.alive_at(1)] == [2, 3]
    assert [one.group for one in world.model.overlapping(b"", None)] == [4, 3]
    assert world.model.counts[1:] == [2, 1, 1, 2]
    assert all(isinstance(one, RangeDescriptor) for one in found)


def test_the_model_of_a_range_refuses_everything_once_it_is_retired(world: World):
    put = command(3, b"")._replace(data=envelope(7, 2, 1, encode_put(b"a", b"1")))
    world.retire()
    world.ranges.apply(put)
    assert world.ranges.retired_at == 2
    assert world.ranges.results == {2: None, 3: REFUSED}
    assert world.ranges.values == {}


def test_a_range_that_is_forgotten_and_still_serves(world: World):
    world.delete()
    with pytest.raises(Violation, match="forgets group 2, which serves"):
        world.checker.applied(1, SYSTEM, [])


def test_a_range_that_has_retired_may_be_forgotten(world: World):
    world.retire()
    world.delete()
    world.checker.applied(1, SYSTEM, [])
    world.checker.staged(1, 7, [GroupWrite(GROUP, 1, tombstone=True)])


def test_a_replica_that_is_buried_though_nobody_deleted_its_range(world: World):
    with pytest.raises(Violation, match="group 2 is buried, and was not deleted"):
        world.checker.staged(1, 7, [GroupWrite(GROUP, 1, tombstone=True)])


def test_a_directory_that_is_flushed_before_the_replica_is_buried(world: World):
    world.flush()
    world.delete()
    with pytest.raises(Violation, match=r"flushed without \[2\]"):
        world.flush()
    del world.disks.of(1).logs[GROUP]
    world.flush()


def test_a_deletion_that_is_acknowledged_and_did_not_happen(world: World):
    told = Operation(0, 1, Kind.DELETE_RANGES, (b"a",), (b"", b"m"))
    again = Operation(1, 1, Kind.DELETE_RANGES, (b"a",), (b"", b"m"))
    world.checker.invoked(told)
    told.outcome = Outcome.OK
    with pytest.raises(Violation, match=r"\[2\] are not deleted"):
        world.checker.completed(told)
    world.checker.invoked(again)
    world.delete()
    again.outcome = Outcome.OK
    world.checker.completed(again)

"""The checker of the directory, and the model behind it."""

import random

import pytest

from multiraft.engine.errors import Error
from multiraft.engine.logstore.port import Birth, GroupWrite
from multiraft.engine.replica import SYSTEM_GROUP
from multiraft.engine.statemachine.commands import envelope
from multiraft.engine.statemachine.memory_group import MemoryGroup
from multiraft.raft.entry import Entry
from multiraft.raft.state import Snapshot
from multiraft.shards.directory import Directory as RealDirectory
from multiraft.shards.directory_commands import create_body, register_body
from multiraft.shards.directory_machine import DirectoryMachine
from tests.simulation.checkers.base import Kind, Operation, Outcome, Violation
from tests.simulation.checkers.directory import Directory, DirectoryModel
from tests.simulation.checkers.raft_safety import RaftSafety
from tests.simulation.traces import CONF, NODES, Trace, command

UUID = b"u" * 16


class Directories(Trace):
    """A system group, whose machines are real."""

    def __init__(self) -> None:
        super().__init__(
            lambda shared: [RaftSafety(shared.disks, shared.chosen), Directory(shared.disks, shared.chosen)],
            SYSTEM_GROUP,
        )
        for node in NODES:
            self.replicas[node].machine = machine(node)

    def agree(self, *entries: Entry) -> None:
        self.everywhere(*entries)
        for node in NODES:
            self.apply(node, *entries)

    def born(self, node: int, of: int, **other) -> Birth:
        directory: RealDirectory = self.replicas[node].machine.directory
        birth = directory.by_group(of).birth_on(node)
        assert birth is not None
        return birth._replace(**other)

    def bear(self, node: int, birth: Birth) -> None:
        self.commit(node, GroupWrite(birth.group, birth.replica_id, birth=birth))
        self.nodes[node].replicas.running[birth.group] = object()
        self.turn(node)

    def end(self) -> None:
        """The run is over: every node holds the replicas of other groups without looking into them."""
        self.checker.finished(self)


def machine(node: int) -> DirectoryMachine:
    return DirectoryMachine(
        MemoryGroup(),
        node,
        NODES,
        on_births=lambda births: None,
        on_removals=lambda removals: None,
        on_reload=lambda: None,
        on_change=lambda: None,
    )


def system(index: int, body: bytes, epoch: int = 0) -> Entry:
    entry = command(index, body)
    return entry._replace(data=envelope(7, index, epoch, body))


def create(index: int, *bounds: tuple, replicas: int = 3, nodes=NODES) -> Entry:
    return system(index, create_body(bounds, replicas, nodes))


def register(index: int, node: int, uuid: bytes = UUID) -> Entry:
    return system(index, register_body(node, uuid, "localhost:1", UUID))


@pytest.fixture
def trace() -> Directories:
    return Directories()


def broken(text: str):
    return pytest.raises(Violation, match=f"directory: .*{text}")


def test_a_directory_that_grows_passes(trace: Directories):
    trace.agree(register(2, 1), create(3, (b"a", b"b"), (b"b", b"c")))
    trace.agree(create(4, (b"a", b"b"), (b"x", None)), create(5, (b"a", b"z")), Entry(1, 6))
    for node in NODES:
        for group in (2, 3, 4):
            trace.bear(node, trace.born(node, group))
    done = Operation(1, 1, Kind.CREATE_RANGES, (), ((b"a", b"b"), (b"x", None)), 0.0, 1.0, Outcome.OK, (1, 1))
    trace.suite.completed(done)
    trace.checker.started(1, trace.nodes[1])
    trace.end()


# -- what a node's directory says -----------------------------------------------------------------


def tampered(trace: Directories, node: int, change) -> None:
    """A directory in which something else stands."""
    trace.agree(create(2, (b"a", b"b"), (b"b", b"c")))
    change(trace.replicas[node].machine.directory)


def overlap(directory) -> None:
    directory._ends[0] = b"bb"


def uncover(directory) -> None:
    directory._ends[0] = b"aa"


def move(directory) -> None:
    directory._replicas[1] = ((1, 3), (2, 2), (3, 1))


def refound(directory) -> None:
    directory.cluster_uuid = b"x" * 16


def reuse(directory) -> None:
    directory.next_group = 2


def age(directory) -> None:
    directory._epochs[0] = 9


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (overlap, "overlap"),
        (uncover, "version 1: it differs in"),
        (move, "version 1: it differs in"),
        (age, "version 1: it differs in"),
        (refound, "next group and cluster are"),
        (reuse, "next group and cluster are"),
    ],
)
@pytest.mark.parametrize("when", ["start", "install", "end"])
def test_a_directory_that_is_not_what_was_ordered(trace: Directories, change, text: str, when: str):
    tampered(trace, 2, change)
    with broken(text):
        if when == "start":
            trace.suite.started(2, trace.nodes[2])
        elif when == "install":
            trace.replicas[2].installing = type("Ready", (), {"snapshot": Snapshot(3, 1, CONF)})
            trace.everywhere(Entry(1, 3))
            trace.apply(1, Entry(1, 3))
            trace.set_applied(2, 3, 1)
        else:
            trace.end()


def test_a_command_left_out(trace: Directories):
    trace.everywhere(create(2, (b"a", b"b")))
    trace.apply(1, create(2, (b"a", b"b")))
    with broken("the version is behind what is applied"):
        trace.set_applied(2, 2, 1)


def test_a_command_applied_too_early(trace: Directories):
    trace.everywhere(create(2, (b"a", b"b")), create(3, (b"b", b"c")))
    trace.apply(1, create(2, (b"a", b"b")), create(3, (b"b", b"c")))
    trace.replicas[2].machine.apply([create(2, (b"a", b"b")).data, create(3, (b"b", b"c")).data])
    with broken("the version is ahead of what is applied"):
        trace.set_applied(2, 2, 1)


def test_another_range_created_than_was_ordered(trace: Directories):
    trace.everywhere(create(2, (b"a", b"b")))
    trace.apply(1, create(2, (b"a", b"b")))
    trace.replicas[2].machine.apply([create(2, (b"a", b"c")).data])
    with broken("version 1: .* where the model has"):
        trace.set_applied(2, 2, 1)


def test_a_creation_that_was_to_be_refused(trace: Directories):
    trace.everywhere(create(2, (b"a", b"b")), create(3, (b"a", b"z")))
    trace.apply(1, create(2, (b"a", b"b")), create(3, (b"a", b"z")))
    trace.replicas[2].machine.apply([create(2, (b"a", b"b")).data, create(3, (b"c", b"z")).data])
    with broken("2 ranges, there are 1"):
        trace.set_applied(2, 3, 1)


# -- births ---------------------------------------------------------------------------------------


def test_a_birth_that_nobody_ordered(trace: Directories):
    trace.agree(create(2, (b"a", b"b")))
    with broken("is born, and no directory ordered it"):
        trace.bear(1, trace.born(1, 2, group=9))


@pytest.mark.parametrize(
    "other",
    [
        {"replica_id": 7},
        {"peers": ((1, 1),)},
        {"start": b"0"},
        {"end": None},
        {"epoch": 2},
        {"directory_index": 5},
    ],
)
def test_a_birth_of_something_else_than_was_ordered(trace: Directories, other: dict):
    trace.agree(create(2, (b"a", b"b")))
    with broken("is born, ordered was"):
        trace.bear(1, trace.born(1, 2, **other))


def test_a_birth_on_another_node(trace: Directories):
    trace.agree(create(2, (b"a", b"b"), replicas=1))
    [home] = [node for _, node in trace.replicas[1].machine.directory.by_group(2).replicas]
    stranger = 1 + home % 3
    with broken("is born, ordered was"):
        trace.bear(stranger, trace.born(home, 2))


def test_a_replica_id_used_on_two_nodes(trace: Directories):
    trace.agree(create(2, (b"a", b"b")))
    trace.bear(1, trace.born(1, 2))
    with broken("of group 2: nodes 1, 2"):
        trace.bear(2, trace.born(1, 2))


def test_a_replica_born_twice(trace: Directories):
    trace.agree(create(2, (b"a", b"b")))
    trace.bear(1, trace.born(1, 2))
    with broken("is born where"):
        trace.bear(1, trace.born(1, 2))


def test_a_replica_that_is_missing_in_the_end(trace: Directories):
    trace.agree(create(2, (b"a", b"b")))
    for node in (1, 2):
        trace.bear(node, trace.born(node, 2))
    with broken(r"node 3: \[2\] are not there, \[\] are and should not be"):
        trace.end()
    trace.excused.add(3)
    trace.end()


def test_a_replica_that_should_not_be_there_in_the_end(trace: Directories):
    trace.nodes[1].replicas.running[5] = object()
    with broken(r"node 1: \[\] are not there, \[5\] are and should not be"):
        trace.end()


def test_ranges_said_to_be_created_that_are_not(trace: Directories):
    trace.agree(create(2, (b"a", b"b")))
    done = Operation(1, 1, Kind.CREATE_RANGES, (), ((b"a", b"b"), (b"b", b"c")), 0.0, 1.0, Outcome.OK, (2, 0))
    with broken("there is no"):
        trace.suite.completed(done)


# -- the model itself -----------------------------------------------------------------------------


def test_the_model_and_the_machine_agree_on_random_commands():
    chance = random.Random(3)
    model, real = DirectoryModel(), machine(1)
    model.members |= set(NODES)
    for index in range(2, 300):
        cells = sorted(chance.sample(range(0, 80, 2), chance.randint(1, 3)))
        wider = chance.random() < 0.1
        bounds = [(b"%02d" % cell, b"%02d" % (cell + 1 + wider)) for cell in cells]
        nodes = chance.sample([1, 2, 3, 4], chance.randint(1, 3))
        entry = chance.choice(
            [
                create(index, *bounds, replicas=chance.randint(1, 3), nodes=nodes),
                create(index, *bounds, (b"99", None), replicas=1, nodes=nodes),
                register(index, chance.randint(1, 5), chance.choice([UUID, b"v" * 16])),
                system(index, b"no command"),
                system(index, create_body(bounds, 1, [1]), epoch=3),
            ]
        )
        [result] = real.apply([entry.data])
        created = model.apply(entry)
        expected = len(created) if isinstance(result, tuple) else 0
        assert len(created) == expected, (entry, result)
        assert isinstance(result, (tuple, bytes, Error))
        assert real.version == model.version
        assert real.directory.next_group == model.next_group
        assert sorted(real.directory.overlapping(b"", None)) == model.ranges
    assert model.next_group > 10

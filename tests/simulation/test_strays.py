"""Frames that come again or in the name of another, writes routed astray, and partitions that stay."""

import random
from types import SimpleNamespace

import pytest

from multiraft.engine.outbox import Outbox, OutFrame
from multiraft.engine.runs import Runs
from multiraft.raft.messages import Message, MsgType
from multiraft.raft.state import Role
from tests.simulation.checkers.base import Violation
from tests.simulation.disk import Disk
from tests.simulation.endure import Endurance
from tests.simulation.loop import World
from tests.simulation.strays import Strays
from tests.simulation.trace import rows_of

GROUP = 2


def frame_of(*messages: Message) -> OutFrame:
    outbox = Outbox(Runs())
    for message in messages:
        outbox.add(7, GROUP, message)
    (frame,) = outbox.frames(directory_index=1)
    return frame


def node(running: bool = True):
    replica = SimpleNamespace(nodes={1: 5, 2: 6, 3: 7})
    replicas = SimpleNamespace(running={GROUP: replica} if running else {})
    return SimpleNamespace(replicas=replicas, directory_index=1)


def acknowledgement(reject: bool = False) -> Message:
    return Message(MsgType.APP_RESP, to=3, from_=1, term=4, index=9, reject=reject)


def test_nothing_strays_unless_a_fault_says_so():
    strays = Strays(random.Random(1))
    assert [strays.beside(node(), [frame_of(acknowledgement())]) for _ in range(50)] == [[]] * 50


def test_an_echo_is_a_frame_of_before():
    strays, first, second = Strays(random.Random(1)), frame_of(acknowledgement()), frame_of(acknowledgement())
    strays.beside(node(), [first])
    strays.echo = 1.0
    assert strays.beside(node(), [second]) == [first]


def test_an_answer_is_forged_in_the_name_of_the_third():
    strays = Strays(random.Random(1))
    strays.forge = 1.0
    answers = (acknowledgement(), acknowledgement(reject=True), Message(MsgType.PRE_VOTE_RESP, 3, 1, 4))
    (forged,) = strays.beside(node(), [frame_of(*answers)])
    (row,) = rows_of(forged)
    assert (forged.node, row.group, row.message.from_, row.message.to) == (7, GROUP, 2, 3)
    assert (row.message.type, row.message.term, row.message.index) == (MsgType.APP_RESP, 4, 9)


def test_a_context_is_forged_with_its_answer():
    strays = Strays(random.Random(1))
    strays.forge = 1.0
    answer = Message(MsgType.HEARTBEAT_RESP, 3, 1, 4, context=b"read")
    (forged,) = strays.beside(node(), [frame_of(answer)])
    assert rows_of(forged)[0].message.context == b"read"
    assert not strays.beside(node(running=False), [frame_of(answer)])


def test_a_disk_that_hangs_ends_nothing():
    world = World(1)
    disk = Disk(world)
    ended: list[float] = []

    def end() -> None:
        if not disk.stalls(end):
            ended.append(world.now)

    disk.stalled_until = 2.0
    end()
    world.run(1.9)
    assert not ended
    world.run(3.0)
    assert ended == [pytest.approx(2.0, abs=0.1)]


class Group:
    """One group on three nodes, of which some lead."""

    def __init__(self, *leaders: int, term: int = 1) -> None:
        self.replicas = {
            one: SimpleNamespace(
                replica_id=one,
                leads=one in leaders,
                birth=SimpleNamespace(peers=[(member, member) for member in (1, 2, 3)]),
                raw=SimpleNamespace(raft=SimpleNamespace(term=term, role=Role.FOLLOWER)),
            )
            for one in (1, 2, 3)
        }

    def cluster(self):
        nodes = {
            one: SimpleNamespace(replicas=SimpleNamespace(running={GROUP: replica}))
            for one, replica in self.replicas.items()
        }
        return SimpleNamespace(ids=(1, 2, 3), nodes=nodes, excused=set())


def endured(group: Group, kind: str = "alone") -> Endurance:
    return Endurance(group.cluster(), kind, 0.0)


def test_one_leader_that_stays_is_what_is_asked_for():
    partition = endured(Group(2))
    partition.look()
    partition.look()


def test_two_leaders_or_none_or_another_one_are_objected_to():
    with pytest.raises(Violation, match="is led by"):
        endured(Group(1, 2)).look()
    with pytest.raises(Violation, match="is led by"):
        endured(Group()).look()
    partition = endured(Group(2))
    partition.look()
    partition.cluster = Group(3, term=2).cluster()
    with pytest.raises(Violation, match="changes its leader"):
        partition.look()


def test_without_a_majority_nobody_need_lead():
    partition = endured(Group())
    partition.cluster.excused = {2}
    partition.look()


@pytest.mark.parametrize(
    ("kind", "ways"),
    [
        ("cut", {(7001, 7002), (7002, 7001)}),
        ("deaf", {(7002, 7001), (7003, 7001)}),
        ("mute", {(7001, 7002), (7001, 7003)}),
        ("alone", {(7001, 7002), (7001, 7003), (7002, 7001), (7003, 7001)}),
    ],
)
def test_what_each_partition_cuts(kind: str, ways: set[tuple[int, int]]):
    assert set(endured(Group(2), kind).ways) == ways

"""A replica whose state is lost, old or damaged: its log brings it back, or else a peer does."""

import logging
from dataclasses import replace

import pytest

from multiraft.engine.errors import Corruption, NotLeader, OutcomeUnknown
from multiraft.engine.statemachine.commands import encode_delete, envelope
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.records import PREFIX, Kind, record_key
from multiraft.engine.transport.kinds import FrameKind
from multiraft.shards.queries import get_query, read_stale

from .harness import CONFIG, Host, Machine, Nodes, put
from .settled import GROUP, settled

CUT = replace(CONFIG, log_keep_entries=10, snapshot_ms=2000)


def filled(config=CUT, count: int = 60, nodes: int = 3) -> Nodes:
    """All replicas have applied as much, and flushed it; with `CUT` no log reaches back to the birth."""
    cluster = Nodes(nodes, config=config)
    cluster.create(GROUP)
    cluster.settle()
    fill(cluster, count)
    cluster.pass_time(2)
    fill(cluster, 5, count)
    return cluster


def fill(nodes: Nodes, count: int, start: int = 0) -> None:
    leader = nodes.leader(GROUP)
    for number in range(start, start + count):
        leader.propose(GROUP, put(b"%03d" % number, b"x"), token=number)
        nodes.settle()
        assert leader.answer(number) == [None]


def restart(nodes: Nodes, node: int, contents: dict[bytes, bytes]) -> Host:
    """Kill a node and start it with other contents in its state store."""
    host = nodes[node].crash()
    return Host(nodes, node, host.log.crash(), MemoryStateStore(contents))


def stored(host: Host) -> dict[bytes, bytes]:
    """A copy of what is in the state store."""
    return dict(host.state.medium.contents)


def flip(contents: dict[bytes, bytes], key: bytes) -> None:
    value = bytearray(contents[key])
    value[-1] ^= 1
    contents[key] = bytes(value)


def is_missing(host: Host) -> bool:
    return host.replica(GROUP).rebuilding is not None


def assert_all_equal(nodes: Nodes, index: int | None = None) -> None:
    hosts = list(nodes.hosts.values())
    assert not any(map(is_missing, hosts))
    assert len({host.replica(GROUP).applied.index for host in hosts}) == 1
    assert len({host.machine(GROUP).digest() for host in hosts}) == 1
    assert index is None or hosts[0].replica(GROUP).applied.index == index


@pytest.mark.parametrize("machine", ["lmdb", "memory"])
@pytest.mark.parametrize("node", [1, 3])
def test_a_lost_state_comes_from_a_peer(machine: str, node: int):
    """The leader's too. Afterwards the log is what it was, and a restart finds the new state."""
    nodes = filled(replace(CUT, state_machine=machine))
    host = restart(nodes, node, {})
    assert is_missing(host)
    last = host.log.group(GROUP).last_index()
    assert host.log.group(GROUP).first_index() > 20
    nodes.pass_time(4)
    assert_all_equal(nodes)
    assert host.log.group(GROUP).first_index() <= last, "an installation would have reset it"
    fill(nodes, 3, 70)
    reborn = nodes[node].crash()
    assert not is_missing(reborn)
    nodes.pass_time(4)
    assert_all_equal(nodes)


def test_a_leader_with_an_older_checkpoint_makes_a_new_one():
    """The log was cut behind a newer one, which is lost, and nobody writes anything any more."""
    nodes = filled(replace(CUT, log_keep_entries=1000, state_machine="memory"), 20)
    host, leader = nodes[3], nodes.leader(GROUP)
    replica = host.replica(GROUP)
    host.node._flusher.ask_checkpoint(replica)
    nodes.pass_time(1)
    host.node._truncations._add(replica, replica.keeping.compaction(replica.passed, {}, nodes.now))
    nodes.pass_time(1)
    assert leader.state.durable_applied(GROUP) < host.log.group(GROUP).first_index() - 1
    host = restart(nodes, 3, {})
    assert is_missing(host)
    nodes.pass_time(4)
    assert_all_equal(nodes)


def test_without_its_state_a_replica_votes_and_replicates():
    """No snapshot comes through, and one of the other two is away: what it holds and says must count."""
    nodes = filled()
    host = restart(nodes, 3, {})
    nodes.cut.add(2)
    last = host.log.group(GROUP).last_index()
    nodes[1].propose(GROUP, put(b"with", b"node 3"))
    for _ in range(5):
        nodes.now += 0.1
        for one in nodes.hosts.values():
            one.turn()
            one.write()
            one.flush()
        nodes.streams.lose(FrameKind.OFFER)
        nodes.deliver()
    assert nodes[1].answer() == [None]
    assert host.replica(GROUP).raw.raft.log.committed > last
    assert is_missing(host)
    assert host.replica(GROUP).raw.raft.log.applied < last, "nothing was applied meanwhile"
    nodes.cut.clear()
    nodes.pass_time(8)
    assert_all_equal(nodes)


def test_a_leader_without_state_serves_nobody_and_lets_another_one_lead():
    nodes = filled()
    host = restart(nodes, 3, {})
    host.replica(GROUP).raw.force_election()
    for _ in range(8):
        for one in nodes.hosts.values():
            one.turn()
            one.write()
        nodes.streams.lose(FrameKind.OFFER)
        nodes.deliver()
    if host.replica(GROUP).leads:
        host.read(GROUP, b"001")
        host.propose(GROUP, put(b"k", b"v"))
        host.turn()
        for token in ("read", "proposal"):
            refused = host.answer(token)
            assert isinstance(refused, NotLeader)
            assert refused.leader is None
    nodes.pass_time(4)
    assert_all_equal(nodes)
    assert nodes.leader(GROUP) is not host


def test_no_stale_read_is_answered_from_a_state_that_is_not_there():
    """It would be told that no key exists; another replica has them all."""
    nodes = filled()
    host = restart(nodes, 3, {})
    query = get_query(1, b"001")
    with pytest.raises(NotLeader):
        read_stale(host.node, GROUP, query)
    nodes.pass_time(4)
    assert read_stale(host.node, GROUP, query) == [b"x"]


def test_two_of_three_may_lose_their_state():
    nodes = filled()
    for node in (1, 2):
        restart(nodes, node, {})
    nodes.pass_time(10)
    assert_all_equal(nodes)
    fill(nodes, 3, 70)
    assert_all_equal(nodes)


@pytest.mark.parametrize("count", [1, 3])
def test_a_lost_state_comes_from_a_log_that_reaches_back(count: int):
    nodes = filled(CONFIG, nodes=count)
    digest = nodes[1].machine(GROUP).digest()
    host = restart(nodes, 1, {})
    assert not is_missing(host)
    nodes.pass_time(2)
    assert host.machine(GROUP).digest() == digest


def test_with_no_peer_a_lost_state_is_corruption():
    nodes = filled(nodes=1)
    host = restart(nodes, 1, {})
    assert isinstance(host.node.replicas.lost[GROUP], Corruption)
    host.read(GROUP, b"001")
    host.turn()
    assert isinstance(host.answer("read"), Corruption)


def test_a_state_that_is_older_than_the_log_is_replaced():
    nodes = filled(count=15)
    old = stored(nodes[3])
    fill(nodes, 60, 100)
    nodes.pass_time(2)
    fill(nodes, 1, 200)
    assert nodes[3].log.group(GROUP).first_index() > 40
    host = restart(nodes, 3, old)
    assert is_missing(host)
    nodes.pass_time(4)
    assert_all_equal(nodes)


def test_a_damaged_record_costs_the_state_and_nothing_else():
    nodes = filled()
    contents = stored(nodes[3])
    flip(contents, record_key(Kind.GROUP, GROUP))
    host = restart(nodes, 3, contents)
    assert is_missing(host)
    nodes.pass_time(4)
    assert_all_equal(nodes)
    reborn = nodes[3].crash()
    assert not is_missing(reborn)


def test_a_damaged_record_is_made_anew_from_a_whole_log():
    nodes = filled(CONFIG, nodes=1)
    digest, contents = nodes[1].machine(GROUP).digest(), stored(nodes[1])
    flip(contents, record_key(Kind.GROUP, GROUP))
    host = restart(nodes, 1, contents)
    nodes.pass_time(2)
    assert host.machine(GROUP).digest() == digest
    nodes.pass_time(2)
    assert host.crash().state.applied(GROUP) is not None


def damage_value(host: Host, key: bytes) -> None:
    """Flip a bit of a value at rest; later flushes leave it alone."""
    prefix = host.state.group(GROUP).stored_prefix()
    flip(host.state.medium.contents, PREFIX.pack(prefix) + key)


def test_damage_that_a_read_meets_is_told_and_mended(caplog: pytest.LogCaptureFixture):
    nodes = filled()
    nodes.pass_time(1)
    leader = nodes.leader(GROUP)
    damage_value(leader, b"007")
    leader.read(GROUP, b"007")
    with caplog.at_level(logging.ERROR):
        nodes.settle()
    assert isinstance(leader.answer("read"), Corruption)
    assert is_missing(leader)
    assert "its state here is lost" in caplog.text
    nodes.pass_time(6)
    assert_all_equal(nodes)
    other = nodes.leader(GROUP)
    assert other is not leader
    other.read(GROUP, b"007", token="again")
    nodes.settle()
    assert other.answer("again") == b"x"


@pytest.mark.parametrize("victim", [1, 3])
def test_damage_that_an_apply_meets_is_mended(victim: int):
    """What the command had done is taken back, and the entry is applied to the peer's state."""
    nodes = filled()
    nodes.pass_time(1)
    leader = nodes.leader(GROUP)
    assert leader is nodes[1]
    damage_value(nodes[victim], b"007")
    commands = [put(b"before", b"1"), envelope(7, 9, 1, encode_delete(b"007")), put(b"after", b"1")]
    leader.propose(GROUP, *commands)
    nodes.pass_time(1)
    assert nodes[victim].replica(GROUP).quarantine is None
    nodes.pass_time(8)
    assert_all_equal(nodes)
    for host in nodes.hosts.values():
        assert host.machine(GROUP).get(b"007") is None
        assert host.machine(GROUP).get(b"after") == b"1"
    answer = leader.answer()
    assert answer == [None, True, None] if victim == 3 else isinstance(answer, OutcomeUnknown)
    fill(nodes, 2, 70)


def test_damage_that_a_leader_meets_while_it_sends_its_state_is_mended():
    nodes = filled()
    nodes.pass_time(1)
    damage_value(nodes[1], b"007")
    restart(nodes, 3, {})
    nodes.pass_time(8)
    assert_all_equal(nodes)


def test_a_leader_from_which_a_key_has_vanished_does_not_pass_that_on():
    """Every value that is left is whole: only their number, compared as they are sent, says it."""
    nodes = filled()
    nodes.pass_time(1)
    prefix = nodes[1].state.group(GROUP).stored_prefix()
    medium = nodes[1].state.medium
    medium._keys.remove(PREFIX.pack(prefix) + b"007")
    del medium.contents[PREFIX.pack(prefix) + b"007"]
    restart(nodes, 3, {})
    nodes.pass_time(12)
    assert_all_equal(nodes)
    assert nodes[3].machine(GROUP).get(b"007") == b"x"


def test_damage_that_a_flush_meets_is_mended(caplog: pytest.LogCaptureFixture):
    """The flush must read the group's record; it writes nothing of that group, and the others' it does."""
    nodes = filled()
    nodes.pass_time(1)
    flip(nodes[3].state.medium.contents, record_key(Kind.GROUP, GROUP))
    fill(nodes, 1, 80)
    nodes.pass_time(4)
    assert "its state here is lost" in caplog.text
    assert_all_equal(nodes)
    assert nodes[3].crash().state.applied(GROUP) is not None


def test_alone_a_damaged_record_stops_the_group():
    nodes = filled(nodes=1)
    flip(nodes[1].state.medium.contents, record_key(Kind.GROUP, GROUP))
    fill(nodes, 1, 80)
    nodes.pass_time(1)
    assert GROUP in nodes[1].node.replicas.lost


def test_a_crash_before_the_new_state_is_durable_asks_again():
    nodes = filled()
    host = restart(nodes, 3, {})
    for _ in range(60):
        nodes.now += 0.1
        for one in nodes.hosts.values():
            one.turn()
            one.write()
            one.read_state()
            one.flush_staged()
        if not is_missing(host):
            break
        nodes.deliver()
    assert not is_missing(host)
    reborn = host.crash()
    assert is_missing(reborn)
    nodes.pass_time(8)
    assert_all_equal(nodes)


def test_a_request_is_answered_once_and_by_the_leader_alone():
    nodes = filled()
    host = restart(nodes, 3, {})
    for _ in range(30):
        nodes.now += 0.1
        for one in nodes.hosts.values():
            one.turn()
            one.write()
            one.read_state()
        nodes.streams.lose(FrameKind.CHUNK)
        nodes.deliver()
    assert nodes.streams.made == 2, "in three seconds, and it is given up after two"
    assert is_missing(host)


def damage(machine: Machine) -> None:
    """A bit of what the machine keeps has turned over: whoever meets it is told, until it is replaced."""

    def fail(*_):
        raise Corruption("its checksum does not match", GROUP)

    def restore(data):
        del machine.apply, machine.get, machine.restore
        machine.restore(data)

    machine.apply = machine.get = fail
    machine.restore = restore


@pytest.mark.parametrize("meets", ["a command", "a read"])
def test_a_leader_whose_state_is_damaged_makes_room_for_another(meets: str):
    """It went on leading and refused everything, while its peers held the state whole."""
    nodes = settled()
    damage(nodes[1].machine(GROUP))
    if meets == "a command":
        nodes[1].propose(GROUP, put(b"a", b"1"))
    else:
        nodes[1].read(GROUP, b"a", token="proposal")
    nodes.settle()
    assert nodes[1].answered()
    assert nodes[1].replica(GROUP).rebuilding is not None
    nodes.pass_time(3)
    leader = nodes.leader(GROUP)
    assert leader is not nodes[1]
    leader.propose(GROUP, put(b"b", b"2"), token="later")
    nodes[1].propose(GROUP, put(b"b", b"3"), token="elsewhere")
    nodes.settle()
    assert leader.answer("later") == [None]
    assert isinstance(nodes[1].answer("elsewhere"), NotLeader), "or its caller would not look elsewhere"


def test_a_replica_without_peers_stays_and_tells_of_its_damage():
    nodes = Nodes(1)
    nodes.create(GROUP)
    nodes.settle()
    damage(nodes[1].machine(GROUP))
    nodes[1].read(GROUP, b"a")
    nodes.settle()
    assert isinstance(nodes[1].answer("read"), Corruption)
    assert nodes[1].replica(GROUP).leads

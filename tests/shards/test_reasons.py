"""Every reason why a group's requests are not finished, on nodes that are brought into that state."""

from dataclasses import replace

import pytest

from multiraft.engine.errors import Corruption, DiskFull, Error, StorageFailed
from multiraft.raft.progress import ProgressState
from multiraft.shards.explanation import Explanation
from multiraft.shards.groupfacts import decode_facts, encode_facts, group_facts
from multiraft.shards.reasons import judge
from tests.engine.harness import CONFIG, TICK, Host, Nodes, put
from tests.engine.settled import GROUP

MEMBERS = (1, 2, 3)


class Shell:
    """What :func:`group_facts` asks of the host around a node of the harness."""

    def __init__(self, nodes: Nodes, host: Host, stopped: Error | None) -> None:
        self._nodes = nodes
        self.node = host.node
        self.stopped = stopped

    def connected(self) -> list[int]:
        return [] if self._cut(self.node.node_id) else [one for one in self._others() if not self._cut(one)]

    def _others(self) -> list[int]:
        return [one for one in self._nodes.hosts if one != self.node.node_id]

    def _cut(self, node: int) -> bool:
        return node in self._nodes.cut


def facts(nodes: Nodes, node: int, stopped: Error | None = None):
    """What a node says, by way of the wire."""
    found = group_facts(Shell(nodes, nodes[node], stopped), GROUP)
    assert decode_facts([encode_facts(found)], node) == found
    return found


def explain(nodes: Nodes, asked: int = 1, **stopped: Error) -> Explanation:
    """What a node finds out that asks all it can reach; ``node2=error`` has node 2 stopped."""
    heard = [one for one in MEMBERS if one == asked or not {one, asked} & nodes.cut]
    said = {one: facts(nodes, one, stopped.get(f"node{one}")) for one in heard}
    return judge(GROUP, asked, MEMBERS, said)


def codes(found: Explanation, *, blocking: bool | None = None) -> list[tuple[str, int | None]]:
    return [(one.code, one.node) for one in found.reasons if blocking in {None, one.blocks}]


def led(**settings) -> Nodes:
    """Three nodes, the first of which leads."""
    nodes = Nodes(config=replace(CONFIG, **settings))
    nodes.create(GROUP)
    nodes.settle()
    assert nodes.leader(GROUP) is nodes[1]
    return nodes


def cut_off(nodes: Nodes, *lost: int) -> None:
    nodes.cut |= {*lost}
    for node in nodes.hosts:
        nodes[node].inputs.peers_lost += [one for one in lost if one != node]


def propose(nodes: Nodes, count: int, sequence: int = 1) -> None:
    for number in range(sequence, sequence + count):
        nodes[1].propose(GROUP, put(b"%03d" % number, b"x" * 50), token=number)


def test_nothing_is_wrong():
    found = explain(led(), asked=2)
    assert (found.reasons, found.leader, found.term, found.blocked) == ((), 1, 1, False)
    assert found.words() == "Nothing is wrong: node 1 leads in term 1, and every replica has all."


def test_a_replica_that_is_not_born_yet_or_never_was():
    nodes = Nodes()
    nodes.create(GROUP, nodes=[2])
    nodes[2].turn()
    found = explain(nodes, asked=1)
    assert codes(found) == [
        ("missing", 1),
        ("unborn", 2),
        ("missing", 3),
        ("no-leader", None),
        ("no-quorum", None),
    ]
    assert found.blocked
    assert (found.leader, found.term) == (None, 0)


def test_nobody_has_called_an_election():
    nodes = Nodes()
    nodes.create(GROUP, nodes=[2, 3])
    nodes.settle()
    found = explain(nodes, asked=2)
    assert codes(found, blocking=True) == [("no-leader", None)]
    assert "no election has begun" in found.reasons[0].text
    assert codes(found, blocking=False) == [("missing", 1)]


def test_an_election_that_nobody_can_win():
    nodes = led()
    cut_off(nodes, 1, 3)
    nodes.pass_time(3)
    found = explain(nodes, asked=2)
    assert codes(found) == [("unreachable", 1), ("unreachable", 3), ("no-leader", None), ("no-quorum", None)]
    assert "node 2 calls an election in term" in found.words()
    assert "1 of 3 replicas that vote can take part now, and 2 are needed." in found.words()
    assert all(one.blocks for one in found.reasons)


def test_a_leader_that_is_only_believed_in():
    nodes = led()
    cut_off(nodes, 1)
    found = explain(nodes, asked=2)
    assert codes(found, blocking=True) == [("no-leader", None)]
    assert found.leader == 1
    assert "Node 1 leads as far as the others know" in found.words()


def test_one_member_is_away_and_the_others_make_up_for_it():
    nodes = led()
    cut_off(nodes, 3)
    propose(nodes, 5)
    nodes.settle()
    found = explain(nodes)
    assert codes(found) == [("unreachable", 3), ("probing", 3), ("behind", 3)]
    assert not found.blocked
    assert "Node 3 is 5 entries behind: it has acknowledged index 2 of 7" in found.words()


def test_a_leader_without_a_quorum():
    nodes = led()
    cut_off(nodes, 2, 3)
    propose(nodes, 2)
    nodes.settle()
    found = explain(nodes)
    blocking = [("unreachable", 2), ("unreachable", 3), ("probing", 2), ("probing", 3), ("no-quorum", None)]
    assert codes(found, blocking=True) == blocking
    assert ("uncommitted", None) in codes(found, blocking=False)
    assert "No quorum has acknowledged the entries from 3 to 4 yet." in found.words()


def test_the_leader_is_asked_whom_it_reaches_and_not_the_node_that_explains():
    nodes = led()
    said = {one: facts(nodes, one) for one in (1, 2)}
    found = judge(GROUP, 2, MEMBERS, said)
    assert codes(found) == [("silent", 3)]
    alone = said[1]._replace(connected=(2,))
    found = judge(GROUP, 2, MEMBERS, {1: alone, 2: said[2], 3: facts(nodes, 3)})
    assert codes(found) == [("unreachable", 3)]
    assert found.words() == "Node 1, which leads, has no connection to node 3."


def test_of_two_leaders_the_one_of_the_newer_term_counts():
    nodes = led()
    cut_off(nodes, 1)
    nodes.pass_time(0.3)
    old = facts(nodes, 1)
    nodes.pass_time(3)
    said = {1: old, 2: facts(nodes, 2), 3: facts(nodes, 3)}
    found = judge(GROUP, 1, MEMBERS, said)
    assert found.leader in {2, 3}
    assert found.term > old.replica.term
    assert old.replica.role == "LEADER"


def test_a_full_window():
    nodes = led(inflight_messages=4)
    nodes.cut |= {2, 3}  # without a word
    for sequence in range(1, 7):
        propose(nodes, 1, sequence)
        nodes[1].turn()
        nodes[1].write()
    found = judge(GROUP, 1, MEMBERS, {one: facts(nodes, one) for one in MEMBERS})
    full = [one for one in found.reasons if one.code == "window-full"]
    assert [(one.node, one.blocks) for one in full] == [(2, True), (3, True)]
    assert full[0].text == "The window of node 2 is full: 4 appends to it have no answer."


def test_a_snapshot_on_its_way_and_one_being_put_in_place():
    nodes = led(log_keep_entries=10)
    cut_off(nodes, 3)
    for sequence in range(1, 41):
        propose(nodes, 1, sequence)
        nodes.settle()
    nodes.pass_time(2)
    propose(nodes, 5, 41)
    nodes.settle()
    nodes.cut.clear()
    raft = nodes[1].replica(GROUP).raw.raft
    receiver = raft.tracker.progress[nodes[1].replica(GROUP).replica_of_node[3]]
    while receiver.state is not ProgressState.SNAPSHOT:
        nodes.now += TICK
        for host in nodes.hosts.values():
            host.turn()
            host.write()
            host.flush()
        nodes.deliver(streams=False)
    found = explain(nodes)
    assert ("snapshot", 3) in codes(found)
    assert f"A snapshot of index {receiver.pending_snapshot} is on its way to node 3." in found.words()
    for _ in range(100):
        if nodes[3].replica(GROUP).installing:
            break
        nodes.deliver()
        for host in nodes.hosts.values():
            host.turn()
            host.read_state()
            host.flush_staged()
    assert ("installing", 3) in codes(explain(nodes))
    nodes.pass_time(1)
    assert explain(nodes).reasons == ()


def test_a_replica_that_was_set_aside():
    nodes = led()
    nodes[3].node.replicas.fence(nodes[3].replica(GROUP), Corruption("entry 7 is damaged", GROUP, 7))
    found = explain(nodes)
    assert codes(found) == [("quarantined", 3)]
    assert "entry 7 is damaged" in found.words()
    assert not found.blocked
    nodes[2].node.replicas.fence(nodes[2].replica(GROUP), Corruption("so is this", GROUP, 7))
    assert codes(explain(nodes), blocking=True) == [
        ("quarantined", 2),
        ("quarantined", 3),
        ("no-quorum", None),
    ]


def test_a_machine_that_has_raised():
    nodes = led()
    for node in MEMBERS:
        nodes[node].machine(GROUP).fails = True
    propose(nodes, 1)
    nodes.settle()
    found = explain(nodes)
    assert codes(found, blocking=True) == [("apply-stopped", 1)]
    assert codes(found, blocking=False) == [("apply-stopped", 2), ("apply-stopped", 3)]
    assert "the machine is broken" in found.words()


@pytest.mark.parametrize(
    ("error", "code"), [(DiskFull("no space for 4 KiB"), "disk-full"), (StorageFailed("EIO"), "disk-failed")]
)
def test_a_disk_that_takes_no_writes(error: Error, code: str):
    nodes = led()
    nodes[3].node.replicas.trouble = error
    found = explain(nodes)
    assert codes(found) == [(code, 3)]
    assert not found.blocked
    assert str(error) in found.words()
    nodes[2].node.replicas.trouble = error
    assert codes(explain(nodes), blocking=True) == [(code, 2), (code, 3), ("no-quorum", None)]
    nodes[2].node.replicas.trouble = nodes[3].node.replicas.trouble = None
    nodes[1].node.replicas.trouble = error
    assert codes(explain(nodes), blocking=True) == [(code, 1)]


def test_a_node_that_has_stopped():
    nodes = led()
    error = StorageFailed("a turn failed")
    assert codes(explain(nodes, node3=error)) == [("stopped", 3)]
    assert codes(explain(nodes, node1=error), blocking=True) == [("no-leader", None)]
    assert explain(nodes, node2=error, node3=error).blocked


def test_entries_on_their_way_to_the_disk_and_proposals_before_that():
    nodes = led(batches_in_flight=1)
    propose(nodes, 3)
    nodes[1].turn()
    propose(nodes, 2, 4)
    nodes[1].turn()
    words = explain(nodes).words()
    assert "2 proposals are not in the log of node 1 yet." in words
    assert "3 entries are not on the disk of node 1 yet." in words


def test_a_log_that_takes_no_more():
    nodes = led(uncommitted_bytes=100)
    propose(nodes, 3)
    nodes[1].turn()
    found = explain(nodes)
    assert ("log-full", 1) in codes(found, blocking=True)


def test_leadership_being_handed_over():
    nodes = led()
    nodes[1].replica(GROUP).raw.transfer_leadership(12)
    found = explain(nodes)
    assert codes(found, blocking=True) == [("transfer", 1)]
    assert "handed to node 2" in found.words()


def test_a_leader_of_a_new_term():
    nodes = led()
    cut_off(nodes, 1)
    others = [nodes[2], nodes[3]]
    while not any(host.replica(GROUP).leads for host in others):
        nodes.now += TICK
        for _ in range(4):
            for host in others:
                host.turn()
                host.write()
            if any(host.replica(GROUP).leads for host in others):
                break
            nodes.deliver()
    leader = next(host.node_id for host in others if host.replica(GROUP).leads)
    assert ("new-leader", leader) in codes(explain(nodes, asked=leader), blocking=True)
    nodes.settle()
    assert codes(explain(nodes, asked=leader), blocking=True) == []


def test_committed_entries_that_are_not_applied():
    nodes = led()
    said = {one: facts(nodes, one) for one in MEMBERS}
    leader = said[1].replica
    said[1] = said[1]._replace(replica=leader._replace(applied=leader.commit - 1))
    found = judge(GROUP, 1, MEMBERS, said)
    assert codes(found) == [("applying", 1)]
    assert found.words() == "1 committed entry is not applied on node 1 yet."


def test_a_member_that_has_not_been_heard_of():
    nodes = led()
    said = {one: facts(nodes, one) for one in MEMBERS}
    quiet = said[1].members[0]._replace(match=1, recent_active=False)
    said[1] = said[1]._replace(members=(quiet, *said[1].members[1:]))
    found = judge(GROUP, 1, MEMBERS, said)
    assert found.words().endswith("acknowledged index 1 of 2, and has not been heard of lately.")


def test_both_majorities_of_a_joint_configuration_count():
    nodes = led()
    said = {one: facts(nodes, one) for one in MEMBERS}
    said[1] = said[1]._replace(voters=(1, 2), voters_outgoing=(1, 2, 3))
    found = judge(GROUP, 1, MEMBERS, {1: said[1]._replace(connected=(3,)), 2: said[2], 3: said[3]})
    assert codes(found, blocking=True) == [("unreachable", 2), ("no-quorum", None)]
    assert "1 of 2 replicas that vote" in found.words()


def test_a_log_that_a_machine_in_memory_has_no_checkpoint_for(monkeypatch: pytest.MonkeyPatch):
    for place in ("statemachine.kv_snapshot", "replica"):
        monkeypatch.setattr(f"multiraft.engine.{place}.MAX_SNAPSHOT", 100)
    nodes = led(state_machine="memory", log_keep_entries=10)
    for sequence in range(1, 41):
        propose(nodes, 1, sequence)
        nodes.settle()
    nodes.pass_time(2)
    propose(nodes, 1, 41)
    nodes.settle()
    nodes.pass_time(2)
    found = explain(nodes)
    assert codes(found) == [("log-uncut", 1), ("log-uncut", 2), ("log-uncut", 3)]
    assert "grows with every write" in found.reasons[0].text
    assert not found.reasons[0].blocks

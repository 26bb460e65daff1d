"""Elections by timeout have to be admitted: many groups without a leader find one in good order."""

from dataclasses import replace

from multiraft.raft.state import Role

from .harness import CONFIG, Nodes, put

GROUPS = range(10, 60)
MOST = 4


def orphaned() -> Nodes:
    """Three nodes with groups that node 1 leads, which is cut off."""
    nodes = Nodes(config=replace(CONFIG, elections_in_flight=MOST))
    for group in GROUPS:
        nodes.create(group)
    nodes.settle()
    nodes.cut.add(1)
    return nodes


def campaigning(nodes: Nodes, node: int) -> int:
    roles = [replica.raw.raft.role for replica in nodes[node].node.replicas.running.values()]
    return sum(role in {Role.CANDIDATE, Role.PRE_CANDIDATE} for role in roles)


def test_no_more_groups_campaign_at_once_than_are_admitted():
    """The answers are lost, so that none of them comes to an end."""
    nodes = orphaned()
    nodes.cut.update({2, 3})
    for _ in range(30):
        nodes.pass_time(0.1)
        started = [len(nodes[node].node.elections._slots) for node in (2, 3)]
        assert max(started) <= MOST
    assert campaigning(nodes, 2) > MOST, "a slot is given back after a timeout"
    assert nodes[2].node.elections.postponed > 0


def test_every_group_finds_a_leader_and_works():
    nodes = orphaned()
    nodes.pass_time(6)
    for group in GROUPS:
        leader = nodes.leader(group)
        assert leader.node_id != 1
        leader.propose(group, put(b"a", b"1"), token=group)
    nodes.settle()
    assert all(nodes.leader(group).answer(group) == [None] for group in GROUPS)


def test_a_postponed_replica_still_votes_and_follows():
    nodes = orphaned()
    nodes.cut.update({2, 3})
    nodes.pass_time(2)
    nodes.cut.clear()
    nodes.pass_time(4)
    for group in GROUPS:
        leads = [node for node in nodes.hosts if nodes[node].replica(group).leads]
        assert len(leads) == 1


def newborn(cut: bool) -> Nodes:
    """A group whose designated leader's node creates it late; node 1 is known to be alive, or was."""
    nodes = Nodes()
    nodes.create(9)
    nodes.settle()
    if cut:
        nodes.cut.add(1)
        nodes.pass_time(1)
    nodes.create(10, nodes=[2, 3])
    nodes.settle()
    return nodes


def pass_late(nodes: Nodes, rounds: int) -> None:
    """Time passes on nodes that are more than a tick late, again and again."""
    for _ in range(rounds):
        due = max(host.node.deadline for host in nodes.hosts.values())
        nodes.now = max(nodes.now, due) + 1.5 * CONFIG.tick_ms / 1000
        nodes.settle()


def test_a_newborn_waits_for_its_designated_leader_on_a_machine_that_is_slow():
    """It takes its time; others that campaign meanwhile only make it slower."""
    nodes = newborn(cut=False)
    pass_late(nodes, 8)
    assert {nodes[node].replica(10).raw.raft.role for node in (2, 3)} == {Role.FOLLOWER}
    nodes.create(10, nodes=[1])
    nodes.settle()
    assert nodes.leader(10) is nodes[1]
    assert nodes[1].replica(10).raw.raft.term == 1


def test_a_newborn_does_not_wait_for_ever():
    nodes = newborn(cut=False)
    pass_late(nodes, 30)
    assert nodes.leader(10).node_id in {2, 3}


def test_a_newborn_does_not_wait_where_nothing_is_late():
    nodes = newborn(cut=False)
    nodes.pass_time(1.5)
    assert nodes.leader(10).node_id in {2, 3}


def test_a_newborn_does_not_wait_for_a_node_that_is_silent():
    nodes = newborn(cut=True)
    pass_late(nodes, 20)
    assert nodes.leader(10).node_id in {2, 3}

"""The simulation harms what it means to harm, undoes that once, and disturbs nobody by looking."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from multiraft.engine.replica import SYSTEM_GROUP
from tests.simulation.astray import ranges_led
from tests.simulation.cluster import FIRST_PORT
from tests.simulation.plan import Fault, draw
from tests.simulation.run import Simulation, quiet

ONE, TWO = FIRST_PORT + 1, FIRST_PORT + 2


@pytest.fixture
def cut() -> Iterator[Simulation]:
    """Three nodes that have come together, and a cut between two of them that is to come."""
    fault = Fault(0, 0.0, "cut", 5.0, (0.0, 0.0, 0.0, 0.0))
    plan = replace(draw(5, nodes=3, groups=2), hot=False, at_first=2, lasting=None, faults=(fault,), steps=())
    with quiet():
        simulation = Simulation(plan)
        simulation._boot()
        yield simulation


def blocked(simulation: Simulation) -> bool:
    return simulation.cluster.network.link(ONE, TWO).blocked


def test_what_was_healed_is_not_undone_again(cut: Simulation):
    world, network = cut.world, cut.cluster.network
    cut.faults.schedule()
    world.run(world.now + 1)
    assert blocked(cut)
    cut.faults.heal()
    assert not blocked(cut)
    network.block(ONE, TWO)
    world.run(world.now + 10)
    assert blocked(cut), "the cut of before has ended once more"


def test_a_fault_ends_by_itself(cut: Simulation):
    cut.faults.schedule()
    cut.world.run(cut.world.now + 10)
    assert not blocked(cut)


def test_who_looks_for_leaders_takes_nobody_up(cut: Simulation):
    cluster, world = cut.cluster, cut.world
    rosters = {node: one.replicas.running for node, one in cluster.nodes.items()}
    world.run(world.now + 30, lambda: all(running.dormant == 2 for running in rosters.values()))
    assert sum(len(ranges_led(cluster, node)) for node in rosters) == 2
    assert [running.dormant for running in rosters.values()] == [2, 2, 2]


def test_what_is_active_is_watched_in_every_part_of_a_node(cut: Simulation):
    for node in cut.cluster.nodes.values():
        found = [getattr(part, "_active", None) for part in vars(node).values()]
        shared = [active for active in found if isinstance(active, dict)]
        assert len(shared) == 5
        assert all(active is node._active for active in shared)


def test_a_machine_that_takes_its_time_applies_outside_the_turn():
    drawn = draw(5, nodes=3, groups=2)
    config, steps = replace(drawn.config, state_machine="memory"), drawn.steps[:40]
    plan = replace(drawn, config=config, leisure=0.2, hot=False, at_first=2, faults=(), steps=steps)
    with quiet():
        simulation = Simulation(plan)
        simulation.run()
        replicas = [
            replica
            for node in simulation.cluster.nodes.values()
            for group, replica in node.replicas.running.items()
            if group != SYSTEM_GROUP
        ]
    assert len(replicas) == 6
    assert all(replica.outside is not None for replica in replicas)
    assert sum(replica.commands_applied for replica in replicas) > 0

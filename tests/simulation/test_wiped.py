"""A node that comes back without its disk is not taken for the one that it was."""

from dataclasses import replace

import pytest

from tests.simulation.plan import draw
from tests.simulation.run import Simulation, quiet


@pytest.mark.parametrize("seed", range(5))
def test_a_node_that_has_applied_nothing_since_its_start_knows_a_wiped_one_by_its_log(seed: int):
    """The third one is down: the two could elect a leader on votes that were given before."""
    plan = draw(seed, nodes=3, groups=1)
    config = replace(plan.config, flush_ms=600_000, memtable_bytes=64 << 20)
    plan = replace(
        plan, config=config, hot=False, at_first=1, tear_share=0.0, lasting=None, faults=(), steps=()
    )
    with quiet():
        simulation = Simulation(plan)
        simulation._boot()
        cluster, world = simulation.cluster, simulation.world
        for node in (2, 3):
            cluster.crash(node)
        cluster.wipe(1)
        cluster.start(3)
        cluster.start(1)
        world.run(world.now + 10)
        assert cluster.gone == {1}
        assert 3 in cluster.engines

"""State machines that raise, on one replica or on all: what is told of it, and what must not come of it."""

import asyncio
from dataclasses import replace

import pytest

from multiraft.engine.errors import (
    Closed,
    ClusterMismatch,
    DiskFull,
    Error,
    Overloaded,
    Quarantined,
    StorageFailed,
)
from multiraft.shards import engine
from tests.simulation.checkers.base import Kind
from tests.simulation.plan import POISONS, Fault, Plan, draw
from tests.simulation.run import simulate


def plan_with(*faults: Fault) -> Plan:
    """A small cluster without any other fault. Nothing is deleted: who cannot apply cannot retire either."""
    plan = draw(5, nodes=3, groups=2)
    steps = tuple(step for step in plan.steps if step.kind is not Kind.DELETE_RANGES)
    return replace(plan, faults=faults, steps=steps, hot=False, at_first=2, lasting=None, tear_share=0.0)


def fault(kind: str, at: float, who: float = 0.0, which: float = 0.0, lasts: float = 0.1) -> Fault:
    """Luck 0 means the first node that leads anything, and its first group, the system's."""
    return Fault(int(at * 1000), at, kind, lasts, (who, 0.0, which, 0.0))


def survives(plan: Plan) -> None:
    violation = simulate(plan).violation
    assert violation is None, f"{violation}\n{violation.where}"


def test_poisons_are_drawn_for_some_seeds():
    faults = [one for seed in range(200) for one in draw(seed).faults if one.kind in POISONS]
    assert {one.kind for one in faults} == set(POISONS)


def test_a_group_whose_every_machine_raises_says_so_and_harms_no_other():
    survives(plan_with(fault("poison", 1.0), fault("crash", 2.0), fault("blackout", 3.0, lasts=0.5)))


def test_a_replica_whose_machine_raises_is_sound_again_after_a_restart():
    survives(plan_with(fault("sicken", 1.0, which=0.5), fault("sicken", 2.0, who=0.9, which=0.9)))


def test_a_node_that_starts_waits_for_a_system_group_that_cannot_apply():
    """It asks to be registered, and is told of the trouble of another node's replica: no reason to stop."""
    crashes = [fault("crash", 1.0 + part, who=who) for part, who in ((0.1, 0.5), (0.6, 0.9), (1.2, 0.5))]
    survives(plan_with(fault("sicken", 1.0), *crashes))


class Registering:
    """As much of an engine as registers: its cluster answers with an error, and then as it should."""

    node_id = 1

    def __init__(self, error: Error) -> None:
        self.answers: list[object] = [error, b"u" * 16]
        self.stopped: list[Error] = []
        self.kept: list[bytes] = []

    async def _register(self) -> bytes:
        answer = self.answers.pop(0)
        if isinstance(answer, Error):
            raise answer
        return answer

    async def _keep_cluster(self, uuid: bytes) -> None:
        self.kept.append(uuid)

    def node_stopped(self, error: Error) -> None:
        self.stopped.append(error)


@pytest.mark.parametrize("error", [Closed("x"), StorageFailed("x"), DiskFull("x"), Quarantined(1, 2, "x")])
def test_a_node_that_starts_waits_while_its_cluster_is_closed(error: Error, monkeypatch):
    """What the asked node says of itself is no reason for the asking one to stop."""
    monkeypatch.setattr(engine, "REGISTER_AGAIN_S", 0.0)
    asking = Registering(error)
    asyncio.run(engine.Engine._keep_registering(asking))
    assert (asking.stopped, asking.kept) == ([], [b"u" * 16])


def test_a_refused_registration_leaves_the_loop_to_others():
    """Overloaded comes back without a pause of its own: asked again at once, nothing else would ever run."""
    asking = Registering(Overloaded("x"))

    async def work():
        task = asyncio.create_task(engine.Engine._keep_registering(asking))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(work())
    assert asking.answers == [b"u" * 16]


def test_a_node_that_starts_stops_if_its_cluster_takes_it_for_another():
    asking = Registering(ClusterMismatch("x"))
    asyncio.run(engine.Engine._keep_registering(asking))
    assert len(asking.stopped) == 1

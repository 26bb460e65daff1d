"""Whole clusters keep every promise under faults; a run repeats itself; a failure is made small."""

import gc
import json
import os
import subprocess
import sys

import pytest

from tests.simulation.plan import FAULTS, POISONS, Plan, draw
from tests.simulation.plants import PLANTS
from tests.simulation.run import simulate
from tests.simulation.shrink import shrink, spans, unspans

CATCHING = 40
"""Seeds within which the plant of these tests must be caught."""
MORE_OBJECTS = 1000
"""Python may create so many of its own while a few seeds run; a seed makes a hundred times as many."""


def test_a_cluster_survives(sim_seed: int):
    violation = simulate(draw(sim_seed)).violation
    again = f"again: python -m tests.simulation --seeds {sim_seed}:{sim_seed + 1} --trace"
    assert violation is None, f"{violation}\n{violation.where}\n{again}"


def short_plan() -> Plan:
    """A run with all that there is, but little of it."""
    return draw(3, nodes=3, groups=2).without(steps=range(80, 1000))


def test_a_run_repeats_itself_in_any_process():
    """Neither what ran before nor the order of hashes nor the process plays a part."""
    digests = {simulate(short_plan()).digest for _ in range(5)}
    for hash_seed in ("0", "1", "2", "33", "random"):
        code = "from tests.simulation.test_simulation import *; print(simulate(short_plan()).digest)"
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1, digests


def test_a_run_leaves_nothing_behind():
    """A process that runs thousands of seeds needs the memory of one."""
    kept = []
    for seed in (3, 9, 4, 7):  # crashes and closed nodes leave coroutines that only a second pass gets rid of
        simulate(draw(seed, nodes=3, groups=2).without(steps=range(80, 1000)))
        kept.append(len(gc.get_objects()))
    assert kept[-1] - kept[0] < MORE_OBJECTS, kept


def test_leaving_nothing_out_changes_nothing():
    plan = short_plan()
    whole = simulate(plan).digest
    assert simulate(plan.without((), ())).digest == whole
    assert simulate(plan.without(faults=range(5))).digest != whole


def test_seeds_draw_every_fault_and_every_size():
    plans = [draw(seed) for seed in range(200)]
    assert {fault.kind for plan in plans for fault in plan.faults} == {*FAULTS, *POISONS}
    assert {plan.nodes for plan in plans} == {3, 4, 5, 6, 7}
    assert sum(plan.groups == 64 for plan in plans) >= 0.04 * len(plans)


def test_a_failure_is_made_small():
    told: list[str] = []
    with PLANTS["rule-response-before-durable"].apply():
        failing = next(plan for plan in map(draw, range(CATCHING)) if simulate(plan).violation)
        found = shrink(failing, told.append)
        again = simulate(failing.without(found.faults, found.steps))
    assert len(found.plan.faults) + len(found.plan.steps) < len(failing.faults) + len(failing.steps)
    assert str(again.violation) == str(found.violation)
    assert told


def test_spans_are_read_back():
    assert spans([1, 2, 3, 7, 9, 10]) == "1-3,7,9-10"
    assert unspans("1-3,7,9-10") == {1, 2, 3, 7, 9, 10}
    assert unspans(spans([])) == set()


def test_the_command_reports_one_object():
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "0:2", "--nodes", "3", "--groups", "2"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["seeds"] == 2
    assert report["ok"] is True
    assert report["violations"] == 0
    assert {"steps", "steps_per_second", "operations", "faults", "elections", "commits", "snapshots"} < {
        *report
    }
    assert {"groups_max", "seconds"} < {*report}


def test_the_command_says_how_to_see_a_violation_again():
    command = [sys.executable, "-m", "tests.simulation", "--plant", "rule-response-before-durable", "--json"]
    done = subprocess.run(
        [*command, "--seeds", "0:40", "--jobs", "2"], capture_output=True, text=True, check=True
    )
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert report["violations"] == 1
    replay = next(line for line in done.stderr.splitlines() if line.startswith("python -m tests.simulation"))
    assert f"--seeds {report['seeds'] - 1}:{report['seeds']} --plant rule-response-before-durable" in replay


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_node_alone_survives(seed: int):
    """A group of one commits by itself, and nobody helps it after a crash."""
    violation = simulate(draw(seed, nodes=1)).violation
    assert violation is None, f"{violation}\n{violation.where}"

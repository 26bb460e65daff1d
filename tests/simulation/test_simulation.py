"""Whole clusters keep every promise under faults; a run repeats itself; a failure is made small."""

import gc
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.plan import FAULTS, POISONS, STATE_LOSSES, Plan, draw
from tests.simulation.plants import PLANTS
from tests.simulation.run import Failure, Result, command, simulate, varied
from tests.simulation.shrink import Shrunk, shrink, spans, unspans

CATCHING = 40
"""Seeds within which the plant of these tests must be caught."""
MORE_OBJECTS = 1000
"""Python may create so many of its own while a few seeds run; a seed makes a hundred times as many."""


def test_a_cluster_survives(sim_seed: int):
    violation = simulate(draw(sim_seed)).violation
    assert violation is None, f"{violation}\n{violation.where}\nagain: {command(sim_seed)} --trace"


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
    assert {fault.kind for plan in plans for fault in plan.faults} == {*FAULTS, *POISONS, *STATE_LOSSES}
    assert {plan.nodes for plan in plans} == {3, 4, 5, 6, 7}
    assert sum(plan.groups == 64 for plan in plans) >= 0.04 * len(plans)


def test_a_failure_is_made_small():
    runs: list[int] = []
    left: list[int] = []

    def tell(found: Shrunk) -> None:
        runs.append(found.runs)
        left.append(len(found.plan.faults) + len(found.plan.steps))

    with PLANTS["rule-response-before-durable"].apply():
        failing = next(plan for plan in map(draw, range(CATCHING)) if simulate(plan).violation)
        found = shrink(failing, tell)
        again = simulate(failing.without(found.faults, found.steps))
    assert left[0] == len(failing.faults) + len(failing.steps)
    assert left[-1] < left[0]
    assert left == sorted(left, reverse=True)
    assert str(again.violation) == str(found.violation)
    assert found.was.kind == found.violation.kind
    assert runs == list(range(1, found.runs + 1))


def test_spans_are_read_back():
    assert spans([1, 2, 3, 7, 9, 10]) == "1-3,7,9-10"
    assert unspans("1-3,7,9-10") == {1, 2, 3, 7, 9, 10}
    assert unspans(spans([])) == set()


def test_the_command_reports_one_object():
    module = [sys.executable, "-m", "tests.simulation"]
    options = ["--seeds", "0:2", "--nodes", "3", "--groups", "2", "--json"]
    done = subprocess.run([*module, *options], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["seeds"] == 2
    assert report["ok"] is True
    assert report["violations"] == 0
    assert {"steps", "steps_per_second", "operations", "faults", "elections", "commits", "snapshots"} < {
        *report
    }
    assert {"groups_max", "seconds"} < {*report}


def test_the_command_says_how_to_see_a_violation_again():
    module = [sys.executable, "-m", "tests.simulation"]
    plant = ["--plant", "rule-response-before-durable"]
    done = subprocess.run(
        [*module, *plant, "--json", "--seeds", "0:40", "--jobs", "2"],
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert report["violations"] == 1
    said = done.stderr.splitlines()
    replay = f"{command(report['seeds'] - 1)} --plant rule-response-before-durable --trace"
    assert replay in said
    again = subprocess.run(replay, shell=True, capture_output=True, text=True, check=True)
    assert said[-2:] == again.stderr.splitlines()[-2:]
    assert said[-2].startswith("hash ")


def test_the_interpreter_is_named_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert command(7) == ".venv/bin/python -m tests.simulation --seeds 7:8"
    monkeypatch.setattr(sys, "executable", "/else where/python")
    assert command(7) == "'/else where/python' -m tests.simulation --seeds 7:8"


def test_a_trace_ends_with_the_violation():
    with PLANTS["rule-response-before-durable"].apply():
        result = next(one for one in map(simulate, map(draw, range(CATCHING))) if one.violation)
    ending = r" +\d+\.\d{6} (node \d+) violates: durability: \1, group .*"
    assert re.fullmatch(ending, result.trace[-1]), result.trace[-1]


def test_the_first_failure_of_each_checker_comes_first():
    def failed(kind: str) -> Result:
        nothing = dict.fromkeys(("steps", "operations", "faults", "elections", "commits", "snapshots"), 0)
        failure = Failure(kind, "", "")
        return Result(short_plan(), "", seconds=0.0, groups=0, violation=failure, trace=[], **nothing)

    results = [failed(kind) for kind in ("lost", "lost", "suite", "lost", "bounds", "suite")]
    order = [next(at for at, one in enumerate(results) if one is found) for found in varied(results)]
    assert order == [0, 2, 4, 1, 3, 5]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_node_alone_survives(seed: int):
    """A group of one commits by itself, and nobody helps it after a crash."""
    violation = simulate(draw(seed, nodes=1)).violation
    assert violation is None, f"{violation}\n{violation.where}"

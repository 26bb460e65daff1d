"""``python -m tests.simulation``: run seeds, replay one, or see whether a planted bug is caught."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from enum import EnumType
from functools import partial

from .plan import Plan, draw
from .plants import PLANTS, WAITING, listing
from .processes import run_in_processes
from .run import Result, command, simulate, varied
from .shrink import Shrunk, shrink, spans, unspans
from .trace import KEPT

PROGRESS_S = 10.0
TRACE_LINES = 80
DETAILED = 3
"""Failures, at most, that are shown with their traces."""

if sys.version_info < (3, 12):
    # As long as this method is there, nothing that 3.11 does to make attributes fast works for the members of
    # an enum: each access costs ten times as much. They are found without it, and 3.12 has dropped it.
    del EnumType.__getattr__


def main() -> int:
    """Do what the command line says; 1 if anything was violated (or a planted bug was not caught)."""
    options = parse(sys.argv[1:])
    if options.plant == "list":
        print(listing())
        return 0
    if options.plant == "all":
        return hunt_all(options)
    if options.shrink is not None:
        return shrink_one(options)
    report, failed = run_all(options)
    if options.json:
        print(json.dumps(report))
    else:
        print(", ".join(f"{name} {value}" for name, value in report.items()))
    explain_some(options, failed)
    return 0 if report["ok"] else 1


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="0:20", metavar="A:B", help="A included, B not")
    parser.add_argument("--groups", type=int, help="ranges, instead of what the seed says")
    parser.add_argument("--nodes", type=int, help="nodes, likewise (3 to 7)")
    parser.add_argument("--plant", help="a bug to put back, or `all` one after the other; `list` names them")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--trace", action="store_true", help="print the whole trace of a failure")
    parser.add_argument("--group", type=int, metavar="G", help="of the trace only what concerns group G")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--shrink", type=int, metavar="SEED", help="find out what a failing seed needs to fail"
    )
    numbers = "leave these faults out (from 1000 on: poison, from 2000 on: lost states)"
    parser.add_argument("--without-faults", default="", metavar="1,4-7", help=numbers)
    parser.add_argument(
        "--without-operations", default="", metavar="1,4-7", help="leave these operations out"
    )
    options = parser.parse_args(arguments)
    if options.plant in WAITING:
        parser.error(f"{options.plant} cannot be planted yet: {WAITING[options.plant]}")
    if options.plant not in {None, "list", "all", *PLANTS}:
        parser.error(f"no plant is called {options.plant!r}: see --plant list")
    first, _, last = options.seeds.partition(":")
    options.range = range(int(first), int(last or int(first) + 1))
    return options


def run_seed(options: argparse.Namespace, seed: int) -> Result:
    """One seed, with the plant if there is one."""
    planted = PLANTS[options.plant].apply() if options.plant else nullcontext()
    with planted:
        last = KEPT if options.trace else TRACE_LINES
        return simulate(plan_of(options, seed), last, options.group)


def plan_of(options: argparse.Namespace, seed: int) -> Plan:
    """What the seed stands for, without what is to be left out."""
    plan = draw(seed, options.nodes, options.groups)
    return plan.without(unspans(options.without_faults), unspans(options.without_operations))


def run_all(options: argparse.Namespace) -> tuple[dict[str, object], list[Result]]:
    """Every seed; with a plant only until it is caught."""
    began = told = time.monotonic()
    totals = dict.fromkeys(("steps", "operations", "faults", "elections", "commits", "snapshots"), 0)
    seeds = groups_max = 0
    failed: list[Result] = []
    for result in results(options):
        seeds += 1
        groups_max = max(groups_max, result.groups)
        for name in totals:
            totals[name] += getattr(result, name)
        if result.violation is not None:
            failed.append(result)
            if options.plant:
                break
            print(f"seed {result.plan.seed}: {result.violation}", file=sys.stderr, flush=True)
        if time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            print(f"{seeds} of {len(options.range)} seeds, {len(failed)} failed", file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    report: dict[str, object] = {"seeds": seeds, **totals, "groups_max": groups_max}
    report["steps_per_second"] = round(totals["steps"] / max(seconds, 1e-9))
    report |= {"violations": len(failed), "seconds": round(seconds, 2)}
    return report | {"ok": bool(failed) == bool(options.plant)}, failed


def hunt_all(options: argparse.Namespace) -> int:
    """Plant every bug in turn; 1 if one of them was not caught."""
    caught: dict[str, object] = {}
    for name in PLANTS:
        options.plant = name
        report, failed = run_all(options)
        caught[name] = report["seeds"] if failed else None
        what = str(failed[0].violation).partition("\n")[0] if failed else ""
        print(f"{name}: {report['seeds']} seeds, {report['seconds']} s: {what}", file=sys.stderr, flush=True)
    missed = [name for name, seeds in caught.items() if seeds is None]
    report = {"seeds": caught, "missed": missed, "ok": not missed}
    print(json.dumps(report) if options.json else report)
    return 1 if missed else 0


def results(options: argparse.Namespace) -> Iterator[Result]:
    """The results in the order of the seeds."""
    run = partial(run_seed, options)
    return (
        map(run, options.range) if options.jobs == 1 else run_in_processes(run, options.range, options.jobs)
    )


def explain_some(options: argparse.Namespace, failed: list[Result]) -> None:
    """A few failures, of as many checkers as possible, and how to see the others."""
    ordered = varied(failed)
    for result in ordered[:DETAILED]:
        explain(options, result)
    seeds = [(one.plan.seed, one.violation.kind) for one in ordered[DETAILED:] if one.violation]
    if seeds:
        more = ", ".join(f"--seeds {seed}:{seed + 1} ({kind})" for seed, kind in seeds)
        print(f"{len(seeds)} more: {more}", file=sys.stderr)


def explain(options: argparse.Namespace, result: Result) -> None:
    """How to see it again, and what happened last."""
    assert result.violation is not None
    lines = ["", *result.trace, "", result.violation.where, replay(options, result.plan.seed)]
    lines += [repr(result.plan), f"hash {result.digest}", f"violated: {result.violation}"]
    print("\n".join(lines), file=sys.stderr)


def replay(
    options: argparse.Namespace, seed: int, faults: Iterable[int] = (), steps: Iterable[int] = ()
) -> str:
    """The command that repeats a run bit for bit, and prints all of its trace."""
    parts = [command(seed)]
    given = ((name, getattr(options, name)) for name in ("groups", "nodes", "plant", "group"))
    parts += [f"--{name} {value}" for name, value in given if value is not None]
    left_out = {
        "--without-faults": {*unspans(options.without_faults), *faults},
        "--without-operations": {*unspans(options.without_operations), *steps},
    }
    parts += [f"{name} {spans(numbers)}" for name, numbers in left_out.items() if numbers]
    return " ".join([*parts, "--trace"])


def shrink_one(options: argparse.Namespace) -> int:
    """Print the smallest run found that still fails."""
    plan, progress = plan_of(options, options.shrink), Progress()
    planted = PLANTS[options.plant].apply() if options.plant else nullcontext()
    with planted:
        found = shrink(plan, progress.made)
    if found is None:
        print(f"seed {options.shrink} does not fail", file=sys.stderr)
        return 0
    print(replay(options, plan.seed, found.faults, found.steps))
    print(f"{len(found.plan.faults)} faults and {len(found.plan.steps)} operations are left", file=sys.stderr)
    for fault in found.plan.faults:
        print(f"  {fault.at:8.3f} {fault.kind} for {fault.lasts:.3f} s", file=sys.stderr)
    if str(found.violation) == str(found.was):
        print(f"violated: {found.violation}", file=sys.stderr)
    else:
        print(f"was: {found.was}\nnow: {found.violation}", file=sys.stderr)
    return 1


class Progress:
    """Says how far shrinking has come: whenever less is left, and every few seconds."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._left = ""

    def made(self, found: Shrunk) -> None:
        """One more run is over."""
        now = time.monotonic()
        left = f"{len(found.plan.faults)} faults and {len(found.plan.steps)} operations are left"
        if left != self._left or now - self._told > PROGRESS_S:
            self._told, self._left = now, left
            print(f"{found.runs} runs, {now - self._began:.0f} s: {left}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # what is left of the last cluster need not be taken apart

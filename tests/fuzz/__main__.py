"""The command: ``python -m tests.fuzz [--target NAME]... [--seconds N] [--runs N] [--seed N] [--list]``.

The seconds are for all chosen targets together. Exits with 1 if anything was found; what was found is kept
under ``build/fuzz/findings/`` and printed with the command that replays it.
"""

import argparse
import sys
from pathlib import Path

from tests.fuzz import campaign, hostile, live, python_run
from tests.fuzz.build import OUTPUT, build, libfuzzer_compiler
from tests.fuzz.campaign import Outcome
from tests.fuzz.corpus import CORPUS, name_of
from tests.fuzz.targets_c import C_TARGETS
from tests.fuzz.targets_python import PYTHON_TARGETS

FINDINGS = OUTPUT / "findings"
GROUPS = {
    "c": list(C_TARGETS),
    "python": list(PYTHON_TARGETS),
    "sockets": [live.NAME],
    "costs": [hostile.NAME],
}


def main() -> int:
    """Run the chosen targets one after the other."""
    options = _options()
    if options.list:
        for group, names in GROUPS.items():
            print(f"{group}: {' '.join(names)}")
        return 0
    chosen = [name for given in options.target for name in GROUPS.get(given, [given])]
    if options.replay is not None:
        return _replay(chosen, options.replay)
    if options.runs is None and options.seconds is None:
        options.seconds = 60
    share = None if options.seconds is None else max(1, options.seconds // len(chosen))
    found = [name for name in chosen if _report(name, _run(name, options.seed, options.runs, share))]
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.fuzz", description=__doc__)
    names = [*GROUPS, *(name for group in GROUPS.values() for name in group)]
    parser.add_argument("--target", action="append", choices=names, help="a target or a group (default: c)")
    parser.add_argument("--seconds", type=int, help="for all targets together (60 if there is no --runs)")
    parser.add_argument("--runs", type=int, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", type=Path, metavar="FILE", help="give one target this input once")
    parser.add_argument("--list", action="store_true", help="print groups and targets")
    options = parser.parse_args()
    options.target = options.target or ["c"]
    return options


def _run(name: str, seed: int, runs: int | None, seconds: int | None) -> Outcome:
    if name in C_TARGETS:
        target = C_TARGETS[name]
        corpus = CORPUS / name
        program = build(name)
        return campaign.fuzz(program, corpus, max_len=target.max_len, seed=seed, runs=runs, seconds=seconds)
    if name in PYTHON_TARGETS:
        fuzz = python_run.fuzz_guided if python_run.has_atheris() else python_run.fuzz
        return fuzz(PYTHON_TARGETS[name], seed=seed, runs=runs, seconds=seconds)
    if name == live.NAME:
        return live.fuzz(seed=seed, runs=runs, seconds=seconds)
    return hostile.measure_all()


def _report(name: str, outcome: Outcome) -> bool:
    """A line about a target; whether it found something."""
    speed = outcome.inputs / max(outcome.seconds, 0.001)
    figures = f"{outcome.inputs:,} inputs in {outcome.seconds:.1f} s, {speed:,.0f} a second"
    if outcome.finding is None:
        print(f"{name}: {figures}, nothing found", flush=True)
        return False
    FINDINGS.mkdir(parents=True, exist_ok=True)
    file = FINDINGS / f"{name}-{name_of(outcome.finding)}"
    file.write_bytes(outcome.finding)
    print(outcome.log[-4000:])
    print(f"{name}: {figures}, FOUND: python -m tests.fuzz --target {name} --replay {file}", flush=True)
    return True


def _replay(chosen: list[str], file: Path) -> int:
    if len(chosen) != 1 or not (chosen[0] in C_TARGETS or chosen[0] in PYTHON_TARGETS):
        print("--replay takes one target that reads bytes", file=sys.stderr)
        return 2
    if chosen[0] in PYTHON_TARGETS:
        print(PYTHON_TARGETS[chosen[0]].check(file.read_bytes()))
        return 0
    outcome = campaign.replay(build(chosen[0]), [file])
    print(outcome.log)
    print("libFuzzer drove it" if libfuzzer_compiler() else "the driver of our own drove it")
    return 0 if outcome.finding is None else 1


if __name__ == "__main__":
    sys.exit(main())

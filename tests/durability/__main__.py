"""Proof of durability, at any length: `python -m tests.durability crash|kill|bitflips ... [--json]`."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from . import bitflips, crash, kill, log_crash
from .recording import without_fdatasync
from .report import Report

PER_SEED = 1_000
"""States that are checked of the recordings of one seed."""
PLANTS = ("none", "no-fdatasync", "early-acknowledgement")


def main() -> int:
    """Run one of the proofs; the status is 1 if something was lost, damaged or silently wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.durability", description=__doc__)
    parsers = parser.add_subparsers(required=True)
    _add_crash(parsers.add_parser("crash", help="crashes of the machine at any moment"))
    _add_kill(parsers.add_parser("kill", help="SIGKILL of live nodes"))
    _add_bitflips(parsers.add_parser("bitflips", help="single bits flipped in the files of a node"))
    for one in parsers.choices.values():
        one.add_argument("--seed", type=int, default=1)
        one.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    options = parser.parse_args()
    began = time.monotonic()
    result = options.run(options)
    result["seconds"] = round(time.monotonic() - began, 1)
    lines = [json.dumps(result)] if options.json else [f"{key}: {value}" for key, value in result.items()]
    print("\n".join(lines))
    return 0 if result["ok"] else 1


def _add_crash(parser: argparse.ArgumentParser) -> None:
    parser.description = crash.__doc__
    parser.add_argument("--states", type=int, default=20_000)
    subjects = parser.add_argument("--of", choices=("node", "log"), default="node")
    subjects.help = "a whole cluster, or a log store alone"
    parser.add_argument("--plant", choices=PLANTS, default="none", help="break it: then it must fail")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="put states there that are not whole")
    parser.set_defaults(run=_crash)


def _crash(options: argparse.Namespace) -> dict[str, object]:
    total = Report()
    for number in range(-(-options.states // PER_SEED)):
        check = _check(options, options.seed + number)
        with tempfile.TemporaryDirectory(prefix="crash-") as work:
            found = check.run(Path(work), min(PER_SEED, options.states - total.states))
        total.add(found)
        progress = f"{total.states} states: {total.lost} lost, {total.corrupt} corrupt"
        print("\n".join([*found.findings, progress]), file=sys.stderr, flush=True)
    return total.as_dict()


def _check(options: argparse.Namespace, seed: int) -> crash.Check | log_crash.Check:
    change = without_fdatasync if options.plant == "no-fdatasync" else list
    check: crash.Check | log_crash.Check = log_crash.Check(seed, change)
    if options.of == "node":
        check = crash.Check(seed, change, eager=options.plant == "early-acknowledgement")
    if options.keep:
        check.report.kept = options.keep / f"seed-{seed}"
    return check


def _add_kill(parser: argparse.ArgumentParser) -> None:
    parser.description = kill.__doc__
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="three talk over loopback TCP")
    parser.set_defaults(run=_kill)


def _kill(options: argparse.Namespace) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="kill-") as work:
        return kill.run(Path(work), options.cycles, options.seed, options.nodes).as_dict()


def _add_bitflips(parser: argparse.ArgumentParser) -> None:
    parser.description = bitflips.__doc__
    parser.add_argument("--count", type=int, default=2_000)
    parser.set_defaults(run=_bitflips)


def _bitflips(options: argparse.Namespace) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="bitflips-") as work:
        return bitflips.run(Path(work), options.count, options.seed)


if __name__ == "__main__":
    raise SystemExit(main())

"""``python -m tests.chaos``: run it, print one JSON object, end with status 0 only if all was as promised."""

import argparse
import asyncio
import json
import logging
import random
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from .course import Fields, Plan, run

INTERRUPTED = 130


def main() -> int:
    arguments = parse()
    plan = Plan(arguments.seconds, arguments.seed, arguments.nodes, arguments.ranges, arguments.clients)
    root = Path(tempfile.mkdtemp(prefix="multiraft-chaos-", dir=arguments.directory))
    say(plan.replay)
    logging.disable(logging.INFO)
    try:
        fields = asyncio.run(run(plan, root, say))
    except (KeyboardInterrupt, asyncio.CancelledError):
        shutil.rmtree(root)
        say("interrupted")
        return INTERRUPTED
    except Exception:  # noqa: BLE001 # whatever it is: a result is printed and the evidence kept
        traceback.print_exc()
        fields = {
            "ok": False,
            "problems": ["the run itself failed: see standard error"],
            "replay": plan.replay,
        }
    return finish(fields, root, as_json=arguments.json)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults happen")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="the schedule's")
    parser.add_argument("--nodes", type=int, default=3, choices=(3, 4, 5))
    parser.add_argument("--ranges", type=int, default=4, help="at the beginning; more are created later")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--directory", type=Path, help="for the nodes' data [default: the system's]")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser.parse_args()


def finish(fields: Fields, root: Path, *, as_json: bool) -> int:
    """Print the result; keep the data, logs and history of a failed run."""
    if fields["ok"]:
        shutil.rmtree(root)
    else:
        fields["kept"] = str(root)
        for problem in fields["problems"]:
            say(f"PROBLEM: {problem}")
        say(f"data directories, logs and history.jsonl are kept in {root}; again: {fields['replay']}")
    if as_json:
        print(json.dumps(fields))
    else:
        print("\n".join(f"{name}: {value}" for name, value in fields.items()))
    return 0 if fields["ok"] else 1


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

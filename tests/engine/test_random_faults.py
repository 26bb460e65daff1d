"""Nodes under random faults keep every promise, and make progress once the faults end.

``python -m tests.engine.test_random_faults FIRST LAST`` runs more seeds and names the ones that fail;
``pytest tests/engine/test_random_faults.py --fault-seeds 17`` runs one of them again.
"""

import sys
import traceback

from tests.engine.chaos import Chaos
from tests.engine.rest import heal

STEPS = 4000


def nodes_of(seed: int) -> int:
    return {0: 1, 1: 5}.get(seed % 8, 3)


def run(seed: int) -> Chaos:
    """One cluster from its start to its rest; every seed is another configuration with other faults."""
    chaos = Chaos(seed, nodes_of(seed))
    for _ in range(STEPS):
        chaos.step()
    heal(chaos)
    return chaos


def test_nodes_survive_faults(fault_seed: int):
    try:
        run(fault_seed)
    except Exception as error:
        error.add_note(f"again: pytest tests/engine/test_random_faults.py --fault-seeds {fault_seed}")
        raise


def test_a_run_repeats_itself():
    """The same seed, the same commands at the same places: else no failure could be looked into."""
    first, second = (
        {group: history.entries for group, history in run(3).judge.histories.items()} for _ in range(2)
    )
    assert first == second


def main(first: int, last: int) -> int:
    failed = 0
    for seed in range(first, last):
        try:
            run(seed)
        except Exception as error:  # noqa: BLE001 - every way of failing counts, and the next seed still runs
            failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"seed {seed}: {type(error).__name__}: {error} ({where.name}:{where.lineno})", flush=True)
    print(f"{last - first - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))

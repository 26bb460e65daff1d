"""Groups under random faults keep Raft's promises, and make progress once the faults end.

``python -m tests.raft.test_random_cluster FIRST LAST`` runs more seeds and names the ones that fail.
"""

import sys

import pytest

from tests.raft.chaos import Chaos, settings_for

STEPS = 4000


def run(seed: int) -> Chaos:
    """One group from its start to its convergence; every seed is another configuration."""
    strangers = seed % 3
    chaos = Chaos(seed, members=3, strangers=strangers, **settings_for(seed))
    for _ in range(STEPS):
        chaos.step()
    chaos.heal()
    return chaos


@pytest.mark.parametrize("seed", range(24))
def test_group_survives_chaos(seed: int):
    chaos = run(seed)
    assert chaos.judge.leaders
    assert len(chaos.judge.committed) > 10


def test_chaos_is_reproducible():
    first, second = run(5), run(5)
    assert first.judge.committed == second.judge.committed
    assert first.judge.leaders == second.judge.leaders


def main(first: int, last: int) -> int:
    failed = 0
    for seed in range(first, last):
        try:
            run(seed)
        except Exception as error:  # noqa: BLE001 - every way of failing counts, and the next seed still runs
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {error}")
    print(f"{last - first - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))

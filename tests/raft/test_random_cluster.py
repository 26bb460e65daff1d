"""Groups under random faults keep Raft's promises, and make progress once the faults end.

``python -m tests.raft.test_random_cluster FIRST [LAST]`` runs more seeds and names the ones that fail.
"""

import random
import sys
import traceback

import pytest

from tests.raft.chaos import Chaos, settings_for
from tests.raft.watch import watched

STEPS = 6000
SEEDS = 32


def run(seed: int) -> Chaos:
    """One group from its start to its convergence; every seed is another configuration."""
    draw = random.Random(seed * 31)
    members, strangers = draw.choice((1, 2, 3, 3, 3, 4, 5)), draw.randint(0, 4)
    chaos = Chaos(seed, members=members, strangers=strangers or int(members == 1), **settings_for(seed))
    for number in range(STEPS):
        chaos.step()
        if number % 500 == 0:
            chaos.judge.logs_match()
    chaos.heal()
    return chaos


@pytest.mark.parametrize("seed", range(SEEDS))
def test_group_survives_chaos(seed: int):
    try:
        chaos = run(seed)
    except Exception as error:
        error.add_note(f"replay: python -m tests.raft.test_random_cluster {seed}")
        raise
    assert chaos.judge.leaders
    assert chaos.judge.committed


@pytest.mark.unwatched
def test_chaos_is_reproducible():
    first, second = run(5), run(5)
    assert first.judge.committed == second.judge.committed
    assert first.judge.leaders == second.judge.leaders
    assert first.random.getstate() == second.random.getstate()


@pytest.mark.unwatched
def test_the_seeds_meet_what_they_are_to_meet():
    """Faults that never happen prove nothing: over half of the seeds, each kind of event has occurred."""
    runs = [run(seed) for seed in range(SEEDS // 2)]
    met: dict[str, int] = {
        "elections": sum(len(chaos.judge.leaders) for chaos in runs),
        "commits": sum(len(chaos.judge.committed) for chaos in runs),
        "changes": sum(len(chaos.judge.confs) - 1 for chaos in runs),
        "joint": sum(bool(conf.voters_outgoing) for chaos in runs for _, conf in chaos.judge.confs),
        "demotions": sum(bool(conf.learners_next) for chaos in runs for _, conf in chaos.judge.confs),
        "reads": sum(chaos.reads_answered for chaos in runs),
        "restarts": sum(host.restarts - 1 for chaos in runs for host in chaos.hosts.values()),
        "snapshots": sum(host.installed for chaos in runs for host in chaos.hosts.values()),
        "forks": sum(host.replaced for chaos in runs for host in chaos.hosts.values()),
    }
    assert all(count >= 2 for count in met.values()), met


def main(first: int, last: int) -> int:
    failed = 0
    for seed in range(first, last):
        try:
            with watched():
                run(seed)
        except Exception as error:  # noqa: BLE001 - every way of failing counts, and the next seed still runs
            failed += 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            print(f"seed {seed}: {type(error).__name__}: {error} ({place.name})")
    print(f"{last - first - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    begin = int(sys.argv[1])
    sys.exit(main(begin, int(sys.argv[2]) if len(sys.argv) > 2 else begin + 1))

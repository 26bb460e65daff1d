"""The schedule: from the seed alone, of all kinds, and within its time."""

from collections import Counter

import pytest

from tests.chaos.schedule import NETWORK, kinds, schedule
from tests.chaos.weather import Cut

ELECTION_S = 0.6
KINDS = set(kinds(ELECTION_S))


def test_a_seed_is_one_schedule():
    one, again, other = (schedule(seed, 3, 60, ELECTION_S) for seed in (7, 7, 8))
    assert one == again
    assert one != other


@pytest.mark.parametrize("nodes", [3, 5])
def test_every_kind_comes_before_any_comes_again(nodes):
    faults = schedule(1, nodes, 600, ELECTION_S)
    counts = Counter(fault.kind for fault in faults)
    assert set(counts) == KINDS
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("seed", range(20))
def test_there_are_twenty_a_minute_and_they_end_in_time(seed):
    faults = schedule(seed, 3, 120, ELECTION_S)
    assert len(faults) >= 2 * 20
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert all(fault.at > 0 and fault.at + fault.seconds <= 120 for fault in faults)


@pytest.mark.parametrize("seed", range(20))
def test_faults_name_what_they_need(seed):
    for fault in schedule(seed, 5, 60, ELECTION_S):
        if fault.kind in NETWORK:
            assert fault.directions
            assert (fault.weather is None) == (fault.kind == "reset")
        else:
            assert fault.nodes
        if fault.kind in {"one-way", "isolate", "pair", "split"}:
            assert fault.weather.cut is not Cut.OPEN


def test_partitions_are_what_their_names_say():
    drawn = schedule(3, 5, 600, ELECTION_S)
    cuts = {kind: [set(fault.directions) for fault in drawn if fault.kind == kind] for kind in KINDS}
    everybody = {1, 2, 3, 4, 5}
    for directions in cuts["one-way"]:
        assert not directions & {(two, one) for one, two in directions}
        assert len(directions) == 4
    for directions in cuts["pair"]:
        ((one, two), *rest) = directions
        assert rest == [(two, one)]
    for directions in cuts["isolate"]:
        assert len(directions) == 2 * 4
        assert len(set.intersection(*map(set, directions))) == 1
    for directions in cuts["split"]:
        linked = {(one, two) for one in everybody for two in everybody if one != two} - directions
        side = {1} | {two for one, two in linked if one == 1}
        assert all((one in side) == (two in side) for one, two in linked)
        assert all((one in side) != (two in side) for one, two in directions)
        assert {len(side), 5 - len(side)} in ({1, 4}, {2, 3})

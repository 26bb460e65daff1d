"""The plots of ``benchmarks/results``: rows that are kept and replaced, and pictures drawn of them."""

import json

import pytest

from benchmarks import plot_groups

CREATED = {"seconds": 1.5, "max_term": 1, "longest_turn_ms": 9.0}
IDLE = {"cpu_ms_per_tick": 0.5, "per_group_messages": 7, "bytes_per_replica": 800}


@pytest.fixture
def benches(monkeypatch) -> list[tuple[str, ...]]:
    """The commands that were run, each of which gives some figures."""
    run: list[tuple[str, ...]] = []

    def bench(*arguments: str) -> dict:
        run.append(arguments)
        return CREATED if arguments[0] == "create" else IDLE

    monkeypatch.setattr(plot_groups, "_bench", bench)
    return run


def test_every_number_of_groups_is_measured_in_both_ways_and_kept(benches, tmp_path):
    pytest.importorskip("matplotlib")
    for groups in ("10", "30", "10"):
        plot_groups.main(["--groups", groups, f"--results={tmp_path}", "--seconds=2"])
    rows = json.loads((tmp_path / "groups.json").read_text())
    measured = [(row["transport"], row["groups"]) for row in rows]
    assert measured == [("memory", 10), ("memory", 30), ("tcp", 10), ("tcp", 30)]
    assert rows[0] == {"groups": 10, "transport": "memory", **CREATED, **IDLE}
    assert benches[:2] == [
        ("create", "--ranges=10", "--transport=memory"),
        ("idle", "--groups=10", "--transport=memory", "--seconds=2.0"),
    ]
    pictures = sorted(one.name for one in tmp_path.glob("*.png"))
    assert pictures == sorted(plot.file for plot in plot_groups.PLOTS)
    assert all((tmp_path / one).read_bytes().startswith(b"\x89PNG") for one in pictures)


def test_a_new_row_takes_the_place_of_the_old_one():
    old = [
        {"transport": "tcp", "groups": 10, "seconds": 1},
        {"transport": "memory", "groups": 10, "seconds": 2},
    ]
    new = [{"transport": "tcp", "groups": 10, "seconds": 3}]
    assert plot_groups.merged(old, new) == [old[1], new[0]]

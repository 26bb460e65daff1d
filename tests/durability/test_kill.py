"""What live nodes have acknowledged survives SIGKILL."""

from pathlib import Path

import pytest

from . import kill


@pytest.mark.parametrize("nodes", [1, 3])
def test_killed_nodes_lose_nothing(tmp_path: Path, nodes: int):
    report = kill.run(tmp_path, 3, seed=1, nodes=nodes)
    assert report.as_dict()["ok"], report
    assert (report.cycles, report.lost) == (3, 0)
    assert report.acknowledged > 20


def test_what_is_lost_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A node that claims to have written more than it has."""
    killed = kill.Node.kill

    def boast(node: kill.Node) -> str:
        lived = node.lives
        complaints = killed(node)
        if lived:
            node.acknowledged.add(max(node.acknowledged, default=0) + kill.NUMBERS // 2)
        return complaints

    monkeypatch.setattr(kill.Node, "kill", boast)
    report = kill.run(tmp_path, 1, seed=1)
    assert report.lost == 1
    assert not report.as_dict()["ok"]

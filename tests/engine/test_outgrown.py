"""A machine in memory whose state no longer fits a checkpoint: it keeps its whole log, and says so."""

from dataclasses import replace

import pytest

from .harness import CONFIG, Nodes, put
from .settled import GROUP

KB = 1000
LIMIT = 50 * KB
MEMORY = replace(CONFIG, state_machine="memory", log_keep_bytes=10 * KB, log_keep_ms=5000)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """Three nodes, whose machines hold more than a checkpoint may have."""
    for place in ("statemachine.kv_snapshot", "replica"):
        monkeypatch.setattr(f"multiraft.engine.{place}.MAX_SNAPSHOT", LIMIT)
    made = Nodes(config=MEMORY)
    made.create(GROUP)
    made.settle()
    write(made, range(30))
    assert made[1].replica(GROUP).outgrown is None
    assert first_index(made) > 10
    write(made, range(30, 60))
    made.pass_time(2)
    return made


def write(nodes: Nodes, numbers: range, size: int = KB) -> None:
    """Put a key for each of them, and let flushes come in between."""
    for number in numbers:
        nodes.leader(GROUP).propose(GROUP, put(b"%03d" % number, b"x" * size), token=("put", number, size))
        nodes.settle()
        nodes.pass_time(0.4)


def first_index(nodes: Nodes, node: int = 1) -> int:
    return nodes[node].replica(GROUP).raw.raft.log.first_index()


def test_its_log_is_not_cut_and_it_says_so(nodes: Nodes, caplog: pytest.LogCaptureFixture):
    first = first_index(nodes)
    write(nodes, range(60, 70))
    assert first_index(nodes) == first
    assert "does not fit one snapshot" in str(nodes[1].replica(GROUP).outgrown)
    warnings = [record.getMessage() for record in caplog.get_records("setup")]
    assert any("the log of group 5 cannot be cut, and grows with every write" in one for one in warnings)


def test_a_start_brings_back_all_of_it(nodes: Nodes):
    reborn = nodes[3].crash()
    nodes.pass_time(2)
    assert reborn.machine(GROUP).digest() == nodes[1].machine(GROUP).digest()
    assert reborn.machine(GROUP).get(b"059") == b"x" * KB


def test_a_follower_that_was_away_gets_the_log(nodes: Nodes):
    nodes.cut.add(3)
    nodes[1].inputs.peers_lost.append(3)
    write(nodes, range(60, 80))
    nodes.cut.clear()
    nodes.pass_time(3)
    assert nodes[3].machine(GROUP).digest() == nodes[1].machine(GROUP).digest()


def test_one_that_lost_its_disk_gets_the_last_checkpoint_and_the_log_behind_it(nodes: Nodes):
    """A replica whose state is gone asks for the leader's, which stands where the last checkpoint fitted."""
    reborn = nodes[3].crash()
    reborn.node.state.remove(GROUP)
    nodes.pass_time(1)
    write(nodes, range(60, 62))
    assert reborn.machine(GROUP).digest() == nodes[1].machine(GROUP).digest()


def test_to_try_again_is_rare_also_for_a_log_that_is_old(nodes: Nodes, monkeypatch: pytest.MonkeyPatch):
    """Each try looks at the whole state, on the loop: not with every flush."""
    tries = []
    machine = nodes[1].machine(GROUP)
    snapshot = machine.snapshot

    def counted() -> bytes:
        tries.append(nodes.now)
        return snapshot()

    monkeypatch.setattr(machine, "snapshot", counted)
    nodes.pass_time(20)
    write(nodes, range(60, 80))
    assert len(tries) <= 2


def test_once_it_fits_again_the_log_is_cut(nodes: Nodes):
    first = first_index(nodes)
    write(nodes, range(60), size=10)
    for _ in range(40):
        write(nodes, range(1), size=10 * KB)  # the log grows, and what it leads to does not
    nodes.pass_time(10)
    assert nodes[1].replica(GROUP).outgrown is None
    assert first_index(nodes) > first

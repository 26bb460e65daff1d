"""The scan of a log against the store that wrote it: whatever happened to it, both see the same."""

import random

import pytest

from multiraft.engine.logstore.store import LogStore
from multiraft.engine.offline.entries import read_entries, term_at, whole_entries
from multiraft.engine.offline.findings import Findings
from multiraft.engine.offline.lmdbfile import LmdbFile
from multiraft.engine.offline.logfile import LogFile
from multiraft.engine.offline.logscan import scan_log
from tests.engine.logstore.builders import put
from tests.engine.logstore.workload import POLICY, life
from tests.engine.offline.sample import told


def compare(path, store):
    """Hold what a scan finds against what the store says."""
    findings = Findings()
    with LmdbFile(path / "data.mdb") as opened:
        file = LogFile(opened)
        found = scan_log(file, findings)
        assert not findings.count, told(findings)
        assert found.tombstones == store.tombstones()
        assert found.groups.keys() == set(store.births())
        assert found.batches == store.usage.batches
        for group, log in found.groups.items():
            known = store.group(group)
            assert log.birth == known.birth
            assert (log.hard_state, log.members) == known.initial_state()
            assert (log.first_index, log.last_index) == (known.first_index(), known.last_index())
            low, high = log.first_index, log.last_index + 1
            entries = list(known.entries(low, high, None)) if low < high else []
            assert [one.entry for one in read_entries(file, log, low, high)] == entries
            assert [one for run in whole_entries(file, log, low, high) for one in run] == entries
            assert [term_at(file, log, index) for index in range(low - 1, high)] == [
                known.term(index) for index in range(low - 1, high)
            ]


@pytest.mark.parametrize("seed", range(4))
def test_a_scan_sees_what_the_store_sees(tmp_path, seed):
    """Conflicts, cuts, snapshot points, replicas removed and born again, and collection."""
    batches, _ = life(seed, 160)
    draw = random.Random(seed)
    store = LogStore.open(tmp_path, "none", collection=POLICY)
    for number, writes in enumerate(batches):
        put(store, *writes)
        if number % 20 == 19:
            compare(tmp_path, store)
        if draw.random() < 0.05:
            store.close()
            store = LogStore.open(tmp_path, "none", collection=POLICY)
    assert store.usage.batches < len(batches), "collection had something to do"
    store.close()

"""What ``verify`` says of whole and of damaged directories, and that it changes nothing."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from multiraft.engine import nodefile
from multiraft.engine.datadir import DataDir
from multiraft.engine.errors import AlreadyOpen, InvalidArgument
from multiraft.engine.logstore.chunks import chunk_key, split_key
from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.store import LogStore
from multiraft.engine.offline import verify
from multiraft.engine.offline.entries import read_entries
from multiraft.engine.offline.findings import Findings
from multiraft.engine.offline.grouplog import GroupLog
from multiraft.engine.offline.lmdbfile import LmdbFile
from multiraft.engine.offline.logfile import LogFile
from multiraft.engine.offline.statescan import GroupState
from multiraft.engine.offline.stopped import StoppedNode
from multiraft.engine.offline.verify import read_contents
from multiraft.engine.statemachine.commands import MAX_KEY
from multiraft.engine.statemachine.lmdb_store import LmdbStateStore
from multiraft.engine.statemachine.records import Kind, record_key, seal
from multiraft.shards.engine import Engine
from tests.engine.logstore.builders import appended, make_entries, put
from tests.engine.logstore.test_salvage import PAGE, metas, write_at
from tests.engine.offline.sample import CONFIG, RANGES, edit, stored, told, verified

GROUP = 3


def snapshot(path):
    """Names, contents and times of everything in a directory."""
    return {
        one: (one.stat().st_mtime_ns, one.read_bytes() if one.is_file() else b"")
        for one in [path, *path.rglob("*")]
    }


def flip_in(path, store, content, at=0):
    """Flip a bit wherever some bytes stand in a file of an environment: free pages may hold older copies."""
    file = path / store / "data.mdb"
    data = bytearray(file.read_bytes())
    assert content in data
    place = data.find(content)
    while place >= 0:
        data[place + at] ^= 4
        place = data.find(content, place + 1)
    file.write_bytes(data)


def test_a_whole_directory_is_whole_and_stays_as_it_is(sample):
    path, _ = sample
    before = snapshot(path)
    found = verified(path)
    assert not found.findings.count, told(found.findings)
    assert len(found.log.groups) == RANGES + 1
    pairs = stored(path)
    assert found.state.values == len(pairs["state"])
    assert found.log.batches == len({split_key(key)[0] for key, _ in pairs["log"]})
    assert found.log.entries > 200
    assert snapshot(path) == before


def test_a_damaged_checkpoint_of_the_index_is_named(node):
    """It is only a hint, and a start does without it; but somebody has changed what was written."""
    file = node / "index"
    content = file.read_bytes()
    for at in (0, 9, 13, 17, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:at] + bytes((content[at] ^ 4,)) + content[at + 1 :])
        (damage,) = verified(node).findings.kept
        assert damage.file == "index"
        assert "a start ignores it" in damage.what
    file.write_bytes(content[:-1])
    assert verified(node).findings.count == 1
    file.unlink()
    assert not verified(node).findings.count


def test_a_running_node_is_refused_and_a_look_keeps_nodes_out(node):
    identity = nodefile.read(node)
    arguments = (identity.node_id, identity.cluster_name, identity.bootstrap_digest)
    with (
        DataDir.open(node, *arguments, ballast_bytes=0),
        pytest.raises(AlreadyOpen, match=f"process {os.getpid()}"),
    ):
        StoppedNode.open(node)
    with StoppedNode.open(node), StoppedNode.open(node), pytest.raises(AlreadyOpen):
        DataDir.open(node, *arguments, ballast_bytes=0)


def test_what_is_no_data_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(InvalidArgument):
            StoppedNode.open(path)


def test_a_copy_without_lock_and_identity_shows_what_it_has(node):
    (node / "LOCK").unlink()
    (node / "node").unlink()
    found = verified(node)
    assert [damage.file for damage in found.findings.kept] == ["node"]
    assert len(found.log.groups) == RANGES + 1


def test_the_longest_bounds_and_keys_are_whole(tmp_path):
    """The directory's own keys are longer than those that users may have."""
    longest = b"k" * MAX_KEY

    async def work():
        async with Engine.open(tmp_path, splits=[longest], config=CONFIG) as db:
            await db.put(longest, b"v")

    asyncio.run(work())
    assert told(verified(tmp_path).findings) == ""


def test_a_damaged_value_is_named_by_group_and_key(node):
    key, value = next(pair for pair in stored(node)["state"] if len(pair[1]) > 500 and pair[0][7] > 1)
    flip_in(node, "state", value, at=400)
    (damage,) = verified(node).findings.kept
    assert (damage.file, damage.key) == ("state/data.mdb", key.hex())
    assert damage.group >= 2
    assert "checksum" in damage.what


def test_a_key_that_vanished_is_noticed(node):
    """Every page is whole, and so is every value: only the group's record says that there was one more."""
    key = next(key for key, _ in stored(node)["state"] if key[7] > 1)
    edit(node, "state", lambda transaction: transaction.delete(key))
    (damage,) = verified(node).findings.kept
    assert damage.file == "state/data.mdb"
    assert damage.group >= 2
    assert "keys, its record says" in damage.what


def test_a_value_of_before_is_noticed(node):
    key, value = next(pair for pair in stored(node)["state"] if pair[0][7] > 1)
    edit(node, "state", lambda transaction: transaction.put(key, seal(key, value[4:] + b"before")))
    (damage,) = verified(node).findings.kept
    assert "an older one" in damage.what


def test_a_damaged_entry_is_named_and_its_neighbours_are_shown(node):
    with StoppedNode.open(node) as opened:
        log, _ = read_contents(opened, Findings())
        one = log.groups[GROUP]
        entries = [
            found.entry
            for found in read_entries(opened.log(), one, one.first_index, one.last_index + 1)
            if found.entry.data
        ]
    broken = max((entry for entry in entries if len(entry.data) < 2000), key=lambda entry: len(entry.data))
    flip_in(node, "log", broken.data, at=30)
    with StoppedNode.open(node) as opened:
        findings = Findings()
        log, _ = read_contents(opened, findings)
        one = log.groups[GROUP]
        shown = list(read_entries(opened.log(), one, one.first_index, one.last_index + 1))
    assert (GROUP, broken.index) in {(damage.group, damage.index) for damage in findings.kept}
    assert [found.index for found in shown if found.entry is None] == [broken.index]
    assert [found.index for found in shown] == list(range(one.first_index, one.last_index + 1))


def test_a_batch_that_vanished_is_noticed(node):
    seqs = sorted({split_key(key)[0] for key, _ in stored(node)["log"]})
    gone = seqs[len(seqs) // 2]
    edit(node, "log", lambda transaction: transaction.delete(chunk_key(gone, 0)))
    found = verified(node)
    assert f"batch {gone} is missing" in told(found.findings)


def test_a_lost_log_is_told_from_an_old_state(node):
    """The newest batches gone: applied beyond the log. A log that was cut, and its state gone."""
    last = sorted({split_key(key)[0] for key, _ in stored(node)["log"]})[-60:]
    edit(node, "log", lambda transaction: [transaction.delete(chunk_key(seq, 0)) for seq in last])
    assert "but the log ends at" in told(verified(node).findings)
    cut, findings = GroupLog(GROUP, 1), Findings()
    cut.point = (50, 2)
    verify._compare_group(LogFile(LmdbFile(node / "log" / "data.mdb")), cut, GroupState(), findings)
    (damage,) = findings.kept
    assert (damage.group, damage.index, damage.file) == (GROUP, 1, "state/data.mdb")
    assert "but the log begins at 51" in damage.what


def test_a_store_that_is_missing_is_damage(node):
    (node / "log" / "data.mdb").unlink()
    (node / "state" / "data.mdb").write_bytes(b"something else")
    files = {damage.file for damage in verified(node).findings.kept}
    assert files == {"log/data.mdb", "state/data.mdb"}


def test_records_that_cannot_be_are_damage(node):
    def change(transaction):
        transaction.put(bytes(8) + b"\x09", b"unknown kind")
        transaction.put(b"short", b"no prefix")
        transaction.put(record_key(Kind.GROUP, 77), b"")

    edit(node, "state", change)
    assert verified(node).findings.count >= 3


def test_a_crash_that_hides_a_batch_and_cuts_the_next_one_short_is_no_damage(node, tmp_path):
    """Pages of the tree before the newest visible one are free then, and may be written."""
    log = node / "log"
    store = LogStore.open(log, "none", collection=CollectionPolicy(0.0, 0, 3, 1))
    replica_id, last = store.births()[GROUP].replica_id, store.group(GROUP).last_index()
    for index in range(last + 1, last + 61, 2):
        before = metas(log)
        for one in (index, index + 1):
            put(store, appended(GROUP, make_entries(one, 1, term=9), replica_id=replica_id))
        crashed = Path(shutil.copytree(node, tmp_path / f"crashed-{index}"))
        for slot, page in enumerate(before):
            write_at(crashed / "log", slot * PAGE, page)
        assert not verified(crashed).findings.count, told(verified(crashed).findings)
        shutil.rmtree(crashed)
    store.close()


def test_a_batch_that_a_crash_has_hidden_is_seen(node):
    """As after a loss of power that took the last meta page: the next start appends the batch again."""
    newest = stored(node)["log"][-1]
    data = (node / "log" / "data.mdb").read_bytes()
    transaction_at = 16 + 24 + 2 * 48 + 8
    numbers = [int.from_bytes(data[at : at + 8], "little") for at in (transaction_at, 4096 + transaction_at)]
    slot = numbers.index(max(numbers))
    other = bytearray(data[(1 - slot) * 4096 : (2 - slot) * 4096])
    other[:8] = slot.to_bytes(8, "little")
    other[transaction_at : transaction_at + 8] = (min(numbers) - 1).to_bytes(8, "little")
    with (node / "log" / "data.mdb").open("r+b") as file:
        file.seek(slot * 4096)
        file.write(other)
    with StoppedNode.open(node) as opened:
        findings = Findings()
        log = opened.log()
        assert log.salvaged == split_key(newest[0])[0]
        assert list(log.items())[-1][0] == newest[0]
        read_contents(opened, findings)
    assert not findings.count, told(findings)


def test_a_damaged_node_file_is_told(node):
    fields = json.loads((node / "node").read_text().splitlines()[0])
    fields["node_id"] = "1"
    (node / "node").write_text(json.dumps(fields))
    assert "node" in {damage.file for damage in verified(node).findings.kept}


def test_a_snapshot_that_a_crash_has_cut_short_is_no_damage(node):
    """What was staged belongs to nobody, and the head has not counted its prefix yet."""
    store = LmdbStateStore.open(node / "state")
    store.stage().write([(b"a", b"1"), (b"b", b"2")])
    store.close()
    assert not told(verified(node).findings)

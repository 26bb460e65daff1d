"""The trees of real LMDB files, whole and with any byte of their structure changed."""

import random
from pathlib import Path

import lmdb
import pytest

from multiraft.engine.offline.lmdbfile import LmdbFile
from multiraft.engine.trees import LEAVES_S, damage_of

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three levels, values of all kinds, and lists of free pages."""
    draw = random.Random(1)
    with lmdb.open(str(tmp_path), map_size=1 << 28, sync=False) as environment:
        for _ in range(30):
            with environment.begin(write=True) as transaction:
                for _ in range(400):
                    key = b"%x" % draw.randrange(1 << 16) * draw.randrange(1, 40)
                    transaction.put(key, bytes(draw.choice([0, 1, 7, 100, 1900, 2100, 9000])))
                for key in draw.sample(list(transaction.cursor().iternext(values=False)), 100):
                    transaction.delete(key)
    return tmp_path / "data.mdb"


def test_what_lmdb_writes_is_whole(path: Path):
    assert damage_of(path) is None


def test_no_change_of_a_pages_header_or_offsets_goes_unseen(path: Path):
    data = path.read_bytes()
    draw = random.Random(2)
    with LmdbFile(path) as file:
        leaves = [number for number, _, _ in file._leaves(b"", None, False, file._refuse)]
    for _ in range(150):
        page = draw.choice(leaves)
        place = page * PAGE + draw.choice([0, 1, *range(10, 18)])
        changed = bytearray(data)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        assert damage_of(path) is not None, place


def test_leaves_are_passed_over_once_the_time_is_up_and_branches_are_not(path: Path, caplog):
    """One leaf after the other is damaged: those that are passed over are said to be, whichever they are."""
    data = path.read_bytes()
    with LmdbFile(path) as file:
        leaves = [number for number, _, _ in file._leaves(b"", None, False, file._refuse)]
        root = file._meta.root
    for page, seen in ((leaves[-1], False), (root, True)):
        changed = bytearray(data)
        changed[page * PAGE] ^= 1
        path.write_bytes(changed)
        caplog.clear()
        late = iter([0.0, *[LEAVES_S] * 9])
        assert (damage_of(path, lambda late=late: next(late)) is not None) is seen
        assert ("not all its leaves" in caplog.text) is not seen
        assert damage_of(path) is not None


def test_any_bytes_are_walked_safely(path: Path):
    data = path.read_bytes()
    draw = random.Random(3)
    for _ in range(60):
        changed = bytearray(data)
        for _ in range(20):
            at = draw.randrange(2 * PAGE, len(data) - 64)
            changed[at : at + 64] = draw.randbytes(64)
        path.write_bytes(changed)
        damage_of(path)

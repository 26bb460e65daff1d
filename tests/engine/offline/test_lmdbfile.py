"""The file reader against LMDB itself, and on bytes that LMDB would die of."""

import random
import shutil
import struct

import lmdb
import pytest

from multiraft.engine.errors import Corruption, VersionMismatch
from multiraft.engine.offline import lmdbfile
from multiraft.engine.offline.lmdbfile import LmdbFile

PAGE = 4096
META_TRANSACTION = 16 + 24 + 2 * 48 + 8


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An environment with deep branches, values of all sizes and free pages; what it holds."""
    path = tmp_path_factory.mktemp("lmdb")
    chance = random.Random(5)
    held = {}
    environment = lmdb.open(str(path), map_size=1 << 28, max_dbs=0, sync=False)
    for _ in range(30):
        with environment.begin(write=True) as transaction:
            written = {chance.randbytes(chance.choice([1, 8, 60, 400])) for _ in range(200)}
            for name in sorted(written):
                held[name] = chance.randbytes(chance.choice([0, 1, 30, 1500, 2100, 9000]))
                transaction.put(name, held[name])
            for name in chance.sample(sorted(held), 50):
                transaction.delete(name)
                del held[name]
    environment.close()
    return path / "data.mdb", sorted(held.items())


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copy(made[0], tmp_path / "data.mdb")


def change(path, at, content):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(content)


def test_it_reads_what_lmdb_wrote(made):
    path, pairs = made
    with LmdbFile(path) as file:
        assert list(file.items()) == pairs
        assert list(file.items(reverse=True)) == pairs[::-1]
        assert file.entries == len(pairs)
        assert file.problems() == []
        assert all(file.get(key) == value for key, value in pairs[::7])
        assert file.get(b"no such key") is None


@pytest.mark.parametrize("reverse", [False, True])
def test_bounds_are_start_inclusive_and_stop_exclusive(made, reverse):
    path, pairs = made
    chance = random.Random(1)
    with LmdbFile(path) as file:
        for _ in range(50):
            start, stop = sorted(
                chance.randbytes(2) if chance.random() < 0.5 else chance.choice(pairs)[0] for _ in "12"
            )
            expected = [pair for pair in pairs if start <= pair[0] < stop]
            found = list(file.items(start, stop, reverse=reverse))
            assert (found[::-1] if reverse else found) == expected


def test_a_value_that_took_a_longer_ones_place_is_read(tmp_path):
    """Within one transaction LMDB leaves it the pages of the longer one."""
    environment = lmdb.open(str(tmp_path), map_size=1 << 20)
    with environment.begin(write=True) as transaction:
        transaction.put(b"key", b"v" * 9000)
        transaction.put(b"key", b"short")
    environment.close()
    with LmdbFile(tmp_path / "data.mdb") as file:
        assert list(file.items()) == [(b"key", b"short")]


def test_an_empty_environment_and_an_empty_file_have_no_keys(tmp_path):
    lmdb.open(str(tmp_path / "new"), map_size=1 << 20).close()
    (tmp_path / "none").touch()
    for path in (tmp_path / "new" / "data.mdb", tmp_path / "none"):
        with LmdbFile(path) as file:
            assert list(file.items()) == []
            assert file.problems() == []


def test_what_is_no_environment_is_refused(tmp_path):
    for content in (b"x", b"x" * 10_000, bytes(10_000)):
        (tmp_path / "data.mdb").write_bytes(content)
        with pytest.raises(Corruption):
            LmdbFile(tmp_path / "data.mdb")
    with pytest.raises(Corruption):
        LmdbFile(tmp_path)
    environment = lmdb.open(str(tmp_path / "later"), map_size=1 << 20, lib_version=1)
    environment.close()
    with pytest.raises(VersionMismatch):
        LmdbFile(tmp_path / "later" / "data.mdb")


def test_a_newest_transaction_that_was_hidden_is_found_out(copy):
    """One bit in a meta page, and LMDB shows the store as it was a transaction ago without a word."""
    with open(copy, "rb") as file:
        content = file.read(2 * PAGE)
    numbers = [struct.unpack_from("<Q", content, slot * PAGE + META_TRANSACTION)[0] for slot in (0, 1)]
    slot = numbers.index(max(numbers))
    change(copy, slot * PAGE + META_TRANSACTION, struct.pack("<Q", max(numbers) - 8))
    with LmdbFile(copy) as file:
        (problem,) = file.meta_problems
    assert "transactions" in problem


def test_one_meta_page_is_enough_to_read_and_a_problem(copy, made):
    change(copy, 16, b"XXXX")
    with LmdbFile(copy) as file:
        assert file.meta_problems
        assert len(list(file.items(on_damage=lambda *_: None))) > 0


def test_damage_is_told_and_the_rest_is_read(copy, made):
    """A leaf that is gone takes its own keys along and no others."""
    with LmdbFile(copy) as file:
        leaves = list(file._leaves(b"", None, False, file._refuse))
    for number, page, nodes in leaves[:: len(leaves) // 8]:
        change(copy, number * PAGE, bytes(PAGE))
        damages = []
        with LmdbFile(copy) as file:
            found = list(file.items(on_damage=lambda what, key: damages.append(what)))  # noqa: B023 # used at once
        lost = {node.key for node in nodes}
        assert found == [pair for pair in made[1] if pair[0] not in lost]
        assert len(damages) == 1
        assert f"page {number}" in damages[0]
        change(copy, number * PAGE, page)


def test_a_key_that_its_branch_does_not_lead_to_is_found(copy, made):
    """LMDB meets such a key in a scan, and does not find it otherwise; the library's own check passes it."""
    with LmdbFile(copy) as file:
        root, size = file._meta.root, file.page_size
        page = file._read(root, 1)
        nodes = lmdbfile._nodes(page, *struct.unpack_from("<HH", page, 12), is_branch=True)
    node = next(node for node in nodes[1:] if node.key)
    change(copy, root * size + node.at - 1, bytes((node.key[-1] ^ 1,)))
    with LmdbFile(copy) as file, pytest.raises(Corruption):
        list(file.items())


def test_no_bytes_end_the_process_or_the_reading(copy):
    """Garbage anywhere, the tree's own pages included: an error or a result, and soon."""
    chance = random.Random(4)
    with open(copy, "rb") as file:
        content = file.read()
    for _ in range(40):
        broken = bytearray(content[: chance.choice([len(content), len(content) // 2, 3 * PAGE])])
        for _ in range(chance.choice([1, 30, 500])):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        with open(copy, "wb") as file:
            file.write(broken)
        try:
            with LmdbFile(copy) as file:
                for _ in file.items(on_damage=lambda *_: None):
                    pass
                file.problems()
        except Corruption:
            continue


def test_a_page_that_leads_back_is_no_endless_walk(copy, made):
    """A branch whose children are itself."""
    with LmdbFile(copy) as file:
        root = file._meta.root
        page = file._read(root, 1)
    count = (struct.unpack_from("<H", page, 12)[0] - 16) // 2
    for at in struct.unpack_from(f"<{count}H", page, 16):
        change(copy, root * PAGE + at, struct.pack("<HH", root & 0xFFFF, root >> 16))
    damages = []
    with LmdbFile(copy) as file:
        assert list(file.items(on_damage=lambda what, key: damages.append(what))) == []
        with pytest.raises(Corruption):
            list(file.items())
    assert damages

"""Pages of LMDB that are damaged in either store: a start mends the file, and what is lost is known."""

import random
import struct
from pathlib import Path

import pytest

from multiraft.engine.offline.lmdbfile import LmdbFile
from multiraft.engine.trees import damage_of
from tests.durability.bitflips import Sample, copied
from tests.durability.reading import Reading, read_apart

PAGE = 4096


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("pages") / "node", seed=3)


def tree_pages(path: Path) -> list[int]:
    """The pages of keys of the newest tree, branches too."""
    data = path.read_bytes()
    with LmdbFile(path) as file:
        leaves = [number for number, _, _ in file._leaves(b"", None, False, file._refuse)]
        root = file._meta.root
    branches = {root}
    for number in range(2, len(data) // PAGE):
        stored, _, flags = struct.unpack_from("<QHH", data, number * PAGE)
        if stored == number and flags == 1 and number == root:
            branches.add(number)
    return sorted({*leaves, *branches})


def structure(path: Path, page: int) -> list[int]:
    """The bytes of a page that say how it is made: its header, offsets, and headers and keys of nodes."""
    data = path.read_bytes()[page * PAGE : (page + 1) * PAGE]
    lower = struct.unpack_from("<H", data, 12)[0]
    places = [*range(8), *range(10, lower)]
    for at in struct.unpack_from(f"<{(lower - 16) // 2}H", data, 16):
        key = struct.unpack_from("<H", data, at + 6)[0]
        places += range(at, at + 8 + key)
    return places


@pytest.mark.parametrize("store", ["log", "state"])
def test_no_flip_in_the_structure_of_a_tree_is_silent_or_ends_the_process(sample: Sample, store: str):
    draw = random.Random(7)
    file = f"{store}/data.mdb"
    pages = tree_pages(sample.path / file)
    for _ in range(60):
        page = draw.choice(pages)
        at = page * PAGE + draw.choice(structure(sample.path / file, page))
        bit = draw.randrange(8)
        with copied(sample.path) as copy:
            data = bytearray((copy / file).read_bytes())
            data[at] ^= 1 << bit
            (copy / file).write_bytes(data)
            assert read_apart(copy, sample.contents) in {Reading.WHOLE, Reading.REFUSED}, (page, at, bit)


def test_a_log_whose_tree_is_gone_is_put_together_from_its_values(sample: Sample):
    """Nothing is lost: every value says which one it is."""
    with copied(sample.path) as copy:
        path = copy / "log/data.mdb"
        data = bytearray(path.read_bytes())
        for page in tree_pages(path):
            data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
        path.write_bytes(data)
        assert damage_of(path) is not None
        assert read_apart(copy, sample.contents) is Reading.WHOLE
        assert damage_of(path) is None
        assert path.with_name("data.mdb.damaged").exists()


def test_a_log_of_which_nothing_is_left_is_refused(sample: Sample):
    with copied(sample.path) as copy:
        path = copy / "log/data.mdb"
        path.write_bytes(path.read_bytes()[: 2 * PAGE].ljust(path.stat().st_size, b"\0"))
        assert read_apart(copy, sample.contents) is Reading.REFUSED


def test_whole_files_are_whole(sample: Sample):
    for store in ("log", "state"):
        assert damage_of(sample.path / store / "data.mdb") is None
        assert not (sample.path / store / "data.mdb.damaged").exists()

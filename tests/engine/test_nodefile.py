"""The identity file: what is not exactly what was written is refused, and never made anew."""

import json
from pathlib import Path

import pytest

from multiraft.engine import nodefile
from multiraft.engine.datadir import DataDir
from multiraft.engine.errors import Corruption, VersionMismatch
from multiraft.engine.nodefile import NodeFile
from multiraft.native.checksum import crc32c

NODE = NodeFile(7, bytes(range(16)), "demo", b"\x01" * 32, None, incarnation=3)


def open_dir(path: Path) -> DataDir:
    return DataDir.open(path, 7, "demo", b"\x01" * 32, ballast_bytes=4096)


def checked(line: bytes) -> bytes:
    """A file whose checksum is right, whatever it says."""
    return b"%s\ncrc32c %08x\n" % (line, crc32c(line))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data directory that has been opened once and closed."""
    open_dir(tmp_path / "node").close()
    return tmp_path / "node"


@pytest.mark.parametrize("cluster_uuid", [None, b"\xff" * 16])
@pytest.mark.parametrize("name", ["demo", "", 'Zürich "1"\n'])
def test_what_is_written_is_read(tmp_path: Path, name: str, cluster_uuid: bytes | None):
    """With and without a cluster uuid, and whatever the name is made of."""
    node = NodeFile(2**32 - 1, bytes(16), name, b"", cluster_uuid, incarnation=2**63)
    assert nodefile.read(tmp_path) is None
    nodefile.write(tmp_path, node)
    assert nodefile.read(tmp_path) == node


def test_no_damaged_bit_of_the_identity_goes_unseen(home: Path):
    """Every single flipped bit and every truncation is reported, and the file is left as it is."""
    path = home / "node"
    good = path.read_bytes()
    damaged = [good[:length] for length in range(len(good))]
    damaged += [
        good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :]
        for place in range(len(good))
        for bit in range(8)
    ]
    for content in damaged:
        with pytest.raises(Corruption):
            nodefile.decode(content, path)
    path.write_bytes(damaged[0])
    with pytest.raises(Corruption, match="checksum"):
        open_dir(home)
    assert path.read_bytes() == damaged[0]


GOOD = {
    "format": 1,
    "node_id": 1,
    "store_uuid": "00" * 16,
    "cluster_name": "",
    "bootstrap_digest": "",
    "cluster_uuid": "",
    "incarnation": 1,
}


def test_the_good_fields_are_good():
    """The cases below fail for the one thing that is wrong in each."""
    assert nodefile.decode(checked(json.dumps(GOOD).encode()), Path("node")).incarnation == 1


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"7", b"\xff", b'{"format": 1}', b"[" * 60_000])
def test_a_line_of_another_shape_is_corruption(line: bytes):
    """A right checksum does not make an identity."""
    with pytest.raises(Corruption):
        nodefile.decode(checked(line), Path("node"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"store_uuid": "00"},
        {"store_uuid": "zz" * 16},
        {"cluster_uuid": "00"},
        {"bootstrap_digest": "0"},
        {"node_id": True},
        {"node_id": "1"},
        {"incarnation": 1.5},
        {"cluster_name": None},
        {"more": 1},
    ],
    ids=repr,
)
def test_a_field_of_another_type_or_size_is_corruption(wrong: dict):
    """Nothing is converted, guessed or ignored."""
    with pytest.raises(Corruption):
        nodefile.decode(checked(json.dumps(GOOD | wrong).encode()), Path("node"))


def test_a_newer_format_is_refused_by_name(home: Path):
    """A file that a later version wrote is neither read nor called damaged."""
    content = checked(b'{"format": 2, "something": "new"}')
    (home / "node").write_bytes(content)
    with pytest.raises(VersionMismatch, match="format 2"):
        open_dir(home)
    assert (home / "node").read_bytes() == content

"""Pages of a mapped file: what is let go of comes back from the file when it is touched again."""

import mmap
import sys
from pathlib import Path

import pytest

from multiraft.native.pages import let_go, resident_of_files

SIZE = 64 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is mapped where")
def test_a_file_that_is_let_go_of_takes_no_memory_and_is_still_there(tmp_path: Path):
    file = tmp_path / "mapped"
    content = bytes(range(256)) * (SIZE // 256)
    file.write_bytes(content)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        before = resident_of_files()
        assert mapped[:] == content
        assert resident_of_files() > before + SIZE // 2
        let_go(file)
        assert resident_of_files() < before + SIZE // 4
        assert mapped[:] == content


def test_a_file_that_is_not_mapped_or_not_there_is_no_mistake(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"x")
    let_go(tmp_path / "file")
    let_go(tmp_path / "missing")

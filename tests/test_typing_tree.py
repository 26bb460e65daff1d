"""The link tree has the shape of the installed package and follows the sources."""

from pathlib import Path

import pytest

from tests.typing_tree import make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout in small: a front door and one part with a subpackage and C sources."""
    for name in ("multiraft/__init__.py", "multiraft/py.typed", "native/__init__.py", "native/_native.pyi"):
        touch(tmp_path / "root" / name)
    for name in ("native/inner/__init__.py", "native/inner/codec.py", "native/csrc/build_native.py"):
        touch(tmp_path / "root" / name)
    return tmp_path / "root"


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def links(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_symlink()}


def test_tree_has_the_shape_of_the_installed_package(root: Path, tmp_path: Path):
    make(root, tmp_path / "tree")
    assert links(tmp_path / "tree") == {
        "multiraft/__init__.py",
        "multiraft/py.typed",
        "multiraft/native/__init__.py",
        "multiraft/native/_native.pyi",
        "multiraft/native/_native.py",
        "multiraft/native/inner/__init__.py",
        "multiraft/native/inner/codec.py",
    }
    link = tmp_path / "tree" / "multiraft/native/_native.pyi"
    assert link.resolve() == (root / "native/_native.pyi").resolve()


def test_second_run_removes_what_lost_its_source_and_adds_what_is_new(root: Path, tmp_path: Path):
    tree = tmp_path / "tree"
    make(root, tree)
    (root / "native/inner/codec.py").unlink()
    (root / "native/inner/__init__.py").unlink()
    touch(root / "native/frames.py")
    make(root, tree)
    assert not (tree / "multiraft/native/inner").exists()
    assert "multiraft/native/frames.py" in links(tree)


def test_link_to_another_checkout_is_turned_round(root: Path, tmp_path: Path):
    tree = tmp_path / "tree"
    make(root, tree)
    link = tree / "multiraft/native/_native.pyi"
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere.pyi")
    make(root, tree)
    assert link.readlink() == root / "native/_native.pyi"

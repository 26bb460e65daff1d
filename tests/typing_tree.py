"""Makes ``build/typing/multiraft/``: the import package as type checkers and import-linter can see it.

The folders of the parts stand at the root of the repository and only the build maps them onto
``multiraft``; a tool that reads files instead of importing them needs the mapped shape. So each part
gets a real folder with one link per source file; behind the stub of the built extension stands an empty
module, since the extension itself is none of the sources.

Run it (``python tests/typing_tree.py``) before mypy, pyright and import-linter, and again when files came
or went. Several runs at once don't disturb each other.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / "build" / "typing"
PARTS = ("raft", "native", "engine", "shards")
SOURCES = ("*.py", "*.pyi", "py.typed")
EMPTY = Path("multiraft/py.typed")


def wanted(root: Path) -> dict[Path, Path]:
    """Every link of the tree (relative to it) with the source file that it points to."""
    homes = {Path("multiraft"): root / "multiraft"}
    for part in PARTS:
        for init in (root / part).rglob("__init__.py"):
            homes[Path("multiraft") / init.parent.relative_to(root)] = init.parent
    links = {
        home / source.name: source
        for home, folder in homes.items()
        for pattern in SOURCES
        for source in folder.glob(pattern)
    }
    stubs = [link for link in links if link.suffix == ".pyi"]
    return {link.with_suffix(".py"): root / EMPTY for link in stubs} | links


def make(root: Path, tree: Path) -> int:
    """Bring ``tree`` in line with the sources under ``root``; return the number of links it has."""
    links = {tree / name: source for name, source in wanted(root).items()}
    _remove_stale(tree, set(links))
    for link, source in links.items():
        if link.is_symlink() and link.readlink() == source:
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        try:
            link.symlink_to(source)
        except FileExistsError:
            assert link.readlink() == source, f"{link} was made by something else"
    return len(links)


def _remove_stale(tree: Path, keep: set[Path]) -> None:
    """Remove what no source stands behind any more, folders included (deepest first)."""
    folders = {parent for link in keep for parent in link.parents}
    for path in sorted(tree.rglob("*"), key=lambda found: len(found.parts), reverse=True):
        if path.is_symlink() or path.is_file():
            if path not in keep:
                path.unlink(missing_ok=True)
        elif path not in folders and not any(path.iterdir()):
            path.rmdir()


def main() -> int:
    """Make the tree of this checkout and say what is in it."""
    print(f"{make(ROOT, TREE)} links under {TREE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

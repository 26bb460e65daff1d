"""The files of the project itself, for the tests that read them as text."""

import subprocess
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from tests.typing_tree import ROOT

GENERATED = {".git", ".venv", "build", "dist", "__pycache__", "multiraft.egg-info"}


@cache
def everything() -> tuple[Path, ...]:
    """All files of the checkout that are not ignored, or of the unpacked source distribution."""
    if not (ROOT / ".git").exists():
        files = [path for path in ROOT.rglob("*") if not GENERATED.intersection(path.relative_to(ROOT).parts)]
    else:
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        files = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return tuple(sorted(path for path in files if path.is_file()))


def tracked(*patterns: str) -> list[Path]:
    """The files whose path from the root matches one of the patterns (``*`` crosses folders)."""
    return [
        path
        for path in everything()
        if any(fnmatch(path.relative_to(ROOT).as_posix(), pattern) for pattern in patterns)
    ]

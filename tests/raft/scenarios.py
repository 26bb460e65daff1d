"""The runner of the conformance scenarios: ``python -m tests.raft.scenarios DIR [--rewrite]``.

DIR holds folders `interaction`, `quorum` and `confchange` of scripts. A block whose output differs is shown
as a diff; the last line counts the files. With ``--rewrite`` the actual output is written into the files:
look at the change and commit only what you understand.
"""

import argparse
import difflib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.raft.algebra import Changer, run_quorum
from tests.raft.datadriven import Block, parse, rewrite
from tests.raft.interaction import Interaction

LOG_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")
OWN = Path(__file__).parent / "scenarios"

RUNNERS: dict[str, Callable[[], Callable[[Block], str]]] = {
    "interaction": lambda: Interaction().run,
    "quorum": lambda: run_quorum,
    "confchange": lambda: Changer().run,
}


def find(root: Path) -> list[Path]:
    """Every script under `root`, in a fixed order."""
    return sorted(path for folder in RUNNERS for path in (root / folder).rglob("*.txt"))


def kind_of(path: Path) -> str:
    """Which runner a script is for: the innermost folder of that name."""
    return next(part for part in reversed(path.parts[:-1]) if part in RUNNERS)


def normal(output: str) -> str:
    """The output without log lines and trailing blanks."""
    lines = [line.rstrip() for line in output.split("\n")]
    kept = [line for line in lines if not line.lstrip().startswith(LOG_LEVELS) or not _is_log(line)]
    return "\n".join(kept).strip("\n") or "ok"


def _is_log(line: str) -> bool:
    return line.split(maxsplit=1)[0] in LOG_LEVELS


def guarded(run: Callable[[Block], str]) -> Callable[[Block], str]:
    """The same, with an exception shown in the place of the output: the other blocks still count."""

    def guard(block: Block) -> str:
        try:
            return run(block)
        except Exception as error:  # noqa: BLE001 - whatever it is, the block has failed and says how
            return f"{type(error).__name__}: {error}"

    return guard


def differences(path: Path) -> Iterator[str]:
    """A unified diff for each block of a script whose output is not as expected."""
    run = guarded(RUNNERS[kind_of(path)]())
    for block in parse(path.read_text()):
        if isinstance(block, Block):
            expected, actual = normal(block.expected), normal(run(block))
            if expected != actual:
                place = f"{path}:{block.line}"
                yield "\n".join(
                    difflib.unified_diff(
                        expected.split("\n"), actual.split("\n"), place, f"{place} (actual)", lineterm=""
                    )
                )


def main(arguments: list[str]) -> int:
    """Run, or rewrite, every script under a directory. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.raft.scenarios", description="Run conformance scenarios.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rewrite", action="store_true", help="write the actual output into the files")
    options = parser.parse_args(arguments)
    paths = find(options.directory)
    failed = 0
    for path in paths:
        if options.rewrite:
            path.write_text(rewrite(path.read_text(), RUNNERS[kind_of(path)]()))
            continue
        diffs = list(differences(path))
        failed += bool(diffs)
        for diff in diffs:
            print(diff)
    print(f"{len(paths) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

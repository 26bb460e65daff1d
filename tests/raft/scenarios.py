"""The runner of the conformance scenarios: ``python -m tests.raft.scenarios DIR [--rewrite]``.

DIR holds folders `interaction`, `quorum` and `confchange` of scripts, or some of them. A block whose output
differs is shown as a diff; whatever else keeps a script from being run, an error inside the core included,
is shown with its place and fails the script. In the project's own scripts a replica that breaks an invariant
does, too. Elsewhere only the output counts: recordings go on in states that the project would not let happen,
as in groups whose nodes were started with different pasts. The last line counts the scripts. With
``--rewrite`` the actual output is written into the files: look at the change and commit only what you
understand.
"""

import argparse
import difflib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

from tests.raft.algebra import Changer, run_quorum
from tests.raft.datadriven import Block, MalformedScript, parse, read_script, rewrite
from tests.raft.interaction import Interaction
from tests.raft.watch import watched

LOG_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")
OWN = Path(__file__).resolve().parent / "scenarios"

RUNNERS: dict[str, Callable[[], Callable[[Block], str]]] = {
    "interaction": lambda: Interaction().run,
    "quorum": lambda: run_quorum,
    "confchange": lambda: Changer().run,
}


class BlockFailed(Exception):
    """A command raised something that no script can expect: a mistake in it, in the runner or in the core."""


def find(root: Path) -> list[Path]:
    """Every script under `root`, in a fixed order. `MalformedScript` if there is none."""
    paths = sorted(path for folder in RUNNERS for path in (root / folder).rglob("*.txt"))
    if not paths:
        missing = "is no directory" if not root.is_dir() else f"has no *.txt in any of {', '.join(RUNNERS)}"
        raise MalformedScript(f"{root} {missing}")
    return paths


def runner_of(root: Path, path: Path) -> Callable[[Block], str]:
    """A fresh runner for a script, by the folder of `root` that it stands in."""
    run = RUNNERS[path.relative_to(root).parts[0]]()

    def located(block: Block) -> str:
        try:
            return run(block)
        except Exception as error:
            frames = "".join(traceback.format_exception(error)[-3:])
            command = " ".join([block.command, *block.words()])
            raise BlockFailed(f"{path}:{block.line}: {command!r} raised\n{frames}") from error

    return located


def normal(output: str) -> str:
    """The output without log lines and trailing blanks."""
    lines = [line.rstrip() for line in output.split("\n")]
    return "\n".join(line for line in lines if line.split()[:1] not in _LOG_LINES).strip("\n") or "ok"


_LOG_LINES = [[level] for level in LOG_LEVELS]


def differences(root: Path, path: Path) -> Iterator[str]:
    """A unified diff for each block whose output is not as expected, and why others could not be run."""
    run = runner_of(root, path)
    try:
        blocks = [block for block in parse(read_script(path)) if isinstance(block, Block)]
    except (MalformedScript, OSError) as error:
        yield f"{path}: {error}"
        return
    if not blocks:
        yield f"{path}: no commands"
    for block in blocks:
        try:
            yield from _diff(f"{path}:{block.line}", normal(block.expected), normal(run(block)))
        except BlockFailed as failure:
            yield str(failure)


def _diff(place: str, expected: str, actual: str) -> Iterator[str]:
    if expected != actual:
        lines = expected.split("\n"), actual.split("\n")
        yield "\n".join(difflib.unified_diff(*lines, place, f"{place} (actual)", lineterm=""))


def rewriting(root: Path, path: Path) -> Iterator[str]:
    """Write the actual output into a script; what keeps it from being done, and then nothing is written."""
    try:
        text = rewrite(read_script(path), runner_of(root, path))
        path.write_bytes(text.encode())
    except BlockFailed as failure:
        yield str(failure)
    except (MalformedScript, OSError) as error:
        yield f"{path}: {error}"


def main(arguments: list[str]) -> int:
    """Run, or rewrite, every script under a directory. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.raft.scenarios", description="Run conformance scenarios.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rewrite", action="store_true", help="write the actual output into the files")
    options = parser.parse_args(arguments)
    root: Path = options.directory
    try:
        paths = find(root)
    except (MalformedScript, OSError) as error:
        print(error, file=sys.stderr)
        print("0 passed, 0 failed")
        return 1
    failed = 0
    with watched() if root.resolve() == OWN else nullcontext():
        for path in paths:
            problems = list(rewriting(root, path) if options.rewrite else differences(root, path))
            failed += bool(problems)
            for problem in problems:
                print(problem)
    print(f"{len(paths) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

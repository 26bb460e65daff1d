"""The mutation run over the core: ``python -m tests.raft.mutation FOLDER [--count N] [--seed S]``.

Breaks a copy of `raft/`, one small change at a time, and runs the core's tests against each: a change that
no test notices is a survivor, which wants a test or a reason. Needs cosmic-ray on the path of this Python
(`pip install cosmic-ray==8.7.0`); takes a few seconds per mutant. Results: `docs/mutation.md`.

FOLDER must not exist. It gets the copy, of what is committed, and cosmic-ray's session; start again with
``--resume`` what was interrupted, or to see the report once more.
"""

import argparse
import ast
import os
import random
import sqlite3
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "tests/raft/mutation.toml"
SESSION = "session.sqlite"
FORGET = ("mutation_specs", "work_results", "work_items")


def copy(folder: Path) -> None:
    """Unpack what is committed, with `raft/` in the place from which `multiraft.raft` is imported."""
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "x"], cwd=folder, input=archive, check=True)
    (folder / "multiraft" / "raft").symlink_to(folder.resolve() / "raft")


def run(folder: Path, *command: str) -> int:
    """Run a command inside the copy, without bytecode: a mutant may be as long and as old as the original."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}, check=False
    ).returncode


def prove(folder: Path) -> None:
    """The tests must pass on the copy, and fail once the copy is broken: then it is what they import."""
    command = tomllib.loads((folder / SETTINGS).read_text())["cosmic-ray"]["test-command"].split()
    if run(folder, *command):
        sys.exit("the tests fail without any mutant")
    victim = folder / "raft" / "quorum.py"
    text = victim.read_text()
    victim.write_text(text.replace("len(voters) // 2 + 1", "len(voters) // 2"))
    survived = run(folder, *command) == 0
    victim.write_text(text)
    if survived:
        sys.exit("a majority of half the voters passes the tests: they do not import the copy")


def annotations(source: str) -> Iterator[ast.expr]:
    """The types in a module: changing them changes nothing, or keeps the module from being imported."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.returns


def draw(folder: Path, count: int, seed: int) -> None:
    """Keep `count` of the session's mutants, drawn at random over all modules; none lies in a type."""
    types = {
        (path.relative_to(folder).as_posix(), line)
        for path in (folder / "raft").glob("*.py")
        for node in annotations(path.read_text())
        for line in [(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)]
    }
    with sqlite3.connect(folder / SESSION) as session:
        jobs = session.execute(
            "SELECT job_id, module_path, start_pos_row, start_pos_col FROM mutation_specs "
            "WHERE job_id NOT IN (SELECT job_id FROM work_results) "
            "ORDER BY module_path, start_pos_row, start_pos_col, operator_name, occurrence, operator_args"
        ).fetchall()
        eligible = [
            job
            for job, module, row, column in jobs
            if not any(
                module == typed and (first, left) <= (row, column) < (last, right)
                for typed, (first, left, last, right) in types
            )
        ]
        kept = set(random.Random(seed).sample(eligible, min(count, len(eligible))))
        print(f"{len(kept)} of {len(eligible)} mutants, seed {seed}", flush=True)
        gone = [(job,) for (job,) in session.execute("SELECT job_id FROM work_items") if job not in kept]
        for table in FORGET:
            session.executemany(f"DELETE FROM {table} WHERE job_id = ?", gone)


def report(folder: Path) -> int:
    """Print each survivor, the count per module, and the score. Returns how many were not run."""
    with sqlite3.connect(folder / SESSION) as session:
        results = session.execute(
            "SELECT module_path, operator_name, start_pos_row, test_outcome, diff FROM mutation_specs "
            "LEFT JOIN work_results USING (job_id) ORDER BY module_path, start_pos_row, operator_name"
        ).fetchall()
    drawn: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    missing = 0
    for module, operator, row, outcome, diff in results:
        drawn[module] += 1
        missing += outcome is None
        killed[module] += outcome is not None and outcome.lower() != "survived"
        if outcome is not None and outcome.lower() == "survived":
            print(f"{module}:{row} {operator}\n{diff}")
    for module in sorted(drawn):
        print(f"{module:24} {killed[module]:4} of {drawn[module]:4} killed")
    print(f"{killed.total()} of {drawn.total()} killed, {100 * killed.total() / drawn.total():.1f} %")
    return missing


def main(arguments: list[str]) -> int:
    """Carry out a run, or the rest of one. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.raft.mutation", description="Mutate the Raft core.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=600, help="mutants to draw (default 600)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the draw (default 1)")
    parser.add_argument("--resume", action="store_true", help="go on in FOLDER")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    if not options.resume:
        copy(folder)
        prove(folder)
        run(folder, "cosmic-ray", "init", SETTINGS, SESSION)
        run(folder, "cr-filter-operators", SESSION, SETTINGS)
        draw(folder, options.count, options.seed)
    run(folder, "cosmic-ray", "exec", SETTINGS, SESSION)
    return 1 if report(folder) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The mutation run over the core: ``python -m tests.raft.mutation RESULTS [--count N] [--seed S]``.

Breaks the core, one small change at a time, and runs the tests that execute the changed statement, quickest
first: a change that no test notices is a survivor, which wants a test or a reason. Nothing is written but
the file RESULTS, a line per mutant; with a file that is there already, only what is missing in it is run.
Needs `pip install cosmic-ray==8.7.0 coverage`. What it found: `docs/mutation.md`.

Each mutant lives in a child process of its own, as source that only that process imports.
"""

import argparse
import difflib
import importlib
import importlib.machinery
import importlib.util
import json
import os
import random
import re
import resource
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import pytest

from tests.raft.covering import OPTIONS, PRELOADED, QUIETLY, ROOT, Coverage, annotated, measure

SETTINGS = tomllib.loads(Path(__file__).with_name("mutation.toml").read_text())


class Mutant(NamedTuple):
    """One change: the occurrence of what an operator changes in a module, and where that is."""

    module: str
    line: int
    operator: str
    occurrence: int

    def source(self) -> str:
        """The module with the change."""
        operator = importlib.import_module("cosmic_ray.plugins").get_operator(self.operator)()
        mutating = importlib.import_module("cosmic_ray.mutating")
        return str(mutating.mutate_code((ROOT / self.module).read_text(), operator, self.occurrence))

    def diff(self) -> str:
        """The changed lines."""
        before, after = (ROOT / self.module).read_text().splitlines(), self.source().splitlines()
        changed = difflib.unified_diff(before, after, n=0, lineterm="")
        return "\n".join(line for line in changed if not line.startswith(("---", "+++", "@@")))


def mutants() -> Iterator[Mutant]:
    """Every mutant of every module, in a fixed order; none changes a type, which no test could notice."""
    plugins: Any = importlib.import_module("cosmic_ray.plugins")
    trees: Any = importlib.import_module("cosmic_ray.ast")
    excluded = re.compile("|".join(SETTINGS["excluded_operators"]))
    names = sorted(name for name in plugins.operator_names() if not excluded.fullmatch(name))
    for path in sorted(ROOT.glob(SETTINGS["modules"])):
        tree = trees.get_ast_from_path(path)
        types = [
            ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
            for node in annotated(path.read_text())
        ]
        for name in names:
            operator = plugins.get_operator(name)
            if operator.arguments():
                continue  # made for a given project's own functions
            positions = [p for node in trees.ast_nodes(tree) for p in operator().mutation_positions(node)]
            for occurrence, (start, _) in enumerate(positions):
                if not any(first <= start < last for first, last in types):
                    yield Mutant(path.relative_to(ROOT).as_posix(), start[0], name, occurrence)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads one module from a given text instead of its file."""

    def __init__(self, name: str, path: Path, text: str) -> None:
        super().__init__(name, str(path))
        self.text = text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec")

    def find_spec(self, name: str, _path: object = None, _target: ModuleType | None = None) -> Any:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)


class _Chosen:
    """A plugin for pytest that leaves the tests given, in their order."""

    def __init__(self, tests: list[str]) -> None:
        self.order = {test: position for position, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.order), key=lambda i: self.order[i.nodeid])


def survives(module: str, text: str, tests: list[str]) -> bool:
    """Whether `tests` all pass with `text` in the place of a module."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    status: int = 1
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        limit: int = SETTINGS["processor_time"]
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))  # a loop may fill the memory before
        for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "multiraft")]:
            del sys.modules[name]
        path = Path(module)
        name = f"multiraft.raft.{path.stem}" if path.stem != "__init__" else "multiraft.raft"
        sys.meta_path.insert(0, _Loader(name, ROOT / path, text))
        files = sorted({test.split("::")[0] for test in tests})
        status = pytest.main([*OPTIONS, *QUIETLY, *files], plugins=[_Chosen(tests)])
    finally:
        os._exit(1 if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else 0)


def judged(mutant: Mutant, coverage: Coverage) -> bool:
    """Whether a mutant survives the tests of its module, then the scenarios, and then the quickest others."""
    tests = coverage.of(ROOT / mutant.module, mutant.line, SETTINGS["slowest"])
    own, scenarios = f"test_{Path(mutant.module).stem}.py", "test_scenarios.py"
    others = [test for test in tests if own not in test and scenarios not in test]
    spent = accumulate(coverage.seconds[test] for test in others)
    parts = (
        [test for test in tests if own in test],
        [test for test in tests if scenarios in test],
        [test for test, seconds in zip(others, spent, strict=True) if seconds <= SETTINGS["budget"]],
    )
    text = mutant.source()
    return all(survives(mutant.module, text, part) for part in parts if part)


def prove(coverage: Coverage) -> None:
    """A change that must be noticed is, and no change is not: so it is the mutant that the tests import."""
    text = (ROOT / "raft" / "quorum.py").read_text()
    broken = text.replace("len(voters) // 2 + 1", "len(voters) // 2")
    tests = [test for test in coverage.seconds if "test_quorum.py" in test]
    if not survives("raft/quorum.py", text, tests) or survives("raft/quorum.py", broken, tests):
        raise SystemExit("the tests do not notice that half the voters make a majority")


def report(outcomes: dict[Mutant, bool]) -> None:
    """Print each survivor, the count per module, and the score."""
    killed = Counter(mutant.module for mutant, survived in outcomes.items() if not survived)
    for mutant in sorted(mutant for mutant, survived in outcomes.items() if survived):
        print(f"\n{mutant.module}:{mutant.line} {mutant.operator}\n{mutant.diff()}")
    print()
    for module, drawn in sorted(Counter(mutant.module for mutant in outcomes).items()):
        print(f"{module:24} {killed[module]:4} of {drawn:4} killed")
    print(f"{killed.total()} of {len(outcomes)} killed, {100 * killed.total() / len(outcomes):.1f} %")


def main(arguments: list[str]) -> None:
    """Draw the mutants, judge those that are not judged yet, and report."""
    parser = argparse.ArgumentParser(prog="tests.raft.mutation", description="Mutate the Raft core.")
    parser.add_argument("results", type=Path)
    parser.add_argument("--count", type=int, default=SETTINGS["count"], help="mutants to draw")
    parser.add_argument("--seed", type=int, default=SETTINGS["seed"], help="seed of the draw")
    options = parser.parse_args(arguments)
    results: Path = options.results
    everything = list(mutants())
    drawn = random.Random(options.seed).sample(everything, min(options.count, len(everything)))
    print(f"{len(drawn)} of {len(everything)} mutants, seed {options.seed}", flush=True)
    lines = results.read_text().splitlines() if results.exists() else []
    known = {Mutant(*mutant): survived for mutant, survived in map(json.loads, lines)}
    missing = [mutant for mutant in drawn if mutant not in known]
    if missing:
        coverage = measure(SETTINGS["left_out"])
        for name in PRELOADED:
            importlib.import_module(name)
        prove(coverage)
        for mutant in missing:
            known[mutant] = judged(mutant, coverage)
            with results.open("a") as file:
                file.write(json.dumps([mutant, known[mutant]]) + "\n")
    report({mutant: known[mutant] for mutant in drawn})


if __name__ == "__main__":
    main(sys.argv[1:])

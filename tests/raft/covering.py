"""Which tests of the core execute which of its lines, and how long each takes: measured once, in a child."""

import ast
import importlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = "tests/raft"
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--no-header", "--no-summary", "--tb=no")
PRELOADED = ("hypothesis", "hypothesis.strategies", "hypothesis.internal.conjecture.engine", "psutil")
"""Imported before forking, as every child needs it; pytest complains that it cannot rewrite them."""
QUIETLY = ("-W", "ignore:Module already imported")


@dataclass
class Coverage:
    """What one run of all tests showed: seconds by test, and the tests by file and line."""

    seconds: dict[str, float] = field(default_factory=dict)
    tests: dict[str, dict[int, list[str]]] = field(default_factory=dict)

    def of(self, path: Path, line: int, slowest: float) -> list[str]:
        """The tests that execute the statement around `line`, quickest first; all if importing does."""
        contexts = self.tests.get(path.name, {})
        found = {test for near in statement(path.read_text(), line) for test in contexts.get(near, ())}
        chosen: Iterable[str] = self.seconds if "" in found else found
        return sorted((t for t in chosen if self.seconds[t] <= slowest), key=lambda t: (self.seconds[t], t))


def statement(source: str, line: int) -> range:
    """The lines of the innermost statement around `line`, without the statements inside it."""
    found = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or line):
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or line) + 1
            if line < end:
                found = range(node.lineno, end)
    return found


class _Recorder:
    """A plugin for pytest that tells the measurement which test is running."""

    def __init__(self, measurement: Any, result: Coverage) -> None:
        self.measurement = measurement
        self.result = result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.measurement.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        seconds = self.result.seconds
        seconds[report.nodeid] = seconds.get(report.nodeid, 0.0) + report.duration


def measure(left_out: list[str]) -> Coverage:
    """Run all tests but some files, in a child: nothing of the core may be imported here. They must pass."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            json.dump(_measured(left_out), pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        seconds, tests = json.load(pipe)
    os.waitpid(child, 0)
    if not seconds:
        raise SystemExit("the tests fail without any mutant")
    return Coverage(
        seconds, {name: {int(line): found for line, found in lines.items()} for name, lines in tests.items()}
    )


def _measured(left_out: list[str]) -> tuple[dict[str, float], dict[str, dict[int, list[str]]]]:
    """The fields of a `Coverage`, empty if a test fails."""
    result = Coverage()
    measurement = importlib.import_module("coverage").Coverage(
        data_file=None, config_file=False, include=[f"{ROOT}/raft/*"]
    )
    measurement.start()
    ignored = [f"--ignore={TESTS}/{file}" for file in left_out]
    status = pytest.main([*OPTIONS, *ignored, TESTS], plugins=[_Recorder(measurement, result)])
    measurement.stop()
    data = measurement.get_data()
    tests = {Path(file).name: data.contexts_by_lineno(file) for file in data.measured_files()}
    return ({}, {}) if status else (result.seconds, tests)


def annotated(source: str) -> Iterator[ast.expr]:
    """The types in a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.returns

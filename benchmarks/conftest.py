"""What the benchmarks share: their files are named ``bench_*.py``, and cheap operations are timed in bulk."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

OPERATIONS = 1000
"""Operations in a round of :func:`per_operation`: milliseconds of a round are microseconds of one of them."""

ROUNDS = 25

Round = Callable[[], object]
PerOperation = Callable[[Callable[[], Round]], None]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect ``bench_*.py``, unless the command line names the file (then pytest does)."""
    wanted = file_path.name.startswith("bench_") and file_path.suffix == ".py"
    if not wanted or parent.session.isinitpath(file_path):
        return None
    module: pytest.Module = pytest.Module.from_parent(parent, path=file_path)
    return module


@pytest.fixture
def per_operation(benchmark: BenchmarkFixture) -> PerOperation:
    """Time an operation that changes what it works on.

    Takes a function that prepares a round, untimed, and returns what carries out its 1,000 operations. The
    garbage collector does not run in between.
    """

    def measure(prepare: Callable[[], Round]) -> None:
        def setup() -> tuple[tuple[Round], dict[str, object]]:
            gc.collect()
            return (prepare(),), {}

        gc.disable()
        try:
            benchmark.pedantic(lambda work: work(), setup=setup, rounds=ROUNDS, warmup_rounds=2)
        finally:
            gc.enable()
        benchmark.extra_info["us_per_operation"] = round(benchmark.stats.stats.median * 1e6 / OPERATIONS, 3)

    return measure

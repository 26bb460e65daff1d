"""Every conformance scenario, one test each: the project's own, and those of ``--scenarios DIR``."""

from pathlib import Path

import pytest

from tests.raft.datadriven import MalformedScript
from tests.raft.scenarios import OWN, differences, find


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "script" in metafunc.fixturenames:
        more = metafunc.config.getoption("--scenarios", default=None)
        roots = [OWN, *([more] if more else [])]
        try:
            scripts = [(root, path) for root in roots for path in find(root)]
        except MalformedScript as error:
            raise pytest.UsageError(str(error)) from error
        ids = [path.relative_to(root).as_posix() for root, path in scripts]
        # As in `main`: of others' scripts only the output counts.
        unwatched = [[pytest.mark.unwatched] if root != OWN else [] for root, _ in scripts]
        params = [pytest.param(script, marks=m) for script, m in zip(scripts, unwatched, strict=True)]
        metafunc.parametrize("script", params, ids=ids)


def test_scenario(script: tuple[Path, Path]):
    diffs = list(differences(*script))
    assert not diffs, "\n".join(["", *diffs])

"""What the tests of the core share: replicas that are watched, and the directory with more scenarios."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.raft.watch import Watch, watched


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--scenarios DIR``: its scripts are run besides the project's own."""
    parser.addoption("--scenarios", type=Path, help="directory with more scenarios for the Raft core")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of tests that check states themselves, too many of them to check each twice."""
    config.addinivalue_line("markers", "unwatched: replicas are not checked after each call")


@pytest.fixture(autouse=True)
def watch(request: pytest.FixtureRequest) -> Iterator[Watch | None]:
    """Check the invariants of every replica after every call that a test makes."""
    if request.node.get_closest_marker("unwatched"):
        yield None
        return
    with watched() as watch:
        yield watch

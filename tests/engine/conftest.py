"""The option that names other seeds for the random faults, and nodes to begin with."""

import pytest

from .harness import Nodes
from .settled import settled


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--fault-seeds FIRST[:LAST]``: these are run in the place of the usual ones."""
    parser.addoption("--fault-seeds", help="seed, or FIRST:LAST, of tests/engine/test_random_faults.py")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give ``fault_seed`` its values."""
    if "fault_seed" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--fault-seeds", default=None)
        first, _, last = (chosen or "0:40").partition(":")
        metafunc.parametrize("fault_seed", range(int(first), int(last or int(first) + 1)))


@pytest.fixture
def nodes() -> Nodes:
    """Three nodes with one settled group, led by node 1 without a timeout."""
    return settled()

"""The option that names other seeds for the simulation."""

import pytest

USUAL = "0:16"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--sim-seeds A:B``: these are run in the place of the usual ones."""
    parser.addoption("--sim-seeds", help=f"A:B (B not included), seeds of tests/simulation; usually {USUAL}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give ``sim_seed`` its values."""
    if "sim_seed" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--sim-seeds", default=None) or USUAL
        first, _, last = chosen.partition(":")
        metafunc.parametrize("sim_seed", range(int(first), int(last or int(first) + 1)))

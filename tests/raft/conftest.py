"""The option that names a directory with more conformance scenarios."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--scenarios DIR``: its scripts are run besides the project's own."""
    parser.addoption("--scenarios", type=Path, help="directory with more scenarios for the Raft core")

"""Fixtures of the command line's tests."""

import pytest

from tests.shards.cli.command import Cli


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs commands in this process."""
    return Cli(capsys)

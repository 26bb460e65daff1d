"""Fixtures: a sample directory is made once, and tests that damage it get a copy."""

import shutil
from pathlib import Path

import pytest

from tests.engine.offline.sample import write_sample


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[bytes, bytes]]:
    """A directory that nobody changes, and what it holds."""
    path = tmp_path_factory.mktemp("sample") / "node"
    return path, write_sample(path)


@pytest.fixture
def node(sample, tmp_path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(sample[0], tmp_path / "node"))

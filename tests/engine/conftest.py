"""Nodes to begin with."""

import pytest

from .harness import Nodes
from .settled import settled


@pytest.fixture
def nodes() -> Nodes:
    """Three nodes with one settled group, led by node 1 without a timeout."""
    return settled()

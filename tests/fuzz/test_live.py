"""Hostile bytes over real sockets, for a few seconds; ``python -m tests.fuzz --target live`` goes on."""

import resource

import pytest

from tests.fuzz import live
from tests.fuzz.attacks import ATTACKS


@pytest.fixture(autouse=True)
def enough_files():
    """Both ends of more than a thousand connections are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_node_serves_on_while_everybody_lies_to_it():
    outcome = live.fuzz(seed=1, runs=2 * len(ATTACKS), seconds=None)
    assert outcome.finding is None, outcome.log
    assert outcome.inputs > 100

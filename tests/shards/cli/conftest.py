"""Fixtures of the command line's tests."""

import codecs
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.shards.cli.command import Cli


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs commands in this process."""
    return Cli(capsys)


@pytest.fixture
def ordinary_user() -> Callable[[], AbstractContextManager[None]]:
    """A context in which permissions count, also when the tests run as root."""
    return _ordinary_user


@contextmanager
def _ordinary_user() -> Iterator[None]:
    user = os.geteuid()
    codecs.lookup("idna")  # what a socket loads on its first use may lie where only root reads
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)

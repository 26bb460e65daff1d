"""Runs what uses sockets on both event loops."""

from collections.abc import Iterator

import pytest

from .support import LoopChoice


@pytest.fixture(params=["asyncio", "uvloop"])
def every_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Once per event loop; uvloop is optional."""
    if request.param == "uvloop":
        LoopChoice.factory = pytest.importorskip("uvloop").new_event_loop
    yield
    LoopChoice.factory = None

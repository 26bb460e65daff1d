"""What is done about stores whose writes are refused, and in which order."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from multiraft.engine import outage as module
from multiraft.engine.errors import DiskFull, StorageFailed
from multiraft.engine.outage import Outage
from multiraft.engine.turn import Inputs

FULL = DiskFull("no space")
EIO = StorageFailed("input/output error")


class Bench:
    """An outage among stores that note what is done to them, and do what a test tells them."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.inputs = Inputs()
        self.failures: list[object] = []
        self.fits = True
        """Whether there is space for the ballast."""
        self.during: dict[str, Any] = {}
        """What happens, once, when something is done."""
        self.worker = ThreadPoolExecutor(1)
        self.outage = Outage(
            self.store("log"),
            self.store("state"),
            self.worker,
            SimpleNamespace(release_ballast=self.step("release"), restore_ballast=self.restore),
            self.step("resume"),
            lambda: self.inputs,
            lambda error, _cause: self.failures.append(error),
        )

    def step(self, name: str):
        def do(*_arguments: object) -> None:
            self.done.append(name)
            call = self.during.pop(name, None)
            if call is not None:
                call()

        return do

    def store(self, name: str) -> Any:
        calls = ("reopen", "copy", "adopt", "write")
        return type(name, (), {call: staticmethod(self.step(f"{call} {name}")) for call in calls})()

    def restore(self) -> bool:
        self.step("restore")()
        return self.fits

    async def until_resumed(self) -> None:
        while not self.inputs.resume:  # noqa: ASYNC110 # it has no event to tell
            await asyncio.sleep(0)

    async def ended(self) -> None:
        await asyncio.wait_for(self.outage._task, 5)
        self.worker.shutdown()


def refuse(error: Exception):
    def call() -> None:
        raise error

    return call


def test_a_full_log_is_opened_again_and_begins_a_new_run():
    async def story():
        bench = Bench()
        bench.outage.log_refused(FULL)
        bench.outage.log_rolled_back()
        await bench.until_resumed()
        assert bench.done == ["release", "reopen log", "resume"]
        bench.outage.log_written()
        await bench.ended()
        assert bench.done[3:] == ["restore"]
        assert bench.inputs.trouble == [FULL, None]

    asyncio.run(story())


def test_a_run_that_cannot_begin_is_tried_again_and_the_ballast_waits_for_space(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)

    async def story():
        bench = Bench()
        bench.fits = False
        bench.outage.log_refused(FULL)
        bench.outage.log_rolled_back()
        await bench.until_resumed()
        bench.inputs.resume = False
        bench.outage.log_refused(FULL)
        bench.outage.log_rolled_back()
        await bench.until_resumed()
        bench.outage.log_written()
        while bench.done.count("restore") < 3:  # noqa: ASYNC110 # likewise
            await asyncio.sleep(0)
        assert bench.inputs.trouble[-1] is FULL
        bench.fits = True
        await bench.ended()
        assert bench.inputs.trouble[-1] is None
        assert bench.done.count("reopen log") == 2

    asyncio.run(story())


def test_after_an_input_output_error_a_store_is_copied_once():
    async def story():
        bench = Bench()
        flush = object()
        bench.outage.flush_refused(flush, EIO)
        await bench.ended()
        assert bench.done == ["reopen state", "copy state", "adopt state", "write state"]
        assert bench.inputs.flushed == [flush]
        assert bench.inputs.trouble == [EIO, None]

    asyncio.run(story())


def test_a_copy_that_does_not_help_stops_the_node():
    async def story():
        bench = Bench()
        bench.during["write state"] = refuse(EIO)
        bench.outage.flush_refused(object(), EIO)
        await bench.ended()
        assert bench.failures == [EIO]

    asyncio.run(story())


def test_no_space_for_a_copy_stops_the_node():
    async def story():
        bench = Bench()
        bench.during["copy state"] = refuse(FULL)
        bench.outage.flush_refused(object(), EIO)
        await bench.ended()
        assert [type(failure) for failure in bench.failures] == [StorageFailed]

    asyncio.run(story())


def test_what_the_other_store_refuses_meanwhile_is_brought_back_too():
    async def story():
        bench = Bench()
        loop = asyncio.get_running_loop()

        def log_fails_too() -> None:
            loop.call_soon_threadsafe(bench.outage.log_refused, EIO)
            loop.call_soon_threadsafe(bench.outage.log_rolled_back)

        bench.during["write state"] = log_fails_too
        bench.outage.flush_refused(object(), EIO)
        await asyncio.wait_for(bench.until_resumed(), 5)
        bench.outage.log_written()
        await bench.ended()
        assert bench.done[4:] == ["reopen log", "copy log", "adopt log", "resume"]
        assert bench.inputs.trouble == [EIO, None]

    asyncio.run(story())

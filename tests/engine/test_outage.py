"""What the shell does from the first refused write on, against stores that do as they are told."""

import asyncio
from concurrent.futures import Executor, Future

import pytest

from multiraft.engine import outage as module
from multiraft.engine.errors import DiskFull, StorageFailed
from multiraft.engine.outage import Outage
from multiraft.engine.turn import Inputs

FULL = DiskFull("no space")
BROKEN = StorageFailed("the disk refuses")


class AtOnce(Executor):
    """Does its work when it gets it."""

    def submit(self, call, /, *arguments, **options):
        future: Future[object] = Future()
        try:
            future.set_result(call(*arguments, **options))
        except Exception as error:  # noqa: BLE001 # whoever waits for the future gets it
            future.set_exception(error)
        return future


class Store:
    """A log store, a state store and a ballast: they note what is done with them."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.while_restoring = lambda: None

    def reopen(self) -> None:
        self.done.append("reopen")

    def copy(self) -> None:
        self.done.append("copy")

    def adopt(self) -> None:
        self.done.append("adopt")

    def release_ballast(self) -> bool:
        self.done.append("release")
        return True

    def restore_ballast(self) -> bool:
        self.done.append("restore")
        self.while_restoring()
        return True


class Shell:
    """An outage with everything around it; the log's run begins as soon as it is asked to."""

    def __init__(self) -> None:
        self.store = Store()
        self.inputs = Inputs()
        self.failures: list[Exception] = []
        self.outage = Outage(
            self.store,
            self.store,
            AtOnce(),
            self.store,
            lambda: self.store.done.append("resume"),
            lambda: self.inputs,
            lambda error, _cause: self.failures.append(error),
        )

    async def refuse(self, error: Exception) -> None:
        """The log refuses all that is in flight."""
        self.outage.log_refused(error)
        self.outage.log_rolled_back()

    async def until_whole(self) -> None:
        """Until the outage says that it is over; whatever run the log begins is durable at once."""
        async with asyncio.timeout(5):
            while self.inputs.trouble[-1:] != [None]:
                if self.inputs.resume:
                    self.inputs.resume = False
                    self.outage.log_written()
                await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.0)


def test_a_full_disk_is_over_when_the_ballast_is_back():
    async def work():
        shell = Shell()
        await shell.refuse(FULL)
        await shell.until_whole()
        assert shell.store.done == ["release", "reopen", "resume", "restore"]
        assert shell.inputs.trouble == [FULL, None]

    asyncio.run(work())


def test_a_write_refused_while_the_ballast_comes_back_is_brought_back_too():
    """The first outage is not over yet, so the second begins none of its own."""

    async def work():
        shell = Shell()
        again = [BROKEN]

        def refuse_once_more() -> None:
            if again:
                shell.outage.log_refused(again.pop())
                shell.outage.log_rolled_back()

        shell.store.while_restoring = refuse_once_more
        await shell.refuse(FULL)
        await shell.until_whole()
        assert shell.store.done[-5:] == ["reopen", "copy", "adopt", "resume", "restore"]
        assert shell.failures == []

    asyncio.run(work())

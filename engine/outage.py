"""When the disk refuses a write: from the first refusal until everything is as it was.

A full disk is waited for. The ballast is given back to it, so that what is under way can be ended in order;
callers' writes are refused, and everything is tried again until there is space for the ballast, too. After
any other failure nobody knows what the disk holds: the store is copied to a new file, flushed and compared,
once; if that does not help, the node stops. Meanwhile nothing is acknowledged that is not durable.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, Protocol, TypeVar

from .errors import DiskFull, Error, StorageFailed
from .logstore.port import LogStore
from .statemachine.store import Flush, StateStore
from .turn import Inputs

logger = logging.getLogger("multiraft.host")

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0
"""Between two tries on a full disk: each pause is twice as long as the one before, up to this."""

T = TypeVar("T")


class Space(Protocol):
    """The ballast; :class:`~.datadir.DataDir` has one."""

    def release_ballast(self) -> bool:
        """Give space back to a full disk; ``False``: there is none to give. Raises StorageFailed."""
        ...

    def restore_ballast(self) -> bool:
        """Set it aside again; ``False``: the disk is still too full. Raises StorageFailed."""
        ...


class Store(Protocol):
    """What both stores can do after a failure."""

    def reopen(self) -> None:
        """Open the files anew; raises Corruption if they have lost anything."""

    def copy(self) -> None:
        """Write everything to new files; any thread."""

    def adopt(self) -> None:
        """Put those in the place of the old ones."""


class Outage:
    """What the shell of a node does about a disk that refuses writes. Everything is called on the loop.

    Args:
        log: of the node, which tells when nothing is in flight there (``rolled_back``).
        state: likewise; its flush that was refused is written again.
        worker: the thread of the state store.
        space: the ballast.
        resume_writer: makes the log writer take batches again.
        inputs: those of the next turn, which is taken soon.
        fail: stops the node.
    """

    def __init__(
        self,
        log: LogStore[Any],
        state: StateStore,
        worker: Executor,
        space: Space,
        resume_writer: Callable[[], None],
        inputs: Callable[[], Inputs],
        fail: Callable[[Error, BaseException], None],
    ) -> None:
        self._log = log
        self._state = state
        self._worker = worker
        self._space = space
        self._resume_writer = resume_writer
        self._inputs = inputs
        self._fail = fail
        self._log_error: Error | None = None
        self._state_error: Error | None = None
        self._flush: Flush | None = None
        self._full = False
        """Whether space was what was missing, at the first refusal or later."""
        self._renewed: set[Store] = set()
        """Stores that were copied in this outage."""
        self._rolled_back = asyncio.Event()
        self._run_begun: asyncio.Future[Error | None] | None = None
        self._task: asyncio.Task[None] | None = None

    # -- what the shell tells --------------------------------------------------------------------

    def log_refused(self, error: Error) -> None:
        """A batch was refused."""
        if self._run_begun is not None and not self._run_begun.done():
            self._run_begun.set_result(error)
        else:
            self._log_error = self._log_error or error
            self._begin(error)

    def log_rolled_back(self) -> None:
        """Nothing is in flight any more."""
        self._rolled_back.set()

    def log_written(self) -> None:
        """A batch is durable."""
        if self._run_begun is not None and not self._run_begun.done():
            self._run_begun.set_result(None)

    def flush_refused(self, flush: Flush, error: Error) -> None:
        """A flush was refused; no other one is begun until it is written."""
        self._flush, self._state_error = flush, error
        self._begin(error)

    def end(self) -> None:
        """The node stops."""
        if self._task is not None:
            self._task.cancel()

    # -- what is done about it -------------------------------------------------------------------

    def _begin(self, error: Error) -> None:
        if self._task is not None and not self._task.done():
            return
        logger.error("the disk refuses a write, and nothing of it is acknowledged: %s", error)
        self._inputs().trouble.append(error)
        self._task = asyncio.get_running_loop().create_task(self._recover(error))

    async def _recover(self, error: Error) -> None:
        try:
            self._full = isinstance(error, DiskFull)
            if self._full:
                self._space.release_ballast()
            await self._try_until_whole(error)
        except Error as failure:
            self._fail(failure, error)
        except Exception as failure:
            logger.exception("the stores could not be brought back")
            self._fail(StorageFailed(f"the stores could not be brought back: {failure!r}"), failure)

    async def _try_until_whole(self, error: Error) -> None:
        pause = FIRST_PAUSE_S
        while not await self._try():
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
            self._inputs().trouble.append(error)
        self._renewed.clear()
        self._inputs().trouble.append(None)
        logger.warning("the disk takes writes again")

    async def _try(self) -> bool:
        """Bring back what was refused, also meanwhile; whether all is, and there is space enough to go on."""
        try:
            while True:
                if self._log_error is not None:
                    await self._bring_back_log(self._log_error)
                if self._state_error is not None:
                    await self._bring_back_state(self._state_error)
                if self._full and not await self._work(self._space.restore_ballast):
                    return False
                if self._log_error is None and self._state_error is None:
                    return True
        except DiskFull:
            self._full = True
            self._space.release_ballast()
            return False

    async def _bring_back_log(self, error: Error) -> None:
        await self._rolled_back.wait()
        await self._mend(self._log, error)
        self._resume_writer()
        self._rolled_back.clear()
        self._log_error = None
        self._run_begun = asyncio.get_running_loop().create_future()
        self._inputs().resume = True
        refusal = await self._run_begun
        if refusal is not None:
            self._log_error = refusal
            raise refusal.with_traceback(None)

    async def _bring_back_state(self, error: Error) -> None:
        flush = self._flush
        assert flush is not None, "no flush was refused"
        await self._mend(self._state, error)
        try:
            await self._work(lambda: self._state.write(flush))
        except Error as again:
            self._state_error = again
            raise
        self._flush = self._state_error = None
        self._inputs().flushed.append(flush)

    async def _mend(self, store: Store, error: Error) -> None:
        """Have the store in a state in which it may be written to. Raises what stops the node."""
        store.reopen()
        if isinstance(error, DiskFull):
            return
        if store in self._renewed:
            raise error
        self._renewed.add(store)
        logger.warning("after an error of the disk a store is copied to a new file")
        try:
            await self._work(store.copy)
        except DiskFull as full:
            raise StorageFailed(
                f"there is no space to copy a store after an error of the disk: {full}"
            ) from error
        store.adopt()

    async def _work(self, call: Callable[[], T]) -> T:
        """Off the loop, and behind what the thread of the state store does."""
        return await asyncio.wrap_future(self._worker.submit(call))

"""The thread that makes batches durable while the loop builds the next one."""

import queue
import threading
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from ..errors import Closed, Overloaded

DEPTH_MAX: Final = 16

PAUSE_S: Final = 0.1
"""When nothing has been submitted for so long, what was committed last is settled."""

B = TypeVar("B")
B_contra = TypeVar("B_contra", contravariant=True)


class Committing(Protocol[B_contra]):
    """What the writer needs of a log store."""

    def commit(self, batch: B_contra, before_flush: Callable[[], None]) -> None:
        """Make the batch durable; returns when it is.

        `before_flush` is called once on the way, unless the commit fails before: when from then on the disk
        has more to do than this thread, or at once if much is to be prepared.
        """

    def settle(self) -> None:
        """Nothing is to be committed just now, which is the time for what commits need not wait for."""


class LogWriter(Generic[B]):
    """Commits batches in the order in which they are submitted, and says so in that order.

    `notify(batch, error)` is called on the writer's thread: `error` is None if the batch is durable. When a
    commit fails, that batch and all behind it are notified with the error, until `resume`.

    If another batch waits already, it is prepared first, and what was written is told as its flush begins:
    else the loop, woken by the news, would hold the interpreter while the disk has nothing to do.
    """

    def __init__(
        self,
        store: Committing[B],
        notify: Callable[[B, Exception | None], None],
        *,
        depth_max: int = DEPTH_MAX,
    ) -> None:
        """Start the thread. At most `depth_max` batches may be in flight."""
        self._store = store
        self._notify = notify
        self._queue: queue.SimpleQueue[B | None] = queue.SimpleQueue()  # `submit` bounds it
        self._depth_max = depth_max
        self._submitted = 0
        self._completed = 0
        self._settled = 0
        self._closing = False
        self._deaf = False
        self._untold: tuple[B, Exception | None] | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="multiraft-log-writer", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Batches in flight: submitted and not yet notified."""
        return self._submitted - self._completed

    @property
    def full(self) -> bool:
        """Whether `submit` would refuse: build no batch now."""
        return self.depth >= self._depth_max

    @property
    def error(self) -> Exception | None:
        """What the first failed commit, or flush behind one, raised."""
        return self._error

    def submit(self, batch: B) -> None:
        """Queue a batch; never blocks. Loop thread.

        Raises `Overloaded` when `full`, `Closed` after `close`.
        """
        if self._closing:
            raise Closed("the log writer is closed")
        if self.full:
            raise Overloaded(f"{self.depth} log batches are in flight")
        self._submitted += 1
        self._queue.put(batch)

    def resume(self) -> None:
        """Commit again: all that was submitted has been notified, and the store can take what comes.

        Loop thread.
        """
        self._error = None

    def close(self) -> None:
        """Commit what was submitted, notify, and end the thread. Safe to repeat."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            if self._error is None:
                try:
                    self._store.commit(batch, self._tell)
                except Exception as error:
                    if self._deaf:
                        raise
                    self._error = error  # whatever it is, the batch is not durable
            self._tell()
            self._untold = batch, self._error
        self._tell()

    def _tell(self) -> None:
        """Say what became of the batch before, unless that has been said."""
        if self._untold is None:
            return
        (batch, outcome), self._untold = self._untold, None
        try:
            self._notify(batch, outcome)
        except Exception as error:
            self._deaf, self._error = True, error  # nobody hears of batches any more: take none
            raise
        finally:
            self._completed += 1

    def _next(self) -> B | None:
        """What was submitted next, None to end; settles when there is a pause behind commits."""
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            self._tell()
        if self._completed > self._settled and self._error is None:
            try:
                return self._queue.get(timeout=PAUSE_S)
            except queue.Empty:
                self._settled = self._completed
                try:
                    self._store.settle()
                except Exception as error:  # noqa: BLE001 - whatever it is, the disk cannot be trusted
                    self._error = error
        return self._queue.get()

"""The shell's side of machines that take their time: one task for each run of commands that is awaited."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from .applying import Applied, ApplyWork, Outcome, Run

if TYPE_CHECKING:
    from .turn import Inputs

logger = logging.getLogger("multiraft.host")

PATIENCE: Final = 1.0
"""Seconds that a machine has to end when its node is closed and its task is cancelled."""


class ApplyTasks:
    """Awaits machines, on the node's loop; what becomes of each run is an input of the next turn."""

    def __init__(self, inputs: "Callable[[], Inputs]") -> None:
        """``inputs`` has a turn taken, and returns what that is to be given."""
        self._inputs = inputs
        self._tasks: dict[asyncio.Task[Outcome], Run] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, works: Sequence[ApplyWork]) -> None:
        """Have these runs applied."""
        for work in works:
            task = asyncio.ensure_future(_await(work))
            self._tasks[task] = work.run
            task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[Outcome]") -> None:
        run = self._tasks.pop(task)
        if not self._closed:
            outcome = RuntimeError("it was cancelled") if task.cancelled() else task.result()
            self._inputs().applied.append(Applied(run, outcome))

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Cancel, and let the machines end; those that do not are named and left."""
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE)
        for run in self._tasks.values():
            group, name = run.replica.group, type(run.replica.machine).__name__
            logger.error("group %d: its %s goes on applying although it was cancelled", group, name)


async def _await(work: ApplyWork) -> Outcome:
    try:
        return await work.machine.async_apply(work.run.commands)
    except Exception as error:  # noqa: BLE001 # whatever it is, it is one replica's
        return error

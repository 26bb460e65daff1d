"""How commands run: their event loop, and the signals that end them."""

import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, on uvloop if it is installed.

    Ctrl-C and SIGTERM cancel it, so that its ``finally`` clauses run; then KeyboardInterrupt is raised.
    """
    import asyncio  # noqa: PLC0415 # `--help` must not pay for it

    with asyncio.Runner(loop_factory=loop_factory()) as runner, sigterm_as_interrupt():
        return runner.run(work)


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run coroutines at once and return their results in order; the first error cancels the others."""
    import asyncio  # noqa: PLC0415 # `--help` must not pay for it

    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def loop_factory() -> "Callable[[], asyncio.AbstractEventLoop] | None":
    """The event loops of uvloop if the extra ``fast`` is installed, else None: asyncio's own."""
    if find_spec("uvloop") is None:
        return None
    import uvloop  # noqa: PLC0415 # an extra, and slow to load

    return uvloop.new_event_loop


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does: what it has started is cleaned up."""
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

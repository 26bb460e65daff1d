"""Seeds in several processes at once."""

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final

from .run import Result

PORTION: Final = 40
"""Seeds, at most, that one process runs."""
SHARES: Final = 8
"""Into so many portions for each process seeds are divided at least, so that all have work until the end."""


def run_in_processes(run: Callable[[int], Result], seeds: Sequence[int], jobs: int) -> Iterator[Result]:
    """The results in the order of the seeds.

    A process is forked for a few seeds and keeps what they leave behind until it ends: a megabyte each, which
    takes longer to look through than to run without.

    Raises:
        RuntimeError: a process has ended before it was done.
    """
    context = get_context("fork")
    size = max(1, min(PORTION, len(seeds) // (SHARES * jobs)))
    portions = deque(seeds[at : at + size] for at in range(0, len(seeds), size))
    running: dict[Connection, BaseProcess] = {}
    found: dict[int, Result] = {}
    missing = deque(seeds)
    try:
        while missing:
            while portions and len(running) < jobs:
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_run, args=(run, portions.popleft(), sender))
                process.start()
                sender.close()
                running[receiver] = process
            for one in wait(list(running)):
                assert isinstance(one, Connection)
                _receive(one, running, found)
            while missing and missing[0] in found:
                yield found.pop(missing.popleft())
    finally:
        for process in running.values():
            process.terminate()


def _receive(receiver: Connection, running: dict[Connection, BaseProcess], found: dict[int, Result]) -> None:
    """Take a result, or note that the process has ended."""
    try:
        result: Result = receiver.recv()
    except EOFError:
        process = running.pop(receiver)
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a process that runs seeds has ended with {process.exitcode}") from None
    else:
        found[result.plan.seed] = result


def _run(run: Callable[[int], Result], seeds: Sequence[int], sender: Connection) -> None:
    gc.disable()
    for seed in seeds:
        sender.send(run(seed))

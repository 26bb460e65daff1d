"""A node process from its start to its end: readiness, logs, and what stops it."""

import asyncio
import logging
import os
import signal

from ...engine.errors import Error
from ..engine import Engine
from ..opening import Opening
from .output import Fields, note


def log_to_stderr(*, verbose: bool) -> None:
    """Send the package's log to standard error: warnings, or with ``verbose`` everything from INFO."""
    level = logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler()
    handler.addFilter(_is_no_last_word)
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", handlers=[handler])


def _is_no_last_word(record: logging.LogRecord) -> bool:
    """Whether a record is not the reason why the node stops: the command itself prints that in the end."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    reason = bool(arguments) and isinstance(arguments[-1], Error)
    return not (reason and str(record.msg).endswith("stops: %s"))


async def serve_until_stopped(
    opening: Opening[Engine], ready_fd: int | None, *, exit_with_parent: bool
) -> Fields:
    """Run the node until a signal, or the end of standard input, stops it.

    Raises:
        Error: the node cannot start, or has stopped by itself.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if exit_with_parent:
        loop.add_reader(0, _read_input, loop, stop)
    async with opening as engine:
        note(f"node {engine.node_id} listens on {engine.address} (process {os.getpid()})")
        if ready_fd is not None:
            os.write(ready_fd, f"ready {engine.address}\n".encode())
            os.close(ready_fd)
        told = loop.create_task(stop.wait())
        failed = loop.create_task(engine.stopped())
        await asyncio.wait([told, failed], return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            told.cancel()
            raise failed.result()
        failed.cancel()
        return {"node": engine.node_id, "address": engine.address}


def _read_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Standard input is a pipe from the process that started this one: its end is that process's end."""
    if not os.read(0, 4096):
        loop.remove_reader(0)
        stop.set()

"""The node processes: started, signalled, watched, and never left behind."""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from .disks import Disk

READY_S: Final = 90.0
"""Until a node listens: recovery included, on a busy machine."""
END_S: Final = 60.0
"""Until a node has ended after SIGTERM."""
PR_SET_PDEATHSIG: Final = 1
LAST_WORDS: Final = 1 << 14

_prctl = ctypes.CDLL(None, use_errno=True).prctl


class NodeFailed(Exception):
    """A node did not do what it should; the text says what."""


def die_with_parent() -> None:
    """Runs in the child before it becomes a node: even a stopped one dies at once if this process does."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Node:
    """One node and its process, if it runs."""

    def __init__(
        self,
        number: int,
        address: str,
        disk: Disk,
        log: Path,
        options: Sequence[str],
        on_end: Callable[[str], None],
    ) -> None:
        """``on_end`` is told when the process ends although nobody meant it to."""
        self.number = number
        self.address = address
        self.disk = disk
        self.log = log
        self.lock = asyncio.Lock()
        """Held by the fault that this node suffers."""
        self.starts = 0
        self._output = log.with_suffix(".json")
        self._options = list(options)
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._excused = False
        self._ready = -1

    @property
    def pid(self) -> int | None:
        """The process, None if there is none."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def spawn(self, peers: Mapping[int, str], *, excused: bool = False) -> None:
        """Start the process, without waiting until it listens. ``excused``: it may end by itself."""
        assert self.pid is None, self.number
        self._excused = excused
        self.starts += 1
        self._ready, ready = os.pipe()
        command = [sys.executable, "-P", "-m", "multiraft", "serve", f"--data={self.disk.directory}"]
        command += [f"--node-id={self.number}", f"--listen={self.address}", "--cluster=chaos"]
        command += [f"--peer={peer}={address}" for peer, address in peers.items()]
        command += ["--json", "--exit-with-parent", f"--ready-fd={ready}", *self._options]
        try:
            with self.log.open("ab") as log, self._output.open("wb") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=output,
                    stderr=log,
                    pass_fds=(ready,),
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
        finally:
            os.close(ready)
        self._watch = asyncio.create_task(self._watch_end(self._process))

    async def ready(self) -> bool:
        """Return once the node listens, or has ended instead (False).

        Raises:
            NodeFailed: neither happens in time.
        """
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._ready, readable.set)
        try:
            async with asyncio.timeout(READY_S):
                await readable.wait()
            return os.read(self._ready, 256).startswith(b"ready")
        except TimeoutError:
            raise NodeFailed(f"node {self.number} does not listen after {READY_S:g} s") from None
        finally:
            loop.remove_reader(self._ready)
            os.close(self._ready)

    async def start(self, peers: Mapping[int, str], *, excused: bool = False) -> None:
        """Start the process and return once it listens. Raises NodeFailed."""
        await self.spawn(peers, excused=excused)
        if not await self.ready():
            await self.wait()
            raise NodeFailed(f"node {self.number} did not start: {self.last_words()}")

    def signal(self, number: signal.Signals) -> None:
        """Signal the process, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def excuse(self) -> None:
        """From now on the process may end."""
        self._excused = True

    async def kill(self) -> None:
        """SIGKILL the process and wait until it is gone."""
        self.excuse()
        self.signal(signal.SIGKILL)
        await self.wait()

    async def terminate(self, excuses: Collection[str] = ()) -> None:
        """End the process cleanly. ``excuses`` are errors that it may end with instead.

        Raises:
            NodeFailed: it takes too long, or says that something is wrong.
        """
        self.excuse()
        self.signal(signal.SIGTERM)
        status = await self.wait(END_S)
        if status is None:
            await self.kill()
            raise NodeFailed(f"node {self.number} has not ended {END_S:g} s after SIGTERM")
        if status and self.error() not in excuses:
            raise NodeFailed(f"node {self.number} ended with status {status}: {self.last_words()}")

    async def close(self) -> None:
        """Leave nothing running."""
        if self._watch is not None:
            await self.kill()

    async def wait(self, patience: float | None = None) -> int | None:
        """Wait for the end of the process: its status, or None if the patience (in seconds) is over."""
        assert self._process is not None, self.number
        assert self._watch is not None, self.number
        await asyncio.wait([self._watch], timeout=patience)
        return self._process.returncode if self._watch.done() else None

    def error(self) -> str | None:
        """The name of the error that ended the process, None if it said none."""
        lines = self._output.read_text().splitlines()
        return json.loads(lines[-1]).get("type") if lines else None

    def tracebacks(self) -> list[str]:
        """What the process wrote of exceptions that nobody expected."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return [f"node {self.number} has met an unexpected exception: see its log"] * ("Traceback" in text)

    def last_words(self) -> str:
        """The last line that the process wrote."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - LAST_WORDS))
            lines = log.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    async def _watch_end(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        assert process.stdin is not None
        process.stdin.close()
        if not self._excused:
            self._on_end(
                f"node {self.number} ended by itself with status {process.returncode}: {self.last_words()}"
            )

"""Nodes as operating-system processes on loopback: started, killed, started again, and never left behind.

Each process runs in a session of its own, so that Ctrl-C reaches only the command, which then ends what it
started, by process id. Should the command itself be killed, the nodes see their standard input close and end.
"""

import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .output import CommandFailed

READY_TIMEOUT: Final = 60.0
"""Seconds that a node may take until it listens: recovery included, on a busy machine."""
CLUSTER: Final = "local"
PORTS: Final = range(10_000, 65_536)
EPHEMERAL: Final = (32_768, 65_535)
"""Ports that the system gives to outgoing connections, where it does not say."""


class NodeProcess:
    """One ``multiraft serve`` process; started by :class:`NodeProcesses`."""

    def __init__(self, node: int, address: str, data: Path, log: Path, arguments: Sequence[str]) -> None:
        self.node = node
        self.address = address
        self.data = data
        self.log = log
        """What the process writes to its standard error."""
        self._arguments = list(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = -1

    @property
    def pid(self) -> int:
        """The process id of the running (or last) process."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> None:
        """Start the process, without waiting for it to listen."""
        assert not self.alive, self.node
        self.forget()
        self._ready, ready = os.pipe()
        command = [sys.executable, "-P", "-m", "multiraft", "serve", *self._arguments]
        command += ["--exit-with-parent", f"--ready-fd={ready}"]
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 # our own command
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    pass_fds=(ready,),
                    start_new_session=True,
                )
        finally:
            os.close(ready)

    def wait_ready(self, timeout: float = READY_TIMEOUT) -> None:
        """Return once the node listens.

        Raises:
            CommandFailed: it ended instead (with the reason it gave), or takes too long.
        """
        readable, _, _ = select.select([self._ready], [], [], timeout)
        line = os.read(self._ready, 256) if readable else b""
        os.close(self._ready)
        if line.startswith(b"ready"):
            return
        if not readable:
            raise CommandFailed(f"node {self.node} does not listen after {timeout:g} s: see {self.log}")
        self.wait()
        raise CommandFailed(f"node {self.node} did not start: {self.last_words()}")

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process, if it runs."""
        if self.alive:
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for the end of the process; returns its status."""
        assert self._process is not None, "not started"
        status = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return status

    def forget(self) -> None:
        """Wait for the end, if it was started; one that was killed before has its pipe to be closed, too."""
        if self._process is not None:
            self.wait()

    def last_words(self) -> str:
        """The last line that the process wrote to its standard error."""
        lines = self.log.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


class NodeProcesses:
    """The processes of one cluster. A context manager: leaving it kills them all and waits for their end.

    ``with NodeProcesses(root, 3) as nodes: nodes.start()``. The calls block (a start until the node listens):
    use ``asyncio.to_thread`` on an event loop; :meth:`close` from another thread ends a start that waits.
    """

    def __init__(self, root: Path, nodes: int = 3, options: Sequence[str] = ()) -> None:
        """Prepare nodes 1..``nodes``.

        Args:
            root: keeps their data (``node-N``) and logs (``node-N.log``); it must exist.
            nodes: how many.
            options: more options of ``serve`` for all of them.
        """
        addresses = free_addresses(nodes)
        self.nodes: dict[int, NodeProcess] = {}
        self._closed = False
        self._lock = threading.Lock()
        peers = [f"--peer={node}={address}" for node, address in addresses.items()]
        for node, address in addresses.items():
            data = root / f"node-{node}"
            arguments = [f"--data={data}", f"--node-id={node}", f"--listen={address}", *peers]
            arguments += [f"--cluster={CLUSTER}", *options]
            self.nodes[node] = NodeProcess(node, address, data, root / f"node-{node}.log", arguments)

    @property
    def addresses(self) -> Mapping[int, str]:
        """Where each node listens."""
        return {node: process.address for node, process in self.nodes.items()}

    def start(self) -> None:
        """Start every node and return once all of them listen.

        Raises:
            CommandFailed: one did not.
        """
        for process in self.nodes.values():
            self._spawn(process)
        for process in self.nodes.values():
            process.wait_ready()

    def start_node(self, node: int) -> None:
        """Start one node (again) and return once it listens. Raises as :meth:`start`."""
        self._spawn(self.nodes[node])
        self.nodes[node].wait_ready()

    def kill(self, node: int) -> None:
        """SIGKILL one node. Returns at once: :meth:`wait` waits until it is gone."""
        self.nodes[node].send_signal(signal.SIGKILL)

    def wait(self, node: int) -> int:
        """Wait for the end of a node's process; returns its status."""
        return self.nodes[node].wait()

    def ended(self) -> list[tuple[int, str]]:
        """The nodes that do not run, with the last line that each wrote."""
        return [(node, one.last_words()) for node, one in self.nodes.items() if not one.alive]

    def stop(self, timeout: float = 30.0) -> None:
        """End every node cleanly (SIGTERM); those that take longer than ``timeout`` seconds are killed."""
        running = [process for process in self.nodes.values() if process.alive]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout
        watchdog = threading.Timer(deadline - time.monotonic(), self.close)
        watchdog.start()
        try:
            for process in running:
                process.wait()
        finally:
            watchdog.cancel()
            watchdog.join()

    def close(self) -> None:
        """SIGKILL what still runs, and wait for its end. Idempotent."""
        with self._lock:
            self._closed = True
            running = [process for process in self.nodes.values() if process.alive]
            for process in running:
                process.send_signal(signal.SIGKILL)
        for process in self.nodes.values():
            process.forget()

    def _spawn(self, process: NodeProcess) -> None:
        with self._lock:
            if self._closed:
                raise CommandFailed("the nodes have been stopped")
            process.spawn()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def free_addresses(count: int) -> dict[int, str]:
    """Loopback addresses for nodes 1..``count`` with ports that nobody listens on.

    The ports lie outside the range from which the system takes those of outgoing connections: a node that
    is down must find its port free when it comes back.
    """
    low, high = ephemeral_ports()
    candidates = [port for port in PORTS if not low <= port <= high]
    random.shuffle(candidates)
    found: dict[int, str] = {}
    for port in candidates:
        if len(found) == count:
            break
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found[len(found) + 1] = f"127.0.0.1:{port}"
    if len(found) < count:
        raise CommandFailed(f"there are no {count} free ports on loopback")
    return found


def ephemeral_ports() -> tuple[int, int]:
    """The lowest and the highest port that the system gives to outgoing connections."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except (OSError, ValueError):
        return EPHEMERAL
    return int(low), int(high)

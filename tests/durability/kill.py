"""Nodes that are killed while they write, again and again: what they acknowledged is there afterwards."""

import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 120
LONGEST_LIFE_S = 0.15
NUMBERS = 1_000_000
"""Numbers that one life of a node may use."""
LOOKED_BACK = 4
"""A node that is back looks for what it has written in so many cycles; in the end for everything."""


class Failed(AssertionError):
    """A node did not come back."""


@dataclass
class Report:
    """What was found."""

    cycles: int = 0
    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    findings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        names = ("cycles", "kills", "acknowledged", "lost")
        shown = {name: getattr(self, name) for name in names}
        return {**shown, "ok": not self.findings, "findings": self.findings[:5]}


class Node:
    """One node of those that are killed."""

    def __init__(self, path: Path, node: int, ports: list[int]) -> None:
        self.node = node
        self.acknowledged: set[int] = set()
        self._path = path / f"node-{node}"
        self._output = path / f"output-{node}"
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = -1
        self._since = 0

    @property
    def lives(self) -> bool:
        return self._process is not None

    def start(self, cycle: int, since: int) -> None:
        """Start it; it will look for what it has written in the cycles from `since` on."""
        self._since = since * NUMBERS
        self._ready, ready = os.pipe()
        ports = ",".join(map(str, self._ports))
        arguments = [self._path, self.node, ports, cycle * NUMBERS, self._since, ready]
        command = [sys.executable, "-m", "tests.durability.killed", *map(str, arguments)]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, pass_fds=[ready])
        os.close(ready)

    def check(self) -> set[int]:
        """Wait until it is back; returns what it has acknowledged and does not find. Raises `Failed`."""
        readable, _, _ = select.select([self._ready], [], [], PATIENCE_S)
        if not readable or not os.read(self._ready, 1):
            raise Failed(f"node {self.node} does not come back: {self.kill()[-2000:]}")
        with self._output.open("rb") as output:
            found = set(json.loads(output.readline()))
        return {number for number in self.acknowledged if number >= self._since} - found

    def kill(self) -> str:
        """Kill it if it lives, and read what it has acknowledged; returns what it has complained of."""
        process, self._process = self._process, None
        if process is None:
            return ""
        process.send_signal(signal.SIGKILL)
        _, complaints = process.communicate()
        os.close(self._ready)
        _, _, told = self._output.read_bytes().partition(b"\n")
        whole, _, _ = told.rpartition(b"\n")
        self.acknowledged.update(map(int, whole.split()))
        return complaints.decode()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def run(path: Path, cycles: int, seed: int, nodes: int = 1) -> Report:
    """Kill some of the nodes, or all, so many times, at moments drawn from the seed."""
    draw, report, ports = random.Random(seed), Report(), free_ports(nodes)
    all_nodes = [Node(path, node, ports) for node in range(1, nodes + 1)]
    try:
        for cycle in range(cycles):
            _bring_back(all_nodes, cycle, max(0, cycle - LOOKED_BACK), report)
            select.select([], [], [], draw.uniform(0, LONGEST_LIFE_S))
            victims = draw.sample(all_nodes, draw.randint(1, nodes))
            for victim in victims:
                victim.kill()
            report.cycles, report.kills = cycle + 1, report.kills + len(victims)
        for node in all_nodes:
            node.kill()
        _bring_back(all_nodes, cycles, 0, report)
    except Failed as error:
        report.findings.append(str(error))
    finally:
        for node in all_nodes:
            node.kill()
    report.acknowledged = sum(len(node.acknowledged) for node in all_nodes)
    return report


def _bring_back(nodes: list[Node], cycle: int, since: int, report: Report) -> None:
    dead = [node for node in nodes if not node.lives]
    for node in dead:
        node.start(cycle, since)
    for node in dead:
        missing = node.check()
        report.lost += len(missing)
        if missing:
            report.findings.append(f"cycle {cycle}: node {node.node} has lost {sorted(missing)[:5]} and more")

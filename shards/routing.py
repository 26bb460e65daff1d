"""From a key to the replica that serves it: find the range and its leader, ask, and ask again if refused."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, cast

from ..engine.errors import (
    Closed,
    CrossRange,
    Error,
    NoRange,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    ProposalDropped,
    RangeDeleted,
    RangeMoved,
    Unavailable,
)
from ..engine.host import Host
from ..engine.replica import SYSTEM_GROUP
from ..engine.statemachine.commands import encode_retire, envelope
from .channel import Channel
from .descriptor import RangeDescriptor
from .directory import Directory
from .directory_machine import DirectoryMachine
from .leaders import Leaders
from .queries import query_of, read_stale
from .requests import Op, Scalar

REFUSALS: Final = (NotLeader, ProposalDropped, RangeMoved)
"""Answers that name the proposal and say that it did not and will not apply: it may be made again."""


class Router:
    """Routes by the directory, which never rules: the range itself compares the epoch."""

    def __init__(
        self,
        node_id: int,
        session: int,
        host: Host,
        directory: Callable[[], DirectoryMachine],
        channels: dict[int, Channel],
        spread: random.Random,
    ) -> None:
        self._node_id = node_id
        self._session = session
        self._sequence = 0
        self._host = host
        self._machine = directory
        self._channels = channels
        self._leaders = Leaders(host.node, channels, spread)
        host.on_leaders = self._leaders.heard
        self._loop = asyncio.get_running_loop()
        self._changed: asyncio.Future[None] = self._loop.create_future()

    @property
    def directory(self) -> Directory:
        """The directory as this node knows it."""
        return self._machine().directory

    def directory_changed(self) -> None:
        """The directory's machine has applied something."""
        changed, self._changed = self._changed, self._loop.create_future()
        changed.set_result(None)

    # -- what callers want -----------------------------------------------------------------------

    def write_here(self, low: bytes, high: bytes, body: bytes) -> "asyncio.Future[object] | None":
        """Propose a command whose range this node leads; None if it does not, or takes nothing now."""
        descriptor = self.directory.lookup(low)
        if descriptor is None or (descriptor.end is not None and high >= descriptor.end):
            return None
        if not self._host.node.replicas.running.leads(descriptor.group):
            return None
        self._sequence += 1
        command = envelope(self._session, self._sequence, descriptor.epoch, body)
        try:
            return self._host.propose(descriptor.group, [command])
        except (Closed, Overloaded):
            return None  # the long way says so

    async def write(self, low: bytes, high: bytes, body: bytes, deadline: float) -> Scalar:
        """Apply a command whose keys lie in ``[low, high]`` in the one range that holds them all.

        Raises:
            NoRange, CrossRange: the keys are not in one range.
            OutcomeUnknown: the write may still commit.
            Overloaded: and nothing happened.
        """
        descriptor = await self._locate(low, deadline)
        while True:
            if descriptor.end is not None and high >= descriptor.end:
                raise CrossRange(f"the keys {low!r} and {high!r} lie in different ranges")
            try:
                return await self._propose(descriptor, body, deadline)
            except RangeMoved as moved:
                descriptor = await self._locate_again(low, descriptor, deadline, moved)

    async def retire(self, descriptor: RangeDescriptor, deadline: float) -> None:
        """Have a range serve nothing any more, for good.

        Raises:
            RangeDeleted: it does so already.
            RangeMoved: it is not what the directory says.
            OutcomeUnknown: it may yet come to that; Unavailable and others: it will not by this.
        """
        await self._propose(descriptor, encode_retire(), deadline)

    async def read(self, key: bytes, op: Op, fields: Sequence[Scalar], deadline: float) -> Sequence[Scalar]:
        """Ask the range that holds ``key``; ``fields`` follow group and epoch.

        Raises:
            NoRange: no range holds the key.
            Unavailable: no answer in time.
        """
        descriptor = await self._locate(key, deadline)
        while True:
            try:
                return await self.read_range(descriptor, op, fields, deadline)
            except RangeMoved as moved:
                descriptor = await self._locate_again(key, descriptor, deadline, moved)

    async def read_range(
        self, descriptor: RangeDescriptor, op: Op, fields: Sequence[Scalar], deadline: float
    ) -> Sequence[Scalar]:
        """Ask one range. Raises RangeMoved if it is not what the directory says."""
        asked = [descriptor.group, descriptor.epoch, *fields]
        if op in {Op.STALE_GET, Op.STALE_SCAN}:
            return await self._read_stale(descriptor, op, asked, deadline)
        return await self._read_group(descriptor.group, descriptor.replicas, op, asked, deadline)

    async def propose_to_system(self, body: bytes, deadline: float) -> object:
        """Apply a command to the directory; the result is its machine's."""
        return await self._propose_group(SYSTEM_GROUP, self._system_replicas(), 0, body, deadline)

    async def refresh(self, deadline: float) -> None:
        """Return once this node's directory is at least as new as any was when this was called."""
        asked: list[Scalar] = [SYSTEM_GROUP]
        replicas = self._system_replicas()
        fields = await self._read_group(SYSTEM_GROUP, replicas, Op.READ_VERSION, asked, deadline)
        await self.reach_version(cast("int", fields[0]), deadline)

    async def reach_version(self, version: int, deadline: float) -> None:
        """Return once the directory of this node has this version."""
        try:
            async with asyncio.timeout_at(deadline):
                while self._machine().version < version:
                    await asyncio.shield(self._changed)
        except TimeoutError:
            raise Unavailable(f"this node's directory has not reached version {version}") from None

    # -- ranges ----------------------------------------------------------------------------------

    async def _locate(self, key: bytes, deadline: float) -> RangeDescriptor:
        found = self.directory.lookup(key)
        if found is None:
            await self.refresh(deadline)
            found = self.directory.lookup(key)
        if found is None:
            raise NoRange(
                f"no range covers the key {key!r}: create one (create_ranges; `multiraft ranges create`)"
            )
        return found

    async def _locate_again(
        self, key: bytes, tried: RangeDescriptor, deadline: float, moved: RangeMoved
    ) -> RangeDescriptor:
        """Where the key is now. Raises `moved` if it is where it was, and will not be served there again."""
        await self._leaders.pause(0, deadline, moved)
        if not isinstance(moved, RangeDeleted):
            return await self._locate(key, deadline)
        await self.refresh(deadline)
        found = await self._locate(key, deadline)
        if found.group == tried.group:
            raise moved
        return found

    def _system_replicas(self) -> tuple[tuple[int, int], ...]:
        replica = self._host.node.replicas.running.get(SYSTEM_GROUP)
        if replica is None:
            raise self._host.node.replicas.refusal(SYSTEM_GROUP)
        return replica.birth.peers

    # -- asking a group's leader -----------------------------------------------------------------

    async def _propose(self, descriptor: RangeDescriptor, body: bytes, deadline: float) -> Scalar:
        group, replicas = descriptor.group, descriptor.replicas
        result = await self._propose_group(group, replicas, descriptor.epoch, body, deadline)
        return cast("Scalar", result)

    async def _propose_group(
        self, group: int, replicas: Sequence[tuple[int, int]], epoch: int, body: bytes, deadline: float
    ) -> object:
        async def ask(node: int) -> Sequence[Scalar]:
            self._sequence += 1
            command = envelope(self._session, self._sequence, epoch, body)
            if node == self._node_id:
                return await self._propose_here(group, command, deadline)
            return await self._ask(node, Op.PROPOSE, [group, command], deadline)

        fields = await self._leaders.ask(group, replicas, ask, deadline, (NotLeader, ProposalDropped))
        return fields[0] if len(fields) == 1 else tuple(fields)

    async def _read_group(
        self, group: int, replicas: Sequence[tuple[int, int]], op: Op, asked: list[Scalar], deadline: float
    ) -> Sequence[Scalar]:
        async def ask(node: int) -> Sequence[Scalar]:
            if node != self._node_id:
                return await self._ask(node, op, asked, deadline)
            future = self._host.read(*query_of(op, asked))
            return cast("Sequence[Scalar]", await self._answer(future, deadline, reading=True))

        return await self._leaders.ask(group, replicas, ask, deadline, (NotLeader, Unavailable))

    async def _propose_here(self, group: int, command: bytes, deadline: float) -> Sequence[Scalar]:
        results = await self._answer(self._host.propose(group, [command]), deadline, reading=False)
        result = cast("list[object]", results)[0]
        if isinstance(result, Error):
            raise result.with_traceback(None)
        return reply_fields(result)

    async def _read_stale(
        self, descriptor: RangeDescriptor, op: Op, asked: list[Scalar], deadline: float
    ) -> Sequence[Scalar]:
        """Ask any replica, this node's own first, and what is left of one that has no peer."""
        with suppress(NotLeader):
            return read_stale(self._host.node, *query_of(op, asked))
        attempt = 0
        while True:
            node = descriptor.replicas[attempt % len(descriptor.replicas)][1]
            try:
                if node in self._channels:
                    return await self._ask(node, op, asked, deadline)
                error: Error = Unavailable(f"node {node} cannot be reached")
            except (NotLeader, Unavailable) as refusal:
                error = refusal
            await self._leaders.pause(attempt, deadline, error)
            attempt += 1

    async def _ask(self, node: int, op: Op, fields: Sequence[Scalar], deadline: float) -> Sequence[Scalar]:
        channel = self._channels.get(node)
        if channel is None:
            raise NotLeader(cast("int", fields[0]))
        left_ms = int((deadline - self._loop.time()) * 1000)
        future = channel.ask(op, max(1, left_ms), fields)
        try:
            async with asyncio.timeout_at(deadline):
                reply = await future
        except TimeoutError:
            raise too_late(reading=op is not Op.PROPOSE) from None
        if reply.error is not None:
            raise reply.error
        return reply.fields

    async def _answer(self, future: "asyncio.Future[object]", deadline: float, *, reading: bool) -> object:
        try:
            async with asyncio.timeout_at(deadline):
                value = await future
        except TimeoutError:
            raise too_late(reading=reading) from None
        if isinstance(value, Error):
            raise value.with_traceback(None)
        return value


def too_late(*, reading: bool) -> Error:
    """What a deadline means to a read, and to a write that was handed over."""
    if reading:
        return Unavailable("the read was not confirmed in time")
    return OutcomeUnknown("the write was not acknowledged in time and may still commit")


def reply_fields(result: object) -> Sequence[Scalar]:
    """A state machine's result as the fields of a reply."""
    if isinstance(result, tuple):
        return result
    return [cast("Scalar", result)]

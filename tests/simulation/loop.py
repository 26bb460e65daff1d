"""Virtual time, and an event loop per process that runs in it.

A :class:`World` is one heap of events. A :class:`NodeLoop` looks to a process like its asyncio loop: it
gathers what is ready and runs it in passes, as asyncio does, but a pass happens when the world says so. A
process can be paused (its handles wait), be late, have a clock that goes wrong, or be killed: then nothing of
it runs ever again, and what its coroutines do while they are thrown away reaches nobody.
"""

import asyncio
import random
import sys
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import Any

Event = list[Any]
"""[when, number, call, arguments]; without a call it was cancelled."""


class Stuck(AssertionError):
    """The world takes more steps than a run can need: something spins."""


class World:
    """Everything that happens, in order of virtual time; and at one moment in order of making."""

    def __init__(self, seed: int, most_steps: int = 5_000_000) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.steps = 0
        self.failure: BaseException | None = None
        """The first thing that went wrong; nothing runs after it."""
        self._most_steps = most_steps
        self._events: list[Event] = []
        self._number = 0

    def at(self, when: float, call: Callable[..., object], *arguments: object) -> Event:
        """Have something happen at a time; now, if that is past."""
        now = self.now
        number = self._number = self._number + 1
        event = [when if when > now else now, number, call, arguments]  # noqa: FURB136 # max() costs more
        heappush(self._events, event)
        return event

    def after(self, delay: float, call: Callable[..., object], *arguments: object) -> Event:
        """Have something happen after so many seconds."""
        return self.at(self.now + delay, call, *arguments)

    @staticmethod
    def cancel(event: Event) -> None:
        """It does not happen."""
        event[2] = None

    def fail(self, error: BaseException) -> None:
        """End the run with this error, once what is being done is done."""
        if self.failure is None:
            self.failure = error

    def check(self, hook: Callable[..., object], *told: object) -> None:
        """Tell a checker something; its objection ends the run, behind the back of the code that is run."""
        try:
            hook(*told)
        except Exception as error:  # noqa: BLE001 - a checker that fails has failed to check
            self.fail(error)

    def run(self, until: float, done: Callable[[], bool] | None = None) -> bool:
        """Let things happen until a time, or until ``done``; says whether it was done.

        Raises:
            BaseException: what a part of the world has failed with.
        """
        heap, most = self._events, self._most_steps
        while heap and heap[0][0] <= until:
            when, _, call, arguments = heappop(heap)
            if call is None:
                continue
            self.now = when
            self.steps += 1
            call(*arguments)
            if self.failure is not None:
                raise self.failure
            if self.steps > most:
                raise Stuck(f"{most} steps and no end")
            if done is not None and done():
                return True
        self.now = max(self.now, until)
        return False


class Handle:
    """A callback that was asked for: as much of asyncio's handles as a node uses, and nothing slower.

    There are no context variables in a node, so nobody keeps a context for it.
    """

    __slots__ = ("args", "call")

    def __init__(self, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.call: Callable[..., object] | None = call
        self.args = args

    def cancel(self) -> None:
        """It is not called; a timer stays in the heap until its time has come."""
        self.call, self.args = None, ()

    def cancelled(self) -> bool:
        """Whether it is not called."""
        return self.call is None


class NodeLoop:
    """The event loop of one process, on a clock of its own: as much of asyncio's as a node uses.

    Args:
        world: whose time passes.
        name: of the process, for those who read about it.
        network: opens its connections and listeners.
        rate: seconds of its clock in a second of the world.
        clock: what its clock shows now.
    """

    def __init__(
        self, world: World, name: str, network: Any = None, rate: float = 1.0, clock: float = 0.0
    ) -> None:
        self.world = world
        self.name = name
        self.network = network
        self.dead = False
        self.pass_cost = 200e-6
        """Seconds from one pass to the next, at least: a process that is always busy lets time go on."""
        self.thread_delay = 0.001
        """How long a function takes at most that the process runs in a thread."""
        self._rate = rate
        self._clock = clock
        self._since = world.now
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._number = 0
        self._armed: Event | None = None
        self._free_at = world.now
        self._running = False

    def __repr__(self) -> str:
        return f"<loop of {self.name}>"

    # -- what the world does to it ---------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """Nothing of it runs for so long; what arrives meanwhile waits."""
        self._free_at = max(self._free_at, self.world.now + seconds)
        if self._armed is not None:
            self.world.cancel(self._armed)
            self._armed = None
            self._arm_next()

    def resume(self) -> None:
        """A pause is over before its time."""
        self._free_at = self.world.now
        self._rearm()

    def set_rate(self, rate: float) -> None:
        """Its clock goes faster or slower from now on."""
        self._clock, self._since, self._rate = self.time(), self.world.now, rate
        self._rearm()

    def kill(self) -> None:
        """Nothing of it runs any more."""
        self.dead = True
        self._ready.clear()
        self._timers.clear()
        self._rearm()

    # -- passes ----------------------------------------------------------------------------------

    def _rearm(self) -> None:
        if self._armed is not None:
            self.world.cancel(self._armed)
            self._armed = None
        self._arm_next()

    def _arm_next(self) -> None:
        if self.dead or self._running:
            return
        if self._ready:
            self._arm(self.world.now)
        elif self._timers:
            self._arm(self._since + (self._timers[0][0] - self._clock) / self._rate)

    def _arm(self, when: float) -> None:
        """Have the next pass happen then, or when the process is free again; an earlier one stands."""
        if when < self._free_at:  # noqa: PLR1730 # max() costs more
            when = self._free_at
        armed = self._armed
        if armed is not None:
            if armed[0] <= when:
                return
            armed[2] = None
        self._armed = self.world.at(when, self._pass)

    def _pass(self) -> None:
        self._armed = None
        ready, timers = self._ready, self._timers
        if timers:
            now = self.time() + 1e-9
            while timers and timers[0][0] <= now:
                handle = heappop(timers)[2]
                if handle.call is not None:
                    ready.append(handle)
        self._running = True
        _set_running_loop(self)
        try:
            for _ in range(len(ready)):
                handle = ready.popleft()
                if handle.call is not None:
                    handle.call(*handle.args)
                    if self.dead:
                        break
        except Exception as error:  # noqa: BLE001 - a callback of the process may not raise, whatever it is
            self.call_exception_handler({"message": "a callback has failed", "exception": error})
        finally:
            _set_running_loop(None)
            self._running = False
        if self.dead:
            return
        free_at = self.world.now + self.pass_cost
        if free_at > self._free_at:  # noqa: PLR1730 # max() costs more
            self._free_at = free_at
        if ready:
            self._arm(self._free_at)
        elif timers:
            self._arm(self._since + (timers[0][0] - self._clock) / self._rate)

    # -- what the process asks -------------------------------------------------------------------

    def time(self) -> float:
        return self._clock + (self.world.now - self._since) * self._rate

    def call_soon(self, callback, *args, context=None) -> Handle:
        handle = Handle(callback, args)
        if not self.dead:
            self._ready.append(handle)
            if not self._running:
                self._arm(self.world.now)
        return handle

    call_soon_threadsafe = call_soon
    external = call_soon
    """What a thread, a disk or a socket of the process reports."""

    def arrived(self, callback: Callable[..., object], *args: Any) -> None:
        """The same, as an event of the world by itself: an idle process looks at once."""
        if self.dead:
            return
        self._ready.append(Handle(callback, args))
        now = self.world.now
        if now < self._free_at:
            self._arm(now)
            return
        armed = self._armed
        if armed is not None:
            if armed[0] <= now:
                return
            armed[2] = None
        self._pass()

    def call_later(self, delay, callback, *args, context=None) -> Handle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None) -> Handle:
        handle = Handle(callback, args)
        if not self.dead:
            self._number += 1
            heappush(self._timers, (when, self._number, handle))
            if not self._running and self._timers[0][2] is handle:
                self._arm_next()
        return handle

    def create_future(self) -> asyncio.Future:
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None) -> asyncio.Task:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(self, executor, func, *args) -> asyncio.Future:
        """Run it in no time, a little later: a thread of the process."""
        future = self.create_future()
        if not self.dead:
            delay = self.world.random.uniform(0, self.thread_delay)
            self.world.after(delay, self._run_in_thread, future, func, args)
        return future

    def _run_in_thread(self, future: asyncio.Future, func, args) -> None:
        if self.dead:
            return
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for whoever waits
            self.external(_settle, future, None, error)
        else:
            self.external(_settle, future, result, None)

    async def create_server(self, protocol_factory, host=None, port=None, **_: Any):
        return self.network.listen(self, protocol_factory, port)

    async def create_connection(self, protocol_factory, host=None, port=None, **_: Any):
        return await self.network.connect(self, protocol_factory, port)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self.dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What asyncio would log is a bug: a callback or a task nobody waits for has failed."""
        if not self.dead:
            error = context.get("exception")
            failure = AssertionError(f"{self.name}: {context.get('message')}: {error!r}")
            failure.__cause__ = error
            self.world.fail(failure)


def _settle(future: asyncio.Future, result: object, error: Exception | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


@contextmanager
def graveyard() -> Iterator[None]:
    """Let coroutines of killed processes be thrown away in peace.

    Python closes them, and one that would await something in a ``finally`` is reported as unraisable.
    """
    before = sys.unraisablehook
    sys.unraisablehook = _bury
    try:
        yield
    finally:
        sys.unraisablehook = before


def _bury(unraisable: "sys.UnraisableHookArgs") -> None:
    if not isinstance(unraisable.exc_value, RuntimeError | GeneratorExit):
        sys.__unraisablehook__(unraisable)

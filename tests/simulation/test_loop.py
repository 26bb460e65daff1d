"""The loop that lives in virtual time is an asyncio loop, in order, on its own clock, until it is killed."""

import asyncio

import pytest

from tests.simulation.loop import NodeLoop, Stuck, World, graveyard


def story(world: World, loop: NodeLoop, coroutine) -> asyncio.Task:
    tasks = []
    loop.call_soon(lambda: tasks.append(loop.create_task(coroutine)))
    world.run(0)
    return tasks[0]


def test_time_passes_without_waiting():
    world = World(1)
    loop = NodeLoop(world, "a", clock=50.0)

    async def wait_an_hour():
        began = loop.time()
        await asyncio.sleep(3600)  # sleep: it takes no time
        return began, loop.time()

    task = story(world, loop, wait_an_hour())
    world.run(3601)
    assert task.result() == pytest.approx((50, 3650), abs=0.001)


def test_a_clock_that_goes_fast_sleeps_short():
    world = World(1)
    loop = NodeLoop(world, "a", rate=2.0)
    woken = []
    loop.call_at(10.0, lambda: woken.append(world.now))
    world.run(20)
    assert woken == [pytest.approx(5)]


def test_a_change_of_rate_moves_what_is_to_come():
    world = World(1)
    loop = NodeLoop(world, "a")
    woken = []
    loop.call_at(10.0, lambda: woken.append(world.now))
    world.run(2)
    loop.set_rate(0.5)
    world.run(30)
    assert woken == [pytest.approx(18)]


def test_timeouts_cancel():
    world = World(1)
    loop = NodeLoop(world, "a")

    async def wait():
        try:
            async with asyncio.timeout(1):
                await loop.create_future()
        except TimeoutError:
            return loop.time()

    task = story(world, loop, wait())
    world.run(2)
    assert task.result() == pytest.approx(1, abs=0.001)


def test_callbacks_run_in_order_and_what_they_add_comes_in_the_next_pass():
    world = World(1)
    loop = NodeLoop(world, "a")
    seen: list[object] = []
    loop.call_soon(seen.append, 1)
    loop.call_soon(loop.call_soon, seen.append, 3)
    loop.call_soon(seen.append, 2)
    world.run(1)
    assert seen == [1, 2, 3]


def test_what_comes_while_a_process_is_paused_is_read_before_its_timers():
    world = World(1)
    loop = NodeLoop(world, "a")
    seen: list[object] = []
    loop.call_at(1.0, lambda: seen.append(("timer", loop.time())))
    loop.pause(5)
    world.after(3, loop.external, seen.append, "frame")
    world.run(10)
    assert seen == ["frame", ("timer", 5.0)]


def test_an_idle_process_looks_at_once_at_what_arrives_and_a_busy_one_when_it_is_free():
    world = World(1)
    loop = NodeLoop(world, "a")
    loop.pass_cost = 0.5
    seen: list[tuple[float, str]] = []

    def take(frame: str) -> None:
        seen.append((world.now, frame))

    for when, frame in ((1.0, "first"), (1.1, "second"), (1.2, "third"), (3.0, "last")):
        world.at(when, loop.arrived, take, frame)
    world.run(10)
    assert seen == [(1.0, "first"), (1.5, "second"), (1.5, "third"), (3.0, "last")]
    loop.kill()
    world.after(1, loop.arrived, take, "too late")
    world.run(20)
    assert len(seen) == 4


def test_a_killed_process_does_nothing_more():
    world = World(1)
    loop = NodeLoop(world, "a")
    seen: list[object] = []

    async def work():
        try:
            await asyncio.sleep(1)  # sleep: it takes no time
        finally:
            await asyncio.sleep(0)
            seen.append("finally")

    with graveyard():
        story(world, loop, work())
        loop.call_later(1, seen.append, "timer")
        loop.call_soon(seen.append, "soon")
        loop.kill()
        loop.call_soon(seen.append, "later")
        world.run(5)
    assert seen == []
    assert world.failure is None


def test_threads_take_time_and_bring_their_errors():
    world = World(1)
    loop = NodeLoop(world, "a")

    def fail():
        raise OSError("no")

    async def work():
        before = loop.time()
        assert await asyncio.to_thread(lambda: 5) == 5
        assert loop.time() > before
        await asyncio.to_thread(fail)

    task = story(world, loop, work())
    world.run(1)
    assert isinstance(task.exception(), OSError)


def test_a_callback_that_raises_ends_the_run():
    world = World(1)
    loop = NodeLoop(world, "node 3")
    loop.call_soon(lambda: 1 / 0)
    with pytest.raises(AssertionError, match=r"node 3.*ZeroDivisionError"):
        world.run(1)


def test_a_process_that_spins_lets_time_pass_and_is_found_out():
    world = World(1, most_steps=1000)
    loop = NodeLoop(world, "a")

    def spin():
        loop.call_soon(spin)

    loop.call_soon(spin)
    with pytest.raises(Stuck):
        world.run(10)
    assert world.now > 0.01


def test_events_of_one_moment_keep_their_order_and_can_be_cancelled():
    world = World(1)
    seen: list[int] = []
    events = [world.at(1.0, seen.append, number) for number in range(5)]
    world.cancel(events[2])
    world.at(0.5, seen.append, 9)
    assert world.run(2, lambda: len(seen) == 3)
    assert seen == [9, 0, 1]

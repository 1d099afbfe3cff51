"""The simulated loop: asyncio's tasks and timers run in it, in virtual time and in one order for one seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from resilix.testing.simulation.loop import SimulatedLoop


def run(coro: Coroutine[Any, Any, Any], *, order: random.Random | None = None) -> tuple[Any, float]:
    """What a coroutine returns, and the virtual moment of its end."""
    loop = SimulatedLoop(order)
    task = loop.create_task(coro)
    loop.run()
    loop.close()
    return task.result(), loop.now


def test_sleeps_cost_no_time_and_end_in_their_order() -> None:
    """Those of the same moment in the order in which they began."""

    async def main() -> list[str]:
        seen: list[str] = []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append(name)

        await asyncio.gather(sleeper("late", 7200), sleeper("first", 3600), sleeper("second", 3600))
        return seen

    assert run(main()) == (["first", "second", "late"], 7200)


def test_the_tools_of_asyncio_work_in_it() -> None:
    """Timeouts, locks, events, queues and task groups use nothing but tasks, futures and timers."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[float] = asyncio.Queue()
        lock, event = asyncio.Lock(), asyncio.Event()

        async def worker(seconds: float) -> None:
            await event.wait()
            async with lock:
                await asyncio.sleep(seconds)
                await queue.put(loop.time())

        async with asyncio.TaskGroup() as group:
            group.create_task(worker(1))
            group.create_task(worker(2))
            await asyncio.sleep(10)
            event.set()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(100), 2)
        return [queue.get_nowait(), queue.get_nowait(), loop.time()]

    assert run(main()) == ([11, 13, 20], 20)


async def racers() -> list[int]:
    """Eight tasks, in the order in which they got to run."""
    order: list[int] = []

    async def racer(number: int) -> None:
        await asyncio.sleep(0)
        order.append(number)

    await asyncio.gather(*(racer(number) for number in range(8)))
    return order


def test_without_a_seed_the_first_comes_first() -> None:
    """As in asyncio."""
    assert run(racers())[0] == list(range(8))


def test_a_seed_chooses_an_order_and_always_the_same() -> None:
    """And twenty seeds choose nearly as many."""
    orders = [run(racers(), order=random.Random(seed))[0] for seed in range(20)]
    assert orders == [run(racers(), order=random.Random(seed))[0] for seed in range(20)]
    assert len({tuple(one) for one in orders}) > 15


def test_it_stops_at_a_moment_and_goes_on_from_there() -> None:
    """What is due at that very moment is done."""
    loop, seen = SimulatedLoop(), list[float]()
    for moment in (1.0, 2.0, 3.0):
        loop.call_at(moment, lambda: seen.append(loop.now))
    loop.run(2.0)
    assert (seen, loop.now) == ([1.0, 2.0], 2.0)
    loop.run(2.5)
    assert (seen, loop.now) == ([1.0, 2.0], 2.5)
    loop.run()
    assert seen == [1.0, 2.0, 3.0]


def test_a_cancelled_timer_does_not_move_the_clock() -> None:
    """Nobody waits for it."""
    loop = SimulatedLoop()
    loop.call_later(1.0, lambda: None)
    late = loop.call_later(50.0, lambda: None)
    late.cancel()
    loop.run()
    assert late.cancelled()
    assert loop.now == 1.0


def test_the_loop_of_the_thread_is_back_afterwards() -> None:
    """It may be used inside another loop."""

    async def outer() -> None:
        mine = asyncio.get_running_loop()
        loop = SimulatedLoop()
        loop.call_soon(lambda: None)
        loop.run()
        assert asyncio.get_running_loop() is mine

    asyncio.run(outer())
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_what_nobody_could_be_told_is_kept() -> None:
    """An exception in a callback ends the run; one in a task that nobody asks is kept."""

    async def fails() -> None:
        raise ValueError("lost")

    loop = SimulatedLoop()
    task = loop.create_task(fails())
    loop.run()
    del task
    assert [str(one["exception"]) for one in loop.errors] == ["lost"]


def test_closed_it_has_nothing_left_to_do() -> None:
    """Whatever was due."""
    loop, seen = SimulatedLoop(), list[int]()
    loop.call_soon(lambda: seen.append(1))
    loop.call_later(1.0, lambda: seen.append(2))
    loop.close()
    loop.run()
    assert seen == []
    assert loop.is_closed()
    assert not loop.is_running()

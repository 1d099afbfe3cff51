"""Drive a coroutine step by step and do something at the n-th time it suspends, on asyncio and on trio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import trio
import trio.testing
from tests.support.script_loop import jump


class Steps:
    """Awaits something, counts how often it suspends, and acts just before the n-th suspension.

    Attributes:
        seen: How often it has suspended.
    """

    def __init__(self, inner: Awaitable[Any], number: int, act: Callable[[], object]) -> None:
        self.seen = 0
        self._inner = inner
        self._number = number
        self._act = act

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self._inner.__await__()
        resume: Callable[[Any], Any] = steps.send
        value: Any = None
        while True:
            try:
                trap = resume(value)
            except StopIteration as stop:
                return stop.value
            self.seen += 1
            if self.seen == self._number:
                self._act()
            try:
                value, resume = (yield trap), steps.send
            except BaseException as error:
                value, resume = error, steps.throw


class Walk:
    """What came of a call that was cancelled at one of its steps.

    Attributes:
        end: "value", "cancelled" or the name of an error.
        steps: How often it suspended.
        late: Whether a cancellation still came long after it was over.
    """

    def __init__(self) -> None:
        self.end = ""
        self.steps = 0
        self.late = False


def walk_asyncio(call: Callable[[], Awaitable[Any]], beside: Callable[[], Awaitable[Any]], number: int) -> Walk:
    """Cancel the task of a call at a step; 0 for before it starts, -1 for never."""
    walk = Walk()

    async def called() -> None:
        task = asyncio.current_task()
        assert task is not None
        steps = Steps(call(), number, task.cancel)
        if number == 0:
            task.cancel()
        try:
            await steps
            walk.end = "value"
        except asyncio.CancelledError:
            walk.end = "cancelled"
        except Exception as error:
            walk.end = type(error).__name__
        walk.steps = steps.seen
        requests = task.cancelling()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            walk.late = True
        assert requests == (number >= 0), "our own cancellations are taken back, the caller's is not"

    async def main() -> None:
        other = asyncio.ensure_future(beside())
        await asyncio.sleep(0)
        await asyncio.ensure_future(called())
        await other

    jump(main())
    return walk


def walk_trio(call: Callable[[], Awaitable[Any]], beside: Callable[[], Awaitable[Any]], number: int) -> Walk:
    """The same with a cancel scope of trio."""
    walk = Walk()

    async def called() -> None:
        with trio.CancelScope() as scope:
            steps = Steps(call(), number, scope.cancel)
            if number == 0:
                scope.cancel()
            try:
                await steps
                walk.end = "value"
            except trio.Cancelled:
                walk.end = "cancelled"
                raise
            except Exception as error:
                walk.end = type(error).__name__
            finally:
                walk.steps = steps.seen
        with trio.CancelScope() as later:
            await trio.sleep(1000)
        walk.late = later.cancelled_caught

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beside)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(called)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return walk

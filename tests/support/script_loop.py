"""An event loop whose time jumps, and random programs of timeouts, cancellations and cleanup code for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from resilix import timeout

Guard = Callable[[float], Callable[[Callable[..., Any]], Callable[..., Any]]]
"""Makes a decorator that gives a coroutine function so many seconds."""


class JumpLoop(asyncio.SelectorEventLoop):
    """Whenever nothing is ready, the time is that of the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            due = [one.when() for one in self._scheduled if not one.cancelled()]  # type: ignore[attr-defined]
            self._now = max([self._now, *([min(due)] if due else [])])
        super()._run_once()  # type: ignore[misc]


def jump(main: Coroutine[Any, Any, Any]) -> Any:
    """Run in a loop whose time jumps."""
    with asyncio.Runner(loop_factory=JumpLoop) as runner:
        return runner.run(main)


def ours(seconds: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Our timeout."""
    return timeout(seconds)


def theirs(seconds: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """asyncio's, as a decorator."""

    def decorate(fn: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def wrapped(*args: Any) -> Any:
            async with asyncio.timeout(seconds):
                return await fn(*args)

        return wrapped

    return decorate


def kind(error: BaseException) -> str:
    """The name of an error, ours under the name of the one it stands for."""
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}{sorted(kind(one) for one in error.exceptions)}"
    return "TimeoutError" if isinstance(error, TimeoutError) else type(error).__name__


class Log(list[Any]):
    """What happened, and when."""

    def note(self, what: str) -> None:
        self.append((what, round(asyncio.get_running_loop().time() - 1000.0, 6)))


async def observe(body: Callable[[Log], Awaitable[Any]], cancels: tuple[float, ...] = ()) -> Log:
    """Run a body in a task that is cancelled at these seconds, and write down all that can be told from outside.

    How it ended, the count of cancellation requests afterwards, and whether a cancellation still comes late.
    """
    log = Log()

    async def observed() -> None:
        try:
            log.append(("value", await body(log)))
        except BaseException as error:
            log.append(("error", kind(error)))
        task = asyncio.current_task()
        assert task is not None
        log.note(f"cancelling {task.cancelling()}")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            log.note("cancelled late")

    loop = asyncio.get_running_loop()
    task = asyncio.create_task(observed())
    for seconds in cancels:
        loop.call_later(seconds, task.cancel)
    await asyncio.wait([task])
    return log


# -- random programs -----------------------------------------------------------------------------------------


class Program:
    """A tree of sleeps, timeouts, cleanup code and errors, the same for a seed, whoever keeps the time."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.cancels = tuple(self.dice.uniform(0, 12) for _ in range(self.dice.choice([0, 0, 1, 1, 2])))
        self.limits = (self.dice.uniform(1, 5), self.dice.uniform(1, 9))
        self.tree = self._block(4)

    def _block(self, depth: int) -> list[Any]:
        return [self._step(depth) for _ in range(self.dice.randint(1, 3))]

    def _step(self, depth: int) -> Any:
        dice = self.dice
        leaves = ["sleep", "sleep", "sleep", "shield", "raise", "gather"]
        inner = ["ours", "ours", "ours", "theirs", "swallow", "swallow", "finally", "catch", "group"]
        what = dice.choice(leaves if depth == 0 else leaves[:5] + inner * 2)
        if what in leaves:
            return (what, dice.uniform(0.1, 6))
        if what == "ours":
            return (what, dice.randrange(2), self._block(depth - 1))
        if what == "theirs":
            return (what, dice.uniform(0.5, 8), self._block(depth - 1))
        if what in ("swallow", "finally"):
            return (what, self._block(depth - 1), self._block(depth - 2) if depth > 1 else [("sleep", 1.23)])
        return (what, self._block(depth - 1))

    def run(self, guard: Guard) -> Log:
        """Run it with this kind of timeout."""
        guards = [guard(limit) for limit in self.limits]

        async def block(steps: list[Any], log: Log) -> None:
            for step in steps:
                await one(step, log)

        async def one(step: Any, log: Log) -> None:
            await asyncio.sleep(0.0071)  # so that no two timers are ever due at the same moment
            what, arguments = step[0], step[1:]
            log.note(what)
            await getattr(steps_of, what)(log, *arguments)

        class steps_of:  # noqa: N801 - a namespace
            @staticmethod
            async def sleep(log: Log, seconds: float) -> None:
                await asyncio.sleep(seconds)

            @staticmethod
            async def shield(log: Log, seconds: float) -> None:
                await asyncio.shield(asyncio.sleep(seconds))

            @staticmethod
            async def gather(log: Log, seconds: float) -> None:
                await asyncio.gather(asyncio.sleep(seconds), asyncio.sleep(seconds / 2))

            @staticmethod
            async def ours(log: Log, which: int, steps: list[Any]) -> None:
                await guards[which](block)(steps, log)

            @staticmethod
            async def theirs(log: Log, seconds: float, steps: list[Any]) -> None:
                async with asyncio.timeout(seconds):
                    await block(steps, log)

            @staticmethod
            async def swallow(log: Log, steps: list[Any], cleanup: list[Any]) -> None:
                try:
                    await block(steps, log)
                except asyncio.CancelledError:
                    log.note("swallowed")
                    await block(cleanup, log)

            @staticmethod
            async def catch(log: Log, steps: list[Any]) -> None:
                try:
                    await block(steps, log)
                except TimeoutError:
                    log.note("caught")

            @staticmethod
            async def group(log: Log, steps: list[Any]) -> None:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(asyncio.sleep(0.777))
                    tasks.create_task(block(steps, log))

            @staticmethod
            async def raises(log: Log, seconds: float) -> None:
                raise ValueError

        setattr(steps_of, "raise", steps_of.raises)

        async def ends(log: Log, steps: list[Any], cleanup: list[Any]) -> None:
            try:
                await block(steps, log)
            finally:
                log.note("cleanup")
                await block(cleanup, log)

        setattr(steps_of, "finally", ends)
        log: Log = jump(observe(lambda log: block(self.tree, log), self.cancels))
        return log

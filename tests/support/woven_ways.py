"""The ways to play a random script: sync, on asyncio, on trio; each with a clock that only moves when it is told to."""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any

import tenacity
import trio
import trio.testing
from tests.support.attention import refresh
from tests.support.woven_scripts import Script
from tests.support.woven_world import World, drive

from resilix.clock import SYSTEM
from resilix.core.deadline import DEADLINE
from resilix.core.permits import HELD
from resilix.policies.weave import WEAVE
from resilix.runtime import RUNTIME, Flag, RealDriver, Timer

LONG = 30.0
"""Seconds until a test says that something hangs."""
Log = list[str]
Pair = tuple[int, Log, Log]
"""A seed, and the logs of its script, woven and plain."""


class Hung:
    """Functions that hang in a worker thread, so that the sync timeout around them expires, until they may go on."""

    def __init__(self) -> None:
        self._waiting: list[Flag] = []
        self._hangs = False
        self._leave = threading.Event()

    def block(self, flag: Flag) -> bool:
        """Wait for a worker; False as soon as it hangs, if no other waits further inside."""
        self._waiting.append(flag)
        try:
            while not flag.wait(0.002):
                if self._hangs and self._waiting[-1] is flag:
                    self._hangs = False
                    return flag.is_set
            return True
        finally:
            self._waiting.remove(flag)

    def hang(self) -> None:
        """Hang, in a worker somebody waits for."""
        if threading.current_thread() is not threading.main_thread() and not self._leave.is_set():
            self._hangs = True
            self._leave.wait(LONG)

    def leave(self, abandoned: Callable[[], int]) -> None:
        """Let them go on and end."""
        self._leave.set()
        end = time.monotonic() + LONG
        while abandoned():
            assert time.monotonic() < end, "an abandoned call does not end"
            time.sleep(0.0005)
        self._leave.clear()


class Base(RealDriver):
    """What the ways share: the clock, and the driver of the runtime, which writes down what it is asked."""

    is_async = True

    def __init__(self) -> None:
        super().__init__()
        self.time = 100.0
        self.world: World
        self.hung = Hung()

    def sleep(self, seconds: float) -> None:
        self.world.log.append(("sleep", seconds))
        self.time += seconds

    async def asleep(self, seconds: float) -> None:
        self.world.log.append(("asleep", seconds))
        self._apart()
        await super().asleep(seconds)

    def later(self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]) -> Timer:
        self._apart()
        return super().later(loop, seconds, callback)

    def scope(self, seconds: float) -> AbstractContextManager[Any, bool]:
        self._apart()
        return super().scope(seconds)

    def _apart(self) -> None:
        """No two timers are ever due at the same moment: who is first then is not decided by the policies."""
        self.time += 0.0007

    def block(self, flag: Flag, seconds: float | None, *, on_worker: bool = False) -> bool:
        if on_worker:
            return self.hung.block(flag)
        self.world.log.append(("parked", seconds))
        if self.world.held and random.random() < 0.7:
            self.world.held.pop().release()
        elif seconds is None:
            raise KeyboardInterrupt("nobody would ever come")
        else:
            self.time += seconds
        return flag.is_set

    def hang(self) -> None:
        """Hang in a worker thread, where that is possible."""

    def cancels(self, error: BaseException) -> bool:
        """Whether an error must go on."""
        return isinstance(error, trio.Cancelled)

    async def played(self, script: Script, *, woven: bool) -> Log:
        """Play a script woven or plain."""
        WEAVE.on = woven
        self.world = World(script, self)
        return await self.world.play()


class Sync(Base):
    """One call after the other; those in the middle of others are called by these."""

    is_async = False

    def start(self, run: Coroutine[Any, Any, None]) -> Callable[[], object]:
        drive(run)
        return lambda: None

    async def settle(self) -> None:
        self.world.live.clear()
        self.hung.leave(lambda: sum(one.abandoned for one in self.world.nouns.limits))

    async def suspend(self, gates: dict[object, Callable[[], object]], key: object) -> None:
        """Nobody else could go on."""

    def hang(self) -> None:
        self.world.log.append("hangs")
        self.hung.hang()


class Asyncio(Base):
    """Tasks of asyncio."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self, run: Coroutine[Any, Any, None]) -> Callable[[], object]:
        task = asyncio.ensure_future(run)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task.cancel

    async def settle(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StillLoop)
        loop.idle = loop.create_future()
        await loop.idle

    async def suspend(self, gates: dict[object, Callable[[], object]], key: object) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gates[key] = lambda: future.done() or future.set_result(None)
        try:
            await future
        finally:
            gates.pop(key, None)

    def handed(self, coroutine: Coroutine[Any, Any, Any]) -> bool:
        try:
            coroutine.send(None)
        except StopIteration:
            return False
        coroutine.close()
        return True


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is the script's, and which tells when nothing is left to do."""

    def __init__(self, way: Asyncio) -> None:
        super().__init__()
        self.way = way
        self.idle: asyncio.Future[None] | None = None

    def time(self) -> float:
        return self.way.time

    def _run_once(self) -> None:
        due = [one for one in self._scheduled if not one.cancelled() and one.when() <= self.time()]
        if not self._ready and not due and self.idle is not None:
            idle, self.idle = self.idle, None
            idle.set_result(None)
        super()._run_once()


class Trio(Base, trio.abc.Clock):
    """Tasks of trio."""

    def __init__(self) -> None:
        super().__init__()
        self.nursery: trio.Nursery

    def start(self, run: Coroutine[Any, Any, None]) -> Callable[[], object]:
        scope = trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await run

        self.nursery.start_soon(scoped)
        return scope.cancel

    async def settle(self) -> None:
        await trio.testing.wait_all_tasks_blocked()

    async def suspend(self, gates: dict[object, Callable[[], object]], key: object) -> None:
        event = trio.Event()
        gates[key] = event.set
        try:
            await event.wait()
        finally:
            gates.pop(key, None)

    def handed(self, coroutine: Coroutine[Any, Any, Any]) -> bool:
        coroutine.close()  # trio's tasks cannot be left in the middle of a step
        return False

    # -- its clock ---------------------------------------------------------------------------------------------

    def start_clock(self) -> None:
        """It stands still."""

    def current_time(self) -> float:
        return self.time

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0 if deadline <= self.time else math.inf


# -- both ----------------------------------------------------------------------------------------------------------


@contextmanager
def everything_by(way: Base) -> Iterator[None]:
    """Have everybody read the clock of this way and wait by it, and leave no trace afterwards."""
    before = SYSTEM.now, RUNTIME.driver, tenacity.time, WEAVE.on, DEADLINE.used, DEADLINE.attended, HELD.used
    dice = random.getstate()
    clock = lambda: way.time  # noqa: E731
    SYSTEM.now, RUNTIME.driver = clock, way
    tenacity.time = SimpleNamespace(monotonic=clock)
    try:
        yield
    finally:
        SYSTEM.now, RUNTIME.driver, tenacity.time, WEAVE.on, DEADLINE.used, DEADLINE.attended, HELD.used = before
        random.setstate(dice)
        refresh()


def both_by_sync(seeds: Iterable[int]) -> Iterator[Pair]:
    """Each script, woven and plain."""
    way = Sync()
    with everything_by(way):
        for seed in seeds:
            script = Script(seed, is_async=False)
            yield seed, drive(way.played(script, woven=True)), drive(way.played(script, woven=False))


def both_by_asyncio(seeds: Iterable[int]) -> Iterator[Pair]:
    """The same with tasks of asyncio."""
    way = Asyncio()

    def run(script: Script, woven: bool) -> Log:
        with asyncio.Runner(loop_factory=lambda: StillLoop(way)) as runner:
            return runner.run(way.played(script, woven=woven))

    with everything_by(way):
        for seed in seeds:
            script = Script(seed, is_async=True)
            yield seed, run(script, True), run(script, False)


def both_by_trio(seeds: Iterable[int]) -> Iterator[Pair]:
    """The same with tasks of trio."""
    way = Trio()

    async def main(script: Script, woven: bool) -> Log:
        async with trio.open_nursery() as way.nursery:
            return await way.played(script, woven=woven)

    def run(script: Script, woven: bool) -> Log:
        # Its scheduler draws who goes first.
        trio._core._run._r.seed(script.seed)
        return trio.run(main, script, woven, clock=way)

    with everything_by(way):
        for seed in seeds:
            script = Script(seed, is_async=True)
            yield seed, run(script, True), run(script, False)


WAYS: dict[str, Callable[[Iterable[int]], Iterator[Pair]]] = {
    "sync": both_by_sync, "asyncio": both_by_asyncio, "trio": both_by_trio,
}  # fmt: skip

"""The only module that sleeps, waits, or starts a timeout: for threads, asyncio and trio.

Waiting goes through the current :class:`Driver`. The real one is made here; ``resilix.testing.virtual_time`` puts
another in its place for a while, together with the clock. asyncio is used directly, because its waits are on hot
paths; trio is reached through anyio.
"""

from __future__ import annotations

import _thread
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

    import anyio
    import trio


class Flag:
    """Something one thread waits for and another sets, once. Cheaper than ``threading.Event``."""

    __slots__ = ("_lock", "is_set")

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self.is_set = False

    def set(self) -> None:
        """Let the waiting thread go on. Only one thread may call this, and only once."""
        self.is_set = True
        self._lock.release()

    def wait(self, seconds: float | None) -> bool:
        """Block the calling thread until the flag is set; False when the time is over first."""
        if self.is_set:
            return True
        if seconds is None:
            self._lock.acquire()
        elif not self._lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX)):
            return self.is_set
        self._lock.release()
        return True


class Timer(Protocol):
    """A callback that is due later."""

    def cancel(self) -> None:
        """Make sure it is not called."""


class Scope(Protocol):
    """What is left of a trio cancel scope once its block is over."""

    @property
    def cancelled_caught(self) -> bool:
        """Whether the scope ended its block."""
        ...


class Driver(Protocol):
    """How time passes. ``virtual`` is True where the clock is not the machine's."""

    virtual: bool

    def sleep(self, seconds: float) -> None:
        """Block the calling thread."""

    async def asleep(self, seconds: float) -> None:
        """Suspend the calling task; a zero wait still lets others run."""

    def spend(self, seconds: float) -> None:
        """Block the calling thread as an attempt that takes so long; not listed as a wait between attempts."""

    async def aspend(self, seconds: float) -> None:
        """Suspend the calling task, likewise."""

    def block(self, flag: Flag, seconds: float | None, *, on_worker: bool = False) -> bool:
        """Block the calling thread until the flag is set; False when the time is over first.

        Args:
            flag: What to wait for.
            seconds: For how long; ``None`` for as long as it takes.
            on_worker: The flag will be set by a thread that runs the caller's own function.
        """
        ...

    def later(self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]) -> Timer:
        """Have a callback run in an asyncio loop, from within that loop."""
        ...

    def scope(self, seconds: float) -> AbstractContextManager[Scope, bool]:
        """Make a trio cancel scope that ends its block after ``seconds``."""
        ...


class RealDriver:
    """Time as the machine keeps it."""

    def __init__(self) -> None:
        self.virtual = False

    def sleep(self, seconds: float) -> None:
        """Block the calling thread; a zero wait costs nothing (``time.sleep(0)`` would cost 80 µs)."""
        if seconds > 0:
            time.sleep(min(seconds, threading.TIMEOUT_MAX))

    async def asleep(self, seconds: float) -> None:
        """Suspend the calling task."""
        import anyio  # keeps the import of resilix cheap for programs without async

        await anyio.sleep(seconds)

    def spend(self, seconds: float) -> None:
        """Block the calling thread."""
        self.sleep(seconds)

    async def aspend(self, seconds: float) -> None:
        """Suspend the calling task."""
        await self.asleep(seconds)

    def block(self, flag: Flag, seconds: float | None, *, on_worker: bool = False) -> bool:
        """Block the calling thread until the flag is set or the time is over."""
        return flag.wait(seconds)

    def later(self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]) -> Timer:
        """Have a callback run in an asyncio loop."""
        return loop.call_later(seconds, callback)

    def scope(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Make a cancel scope for trio."""
        import anyio  # as above

        return anyio.move_on_after(seconds)


class Watcher(Protocol):
    """Who wants to know of async waits that nothing but somebody else can end."""

    def endless(self, wake: Callable[[], object]) -> AbstractContextManager[object, None]:
        """The running task is about to begin such a wait, inside the block this is the head of.

        Args:
            wake: Ends the wait; from any thread. The block raises if it was called because nobody else would.
        """
        ...


class Runtime:
    """Holds the driver in charge.

    Attributes:
        driver: The one that everything asks.
        watcher: Who is told of async waits without a limit; ``None`` but for a test that looks for deadlocks.
    """

    __slots__ = ("driver", "watcher")

    def __init__(self) -> None:
        self.driver: Driver = RealDriver()
        self.watcher: Watcher | None = None


RUNTIME = Runtime()
"""The runtime of this process."""


def in_trio() -> bool:
    """Whether the calling task runs under trio rather than asyncio."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        # Not in_trio_run(): under guest mode that is true for the tasks of the host loop as well.
        inside: bool = trio.lowlevel.in_trio_task()
    except AttributeError:
        return False  # another thread is importing it just now
    return inside


def loop_runs() -> bool:
    """Whether the calling thread runs an event loop."""
    asyncio = sys.modules.get("asyncio")
    try:
        if asyncio is not None and asyncio.get_running_loop() is not None:
            return True
    except (RuntimeError, AttributeError):
        pass  # none; or another thread is importing asyncio just now
    return in_trio()


def cancel_requested() -> bool:
    """Whether the running asyncio task has been asked to cancel and has not undone it.

    A function that turns its cancellation into an ordinary error must not be retried: somebody is waiting for
    the task to end. trio needs no such look, because it delivers a cancellation again at the next checkpoint.
    """
    if in_trio():
        return False
    import asyncio  # as above

    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False  # no event loop: the coroutine is driven by hand
    return task is not None and task.cancelling() > 0


class ThreadParker:
    """Parks the calling thread until another wakes it.

    Attributes:
        what: What it waits for, in words, for whoever looks why a program stands still.
    """

    __slots__ = ("_flag", "what")

    def __init__(self, what: str = "") -> None:
        self._flag = Flag()
        self.what = what

    def wake(self) -> None:
        """Let the parked thread go on."""
        self._flag.set()

    def park(self, seconds: float | None) -> bool:
        """Wait to be woken; False when the time is over first."""
        return RUNTIME.driver.block(self._flag, seconds)


class LoopParker:
    """Parks the calling asyncio task until a thread or task anywhere wakes it; ``what`` as for a thread."""

    __slots__ = ("_future", "_loop", "what")

    def __init__(self, what: str = "") -> None:
        import asyncio  # as above

        self.what = what
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[bool] = self._loop.create_future()

    def wake(self) -> None:
        """Let the parked task go on; RuntimeError when its loop is closed."""
        self._loop.call_soon_threadsafe(self._settle, True)

    def _settle(self, woken: bool) -> None:
        if not self._future.done():
            self._future.set_result(woken)

    async def park(self, seconds: float | None) -> bool:
        """Wait to be woken; False when the time is over first."""
        if seconds is None:
            if (watcher := RUNTIME.watcher) is None:
                return await self._future
            with watcher.endless(self.wake):
                return await self._future
        timer = RUNTIME.driver.later(self._loop, seconds, lambda: self._settle(False))
        try:
            return await self._future
        finally:
            timer.cancel()


class TrioParker:
    """Parks the calling trio task until a thread or task anywhere wakes it; ``what`` as for a thread."""

    __slots__ = ("_event", "_token", "what")

    def __init__(self, what: str = "") -> None:
        import trio  # we run under it, so it is there

        self.what = what
        self._event: trio.Event = trio.Event()
        self._token: trio.lowlevel.TrioToken = trio.lowlevel.current_trio_token()

    def wake(self) -> None:
        """Let the parked task go on; RuntimeError when its run has ended."""
        self._token.run_sync_soon(self._event.set)

    async def park(self, seconds: float | None) -> bool:
        """Wait to be woken; False when the time is over first."""
        if seconds is None:
            if (watcher := RUNTIME.watcher) is None:
                await self._event.wait()
            else:
                with watcher.endless(self.wake):
                    await self._event.wait()
            return True
        with RUNTIME.driver.scope(seconds):
            await self._event.wait()
        return self._event.is_set()


def async_parker(what: str = "") -> LoopParker | TrioParker:
    """Make a parker for the calling task."""
    return TrioParker(what) if in_trio() else LoopParker(what)


class Expiry:
    """One asyncio call with its own time limit, for limits that differ from call to call."""

    __slots__ = ("_cancelling", "_task", "_timer", "fired")

    def __init__(self, seconds: float) -> None:
        import asyncio  # as above

        loop = asyncio.get_running_loop()
        task: asyncio.Task[Any] | None = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a timeout needs a running task; this coroutine is driven by hand")
        self._task = task
        self._cancelling = task.cancelling()
        self.fired = False
        self._timer = RUNTIME.driver.later(loop, seconds, self._fire)

    def _fire(self) -> None:
        self.fired = True
        self._task.cancel()

    def end(self, error: BaseException | None) -> bool:
        """The call is over. True when it ended because of this limit and nobody else cancelled it."""
        self._timer.cancel()
        return self.fired and was_ours(self._task, self._cancelling, error)


def was_ours(task: asyncio.Task[Any], cancelling: int, error: BaseException | None) -> bool:
    """Take our cancellation back and say whether it is what ended the call.

    The rule of ``asyncio.timeout``: only if nobody else has asked the task to cancel since it entered.

    Args:
        task: The task we cancelled.
        cancelling: Its count of cancellation requests when it entered.
        error: What left the call.
    """
    import asyncio  # as above

    return task.uncancel() <= cancelling and isinstance(error, asyncio.CancelledError)

"""The driver of the runtime inside a ``virtual_time`` block: every wait goes to the conductor."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from resilix.runtime import Flag, in_trio
from resilix.testing.timeline import Entry, Kind

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    import trio

    from resilix.runtime import Scope, Timer
    from resilix.testing.conductor import Conductor

LOOK_EVERY = 0.002
"""Real seconds after which a thread that waits for another looks whether its virtual limit has passed."""


class VirtualDriver:
    """The driver of the runtime inside the block."""

    virtual = True

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def sleep(self, seconds: float) -> None:
        """Block the calling thread until the clock is there."""
        if seconds <= 0:
            self._conductor.sleeps.append(0.0)
            return
        self._sleep(seconds, listed=True)

    def spend(self, seconds: float) -> None:
        """Block the calling thread until the clock is there; not listed."""
        if seconds > 0:
            self._sleep(seconds, listed=False)

    def _sleep(self, seconds: float, *, listed: bool) -> None:
        flag = Flag()
        wait = self._conductor.wait_thread(flag, seconds, Kind.SLEEP, flag.set, listed=listed)
        try:
            flag.wait(None)
        finally:
            self._conductor.end_thread(wait)

    def block(self, flag: Flag, seconds: float | None, *, on_worker: bool = False) -> bool:
        """Block the calling thread until the flag is set or the clock is there."""
        if seconds is not None and seconds <= 0:
            return flag.wait(0)
        kind = Kind.WORKER if on_worker else Kind.LIMIT
        wait = self._conductor.wait_thread(flag, seconds, kind, _nothing)
        try:
            if wait.entry is None:
                return flag.wait(None)
            while not wait.entry.fired:
                if flag.wait(LOOK_EVERY):
                    return True
            return flag.is_set
        finally:
            self._conductor.end_thread(wait)

    async def asleep(self, seconds: float) -> None:
        """Suspend the calling task until the clock is there."""
        if seconds <= 0:
            import anyio.lowlevel  # as in the real driver

            self._conductor.sleeps.append(0.0)
            await anyio.lowlevel.checkpoint()
        else:
            await self._asleep(seconds, listed=True)

    async def aspend(self, seconds: float) -> None:
        """Suspend the calling task until the clock is there; not listed."""
        if seconds > 0:
            await self._asleep(seconds, listed=False)

    async def _asleep(self, seconds: float, *, listed: bool) -> None:
        if in_trio():
            await self._asleep_in_trio(seconds, listed)
        else:
            await self._asleep_in_asyncio(seconds, listed)

    async def _asleep_in_asyncio(self, seconds: float, listed: bool) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        entry = self._conductor.wait_loop(self._conductor.party(loop), seconds, Kind.SLEEP, wake, listed=listed)
        try:
            await over
        finally:
            self._conductor.end_loop(entry)

    async def _asleep_in_trio(self, seconds: float, listed: bool) -> None:
        import trio

        over = trio.Event()
        entry = self._conductor.wait_loop(self._conductor.party(None), seconds, Kind.SLEEP, over.set, listed=listed)
        try:
            await over.wait()
        finally:
            self._conductor.end_loop(entry)

    def later(self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]) -> Timer:
        """Have a callback run in an asyncio loop when the clock is there."""
        conductor = self._conductor
        return _Timer(conductor, conductor.wait_loop(conductor.party(loop), max(0.0, seconds), Kind.LIMIT, callback))

    def scope(self, seconds: float) -> AbstractContextManager[Scope, bool]:
        """Make a trio cancel scope that ends its block when the clock is there."""
        return _TimedScope(self._conductor, max(0.0, seconds))


def _nothing() -> None:
    """The thread looks for itself."""


class _Timer:
    """A callback that is due at a virtual moment."""

    __slots__ = ("_conductor", "_entry")

    def __init__(self, conductor: Conductor, entry: Entry) -> None:
        self._conductor = conductor
        self._entry = entry

    def cancel(self) -> None:
        self._conductor.end_loop(self._entry)


class _TimedScope:
    """A trio cancel scope with a virtual moment as its deadline."""

    __slots__ = ("_conductor", "_entry", "_scope", "_seconds")

    def __init__(self, conductor: Conductor, seconds: float) -> None:
        import trio  # it is running

        self._conductor = conductor
        self._seconds = seconds
        self._scope = trio.CancelScope()
        self._entry: Entry | None = None

    def __enter__(self) -> trio.CancelScope:
        conductor = self._conductor
        self._entry = conductor.wait_loop(conductor.party(None), self._seconds, Kind.LIMIT, self._scope.cancel)
        return self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._entry is not None:
            self._conductor.end_loop(self._entry)
        return bool(self._scope.__exit__(kind, error, traceback))

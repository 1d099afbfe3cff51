"""The driver of the runtime inside a ``virtual_time`` block: every wait goes to the conductor."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from resilix.runtime import Flag, in_trio
from resilix.testing.timeline import Entry, Kind
from resilix.testing.waits import EXPIRED, RETRY, SPENT
from resilix.testing.whereabouts import caller

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    import trio

    from resilix.runtime import Scope, Timer
    from resilix.testing.conductor import Conductor
    from resilix.testing.crowd import EndlessWait
    from resilix.testing.loops import Party

LOOK_EVERY = 0.002
"""Real seconds after which a thread that waits for another looks whether its virtual limit has passed."""

LOOK_FOR_DEADLOCK_EVERY = 0.02
"""The same without a virtual limit: whether it waits in vain."""


class VirtualDriver:
    """The driver of the runtime inside the block."""

    virtual = True

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def sleep(self, seconds: float) -> None:
        """Block the calling thread until the clock is there."""
        label, function = caller()
        self.sleep_as(RETRY, label or function, seconds)

    def spend(self, seconds: float) -> None:
        """Block the calling thread as an attempt that takes so long."""
        if seconds > 0:
            self.sleep_as(SPENT, caller()[1], seconds)

    async def aspend(self, seconds: float) -> None:
        """Suspend the calling task, likewise."""
        if seconds > 0:
            await self.asleep_as(SPENT, caller()[1], seconds)

    def sleep_as(self, what: str, who: str, seconds: float) -> None:
        """The same, with what the book shall say."""
        if seconds <= 0:
            self._conductor.pass_by(what, who)
            return
        flag = Flag()
        wait = self._conductor.wait_thread(flag, seconds, Kind.SLEEP, flag.set, what, who)
        try:
            flag.wait(None)
        finally:
            self._conductor.end_thread(wait)

    def block(self, flag: Flag, seconds: float | None, *, on_worker: bool = False) -> bool:
        """Block the calling thread until the flag is set or the clock is there."""
        if seconds is not None and seconds <= 0:
            return flag.wait(0)
        kind = Kind.WORKER if on_worker else Kind.LIMIT
        wait = self._conductor.wait_thread(flag, seconds, kind, _nothing, EXPIRED, caller()[1])
        try:
            if wait.entry is None:
                while wait.error is None and not flag.wait(LOOK_FOR_DEADLOCK_EVERY):
                    pass
                if wait.error is not None:
                    raise wait.error
                return True
            while not wait.entry.fired:
                if flag.wait(LOOK_EVERY):
                    return True
            return flag.is_set
        finally:
            self._conductor.end_thread(wait)

    async def asleep(self, seconds: float) -> None:
        """Suspend the calling task until the clock is there."""
        label, function = caller()
        await self.asleep_as(RETRY, label or function, seconds)

    async def asleep_as(self, what: str, who: str, seconds: float) -> None:
        """The same, with what the book shall say."""
        if seconds <= 0:
            import anyio.lowlevel  # as in the real driver

            self._conductor.pass_by(what, who)
            await anyio.lowlevel.checkpoint()
        elif in_trio():
            await self._asleep_in_trio(what, who, seconds)
        else:
            await self._asleep_in_asyncio(what, who, seconds)

    async def _asleep_in_asyncio(self, what: str, who: str, seconds: float) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        entry = self._conductor.wait_loop(self._conductor.party(loop), seconds, Kind.SLEEP, wake, what, who)
        try:
            await over
        finally:
            self._conductor.end_loop(entry)

    async def _asleep_in_trio(self, what: str, who: str, seconds: float) -> None:
        import trio

        over = trio.Event()
        entry = self._conductor.wait_loop(self._conductor.party(None), seconds, Kind.SLEEP, over.set, what, who)
        try:
            await over.wait()
        finally:
            self._conductor.end_loop(entry)

    def limit(self, seconds: float, expire: Callable[[], object]) -> Timer:
        """Have a callback run in the running loop when the clock gets there, without sending it there."""
        conductor = self._conductor
        entry = conductor.wait_loop(self._party(), seconds, Kind.FOREIGN, expire, EXPIRED, caller()[1])
        return _Timer(conductor, entry)

    def _party(self) -> Party:
        if in_trio():
            return self._conductor.party(None)
        import asyncio

        return self._conductor.party(asyncio.get_running_loop())

    def endless(self, wake: Callable[[], object]) -> AbstractContextManager[object, None]:
        """The running task is about to wait for somebody."""
        return _Endless(self._conductor, self._party(), wake)

    def later(self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]) -> Timer:
        """Have a callback run in an asyncio loop when the clock is there."""
        conductor = self._conductor
        seconds, who = max(0.0, seconds), caller()[1]
        entry = conductor.wait_loop(conductor.party(loop), seconds, Kind.LIMIT, callback, EXPIRED, who)
        return _Timer(conductor, entry)

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


class _Endless:
    """The wait of a task for somebody else."""

    __slots__ = ("_conductor", "_party", "_wait", "_wake")

    def __init__(self, conductor: Conductor, party: Party, wake: Callable[[], object]) -> None:
        self._conductor = conductor
        self._party = party
        self._wake = wake
        self._wait: EndlessWait | None = None

    def __enter__(self) -> None:
        self._wait = self._conductor.wait_endlessly(self._party, self._wake)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._wait is not None:
            self._conductor.end_endless(self._wait)
            if error is None and self._wait.error is not None:
                raise self._wait.error


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
        self._entry = conductor.wait_loop(
            conductor.party(None), self._seconds, Kind.LIMIT, self._scope.cancel, EXPIRED, caller()[1]
        )
        return self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._entry is not None:
            self._conductor.end_loop(self._entry)
        return bool(self._scope.__exit__(kind, error, traceback))

"""Sleeps in the code under test that are not a policy's: inside a block they can follow the virtual clock too."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from resilix.testing.foreign_limits import ForeignLimits
from resilix.testing.waits import SLEEP
from resilix.testing.whereabouts import caller
from resilix.workers import POOL

if TYPE_CHECKING:
    from resilix.testing.driver import VirtualDriver

_INSIDE: ContextVar[object] = ContextVar("resilix_foreign_sleeps", default=None)

_POLLING = ("subprocess", "multiprocessing")
"""Modules of Python's own that sleep between looks at another process: their sleeps stay real."""


class ForeignSleeps:
    """Replaces ``time.sleep`` and its like, and the limits of asyncio, trio and anyio, in their modules for a while.

    What it puts there sleeps virtually only for those who follow the block, and for nobody once the block is over, so
    that a copy that somebody keeps does no harm.
    """

    def __init__(self, driver: VirtualDriver) -> None:
        self._driver = driver
        self._mark = object()
        self._token: Token[object] | None = None
        self._running = False
        me = threading.current_thread()
        # A worker without a job begins its next one inside the block.
        self._before = {one for one in threading.enumerate() if one is not me and not POOL.rests(one)}
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    def replace(self) -> None:
        """Put ours in place of those of the modules that are loaded."""
        self._running = True
        self._token = _INSIDE.set(self._mark)
        limits = ForeignLimits(self._driver, self._follows)
        self._put("sleep", self._blocking, "time")
        self._put("sleep", self._of_asyncio, "asyncio", "asyncio.tasks")
        self._put("sleep", self._of_trio, "trio")
        self._put("sleep", self._of_anyio, "anyio")
        asyncio: Any = sys.modules.get("asyncio")
        if asyncio is not None:
            timeout = asyncio.timeout
            self._put("wait_for", lambda real: limits.of_wait_for(real, timeout), "asyncio", "asyncio.tasks")
            self._put("timeout", limits.of_timeout, "asyncio", "asyncio.timeouts")
        for name in ("trio", "anyio"):
            self._put("move_on_after", limits.of_scope, name)
            self._put("fail_after", limits.of_scope, name)

    def _put(self, what: str, make: Callable[[Any], Any], *names: str) -> None:
        # Asked for, not looked up: some modules fill themselves when asked, others are just being imported.
        modules: list[Any] = [one for name in names if hasattr(one := sys.modules.get(name), what)]
        if not modules:
            return
        real = getattr(modules[0], what)
        ours = make(real)
        for module in modules:
            if getattr(module, what) is real:
                setattr(module, what, ours)
                self._replaced.append((module, what, real, ours))

    def restore(self) -> None:
        """Put the real ones back, but where somebody else has put theirs meanwhile."""
        self._running = False
        for module, what, real, ours in self._replaced:
            if getattr(module, what) is ours:
                setattr(module, what, real)
        self._replaced.clear()
        if self._token is not None:
            with suppress(ValueError):  # a fixture may be set up in one context and torn down in another
                _INSIDE.reset(self._token)

    def _follows(self, seconds: Any) -> bool:
        if not self._running or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
            return False  # what is no proper length is for the real one to refuse, or to make a checkpoint of
        return threading.current_thread() not in self._before or _INSIDE.get() is self._mark

    def _blocking(self, real: Callable[[Any], None]) -> Callable[[Any], None]:
        def sleep(seconds: Any, /) -> None:
            if self._follows(seconds) and seconds <= threading.TIMEOUT_MAX and not _is_polling():
                self._driver.sleep_as(SLEEP, caller()[1], seconds)
            else:
                real(seconds)

        return sleep

    def _of_asyncio(self, real: Callable[..., Any]) -> Callable[..., Any]:
        async def sleep(delay: float, result: Any = None) -> Any:
            if not self._follows(delay):
                return await real(delay, result)
            await self._driver.asleep_as(SLEEP, caller()[1], delay)
            return result

        return sleep

    def _of_trio(self, real: Callable[..., Any]) -> Callable[..., Any]:
        async def sleep(seconds: float) -> None:
            if self._follows(seconds):
                await self._driver.asleep_as(SLEEP, caller()[1], seconds)
            else:
                await real(seconds)

        return sleep

    def _of_anyio(self, real: Callable[..., Any]) -> Callable[..., Any]:
        async def sleep(delay: float) -> None:
            if self._follows(delay):
                await self._driver.asleep_as(SLEEP, caller()[1], delay)
            else:
                await real(delay)

        return sleep


def _is_polling() -> bool:
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]  # documented, in spite of its name
    name: str = frame.f_globals.get("__name__", "")
    return name.split(".")[0] in _POLLING

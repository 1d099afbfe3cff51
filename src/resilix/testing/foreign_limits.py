"""Limits in the code under test that are not a policy's: inside a block they also expire by the virtual clock.

They stay real as well, and never send the clock anywhere: one expires early only when somebody's virtual wait goes
beyond it. So what answers for real keeps its time, and a sleep that is too long for its limit is still cut off.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable, Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from resilix.testing.whereabouts import is_users

if TYPE_CHECKING:
    from resilix.runtime import Timer
    from resilix.testing.driver import VirtualDriver


class ForeignLimits:
    """Makes the replacements for one block.

    Only calls from the user's own code are replaced: the limits of an HTTP library guard sockets.
    """

    def __init__(self, driver: VirtualDriver, follows: Callable[[Any], bool]) -> None:
        self._driver = driver
        self._follows = follows

    def _wanted(self, seconds: Any) -> bool:
        frame: FrameType = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]  # documented, in spite of its name
        return is_users(frame) and self._follows(seconds)

    def of_timeout(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """For ``asyncio.timeout``."""

        def timeout(delay: float | None) -> Any:
            made = real(delay)
            return TimeoutLimit(self._driver, made, delay) if delay is not None and self._wanted(delay) else made

        return timeout

    def of_wait_for(self, real: Callable[..., Any], timeout: Callable[..., Any]) -> Callable[..., Any]:
        """For ``asyncio.wait_for``, beside the real ``asyncio.timeout``."""

        async def limited(fut: Awaitable[Any], seconds: float) -> Any:
            async with TimeoutLimit(self._driver, timeout(seconds), seconds):
                return await fut

        def wait_for(fut: Awaitable[Any], timeout: float | None) -> Any:
            return limited(fut, timeout) if timeout is not None and self._wanted(timeout) else real(fut, timeout)

        return wait_for

    def of_scope(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """For ``move_on_after`` and ``fail_after`` of trio and anyio."""

        def after(*args: Any, **kwargs: Any) -> Any:
            made = real(*args, **kwargs)
            seconds: Any = args[0] if args else kwargs.get("seconds", kwargs.get("delay"))
            return ScopeLimit(self._driver, made, seconds) if self._wanted(seconds) else made

        return after


class Limit:
    """What a library made for a limit, and a virtual moment beside it; answers for it before it is entered."""

    def __init__(self, driver: VirtualDriver, made: Any, seconds: float) -> None:
        vars(self).update(_driver=driver, _made=made, _seconds=seconds, _timer=None)

    _driver: VirtualDriver
    _made: Any
    _seconds: float
    _timer: Timer | None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._made, name, value)

    def _begin(self, expire: Callable[[], object]) -> None:
        vars(self)["_timer"] = self._driver.limit(self._seconds, expire)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class TimeoutLimit(Limit):
    """For an ``asyncio.Timeout``."""

    async def __aenter__(self) -> Any:
        made = await self._made.__aenter__()
        when = made.when()

        def expire() -> None:
            if made.when() == when:  # else the user has given it another moment
                made.reschedule(-math.inf)

        self._begin(expire)
        return made

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Any:
        self._end()
        return await self._made.__aexit__(kind, error, traceback)


class ScopeLimit(Limit):
    """For a cancel scope, or for a context manager that gives one."""

    def __enter__(self) -> Any:
        scope = self._made.__enter__()
        deadline = scope.deadline

        def expire() -> None:
            if scope.deadline == deadline:  # as above
                scope.deadline = -math.inf

        self._begin(expire)
        return scope

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Any:
        self._end()
        return self._made.__exit__(kind, error, traceback)

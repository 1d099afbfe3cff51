"""A clock and a driver for waits that end when the test says so, without any time passing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import trio

from resilix.clock import SYSTEM
from resilix.runtime import RUNTIME, Flag, RealDriver


class StillTime(RealDriver):
    """Every wait takes exactly as long as it may, at once; ``meanwhile`` happens just before its end.

    Attributes:
        time: What the system clock says.
        waits: The bounds of the waits so far.
        meanwhile: Called in every wait once its time is over, before the waiter sees that.
    """

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float | None] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def now(self) -> float:
        return self.time

    def _pass(self, seconds: float | None) -> None:
        self.waits.append(seconds)
        assert seconds is None or seconds >= 0, "nobody waits for a negative time"
        self.time += seconds or 0.0
        self.meanwhile()

    def block(self, flag: Flag, seconds: float | None, *, on_worker: bool = False) -> bool:
        self._pass(seconds)
        return flag.is_set

    def later(self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]) -> Any:
        self._pass(seconds)
        return loop.call_soon(callback)

    def scope(self, seconds: float) -> Any:
        self._pass(seconds)
        scope = trio.CancelScope()
        scope.cancel()
        return scope

    def sleep(self, seconds: float) -> None:
        self._pass(seconds)

    async def asleep(self, seconds: float) -> None:
        self._pass(seconds)


def still_time(monkeypatch: pytest.MonkeyPatch) -> StillTime:
    """Put everything under a clock that stands still."""
    driver = StillTime()
    monkeypatch.setattr(SYSTEM, "now", driver.now)
    monkeypatch.setattr(RUNTIME, "driver", driver)
    return driver

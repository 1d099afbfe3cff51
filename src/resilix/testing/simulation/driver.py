"""The driver of the runtime in a simulation: waits are timers of the simulated loop."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Never

from resilix.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilix.runtime import Flag, Scope
    from resilix.testing.simulation.loop import Handle, SimulatedLoop


class SimulatedDriver:
    """How time passes in a simulation: not at all, but for the loop's jumps."""

    virtual = True

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def sleep(self, seconds: float) -> None:
        """Refuse: a thread cannot wait for a loop that runs in it."""
        _refuse()

    def block(self, flag: Flag, seconds: float | None, *, on_worker: bool = False) -> bool:
        """Refuse, as above."""
        _refuse()

    async def asleep(self, seconds: float) -> None:
        """Suspend the calling task."""
        loop = self._loop
        over = loop.create_future()
        timer = loop.call_later(seconds, _settle, over)
        try:
            await over
        finally:
            timer.cancel()

    def spend(self, seconds: float) -> None:
        """Refuse, as above."""
        _refuse()

    async def aspend(self, seconds: float) -> None:
        """Suspend the calling task."""
        await self.asleep(seconds)

    def later(self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]) -> Handle:
        """Have a callback run at a virtual moment."""
        return self._loop.call_later(max(0.0, seconds), callback)

    def scope(self, seconds: float) -> AbstractContextManager[Scope, bool]:
        """Refuse: there is no trio here."""
        _refuse()


def _settle(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


def _refuse() -> Never:
    raise ConfigurationError(
        "a policy waited in sync code; in a simulated event loop all calls are made in one thread, so call async "
        "functions, and a policy of your own must wait in its acall() with await"
    )

# pyright: reportPrivateUsage=false
# What plans, fates and doors say to each other is no business of a user's.
"""What befalls one call under a fault plan: a wait, and then an error, a status, a hang, or nothing."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from resilix.clock import SYSTEM
from resilix.core.deadline import DEADLINE
from resilix.errors import ConfigurationError
from resilix.runtime import RUNTIME, ThreadParker, async_parker
from resilix.workers import POOL

ERROR: Final = "error"
STATUS: Final = "status"
HANG: Final = "hang"
LATENCY: Final = "latency"
"""What metrics and events tell apart."""
INFINITE: Final = math.inf


class Fault(NamedTuple):
    """What becomes of a call instead of its own outcome.

    Attributes:
        kind: "error", "status" or "hang".
        text: What it is called in counts and logs: "ConnectionError", "503", "hang".
        make: Makes the exception of an error, a fresh one for each raise.
        status: The status of an answer.
        retry_after: Whole seconds in its ``Retry-After``, if it has one.
    """

    kind: str
    text: str
    make: Callable[[], BaseException] | None = None
    status: int = 0
    retry_after: int | None = None


class Owner(Protocol):
    """The plan a fate comes from."""

    _misused: str
    """What was wrong with how it is used: a policy around the call may swallow the error that says so."""

    def _park(self, fate: Fate, parker: Any) -> bool:
        """A call is about to hang; False when the plan was released since the fate was decided."""
        ...

    def _unpark(self, parker: Any) -> None:
        """It hangs no more."""
        ...

    def _cut_short(self, seconds: float) -> None:
        """So much of a wait that was counted did not take place."""
        ...


class Fate:
    """What befalls one call.

    Attributes:
        delay: Seconds of waiting, before everything else.
        fault: What happens then; ``None`` when the call is made.
        releases: How often its plan had been released when this was decided.
    """

    __slots__ = ("_label", "_owner", "delay", "fault", "releases")

    def __init__(self, owner: Owner, label: str, delay: float, fault: Fault | None, releases: int) -> None:
        self._owner = owner
        self._label = label
        self.delay = delay
        self.fault = fault
        self.releases = releases

    # -- around a function -----------------------------------------------------------------------------------

    def befall(self) -> None:
        """Wait, and raise what is to be raised; returns when the function may run."""
        if self.delay > 0:
            self.wait(INFINITE)
        if self.fault is not None:
            if self.fault.kind == HANG:
                self.hang(INFINITE)
            self._fail(self.fault)

    async def abefall(self) -> None:
        """The same, async."""
        if self.delay > 0:
            await self.await_(INFINITE)
        if self.fault is not None:
            if self.fault.kind == HANG:
                await self.ahang(INFINITE)
            self._fail(self.fault)

    def _fail(self, fault: Fault) -> NoReturn:
        if fault.kind == HANG:
            raise hung()
        if fault.make is None:
            mistake = ConfigurationError(
                f"the fault plan answers with the status {fault.text}, and a function has no status: put such a plan "
                "into an HTTP client (FaultTransport), inject it by the name of an HTTP policy, or raise what your "
                f"client raises for {fault.text}: faults.error(…)"
            )
            self._owner._misused = str(mistake)
            raise mistake
        raise fault.make()

    # -- waiting -----------------------------------------------------------------------------------------------

    def wait(self, limit: float) -> bool:
        """Wait as long as it is to take, at most so many seconds; whether that was enough."""
        began, over = SYSTEM.now(), False
        try:
            RUNTIME.driver.spend(min(self.delay, limit))
            over = self.delay <= limit
        finally:
            if not over:
                self._cut_short(began)
        return over

    async def await_(self, limit: float) -> bool:
        """The same, async."""
        began, over = SYSTEM.now(), False
        try:
            await RUNTIME.driver.aspend(min(self.delay, limit))
            over = self.delay <= limit
        finally:
            if not over:
                self._cut_short(began)
        return over

    def _cut_short(self, began: float) -> None:
        waited = min(max(0.0, SYSTEM.now() - began), self.delay)
        self._owner._cut_short(self.delay - waited)

    def hang(self, limit: float) -> None:
        """Wait until the plan is released, the deadline passes, or the seconds are over.

        In a worker of a sync timeout only until the release: such a call is abandoned, and in flight means running.
        """
        if not POOL.owns(threading.current_thread()):
            limit = min(limit, DEADLINE.remaining(SYSTEM.now()))
        parker = ThreadParker(self._awaited())
        if self._owner._park(self, parker):
            try:
                parker.park(None if limit == INFINITE else max(0.0, limit))
            finally:
                self._owner._unpark(parker)

    def _awaited(self) -> str:
        return f'the release of {self._owner!r} around "{self._label}"'

    async def ahang(self, limit: float) -> None:
        """The same, async: a cancellation ends it too."""
        limit = min(limit, DEADLINE.remaining(SYSTEM.now()))
        parker = async_parker(self._awaited())
        if self._owner._park(self, parker):
            try:
                await parker.park(None if limit == INFINITE else max(0.0, limit))
            finally:
                self._owner._unpark(parker)


def hung() -> TimeoutError:
    """What a call that has hung ends with: as a socket's own timeout would."""
    return TimeoutError("injected by a fault plan: it hung until the deadline passed or the plan was released")

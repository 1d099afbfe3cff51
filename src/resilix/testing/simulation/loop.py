"""An event loop in which time costs nothing, and which does everything in the same order every time.

It is a real asyncio loop as far as tasks, futures and timers go; there is no selector behind it, so nothing real can
come in. When nothing is ready it jumps to the next timer.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

# Without a selector, most of what typeshed wants of a loop makes no sense here; asyncio raises NotImplementedError.
if TYPE_CHECKING:
    from asyncio import BaseEventLoop as Base
else:
    from asyncio import AbstractEventLoop as Base
Callback = Callable[..., object]


class Handle:
    """A callback that is due; what ``call_soon`` and ``call_at`` give back.

    Attributes:
        when: The moment it is due.
    """

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_number", "when")

    def __init__(self, when: float, number: int, callback: Callback, args: tuple[Any, ...], context: Context) -> None:
        self.when = when
        self._number = number
        self._callback = callback
        self._args = args
        self._context = context
        self._cancelled = False

    def __lt__(self, other: Handle) -> bool:
        return (self.when, self._number) < (other.when, other._number)

    def cancel(self) -> None:
        """Make sure it is not called."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether it will not be called."""
        return self._cancelled

    def run(self) -> None:
        """Call it, unless it was cancelled."""
        if not self._cancelled:
            self._context.run(self._callback, *self._args)


class SimulatedLoop(Base):
    """Runs tasks in virtual time, in one fixed order for one seed.

    Attributes:
        now: Virtual seconds since it was made.
        errors: What went wrong where nobody could be told (contexts of ``call_exception_handler``).
    """

    def __init__(self, order: random.Random | None = None) -> None:
        """Make a loop.

        Args:
            order: Chooses among what is ready, to explore other orders than first come, first served; ``None`` keeps to
                asyncio's.
        """
        self.now = 0.0
        self.errors: list[dict[str, Any]] = []
        self._order = order
        self._ready: deque[Handle] = deque()
        self._timers: list[Handle] = []
        self._made = 0
        self._running = False
        self._closed = False

    # -- what asyncio asks of a loop -----------------------------------------------------------------------

    def time(self) -> float:
        """The virtual time."""
        return self.now

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whether it turns."""
        return self._running

    def is_closed(self) -> bool:
        """Whether it has been closed."""
        return self._closed

    def close(self) -> None:
        """Forget everything that is still to come."""
        self._closed = True
        self._ready.clear()
        self._timers.clear()

    def call_soon(self, callback: Callback, *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]
        """Have something called as soon as possible."""
        self._made += 1
        handle = Handle(self.now, self._made, callback, args, context or copy_context())
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callback, *args: Any, context: Context | None = None
    ) -> Handle:
        """The same; there is only one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callback, *args: Any, context: Context | None = None
    ) -> Handle:
        """Have something called after so many virtual seconds."""
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callback, *args: Any, context: Context | None = None
    ) -> Handle:
        """Have something called at a virtual moment."""
        self._made += 1
        handle = Handle(when, self._made, callback, args, context or copy_context())
        heapq.heappush(self._timers, handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:  # type: ignore[override]
        """Start a task."""
        return asyncio.Task(coro, loop=self, **options)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody could be told."""
        self.errors.append(context)

    # -- running -------------------------------------------------------------------------------------------

    def run(self, until: float = math.inf) -> None:
        """Do what is due up to a moment, or until nothing is left to do; then that moment is now."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        self._running = True
        try:
            while self._turn(until):
                pass
        finally:
            self._running = False
            asyncio._set_running_loop(before)
        if until < math.inf:
            self.now = max(self.now, until)

    def _turn(self, until: float) -> bool:
        """Do one thing; False when nothing is left up to a moment."""
        ready = self._ready
        if not ready and not self._move_on(until):
            return False
        if self._order is not None and len(ready) > 1:
            ready.rotate(-self._order.randrange(len(ready)))
        ready.popleft().run()
        return True

    def _move_on(self, until: float) -> bool:
        """Go to the next moment at which something is due, and make all that is due then ready."""
        timers, ready = self._timers, self._ready
        while timers and timers[0].cancelled():
            heapq.heappop(timers)
        if not timers or timers[0].when > until:
            return False
        self.now = max(self.now, timers[0].when)
        while timers and timers[0].when <= self.now:
            ready.append(heapq.heappop(timers))
        return True

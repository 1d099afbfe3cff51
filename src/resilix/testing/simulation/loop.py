"""An event loop in which time costs nothing, and which does everything in the same order every time.

It is a real asyncio loop as far as tasks, futures and timers go; there is no selector behind it, so nothing real can
come in. When nothing is ready it jumps to the next timer.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import sys
from asyncio.tasks import _enter_task, _leave_task  # for loops of others: Python's page "Extending" has them
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Never, Protocol, TypeVar

T = TypeVar("T")

# Without a selector, most of what typeshed wants of a loop makes no sense here; asyncio raises NotImplementedError.
if TYPE_CHECKING:
    from asyncio import BaseEventLoop as Base
else:
    from asyncio import AbstractEventLoop as Base
Callback = Callable[..., object]


class Order(Protocol):
    """Chooses what is done next; ``random.Random`` is one."""

    def randrange(self, stop: int, /) -> int:
        """One of so many, from 0; they stand in the order in which they became ready."""
        ...


def _step_out(loop: asyncio.AbstractEventLoop | None) -> Callable[[], None]:
    """Have the task that waits for us step out: since Python 3.14 a thread has one at a time. What lets it in again."""
    task = None if loop is None else asyncio.current_task(loop)
    if loop is None or task is None:
        return lambda: None
    _leave_task(loop, task)
    return partial(_enter_task, loop, task)


class Handle:
    """A callback that is due; what ``call_soon`` and ``call_at`` give back.

    Attributes:
        due: The moment it is due.
        callback: What is called then.
    """

    __slots__ = ("_args", "_cancelled", "_context", "_number", "callback", "due")

    def __init__(self, due: float, number: int, callback: Callback, args: tuple[Any, ...], context: Context) -> None:
        self.due = due
        self.callback = callback
        self._number = number
        self._args = args
        self._context = context
        self._cancelled = False

    def __lt__(self, other: Handle) -> bool:
        return (self.due, self._number) < (other.due, other._number)

    def when(self) -> float:
        """The moment it is due, as of a handle of asyncio's."""
        return self.due

    def cancel(self) -> None:
        """Make sure it is not called."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether it will not be called."""
        return self._cancelled

    def run(self) -> None:
        """Call it, unless it was cancelled."""
        if not self._cancelled:
            self._context.run(self.callback, *self._args)
        # From 3.12 on, the traceback of a task's error keeps this frame, and it would keep the task.
        del self


class SimulatedLoop(Base):
    """Runs tasks in virtual time, in one fixed order for one seed.

    Attributes:
        now: Virtual seconds since it was made.
        errors: What went wrong where nobody could be told (contexts of ``call_exception_handler``).
    """

    def __init__(self, order: Order | None = None) -> None:
        """Make a loop.

        Args:
            order: Chooses among what is ready, to explore other orders than first come, first served (see
                ``resilix.testing.explore``); ``None`` keeps to asyncio's.
        """
        self.now = 0.0
        self.errors: list[dict[str, Any]] = []
        self._order = order
        self._ready: deque[Handle] = deque()
        self._timers: list[Handle] = []
        self._closings: set[asyncio.Task[Any]] = set()
        self._made = 0
        self._running = False
        self._closed = False

    # -- what asyncio asks of a loop -----------------------------------------------------------------------
    # Where a type is ignored: ours give back a handle of our own, which is all that asyncio asks of it.

    def time(self) -> float:
        """The virtual time."""
        return self.now

    def get_debug(self) -> bool:
        """Never."""
        return False

    def get_task_factory(self) -> None:
        """None; libraries ask."""
        return

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
        handle = Handle(self.now, self._made, callback, args, copy_context() if context is None else context)
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
        handle = Handle(when, self._made, callback, args, copy_context() if context is None else context)
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
        self.run_while(lambda: True, until)
        if until < math.inf:
            self.now = max(self.now, until)

    def run_while(self, wanted: Callable[[], bool], until: float = math.inf) -> None:
        """Do one thing after the other while that is wanted, and until nothing is left to do up to a moment."""
        before, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()
        step_in = _step_out(before)
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(finalizer=self._close_generator)
        self._running = True
        try:
            while wanted() and self._turn(until):
                pass
        finally:
            self._running = False
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(before)
            step_in()

    def _turn(self, until: float) -> bool:
        """Do one thing; False when nothing is left up to a moment."""
        ready = self._ready
        if not ready and not self._move_on(until):
            return False
        if self._order is None:
            ready.popleft().run()
        else:
            self._do(self._chosen(self._order))
        return True

    def _chosen(self, order: Order) -> Handle:
        """Take one of those that are ready; the others stay in the order in which they came."""
        ready = self._ready
        self._make_ready()  # what became due while others were ready
        place = order.randrange(len(ready)) if len(ready) > 1 else 0
        ready.rotate(-place)
        chosen = ready.popleft()
        ready.rotate(place)
        return chosen

    def _do(self, chosen: Handle) -> None:
        """One step in an order of its own."""
        chosen.run()

    def _move_on(self, until: float) -> bool:
        """Go to the next moment at which something is due, and make all that is due then ready."""
        timers = self._timers
        while timers and timers[0].cancelled():
            heapq.heappop(timers)
        if not timers or timers[0].due > until:
            return False
        self.now = max(self.now, timers[0].due)
        self._make_ready()
        return True

    def _make_ready(self) -> None:
        timers = self._timers
        while timers and timers[0].due <= self.now:
            self._ready.append(heapq.heappop(timers))

    def _close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed:
            closing = self.create_task(generator.aclose())
            self._closings.add(closing)
            closing.add_done_callback(self._closings.discard)


def _impossible(name: str) -> Callable[..., Never]:
    """A method of a loop that says why there is none."""
    why = REASONS.get(name, "nothing real can come in: no sockets, files, signals, processes")

    def refuse(*args: Any, **kwargs: Any) -> Never:
        raise NotImplementedError(
            f"{name}(): this event loop is simulated, and {why}; have the code under test call something that waits "
            "with asyncio.sleep(), or test it in real time"
        )

    return refuse


REASONS = {
    "run_in_executor": "a thread (to_thread, run_in_executor) would take real time, which does not pass here",
    **dict.fromkeys(
        ("run_forever", "run_until_complete", "stop", "shutdown_asyncgens", "shutdown_default_executor"),
        "whoever made it runs it",
    ),
    **dict.fromkeys(
        (
            "set_task_factory",
            "get_exception_handler",
            "set_exception_handler",
            "default_exception_handler",
            "set_debug",
        ),
        "it has no settings",
    ),
}
"""What is not possible for another reason than that nothing comes in from outside."""

for _name in set(dir(asyncio.AbstractEventLoop)) - set(vars(SimulatedLoop)):
    if not _name.startswith("_"):
        setattr(SimulatedLoop, _name, _impossible(_name))

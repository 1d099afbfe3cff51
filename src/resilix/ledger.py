"""Many running asyncio calls with the same time limit, and one armed timer for all of them.

The limit of a timeout policy is constant, so its deadlines come in the order in which the calls began: a dict in
insertion order is the whole data structure, and a call costs one entry put in and taken out instead of a timer
made and cancelled. What a call sees is what ``asyncio.timeout`` would show it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any, cast

from resilix.runtime import was_ours

Task = asyncio.Task[Any]


class Page:
    """The running calls of one policy in one event loop.

    Attributes:
        loop: The event loop.
        live: Task → (when its time is over, its count of cancellation requests at entry), oldest first.
        time: The loop's clock.
        armed: Whether the timer is running.
    """

    __slots__ = ("_context", "_fired", "_resolution", "armed", "live", "loop", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.live: dict[Task, tuple[float, int]] = {}
        self.time: Callable[[], float] = _clock_of(loop)
        self.armed = False
        self._fired: dict[Task, list[int]] = {}
        # The timer outlives the call that armed it, and must not keep what stands in that call's context.
        self._context = Context()
        self._resolution = getattr(loop, "_clock_resolution", 0.0)

    def enter(self, task: Task, seconds: float) -> None:
        """Write a call down; its task must not stand here already."""
        self.live[task] = (self.time() + seconds, task.cancelling())
        if not self.armed:
            self.arm()

    def arm(self) -> None:
        """Start the timer, for the oldest of the calls; there must be one."""
        when, _ = next(iter(self.live.values()))
        self._start(when)

    def _start(self, when: float) -> None:
        self.armed = True
        self.loop.call_at(when, self._fire, context=self._context)

    def _fire(self) -> None:
        now = self.time() + self._resolution
        self.armed = False
        due: list[tuple[Task, int]] = []
        # One walk: to look for the first again and again would take quadratic time when thousands are due.
        for task, (when, cancelling) in self.live.items():
            if when > now:
                self._start(when)
                break
            due.append((task, cancelling))
        for task, cancelling in due:
            del self.live[task]
            # A list: cleanup code of the cancelled call may enter the same policy and run out of time too.
            self._fired.setdefault(task, []).append(cancelling)
            task.cancel()

    def leave(self, task: Task, error: BaseException | None) -> bool:
        """The call is over. True when it ended because its time was over and nobody else cancelled it."""
        if self.live.pop(task, None) is not None:
            return False
        return self.fired(task, error)

    def fired(self, task: Task, error: BaseException | None) -> bool:
        """The same for a call whose line is gone already: its time was over."""
        stack = self._fired[task]
        cancelling = stack.pop()
        if not stack:
            del self._fired[task]
        return was_ours(task, cancelling, error)


def _clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """The clock of a loop, without the method that asyncio's own loops put around it."""
    own = type(loop).time is asyncio.BaseEventLoop.time and "time" not in vars(loop)
    return time.monotonic if own else loop.time


class _NoPage:
    """What stands for a page before there is one, so that nobody has to ask whether there is."""

    loop = None


_NO_PAGE = cast("Page", _NoPage())


class Ledger:
    """The pages of one timeout policy.

    Attributes:
        page: The one used last, or one of no loop; look whether its loop is yours.
    """

    __slots__ = ("_pages", "page")

    def __init__(self) -> None:
        self._pages: dict[asyncio.AbstractEventLoop, Page] = {}
        self.page: Page = _NO_PAGE

    def page_of(self, loop: asyncio.AbstractEventLoop) -> Page:
        """Find or make the page of a loop."""
        page = self._pages.get(loop)
        if page is None:
            page = Page(loop)
            # Each asyncio.run makes a new loop; the closed ones go when the next comes.
            kept = {one: its for one, its in self._pages.items() if not one.is_closed()}
            self._pages = {**kept, loop: page}
        self.page = page
        return page

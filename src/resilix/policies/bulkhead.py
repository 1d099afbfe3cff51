"""``Bulkhead``: only so many calls at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Never

from resilix.attention import GIL
from resilix.clock import SYSTEM
from resilix.core import options
from resilix.core.deadline import DEADLINE
from resilix.core.options import Seconds, checked
from resilix.core.permits import HELD, Hold, PermitQueue
from resilix.errors import BulkheadFullError
from resilix.events import HUB, CallAdmitted, CallRefused
from resilix.policies.base import Guard, Target, continue_async
from resilix.policies.functions import PLAIN, AnyCallable, is_awaitable
from resilix.policies.permit import Permit
from resilix.policies.place import Place
from resilix.policies.quiet import Live, Quiet, with_quiet
from resilix.policies.registry import REGISTRY
from resilix.policies.time_left import refuse_deadline
from resilix.runtime import ThreadParker, async_parker


QUIET = """
if not queue.free and not lend():
    result = PLAIN
else:
    queue.free -= 1
    try:
        result = INNER
    finally:
        if queue.busy:
            queue.give_back()
        else:
            queue.free += 1
"""
"""Take a place, and give it back."""


class Bulkhead(Guard):
    """Lets at most ``limit`` calls run at once, whoever makes them; others wait in line or are refused.

    One object serves plain threads and any number of event loops at the same time, asyncio and trio. Who comes first is
    served first. A caller that is cancelled or gives up while it waits takes nothing with it.

    Example::

        slots = Bulkhead("quotes", limit=20)

        @slots
        def price(symbol: str) -> int: ...

    Taking a free place is not a checkpoint: an async call that finds one goes on without yielding.

    Args:
        name: What operators see in metrics, events and errors.
        limit: Places; at least 1.
        max_wait: Seconds a caller may wait for a place. Zero: do not wait. ``None``: as long as the deadline lets.
        queue: How many may wait at once; ``None`` for any number. Zero: do not wait.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.

    The pattern is from Nygard's "Release It!".
    """

    kind = "bulkhead"

    @checked("Bulkhead", 'Bulkhead("quotes", limit=20)')
    def __init__(self, name: str, *, limit: int, max_wait: Seconds | None = 0.0, queue: int | None = None) -> None:
        self._name = options.name_of("Bulkhead", name)
        options.whole("Bulkhead", "limit", limit, least=1, why="with no place no call could ever run")
        if queue is not None:
            options.whole("Bulkhead", "queue", queue, least=0, why="it is how many may wait")
        self._max_wait = (
            math.inf if max_wait is None else options.duration("Bulkhead", "max_wait", max_wait, zero="no waiting")
        )
        self._queue = PermitQueue(limit, queue)
        self._late = 0
        REGISTRY.add("Bulkhead", self, stacklevel=3)

    def __repr__(self) -> str:
        return f"Bulkhead({self._name!r}, {self.in_use}/{self.limit})"

    # -- reading -------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._name

    @property
    def limit(self) -> int:
        """How many calls may run at once."""
        return self._queue.limit

    @property
    def max_wait(self) -> float:
        """Seconds a caller may wait; infinite without a bound."""
        return self._max_wait

    @property
    def in_use(self) -> int:
        """Places taken now."""
        return self._queue.limit - self._queue.idle

    @property
    def free(self) -> int:
        """Places free now."""
        return self._queue.idle

    @property
    def waiting(self) -> int:
        """Callers in line now."""
        return self._queue.waiting

    @property
    def rejected(self) -> int:
        """Calls refused since it was made, for want of a place or of time."""
        return self._queue.rejected

    @property
    def late(self) -> int:
        """How many of the refused had no time left; the others found no place."""
        return self._late

    # -- by hand -------------------------------------------------------------------------------------------

    def acquire(self) -> Permit:
        """Take a place for a sync call, waiting up to ``max_wait``; any way of settling the permit frees it.

        Example::

            with slots.acquire():
                fetch("ACME")

        Raises:
            BulkheadFullError: No place came free in time, or the line was full.
            DeadlineExpiredError: The deadline around this call leaves no time to wait for one.
        """
        hold = Hold(self._queue)
        place = Place(hold)
        try:
            self._enter(hold, self._name)
        except BaseException:
            hold.drop()
            raise
        return place

    async def aacquire(self) -> Permit:
        """Take a place for an async call, as :meth:`acquire` does.

        Example::

            with await slots.aacquire():
                await fetch("ACME")
        """
        hold = Hold(self._queue)
        place = Place(hold)
        try:
            await self._aenter(hold, self._name)
        except BaseException:
            hold.drop()
            raise
        return place

    # -- calls ---------------------------------------------------------------------------------------------

    def _bind(self, target: Target) -> AnyCallable:
        shell = self._bind_async(target) if target.is_async else self._bind_sync(target)
        return with_quiet(shell, Quiet(QUIET, {"queue": Live(lambda: self._queue), "lend": self._lend}))

    def _bind_sync(self, target: Target) -> AnyCallable:
        fn, plain, deadline, held = target.fn, PLAIN, DEADLINE, HELD
        impatient = self._max_wait <= 0

        def placed(*args: Any, **kwargs: Any) -> Any:
            queue = self._queue
            if queue.free < 1:
                if impatient and queue.idle < 1 and not deadline.used:
                    self._refuse(queue, 0.0)
                return attended(queue, args, kwargs)
            queue.free -= 1
            try:
                result = fn(*args, **kwargs)
            finally:
                if queue.busy:
                    queue.give_back()
                else:
                    queue.free += 1
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            return result

        def attended(queue: PermitQueue, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            hold = Hold(queue)
            try:
                self._enter(hold, target.label(args))
                token = held.push(hold)
                try:
                    result = fn(*args, **kwargs)
                finally:
                    held.pop(token)
            finally:
                if hold.needed == 1 and not queue.busy:
                    hold.needed = 0
                    queue.free += 1
                else:
                    hold.drop()
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            return result

        return placed

    def _bind_async(self, target: Target) -> AnyCallable:
        fn, deadline, held = target.fn, DEADLINE, HELD
        impatient = self._max_wait <= 0

        async def placed(*args: Any, **kwargs: Any) -> Any:
            queue = self._queue
            if queue.free < 1:
                if impatient and queue.idle < 1 and not deadline.used:
                    self._refuse(queue, 0.0)
                return await attended(queue, args, kwargs)
            queue.free -= 1
            try:
                return await fn(*args, **kwargs)
            finally:
                if queue.busy:
                    queue.give_back()
                else:
                    queue.free += 1

        async def attended(queue: PermitQueue, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            hold = Hold(queue)
            try:
                await self._aenter(hold, target.label(args))
                token = held.push(hold)
                try:
                    return await fn(*args, **kwargs)
                finally:
                    held.pop(token)
            finally:
                if hold.needed == 1 and not queue.busy:
                    hold.needed = 0
                    queue.free += 1
                else:
                    hold.drop()

        return placed

    # -- getting a place -----------------------------------------------------------------------------------
    # Whoever calls these drops the hold when they raise, so they need not clean up, wherever they are interrupted.

    def _enter(self, hold: Hold, label: str) -> None:
        if not self._take(hold, label):
            parker = ThreadParker()
            started, longest = self._line_up(hold, parker.wake)
            if not hold.needed:
                parker.park(longest)
                self._end_of_wait(hold, started, longest, label)
        if HUB.listeners:
            HUB.emit(CallAdmitted(policy=self.kind, name=self._name))

    async def _aenter(self, hold: Hold, label: str) -> None:
        if not self._take(hold, label):
            parker = async_parker()
            started, longest = self._line_up(hold, parker.wake)
            if not hold.needed:
                await parker.park(longest)
                self._end_of_wait(hold, started, longest, label)
        if HUB.listeners:
            HUB.emit(CallAdmitted(policy=self.kind, name=self._name))

    def _begin(self, label: str) -> Hold | PermitQueue:
        """Take a place for a call that goes on when the function has returned; give the proof to _end."""
        queue = self._queue
        if queue.free > 0:
            queue.free -= 1
            return queue
        hold = Hold(queue)
        try:
            self._enter(hold, label)
        except BaseException:
            hold.drop()
            raise
        return hold

    async def _abegin(self, label: str) -> Hold | PermitQueue:
        """The same, async."""
        queue = self._queue
        if queue.free > 0:
            return self._begin(label)
        hold = Hold(queue)
        try:
            await self._aenter(hold, label)
        except BaseException:
            hold.drop()
            raise
        return hold

    @staticmethod
    def _end(proof: Hold | PermitQueue) -> None:
        """Give the place of a call begun by hand back; once only."""
        if isinstance(proof, Hold):
            proof.drop()
        elif proof.busy:
            proof.give_back()
        else:
            proof.free += 1

    def _lend(self) -> bool:
        """Whether a call may go the quiet way although something in this process attends to calls.

        If so there is a free place, and it is the caller's next step to take it: nobody comes between.

        Raises:
            BulkheadFullError: There is nothing more to look at: it is full.
        """
        queue = self._queue
        if queue.idle < 1 and self._max_wait <= 0 and not DEADLINE.used:
            self._refuse(queue, 0.0)
        if HELD.used or HUB.listeners or DEADLINE.in_force() or not GIL:
            return False
        if queue.kept:
            queue.kept -= 1
            queue.free += 1
            return True
        return False

    def _take(self, hold: Hold, label: str) -> bool:
        """Take a free place. False when there is none and the caller may wait for one."""
        if DEADLINE.used and DEADLINE.remaining(SYSTEM.now()) <= 0:
            self._refuse_late(hold.queue, label)
        if hold.take():
            return True
        if self._max_wait <= 0:
            self._refuse(hold.queue, 0.0)
        return False

    def _line_up(self, hold: Hold, wake: Callable[[], object]) -> tuple[float, float | None]:
        """Join the queue. The time, and seconds to wait at most, ``None`` for no bound."""
        if not hold.enqueue(wake):
            self._refuse(hold.queue, 0.0)
        started = SYSTEM.now()
        longest = min(self._max_wait, max(0.0, DEADLINE.remaining(started)))
        return started, None if longest == math.inf else longest

    def _end_of_wait(self, hold: Hold, started: float, longest: float | None, label: str) -> None:
        now = SYSTEM.now()
        # Which bound ended the wait is told by which was the nearer, not by the time: timers may be early or late.
        deadline_nearer = longest is not None and longest < self._max_wait
        late = DEADLINE.remaining(now) <= 0 or (deadline_nearer and not hold.needed)
        if hold.needed and not late:
            return
        hold.drop()  # before the listeners take their time
        if late:
            self._refuse_late(hold.queue, label)
        self._refuse(hold.queue, now - started)

    def _refuse(self, queue: PermitQueue, waited: float) -> Never:
        if GIL:
            queue.rejected += 1
        else:
            queue.reject()
        if HUB.listeners:
            HUB.emit(CallRefused(policy=self.kind, name=self._name, kind="bulkhead_full"))
        raise BulkheadFullError(self._name, limit=queue.limit, waited=waited)

    def _refuse_late(self, queue: PermitQueue, label: str) -> Never:
        queue.reject()
        self._late += 1
        refuse_deadline(self.kind, label, name=self._name)

    def _after_fork(self) -> None:
        # Calls of the parent give their places back to the queue they took them from.
        parents, self._queue = self._queue, PermitQueue(self._queue.limit, self._queue.queue)
        self._queue.attend()
        parents.orphan()

    def _attend(self) -> None:
        self._queue.attend()

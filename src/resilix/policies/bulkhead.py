"""``Bulkhead``: only so many calls at once."""

from __future__ import annotations

import math
from contextvars import Token
from types import TracebackType
from typing import Any, Never, Self

from resilix.clock import SYSTEM
from resilix.core import options
from resilix.core.breaker import GIL
from resilix.core.deadline import DEADLINE
from resilix.core.options import Seconds, checked
from resilix.core.permits import HELD, Hold, PermitQueue, Waiter
from resilix.core.verdict import Verdict
from resilix.errors import BulkheadFullError
from resilix.events import HUB, CallAdmitted, CallRefused
from resilix.policies.base import PLAIN, AnyCallable, BoundPolicy, Target, continue_async, is_awaitable
from resilix.policies.permit import Permit
from resilix.policies.registry import REGISTRY
from resilix.policies.time_left import check_deadline, refuse_deadline
from resilix.runtime import ThreadParker, async_parker


class Bulkhead(BoundPolicy[Never]):
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
        return self._queue.limit - self._queue.free

    @property
    def free(self) -> int:
        """Places free now."""
        return self._queue.free

    @property
    def waiting(self) -> int:
        """Callers in line now."""
        return self._queue.waiting

    @property
    def rejected(self) -> int:
        """Calls refused since it was made."""
        return self._queue.rejected

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
        queue = self._queue
        self._enter(queue, self._name)
        return _Place(Hold(queue))

    async def aacquire(self) -> Permit:
        """Take a place for an async call, as :meth:`acquire` does.

        Example::

            with await slots.aacquire():
                await fetch("ACME")
        """
        queue = self._queue
        await self._aenter(queue, self._name)
        return _Place(Hold(queue))

    # -- calls ---------------------------------------------------------------------------------------------

    def _bind(self, target: Target) -> AnyCallable:
        return self._bind_async(target) if target.is_async else self._bind_sync(target)

    def _bind_sync(self, target: Target) -> AnyCallable:
        fn, plain, hub, deadline, held = target.fn, PLAIN, HUB, DEADLINE, HELD

        def placed(*args: Any, **kwargs: Any) -> Any:
            queue = self._queue
            if held.used or hub.listeners or deadline.used:
                return attended(queue, args, kwargs)
            if GIL and queue.free > 0:
                queue.free -= 1
            else:
                self._enter(queue, target.label(args))
            try:
                result = fn(*args, **kwargs)
            finally:
                if GIL and not queue.waiting:
                    queue.free += 1
                else:
                    queue.give_back()
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            return result

        def attended(queue: PermitQueue, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self._enter(queue, target.label(args))
            hold = Hold(queue)
            try:
                token = held.push(hold)
                try:
                    result = fn(*args, **kwargs)
                finally:
                    held.pop(token)
            finally:
                hold.drop()
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            return result

        return placed

    def _bind_async(self, target: Target) -> AnyCallable:
        fn, hub, deadline, held = target.fn, HUB, DEADLINE, HELD

        async def placed(*args: Any, **kwargs: Any) -> Any:
            queue = self._queue
            if held.used or hub.listeners or deadline.used:
                return await attended(queue, args, kwargs)
            if GIL and queue.free > 0:
                queue.free -= 1
            else:
                await self._aenter(queue, target.label(args))
            try:
                return await fn(*args, **kwargs)
            finally:
                if GIL and not queue.waiting:
                    queue.free += 1
                else:
                    queue.give_back()

        async def attended(queue: PermitQueue, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            await self._aenter(queue, target.label(args))
            hold = Hold(queue)
            try:
                token = held.push(hold)
                try:
                    return await fn(*args, **kwargs)
                finally:
                    held.pop(token)
            finally:
                hold.drop()

        return placed

    # -- getting a place -----------------------------------------------------------------------------------

    def _enter(self, queue: PermitQueue, label: str) -> None:
        if DEADLINE.used:
            check_deadline(self.kind, label)
        if not queue.take():
            if self._max_wait <= 0:
                self._refuse(queue, 0.0)
            self._wait(queue, label)
        if HUB.listeners:
            HUB.emit(CallAdmitted(policy=self.kind, name=self._name))

    async def _aenter(self, queue: PermitQueue, label: str) -> None:
        if DEADLINE.used:
            check_deadline(self.kind, label)
        if not queue.take():
            if self._max_wait <= 0:
                self._refuse(queue, 0.0)
            await self._await(queue, label)
        if HUB.listeners:
            HUB.emit(CallAdmitted(policy=self.kind, name=self._name))

    def _wait(self, queue: PermitQueue, label: str) -> None:
        parker = ThreadParker()
        started, longest, waiter = self._line_up(queue, parker.wake)
        if waiter.granted:
            return
        try:
            parker.park(longest)
        except BaseException:
            if queue.leave(waiter):
                queue.give_back()
            raise
        self._end_of_wait(queue, waiter, started, label)

    async def _await(self, queue: PermitQueue, label: str) -> None:
        parker = async_parker()
        started, longest, waiter = self._line_up(queue, parker.wake)
        if waiter.granted:
            return
        try:
            await parker.park(longest)
        except BaseException:
            if queue.leave(waiter):
                queue.give_back()
            raise
        self._end_of_wait(queue, waiter, started, label)

    def _line_up(self, queue: PermitQueue, wake: Any) -> tuple[float, float | None, Waiter]:
        """Join the queue. Seconds to wait at most, ``None`` for no bound."""
        waiter = Waiter(wake)
        started = SYSTEM.now()
        if not queue.enqueue(waiter):
            self._refuse(queue, 0.0, counted=True)
        longest = min(self._max_wait, DEADLINE.remaining(started))
        return started, (None if longest == math.inf else longest), waiter

    def _end_of_wait(self, queue: PermitQueue, waiter: Waiter, started: float, label: str) -> None:
        # A place that was handed over in the very moment the time ran out is ours: leave() says so.
        if waiter.granted or queue.leave(waiter):
            return
        now = SYSTEM.now()
        if DEADLINE.remaining(now) <= 0:
            queue.rejected += 1
            refuse_deadline(self.kind, label)
        self._refuse(queue, now - started)

    def _refuse(self, queue: PermitQueue, waited: float, *, counted: bool = False) -> Never:
        if not counted:
            queue.rejected += 1
        if HUB.listeners:
            HUB.emit(CallRefused(policy=self.kind, name=self._name, kind="bulkhead_full"))
        raise BulkheadFullError(self._name, limit=queue.limit, waited=waited)

    def _after_fork(self) -> None:
        # Calls of the parent give their places back to the queue they took them from.
        self._queue = PermitQueue(self._queue.limit, self._queue.queue)


class _Place(Permit):
    """A permit whose ``with`` block holds the place for the calls it makes, abandoned ones included."""

    __slots__ = ("_hold", "_token")

    def __init__(self, hold: Hold) -> None:
        super().__init__(lambda verdict: hold.drop(), lambda error: Verdict.IGNORED)
        self._hold = hold
        self._token: Token[tuple[Hold, ...]] | None = None

    def __enter__(self) -> Self:
        if HELD.used:
            self._token = HELD.push(self._hold)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            HELD.pop(self._token)
            self._token = None
        super().__exit__(kind, error, traceback)

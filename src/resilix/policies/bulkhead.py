"""``Bulkhead``: only so many calls at once."""

from __future__ import annotations

import math

from resilix.core import options
from resilix.core.options import Seconds, checked
from resilix.core.permits import Hold, PermitQueue
from resilix.core.tokens import Places
from resilix.policies.bulkhead_calls import BulkheadCalls
from resilix.policies.permit import Permit
from resilix.policies.place import Place
from resilix.policies.registry import REGISTRY


class Bulkhead(BulkheadCalls):
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

    @checked("Bulkhead", 'Bulkhead("quotes", limit=20)')
    def __init__(self, name: str, *, limit: int, max_wait: Seconds | None = 0.0, queue: int | None = None) -> None:
        self._name = options.name_of("Bulkhead", name)
        options.whole("Bulkhead", "limit", limit, least=1, why="with no place no call could ever run")
        if queue is not None:
            options.whole("Bulkhead", "queue", queue, least=0, why="it is how many may wait")
        self._max_wait = (
            math.inf if max_wait is None else options.duration("Bulkhead", "max_wait", max_wait, zero="no waiting")
        )
        self._queue: PermitQueue = Places(limit, queue)
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

    def _after_fork(self) -> None:
        self._exchange().orphan()

    def _renew(self) -> None:
        self._exchange()
        self._late = 0

    def _exchange(self) -> PermitQueue:
        """Begin with a queue in which all places are free; the one that calls in flight give theirs back to."""
        queue = Places(self._queue.limit, self._queue.queue)
        queue.attend()
        before, self._queue = self._queue, queue
        queue.attend()  # what has changed meanwhile reached the one before
        return before

    def _attend(self) -> None:
        self._queue.attend()

"""Places for a limited number of calls, and the queue of those who wait for one.

One object serves plain threads and any number of event loops at once, because it never blocks: a caller that finds no
place leaves a :class:`Waiter` and waits in its own way (``runtime.py``), and whoever frees a place hands it directly to
the first in the queue. So the order is first come, first served, nobody can push in, and a place in transit belongs
to somebody at every moment.

The quiet path is two plain attributes, read and written without the lock on interpreters with a GIL (see
``window.py``): ``free`` to take a place, ``waiting`` to give it back. While anybody waits, ``free`` is 0.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, Token


class Waiter:
    """Somebody in the queue.

    Attributes:
        wake: Called without a lock, in the thread of whoever frees a place, once the place is this waiter's.
        granted: The place is this waiter's.
        gone: This waiter has left the queue.
    """

    __slots__ = ("gone", "granted", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.granted = False
        self.gone = False


class PermitQueue:
    """``limit`` places, and a first-come-first-served queue of at most ``queue``.

    Attributes:
        limit: How many places there are.
        queue: How many may wait; ``None`` for any number.
        free: Places nobody has; 0 while anybody waits.
        waiting: How many wait.
        rejected: Callers turned away.
    """

    __slots__ = ("_lock", "_waiters", "free", "limit", "queue", "rejected", "waiting")

    def __init__(self, limit: int, queue: int | None) -> None:
        self.limit = limit
        self.queue = queue
        self.free = limit
        self.waiting = 0
        self.rejected = 0
        self._waiters: deque[Waiter] = deque()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a place if one is free now."""
        with self._lock:
            if self.free > 0:
                self.free -= 1
                return True
            return False

    def enqueue(self, waiter: Waiter) -> bool:
        """Take a place if one is free by now, else join the queue; False when the queue is full.

        Look at ``waiter.granted`` afterwards.
        """
        with self._lock:
            # No call between looking at free and announcing the wait: a place given back without the lock
            # is then either seen here, or its giver sees us.
            if self.free > 0:
                self.free -= 1
                waiter.granted = True
                return True
            if self.queue is not None and self.waiting >= self.queue:
                self.rejected += 1
                return False
            self.waiting += 1
            self._waiters.append(waiter)
            return True

    def give_back(self) -> None:
        """Free a place, or hand it to the first who waits."""
        with self._lock:
            waiter = self._next_waiter()
            if waiter is None:
                self.free += 1
        if waiter is not None:
            self._wake(waiter)

    def _next_waiter(self) -> Waiter | None:
        if not self._waiters:
            return None
        waiter = self._waiters.popleft()
        self.waiting -= 1
        waiter.granted = True
        return waiter

    def _wake(self, waiter: Waiter) -> None:
        try:
            waiter.wake()
        except RuntimeError:
            # Its event loop is closed: nobody will ever use the place.
            if self.leave(waiter):
                self.give_back()

    def leave(self, waiter: Waiter) -> bool:
        """Stop waiting. True when the place had been handed over already: the caller must give it back."""
        with self._lock:
            if waiter.gone:
                return False
            waiter.gone = True
            if waiter.granted:
                return True
            self.waiting -= 1
            # Removed now rather than skipped later: otherwise callers that give up would pile up behind
            # one long wait.
            self._waiters.remove(waiter)
            return False


class Hold:
    """A taken place that goes back when the last of those who need it lets go.

    The caller is one of them. A sync call that a timeout abandoned is another: it is still running, so its place is
    still taken.
    """

    __slots__ = ("_lock", "_needed", "_queue")

    def __init__(self, queue: PermitQueue) -> None:
        self._queue = queue
        self._needed = 1
        self._lock = threading.Lock()

    def retain(self) -> None:
        """One more needs the place."""
        with self._lock:
            self._needed += 1

    def drop(self) -> None:
        """One fewer needs the place; the last gives it back."""
        with self._lock:
            self._needed -= 1
            last = self._needed == 0
        if last:
            self._queue.give_back()


class HeldPlaces:
    """The places the current context holds, outermost first.

    Attributes:
        used: True once anything in this process may abandon a running call; until then nobody keeps the list.
    """

    __slots__ = ("_held", "used")

    def __init__(self) -> None:
        self.used = False
        self._held: ContextVar[tuple[Hold, ...]] = ContextVar("resilix_held_places", default=())

    def push(self, hold: Hold) -> Token[tuple[Hold, ...]]:
        """Note that this context holds a place."""
        return self._held.set((*self._held.get(), hold))

    def pop(self, token: Token[tuple[Hold, ...]]) -> None:
        """Forget the place noted by :meth:`push`."""
        self._held.reset(token)

    def current(self) -> tuple[Hold, ...]:
        """The places this context holds."""
        return self._held.get()


HELD = HeldPlaces()
"""The places held by this process's contexts."""

"""Places for a limited number of calls, and the queue of those who wait for one.

One object serves plain threads and any number of event loops at once, because it never blocks: a caller that finds no
place lines up and waits in its own way (``runtime.py``), and whoever frees a place hands it directly to the first in
the queue. So the order is first come, first served, nobody can push in, and a place in transit belongs to somebody
at every moment.

The quiet path is two plain attributes, read and written without the lock on interpreters with a GIL (see
``window.py``): ``free`` to take a place, ``busy`` to give it back. While anybody waits, ``free`` is 0. While something
in this process attends to calls (``attention.py``) it is 0 too: the places that nobody has are then ``kept``, for those
who take them under the lock.

Under the lock there are plain loads and stores only: no call, not even of a builtin, and no allocation. So neither a
signal handler nor the garbage collector can run there, and both may find their way back here: an interrupt
unwinds through ``drop``, and so does a suspended coroutine that is collected. That is why the queue is a chain of
attributes and not a deque.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token

from resilix.attention import ATTENTION, GIL
from resilix.locks import Lock


def _nobody() -> None:
    """What a hold that never lined up is woken with."""


class Hold:
    """One caller's hold on a place: wanted, waited for, taken, and let go.

    It is made before anything is taken and marked in the same moment a place is, so ``drop`` in a ``finally`` is right
    wherever an exception strikes. The caller may not be the last to need the place: a sync call that a timeout
    abandoned is still running, so its place is still taken.

    Attributes:
        needed: How many need the place now; 0 before it is taken and after it went back, which is for good.
        queue: Where the places are.
        queued: It waits in line there.
        wake: Called without a lock, in the thread of whoever frees a place, once the place is this caller's.
        before: The hold in front of it in the queue.
        after: The hold behind it in the queue.
    """

    __slots__ = ("after", "before", "needed", "queue", "queued", "wake")

    def __init__(self, queue: PermitQueue) -> None:
        self.needed = 0
        self.queued = False
        self.wake: Callable[[], object] = _nobody
        self.before: Hold | None = None
        self.after: Hold | None = None
        self.queue = queue

    def take(self) -> bool:
        """Take a place if one is free now."""
        return self.queue.take(self)

    def enqueue(self, wake: Callable[[], object]) -> bool:
        """Take a place or line up for one; False when the queue is full."""
        return self.queue.enqueue(self, wake)

    def retain(self) -> None:
        """One more needs the place; without effect when it has gone back already."""
        self.queue.retain(self)

    def drop(self) -> None:
        """One fewer needs the place; the last gives it back. Who still waits leaves the queue."""
        self.queue.drop(self)


class PermitQueue:
    """``limit`` places, and a first-come-first-served queue of at most ``queue``.

    Attributes:
        limit: How many places there are.
        queue: How many may wait; ``None`` for any number.
        free: Places nobody has and anybody may take without the lock; 0 while anybody waits, and while attended.
        kept: Places nobody has, while attended.
        attended: Whether something in this process attends to calls.
        busy: Whether a place has to be given back under the lock: somebody waits, or it is attended.
        waiting: How many wait.
        rejected: Callers turned away.
    """

    __slots__ = (
        "_first", "_last", "_lock", "attended", "busy", "free", "kept", "limit", "queue", "rejected", "waiting",
    )  # fmt: skip

    def __init__(self, limit: int, queue: int | None) -> None:
        self.limit = limit
        self.queue = queue
        self.free = limit
        self.kept = 0
        self.attended = False
        self.busy = False
        self.waiting = 0
        self.rejected = 0
        self._first: Hold | None = None
        self._last: Hold | None = None
        self._lock = Lock()

    @property
    def idle(self) -> int:
        """Places nobody has."""
        return self.free + self.kept

    def attend(self) -> None:
        """Look again whether something in this process attends to calls, or wants to know who holds a place."""
        with self._lock:
            self.attended = ATTENTION.wanted or HELD.used
            if self.attended:
                self.busy = True
                self.kept += self.free
                self.free = 0
            else:
                self.busy = self.waiting > 0
                self.free += self.kept
                self.kept = 0

    def take(self, hold: Hold) -> bool:
        """Take a place if one is free now."""
        with self._lock:
            if self.free > 0:
                self.free -= 1
            elif self.kept > 0:
                self.kept -= 1
            else:
                return False
            hold.needed = 1
            return True

    def enqueue(self, hold: Hold, wake: Callable[[], object]) -> bool:
        """Take a place if one is free by now, else join the queue; False when the queue is full.

        Look at ``hold.needed`` afterwards.
        """
        hold.wake = wake
        with self._lock:
            # Nothing comes between looking at free and announcing the wait: a place given back without the lock
            # is either seen here, or its giver sees us.
            if self.free > 0:
                self.free -= 1
                hold.needed = 1
                return True
            if self.kept > 0:
                self.kept -= 1
                hold.needed = 1
                return True
            if self.queue is not None and self.waiting >= self.queue:
                return False
            self.waiting += 1
            self.busy = True
            hold.queued = True
            hold.before = self._last
            if self._last is None:
                self._first = hold
            else:
                self._last.after = hold
            self._last = hold
            return True

    def retain(self, hold: Hold) -> None:
        """One more needs the place of ``hold``, if it has one."""
        with self._lock:
            if hold.needed > 0:
                hold.needed += 1

    def drop(self, hold: Hold) -> None:
        """One fewer needs the place of ``hold``; the last frees it or hands it to the first who waits.

        Without effect on a hold that has none any more. Who still waits leaves the queue.
        """
        heir = self._let_go(hold)
        while heir is not None:
            try:
                heir.wake()
            except RuntimeError:
                # Its event loop is closed: nobody will ever use the place.
                heir = self._let_go(heir)
            else:
                return

    def give_back(self) -> None:
        """Free a place that was taken without a hold, or hand it to the first who waits."""
        if GIL and not self.waiting:
            # Neither line calls anything, so nobody comes between, with a GIL.
            if self.attended:
                self.kept += 1
            else:
                self.free += 1
            return
        hold = Hold(self)
        hold.needed = 1
        self.drop(hold)

    def _let_go(self, hold: Hold) -> Hold | None:
        """Do all of ``drop`` that needs the lock. The heir of the place, who must be woken."""
        with self._lock:
            heir: Hold | None = None
            leaving = hold
            if not hold.queued:
                if hold.needed != 1:
                    if hold.needed > 1:
                        hold.needed -= 1
                    return None
                hold.needed = 0
                if self._first is None:
                    if self.attended:
                        self.kept += 1
                    else:
                        self.free += 1
                    return None
                heir = leaving = self._first
                heir.needed = 1
            # Taken out of the chain now rather than skipped later: otherwise callers that give up would pile
            # up behind one long wait.
            self.waiting -= 1
            self.busy = self.attended or self.waiting > 0
            leaving.queued = False
            if leaving.before is None:
                self._first = leaving.after
            else:
                leaving.before.after = leaving.after
            if leaving.after is None:
                self._last = leaving.before
            else:
                leaving.after.before = leaving.before
            leaving.before = leaving.after = None
            return heir

    def reject(self) -> None:
        """Count a caller that was turned away."""
        with self._lock:
            self.rejected += 1

    def orphan(self) -> None:
        """In a forked child: forget those who waited, for they are threads and loops of the parent.

        Places that are still out may come back here for as long as they like.
        """
        self._lock = Lock()
        hold, self._first, self._last = self._first, None, None
        self.waiting = 0
        self.busy = self.attended
        while hold is not None:
            hold.queued = False
            hold.before, hold.after, hold = None, None, hold.after


class HeldPlaces:
    """The places the current context holds, outermost first.

    Attributes:
        used: True once anything in this process may abandon a running call; until then nobody keeps the list.
    """

    __slots__ = ("_held", "used")

    def __init__(self) -> None:
        self.used = False
        self._held: ContextVar[tuple[Hold, ...]] = ContextVar("resilix_held_places", default=())

    def use(self) -> None:
        """Keep the list from now on, for the rest of the process."""
        if not self.used:
            self.used = True
            ATTENTION.tell()

    def push(self, hold: Hold) -> Token[tuple[Hold, ...]]:
        """Note that this context holds a place."""
        return self._held.set((*self._held.get(), hold))

    def pop(self, token: Token[tuple[Hold, ...]]) -> None:
        """Forget the place noted by :meth:`push`."""
        try:
            self._held.reset(token)
        except ValueError:
            # Entered in another context (a generator fixture, a coroutine that is collected): that one is
            # over, and nothing was noted here.
            return

    def current(self) -> tuple[Hold, ...]:
        """The places this context holds."""
        return self._held.get()


HELD = HeldPlaces()
"""The places held by this process's contexts."""

"""What is due when: the virtual clock itself, without threads or event loops.

Whoever uses it holds the conductor's lock.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilix.testing.loops import Party
    from resilix.testing.waits import Wait


class Kind(IntEnum):
    """What a wait is for."""

    SLEEP = 0
    """A wait between attempts: nothing else can end it, so the clock may jump to its end."""
    LIMIT = 1
    """An upper bound for something that may happen for real meanwhile."""
    FOREIGN = 2
    """An upper bound that is no policy's and real as well: expires when the clock gets there, but does not send it."""
    WORKER = 3
    """An upper bound for a user's function in a worker thread."""


class Entry:
    """One wait.

    Attributes:
        due: When it is over.
        kind: What it is for.
        party: The event loop it belongs to; ``None`` for a thread's.
        fired: Its time has come.
        cancelled: Nobody waits any more.
        note: What the book says of it.
    """

    __slots__ = ("_wake", "cancelled", "due", "fired", "kind", "note", "party", "rank")

    def __init__(self, note: Wait, kind: Kind, party: Party | None, wake: Callable[[], object], number: int) -> None:
        self.note = note
        self.due = due = note.moment + note.seconds
        self.kind = kind
        self.party = party
        self.fired = False
        self.cancelled = False
        # At one moment the sleeps end first: what finishes exactly at its limit is in time.
        self.rank = (due, kind is not Kind.SLEEP, number)
        self._wake = wake

    def __lt__(self, other: Entry) -> bool:
        return self.rank < other.rank

    @property
    def live(self) -> bool:
        """Whether it is still to come."""
        return not (self.fired or self.cancelled)

    def run(self) -> None:
        """Wake whoever waits, in its own thread if it is an event loop; nothing after a cancellation."""
        if not self.cancelled:
            self._wake()


class Timeline:
    """The time, and what is due.

    Attributes:
        now: Seconds since the block began.
        size: How many waits are going on that the clock may jump to the end of.
        limits: How many are going on that are no sleeps.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.size = 0
        self.limits = 0
        self._foreign = 0
        self._heap: list[Entry] = []
        self._made = 0

    def add(self, note: Wait, kind: Kind, party: Party | None, wake: Callable[[], object]) -> Entry:
        """Begin a wait."""
        self._made += 1
        entry = Entry(note, kind, party, wake, self._made)
        heapq.heappush(self._heap, entry)
        self._count(entry, 1)
        return entry

    def cancel(self, entry: Entry) -> bool:
        """End a wait early; False when its time had come before."""
        # Only marked, never taken out of the middle: a collected coroutine may get here while the heap changes.
        if entry.cancelled or entry.fired:
            entry.cancelled = True
            return False
        entry.cancelled = True
        self._count(entry, -1)
        return True

    def next(self) -> list[Entry]:
        """What is due next: all sleeps, or else all limits, of the same moment."""
        self._tidy()
        if not self.size:
            return []
        first = self._heap[0]
        if first.kind is Kind.SLEEP and len(self._heap) == 1:
            return [first]
        same = [one for one in self._heap if one.live and one.rank[:2] == first.rank[:2]]
        return sorted(same)

    def due(self, moment: float) -> list[Entry]:
        """Everything up to a moment, in order."""
        return sorted(one for one in self._heap if one.live and one.due <= moment)

    def fire(self, entries: list[Entry]) -> list[Entry]:
        """Note that the time of these has come, and say which were still wanted; the clock never runs back."""
        fired: list[Entry] = []
        for one in entries:
            if one.live:
                one.fired = True
                self._count(one, -1)
                self.now = max(self.now, one.due)
                fired.append(one)
        return fired

    def _count(self, entry: Entry, change: int) -> None:
        if entry.kind is Kind.FOREIGN:
            self._foreign += change
        else:
            self.size += change
        if entry.kind is not Kind.SLEEP:
            self.limits += change

    def _tidy(self) -> None:
        heap = self._heap
        if len(heap) > 2 * (self.size + self._foreign) + 16:
            heap[:] = [one for one in heap if one.live]
            heapq.heapify(heap)
        while heap and not heap[0].live:
            heapq.heappop(heap)

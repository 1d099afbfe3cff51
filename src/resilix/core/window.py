"""Sliding windows that store events, not calls.

A success only advances ``n``. A failure or a slow call is an *event* and is written down together with the
number of the call it belongs to. So the quiet path is one addition, the cost does not depend on the size of
the window, and the counts are exact: calls in the window = ``n`` now minus ``n`` where the window begins.

``n`` may be advanced without the breaker's lock on interpreters with a GIL, where ``x.n += 1`` cannot be torn
(CPython 3.10 and later switch threads only at calls, function entry and backward jumps). Everything else
happens under the lock.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

SLICES = 20
"""A time window forgets in steps of 1/20 of its length (the promise is 1/10 or better)."""


class Counts(NamedTuple):
    """What a window holds.

    Attributes:
        calls: Successes and failures in the window.
        failures: How many of them failed.
        slow: How many of them were slow.
    """

    calls: int
    failures: int
    slow: int


class CountWindow:
    """The last ``size`` calls.

    Attributes:
        n: Calls so far.
        edge: When the window must be looked at next because time went by: never.
    """

    __slots__ = ("_failures", "_slow", "edge", "n", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.n = 0
        self.edge = math.inf
        self._failures: deque[int] = deque()
        self._slow: deque[int] = deque()

    def event(self, now: float, failed: bool, slow: bool) -> None:
        """Count one call that failed, or was slow, or both."""
        self.n += 1
        if failed:
            self._failures.append(self.n)
        if slow:
            self._slow.append(self.n)
        self._forget()

    def roll(self, now: float) -> None:
        """Let time go by; a count window has none."""

    def _forget(self) -> None:
        first = self.n - self.size
        for numbers in (self._failures, self._slow):
            while numbers and numbers[0] <= first:
                numbers.popleft()

    def counts(self, now: float) -> Counts:
        """Count what is in the window, without changing it."""
        first = self.n - self.size
        failures, slow = (sum(1 for number in numbers if number > first) for numbers in (self._failures, self._slow))
        return Counts(min(self.n, self.size), failures, slow)

    def judge(self, now: float) -> Counts:
        """Count what is in the window and drop what has left it."""
        self._forget()
        return Counts(min(self.n, self.size), len(self._failures), len(self._slow))


class Slice:
    """One step of a time window.

    Attributes:
        index: Its place on the grid.
        n: Calls before it began.
        failures: Calls in it that failed.
        slow: Calls in it that were slow.
    """

    __slots__ = ("failures", "index", "n", "slow")

    def __init__(self, index: int, n: int) -> None:
        self.index = index
        self.n = n
        self.failures = 0
        self.slow = 0


class TimeWindow:
    """The calls of the last ``seconds``, precise to 1/20 of that.

    Time is cut into slices on a fixed grid. A slice is dropped as a whole as soon as its oldest moment is
    ``seconds`` old, so nothing older than the window ever counts.

    Attributes:
        n: Calls so far.
        edge: When the current slice ends. An outcome at or after it must call :meth:`roll` first.
        width: Seconds in a slice.
        slices: Those that still count, oldest first.
    """

    __slots__ = ("edge", "n", "slices", "width")

    def __init__(self, seconds: float) -> None:
        self.width = seconds / SLICES
        self.n = 0
        self.edge = -math.inf
        self.slices: deque[Slice] = deque()

    def roll(self, now: float) -> None:
        """Begin the slice that ``now`` belongs to and drop those that are too old."""
        index = math.floor(now / self.width)
        slices = self.slices
        if slices and index <= slices[-1].index:
            return  # the clock stood still or went back: stay in the newest slice
        while slices and slices[0].index <= index - SLICES:
            slices.popleft()
        slices.append(Slice(index, self.n))
        self.edge = (index + 1) * self.width

    def event(self, now: float, failed: bool, slow: bool) -> None:
        """Count one call that failed, or was slow, or both."""
        if now >= self.edge:
            self.roll(now)
        self.n += 1
        last = self.slices[-1]
        last.failures += failed
        last.slow += slow

    def counts(self, now: float) -> Counts:
        """Count what is in the window at ``now``, without changing it."""
        oldest = math.floor(now / self.width) - SLICES
        live = [one for one in self.slices if one.index > oldest]
        if not live:
            return Counts(0, 0, 0)
        return Counts(self.n - live[0].n, sum(one.failures for one in live), sum(one.slow for one in live))

    def reslice(self, width: float) -> None:
        """Change the grid; a slice goes where its beginning belongs."""
        old, self.slices = self.slices, deque()
        for one in old:
            index = math.floor(one.index * self.width / width)
            if not self.slices or self.slices[-1].index != index:
                self.slices.append(Slice(index, one.n))
            self.slices[-1].failures += one.failures
            self.slices[-1].slow += one.slow
        self.width = width
        self.edge = (self.slices[-1].index + 1) * width if self.slices else -math.inf

    def judge(self, now: float) -> Counts:
        """Count what is in the window and drop what has left it."""
        if now >= self.edge:
            self.roll(now)
        return self.counts(now)


Window = CountWindow | TimeWindow


def resized(window: Window, wanted: Window) -> Window:
    """Give ``window`` the size of ``wanted`` and keep what it holds; a window of the other kind starts empty."""
    if isinstance(window, CountWindow) and isinstance(wanted, CountWindow):
        window.size = wanted.size
        return window
    if isinstance(window, TimeWindow) and isinstance(wanted, TimeWindow):
        window.reslice(wanted.width)
        return window
    return wanted

"""Sliding windows that store events, not calls.

A success only advances ``n``. A failure or a slow call is an *event* and is written down together with the
number of the call it belongs to. So the quiet path is one addition, the cost does not depend on the size of
the window, and the counts are exact: calls in the window = ``n`` now minus ``n`` where the window begins.

``n`` is advanced without the breaker's lock by quiet successes (``counting.py``). Everything else happens under it.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from typing import Final, NamedTuple

from resilix.core.counting import Count

SLICES = 20
"""A time window forgets in steps of 1/20 of its length (the promise is 1/10 or better)."""
LONG_AGO: Final = -math.inf
TIDY: Final = 32
"""So many forgotten events may lie about, and as many as there are others."""


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


class CountWindow(Count):
    """The last ``size`` calls.

    Attributes:
        size: How many calls it looks back.
        n: Calls so far.
        edge: When the window must be looked at next because time went by: never.
    """

    __slots__ = ("_before", "_failures", "_slow", "size")

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._before = 0.0  # calls that had left when the window was made larger: what they were is forgotten
        self._failures: Events | None = None  # most windows never see any
        self._slow: Events | None = None

    def event(self, now: float, failed: bool, slow: bool) -> float:
        """Count one call that failed, or was slow, or both: its number. What has left goes with :meth:`counts`."""
        n = self.add()
        if failed:
            if self._failures is None:
                self._failures = Events()
            self._failures.add(n)
        if slow:
            if self._slow is None:
                self._slow = Events()
            self._slow.add(n)
        return n

    def roll(self, now: float) -> None:
        """Let time go by; a count window has none."""

    def counts(self, now: float) -> Counts:
        """Count what is in the window."""
        n = self.n  # read once: the quiet path may advance it meanwhile
        first = max(n - self.size, self._before)
        failed = self._failures.later(first) if self._failures is not None else 0
        slowed = self._slow.later(first) if self._slow is not None else 0
        # A signal handler or the collector may have counted a call since n was read.
        return Counts(max(int(n - first), failed, slowed), failed, slowed)

    def resize(self, size: int, now: float) -> None:
        """Look back further, or less far; what has been forgotten does not come back."""
        self._before = max(self.n - self.size, self._before)
        self.size = size


class Events:
    """The numbers of the calls in which something happened.

    However many have left the window since anybody asked, forgetting them is one step: they are found by bisection, and
    lie in one piece of memory.
    """

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers = array("d")

    def add(self, number: float) -> None:
        """Write down a call; numbers only grow."""
        self._numbers.append(number)

    def later(self, first: float) -> int:
        """How many came after a call; the others may be forgotten."""
        numbers = self._numbers
        if not numbers or numbers[0] > first:
            return len(numbers)
        left = bisect_right(numbers, first)
        kept = len(numbers) - left
        if left >= TIDY and left >= kept:
            rest = slice(left, None)
            # A signal handler may have been here meanwhile, but it cannot come in between these two.
            if self._numbers is numbers:
                self._numbers = numbers[rest]
        return kept


class Slice:
    """One step of a time window.

    Attributes:
        index: Its place on the grid.
        n: Calls before it began.
        failures: Calls in it that failed.
        slow: Calls in it that were slow.
    """

    __slots__ = ("failures", "index", "n", "slow")

    def __init__(self, index: int, n: float) -> None:
        self.index = index
        self.n = n
        self.failures = 0
        self.slow = 0


class TimeWindow(Count):
    """The calls of the last ``seconds``, precise to 1/20 of that.

    Time is cut into slices on a fixed grid. A slice is dropped as a whole as soon as its oldest moment is
    ``seconds`` old, so nothing older than the window ever counts.

    Attributes:
        n: Calls so far.
        edge: When the current slice ends. An outcome at or after it must call :meth:`roll` first.
        width: Seconds in a slice.
        failures: How many of the calls in them failed.
        slow: How many of the calls in them were slow.
    """

    __slots__ = ("_slices", "failures", "slow", "width")

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.width = seconds / SLICES
        self.edge = LONG_AGO
        self._slices: list[Slice] | None = None  # most windows never have any
        self.failures = 0
        self.slow = 0

    @property
    def slices(self) -> list[Slice]:
        """Those that still count, oldest first."""
        if self._slices is None:
            self._slices = []
        return self._slices

    def roll(self, now: float) -> None:
        """Begin the slice that ``now`` belongs to and drop those that are too old."""
        index = math.floor(now / self.width)
        slices = self.slices
        if slices and index <= slices[-1].index:
            return  # the clock stood still or went back: stay in the newest slice
        self._drop(index - SLICES)
        slices.append(Slice(index, self.n))
        self.edge = (index + 1) * self.width

    def _drop(self, oldest: int) -> None:
        slices = self.slices
        while slices and slices[0].index <= oldest:
            gone = slices.pop(0)
            self.failures -= gone.failures
            self.slow -= gone.slow

    def event(self, now: float, failed: bool, slow: bool) -> float:
        """Count one call that failed, or was slow, or both: its number."""
        if now >= self.edge:
            self.roll(now)
        n = self.add()
        last = self.slices[-1]
        last.failures += failed
        last.slow += slow
        self.failures += failed
        self.slow += slow
        return n

    def counts(self, now: float) -> Counts:
        """Count what is in the window at ``now``, without changing it."""
        oldest = math.floor(now / self.width) - SLICES
        failures, slow = self.failures, self.slow
        for one in self.slices:
            if one.index > oldest:
                return Counts(int(self.n - one.n), failures, slow)
            failures -= one.failures
            slow -= one.slow
        return Counts(0, 0, 0)

    def resize(self, width: float, now: float) -> None:
        """Change the grid; a slice goes where its beginning belongs, and none that had left comes back."""
        self._drop(math.floor(now / self.width) - SLICES)
        old = self.slices
        slices = self._slices = []
        for one in old:
            index = math.floor(one.index * self.width / width)
            if not slices or slices[-1].index != index:
                slices.append(Slice(index, one.n))
            slices[-1].failures += one.failures
            slices[-1].slow += one.slow
        self.width = width
        self.edge = (slices[-1].index + 1) * width if slices else LONG_AGO


Window = CountWindow | TimeWindow


def resized(window: Window, wanted: Window, now: float) -> Window:
    """Give ``window`` the size of ``wanted`` and keep what it holds; a window of the other kind starts empty."""
    if isinstance(window, CountWindow) and isinstance(wanted, CountWindow):
        window.resize(wanted.size, now)
        return window
    if isinstance(window, TimeWindow) and isinstance(wanted, TimeWindow):
        window.resize(wanted.width, now)
        return window
    wanted.roll(now)  # so that calls under way, which may not look at its edge, have a slice to be counted in
    return wanted

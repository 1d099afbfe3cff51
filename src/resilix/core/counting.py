"""Counts that a quiet success is added to without a lock, and that are exact all the same.

On interpreters with a GIL that is ``x.n += 1.0``, which cannot be torn (CPython 3.10 and later switch threads only at
calls, function entry and backward jumps). It is a float because the interpreter recycles floats and allocates integers:
a tenth of what a guarded call costs. It is exact up to 2**53 calls.

Without a GIL it is one step of an ``itertools.count``, which is a single atomic operation there (made so for free
threading in CPython 3.13). Other threads may come in between everything else, so whoever has counted looks whether
its counter is still the one in use, and if not, asks whether it was seen (:meth:`Ticking.saw`). That is enough because
looking at the count is a step of the same atomic as well: a success either comes before the look, and is in it, or
comes after it, and then sees what was written before the look. All that is not a quiet success happens under the
breaker's lock.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from resilix.attention import GIL


class Counting:
    """Counts with a GIL.

    Attributes:
        n: How many; a quiet success adds one to it.
        edge: When it must be looked at, because time went by; infinite for never.
    """

    __slots__ = ("edge", "n")

    def __init__(self) -> None:
        self.n = 0.0
        self.edge = math.inf

    def tick(self) -> int:
        """Count one quiet success: its number. Quiet lines write ``n += 1.0`` instead, which calls nothing."""
        n = self.n = self.n + 1.0
        return int(n)

    def add(self) -> float:
        """Count one, under the lock: how many there are now."""
        n = self.n = self.n + 1.0
        return n

    def close(self) -> float:
        """How many there are, for good: a success counted from now on is told by :meth:`saw` that it was not.

        Its owner has put something else in its place before.
        """
        return self.n

    def reset(self) -> None:
        """Count from nothing again."""
        self.n = 0.0

    def saw(self, number: int) -> bool:
        """Whether the success with this number was counted. Nothing comes in between with a GIL."""
        return True


class Ticking:
    """Counts without a GIL.

    Attributes:
        edge: As above.
        tick: Count one quiet success: its number.
    """

    __slots__ = ("_closed", "_looks", "_under_lock", "edge", "tick")

    def __init__(self) -> None:
        self.edge = math.inf
        self.tick: Callable[[], int] = itertools.count().__next__
        self._looks = 0
        self._under_lock = 0.0
        self._closed = math.inf

    def _look(self) -> int:
        """The number of a step of its own, less those that were looks too: quiet successes so far."""
        # Written down before the step is made: a signal handler that looks after it must know of it.
        looks = self._looks = self._looks + 1
        return self.tick() + 1 - looks

    @property
    def n(self) -> float:
        """How many; to be asked under the lock."""
        return self._under_lock + self._look()

    def add(self) -> float:
        """Count one, under the lock: how many there are now."""
        self._under_lock += 1.0
        return self.n

    def close(self) -> float:
        """How many there are, for good: a success counted from now on is told by :meth:`saw` that it was not."""
        looks = self._looks = self._looks + 1
        number = self.tick()
        self._closed = number
        return self._under_lock + (number + 1 - looks)

    def reset(self) -> None:
        """Count from nothing again."""
        self._under_lock = float(-self._look())

    def saw(self, number: int) -> bool:
        """Whether the success with this number was counted before it was closed."""
        return number < self._closed


if TYPE_CHECKING:
    Count = Counting
else:
    Count = Counting if GIL else Ticking

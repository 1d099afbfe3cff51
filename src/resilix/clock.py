"""Time and chance: the one clock every policy reads, and the one source of jitter.

Policies never call ``time.monotonic`` themselves. They read :data:`SYSTEM`, whose ``now`` can be swapped
as a whole (that is how ``resilix.testing.virtual_time`` works), or a clock the user handed in.
Wall-clock time is never used for a decision.

Jitter comes from tenacity's wait strategies and so from the module-level generator of ``random``, which
CPython seeds anew in a forked child. A private ``random.Random`` made before a fork would give every worker
the same delays. :func:`seeded` makes a block repeatable.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager


class TimeSource:
    """A place to read the time from.

    Example::

        TimeSource(time.monotonic).now()

    Attributes:
        now: A callable that returns seconds and never runs backwards.
    """

    __slots__ = ("now",)

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now


SYSTEM = TimeSource(time.monotonic)
"""The clock of every policy that was not given its own."""


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Make every jitter drawn inside the block repeatable, and restore the generator afterwards.

    Example::

        with seeded(7):
            price("ACME")  # the same waits on every run

    Args:
        seed: Any integer; the same one gives the same waits.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)

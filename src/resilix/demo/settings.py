"""What is played: how long, how many requests, how patient everybody is."""

from __future__ import annotations

import math
from dataclasses import dataclass

FULL_LENGTH = 25.0
"""Seconds a run needs for the timeouts and waits below at their full length; a shorter run shortens them too."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The choices of a run; the same for both sides wherever both have the thing.

    Attributes:
        seconds: Length of the run.
        rate: Requests per second and side.
        seed: What decides each call's luck at the server.
    """

    seconds: float = FULL_LENGTH
    rate: float = 40.0
    seed: int = 1

    @property
    def pace(self) -> float:
        """Factor for waits and timeouts. Not below 0.4: a busy machine needs some time to answer at all."""
        return min(1.0, max(0.4, self.seconds / FULL_LENGTH))

    @property
    def requests(self) -> int:
        """How many requests each side makes."""
        return int(self.seconds * self.rate)

    @property
    def patience(self) -> float:
        """Seconds after which a run is over even if a request is not: then it is stuck, and a check fails."""
        return self.seconds + 20.0

    # -- both sides ----------------------------------------------------------------------------------------

    @property
    def attempts(self) -> int:
        """The most attempts per request."""
        return 3

    @property
    def attempt_timeout(self) -> float:
        """Seconds an attempt may wait for the server: ``httpx.AsyncClient(timeout=…)``."""
        return 1.0 * self.pace

    # -- unguarded -----------------------------------------------------------------------------------------

    @property
    def pause(self) -> float:
        """Seconds the naive loop sleeps before it tries again."""
        return 0.2 * self.pace

    # -- guarded -------------------------------------------------------------------------------------------

    @property
    def total_timeout(self) -> float:
        """Seconds of the resilix timeout around an attempt; longer than httpx's own, see ``guarded``."""
        return 1.2 * self.attempt_timeout

    @property
    def within(self) -> float:
        """Seconds after which a request begins no further attempt."""
        return 1.5 * self.pace

    @property
    def open_for(self) -> float:
        """Seconds the breaker stays open. The library's default is 30, longer than this whole run."""
        return 1.0 * self.pace

    @property
    def slots(self) -> int:
        """Places of the bulkhead: below what the server can work on at once, as one would size it."""
        return max(8, math.ceil(0.5 * self.rate * self.pace))

    @property
    def max_wait(self) -> float:
        """Seconds a call waits for such a place."""
        return 0.1 * self.pace

    # -- the server ----------------------------------------------------------------------------------------

    @property
    def workers(self) -> int:
        """Calls the server works on at once."""
        return max(10, math.ceil(0.6 * self.rate * self.pace))

    @property
    def waiting_room(self) -> int:
        """Calls that wait for a worker; one more is turned away with 503. Usual backlogs are 500 to 2000."""
        return 20 * self.workers

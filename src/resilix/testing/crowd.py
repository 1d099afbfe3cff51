"""Who takes part in virtual time, and what each of them is doing.

A thread that waits for virtual time says so. So does an event loop. Any other thread may be computing, or may be
blocked in something real (``join``, ``queue.get``, a socket): from outside the two look alike, except that one that
stands still for a while in the same place and is not waiting for a processor is most likely blocked.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from resilix.testing.stuck import DeadlockError
from resilix.testing.threads import SYSTEM_TELLS, Place, doing, places_of, real_sleep, switches_of, wants_processor
from resilix.workers import POOL

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilix.runtime import Flag
    from resilix.testing.loops import Party
    from resilix.testing.timeline import Entry

ENOUGH_LOOKS = 5
"""How many looks it takes to be sure of anything: time alone would also pass while the whole machine stands still."""


NAP = 0.0001
NAPS = 2


class ThreadWait:
    """A thread that waits for virtual time, for a flag, or for whichever comes first.

    Attributes:
        entry: The moment it waits for, if any.
        flag: What it waits for.
        error: It waits in vain, and will raise this.
    """

    __slots__ = ("entry", "error", "flag")

    def __init__(self, entry: Entry | None, flag: Flag) -> None:
        self.entry = entry
        self.flag = flag
        self.error: DeadlockError | None = None

    @property
    def over(self) -> bool:
        """It has been woken, and goes on as soon as it gets a processor."""
        return self.error is not None or self.flag.is_set or (self.entry is not None and self.entry.fired)

    def wake(self) -> None:
        """Have it look at its error: it does so again and again."""


class EndlessWait:
    """A task that waits for somebody, without a limit.

    Attributes:
        party: Its event loop.
        error: As for a thread.
    """

    __slots__ = ("_wake", "error", "party")

    def __init__(self, party: Party, wake: Callable[[], object]) -> None:
        self.party = party
        self.error: DeadlockError | None = None
        self._wake = wake

    @property
    def over(self) -> bool:
        """It is about to raise. Whether somebody has woken it can only be seen once it goes on."""
        return self.error is not None

    def wake(self) -> None:
        """Have it look at its error."""
        with suppress(RuntimeError):  # its loop has ended, and nobody waits
            self._wake()


class Crowd:
    """Every thread of the process takes part, as far as it does anything.

    A thread that was there before the block counts as blocked while it stays where it was; any other while it is where
    it was once found to stand still, but for sleeps only: a limit wants to be sure each time.

    Attributes:
        waits: What each waiting thread waits for.
        endless: The tasks that wait for somebody without a limit, in the order in which they began.
    """

    def __init__(self) -> None:
        me = threading.current_thread()
        before = [one for one in threading.enumerate() if one is not me and not POOL.rests(one)]
        self.waits: dict[threading.Thread, ThreadWait] = {}
        self.endless: dict[EndlessWait, None] = {}
        # With what the system counts: one that was woken may stand at the same place, waiting for the interpreter.
        self._before = doing(before)
        self._found: dict[threading.Thread, Place] = {}

    def members(self, conductor: threading.Thread | None) -> list[threading.Thread]:
        """The threads that are alive, but for the workers without a job."""
        return [one for one in threading.enumerate() if one is not conductor and not POOL.rests(one)]

    def endless_waits(self) -> list[ThreadWait | EndlessWait]:
        """Those that nothing but somebody else can end."""
        return [*(one for one in self.waits.values() if one.entry is None), *self.endless]

    def restless(self, threads: list[threading.Thread], *, for_sleep: bool) -> list[threading.Thread]:
        """Those that are not known to be blocked where they are."""
        if not threads:
            return threads
        found = self._found if for_sleep and SYSTEM_TELLS else {}
        resting = threads
        for _ in range(NAPS):
            # Whoever has just been woken now gets the interpreter and moves, or is seen to want a processor.
            real_sleep(NAP)
            resting = [one for one in resting if not wants_processor(one)]
            places = places_of(resting)
            resting = [
                one
                for one in resting
                if places[one] == found.get(one) or self._before.get(one) == (places[one], switches_of(one))
            ]
        return [one for one in threads if one not in resting]

    def found_still(self, threads: list[threading.Thread]) -> None:
        """Remember where these are blocked."""
        self._found.update(places_of(threads))


class Watch:
    """Looks at threads again and again, to tell those that stand still."""

    def __init__(self) -> None:
        self._begun = self._still_since = time.monotonic()
        self._looks = self._same = 0
        self._places: dict[threading.Thread, Place] = {}

    def look(self, threads: list[threading.Thread]) -> None:
        """Compare with the look before."""
        self._looks += 1
        hurried = any(wants_processor(one) for one in threads)
        places = places_of(threads)
        if places == self._places and not hurried:
            self._same += 1
        else:
            self._same, self._still_since = 0, time.monotonic()
        self._places = places

    def lasted(self, seconds: float) -> bool:
        """Whether it has gone on for so many real seconds."""
        # Ten looks in a quarter of a second: beside a thread that never rests, one takes up to forty milliseconds.
        return self._looks >= seconds * 40 and time.monotonic() - self._begun >= seconds

    def stood_still(self, seconds: float) -> bool:
        """Whether none of the threads has moved for so many real seconds."""
        return self._same >= ENOUGH_LOOKS and time.monotonic() - self._still_since >= seconds

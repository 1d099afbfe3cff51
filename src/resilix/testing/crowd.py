"""Who takes part in virtual time, and what each of them is doing.

A thread that waits for virtual time says so. So does an event loop. Any other thread may be computing, or may be
blocked in something real (``join``, ``queue.get``, a socket): from outside the two look alike, except that one that
stands still for a while in the same place and is not waiting for a processor is most likely blocked.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, TypeAlias

from resilix.workers import POOL

if TYPE_CHECKING:
    from resilix.runtime import Flag
    from resilix.testing.timeline import Entry

ENOUGH_LOOKS = 5
"""How many looks it takes to be sure of anything: time alone would also pass while the whole machine stands still."""


NAP = 0.0001
NAPS = 2

SYSTEM_TELLS = os.path.exists("/proc/self/task")
"""Whether the system says which threads want a processor (Linux)."""

Place: TypeAlias = tuple[int, int]


class ThreadWait:
    """A thread that waits for virtual time, for a flag, or for whichever comes first."""

    __slots__ = ("entry", "flag")

    def __init__(self, entry: Entry | None, flag: Flag) -> None:
        self.entry = entry
        self.flag = flag

    @property
    def over(self) -> bool:
        """It has been woken, and goes on as soon as it gets a processor."""
        return self.flag.is_set or (self.entry is not None and self.entry.fired)


class Crowd:
    """Every thread of the process takes part, as far as it does anything.

    A thread that was there before the block counts as blocked while it stays where it was; any other while it is where
    it was once found to stand still, but for sleeps only: a limit wants to be sure each time.

    Attributes:
        waits: What each waiting thread waits for.
    """

    def __init__(self) -> None:
        me = threading.current_thread()
        before = [one for one in threading.enumerate() if one is not me and not POOL.rests(one)]
        places = _places(before)
        self.waits: dict[threading.Thread, ThreadWait] = {}
        self._before = {one: places[one] for one in before}
        self._found: dict[threading.Thread, Place] = {}

    def members(self, conductor: threading.Thread | None) -> list[threading.Thread]:
        """The threads that are alive, but for the workers without a job."""
        return [one for one in threading.enumerate() if one is not conductor and not POOL.rests(one)]

    def restless(self, threads: list[threading.Thread], *, for_sleep: bool) -> list[threading.Thread]:
        """Those that are not known to be blocked where they are."""
        if not threads:
            return threads
        found = self._found if for_sleep and SYSTEM_TELLS else {}
        resting = threads
        for _ in range(NAPS):
            # Whoever has just been woken now gets the interpreter and moves, or is seen to want a processor.
            time.sleep(NAP)
            resting = [one for one in resting if not _wants_processor(one)]
            places = _places(resting)
            resting = [one for one in resting if places[one] in (self._before.get(one), found.get(one))]
        return [one for one in threads if one not in resting]

    def found_still(self, threads: list[threading.Thread]) -> None:
        """Remember where these are blocked."""
        self._found.update(_places(threads))


class Watch:
    """Looks at threads again and again, to tell those that stand still."""

    def __init__(self) -> None:
        self._begun = self._still_since = time.monotonic()
        self._looks = self._same = 0
        self._places: dict[threading.Thread, Place] = {}

    def look(self, threads: list[threading.Thread]) -> None:
        """Compare with the look before."""
        self._looks += 1
        hurried = any(_wants_processor(one) for one in threads)
        places = _places(threads)
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


def _places(threads: list[threading.Thread]) -> dict[threading.Thread, Place]:
    """Where each thread is in its code, as plain numbers: a frame kept here would keep what its call holds."""
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented, in spite of its name
    places: dict[threading.Thread, Place] = {}
    for one in threads:
        frame = frames.get(one.ident or 0)
        places[one] = (0, 0) if frame is None else (id(frame), frame.f_lasti)
    return places


def _wants_processor(thread: threading.Thread) -> bool:
    """Whether the system says a thread could run, where it says so: on a busy machine it may have to wait."""
    if not SYSTEM_TELLS:
        return False
    try:
        with open(f"/proc/self/task/{thread.native_id}/stat", "rb") as stat:
            # The state follows the name, which stands in parentheses and may hold anything.
            return stat.read().rpartition(b")")[2].split()[0] == b"R"
    except (OSError, IndexError):
        return False

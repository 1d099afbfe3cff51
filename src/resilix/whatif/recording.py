"""A recording as something that can be called: every attempt meets what was recorded."""

from __future__ import annotations

import asyncio
import bisect
import math
import random
from array import array
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any, Final

from resilix.testing.simulation.findings import width_of
from resilix.testing.simulation.load import Load
from resilix.testing.simulation.loop import SimulatedLoop
from resilix.testing.simulation.modelled import ANSWER, Call, Served
from resilix.testing.simulation.trouble import Episode

OK: Final = 0
ERROR: Final = 1
TIMEOUT: Final = 2
"""What can be recorded of a call."""

LEAST_FAILURES: Final = 5
LEAST_SHARE: Final = 0.2
"""Trouble is where, in a step of the time, at least so many calls failed, and at least such a share of them."""
CALLS_OF_STEP: Final = 2 * LEAST_FAILURES
"""Calls that a step has on average, at least."""


class Recording:
    """Calls that were made once, in the order in which they came: 17 bytes for each.

    Attributes:
        times: When each came, in seconds from the first.
        durations: What each took, in seconds.
        outcomes: What came of each.
        seconds: For how long calls come; whole seconds, unless it was cut.
        script: Where the recorded calls failed.
    """

    shards = 1
    places = 0

    def __init__(self, times: array[float], durations: array[float], outcomes: bytearray) -> None:
        """Take the calls as they were read; times in order, the first zero."""
        self.times = times
        self.durations = durations
        self.outcomes = outcomes
        self.seconds = float(math.floor(times[-1]) + 1)
        self.script = tuple(_troubles(times, outcomes, self.seconds))

    def cut(self, seconds: float) -> None:
        """Let only the beginning be played. What came later is still there for the retries of its last calls.

        Args:
            seconds: How much of it.
        """
        self.seconds = seconds
        self.script = tuple(_troubles(self.times, self.outcomes, seconds))

    def load(self) -> Load:
        """Calls that come when they came."""

        def moments(chance: random.Random) -> Iterator[float]:
            return chain(self.times, repeat(math.inf))

        return Load(f"as recorded ({len(self.times):,} calls)", moments)

    def nearest(self, moment: float) -> int:
        """The recorded call that came nearest to a moment; of two as near, the earlier one."""
        after = bisect.bisect_left(self.times, moment)
        if after == len(self.times):
            return after - 1
        if after and moment - self.times[after - 1] <= self.times[after] - moment:
            return after - 1
        return after

    def model(self, loop: SimulatedLoop, chance: random.Random, steps: list[Served]) -> Replayed:
        """Put it to work in a loop."""
        return Replayed(self, loop, steps)


class Replayed:
    """A recording at work; made by :meth:`Recording.model`."""

    def __init__(self, recording: Recording, loop: SimulatedLoop, steps: list[Served]) -> None:
        self._recording = recording
        self._loop = loop
        self._steps = steps

    def request(self, call: Call) -> asyncio.Future[Any]:
        """The first attempt of a call meets what was recorded for it, a further one what was nearest in time."""
        recording = self._recording
        met = call.number if call.attempts == 1 else recording.nearest(self._loop.now)
        self._steps[-1].arrived += 1
        answer = self._loop.create_future()
        self._loop.call_later(recording.durations[met], self._end, answer, recording.outcomes[met])
        return answer

    def _end(self, answer: asyncio.Future[Any], outcome: int) -> None:
        now = self._steps[-1]
        if answer.done():
            now.wasted += 1
        elif outcome == OK:
            now.answered += 1
            answer.set_result(ANSWER)
        else:
            now.failed += 1
            answer.set_exception(
                ConnectionError("an error was recorded") if outcome == ERROR else TimeoutError("a timeout was recorded")
            )


def _troubles(times: array[float], outcomes: bytearray, seconds: float) -> Iterator[Episode]:
    """The spans in which calls failed, for tables and pictures. A recording has no other way to say so."""
    fine = width_of(seconds)
    played = bisect.bisect_left(times, seconds)
    # Few calls, or rare ones, are judged in wider steps: in a step of three calls nothing could be found.
    width = fine * max(1, math.ceil(CALLS_OF_STEP * seconds / (max(1, played) * fine)))
    steps = math.ceil(seconds / width)
    calls, failures = [0] * steps, [0] * steps
    first, last = [0.0] * steps, [0.0] * steps
    for moment, outcome in zip(times[:played], outcomes, strict=False):
        step = min(steps - 1, int(moment / width))
        calls[step] += 1
        if outcome != OK:
            first[step] = first[step] if failures[step] else moment
            last[step] = moment
            failures[step] += 1
    begin: int | None = None
    for step in range(steps + 1):
        bad = step < steps and failures[step] >= max(LEAST_FAILURES, LEAST_SHARE * calls[step])
        if bad and begin is None:
            begin = step
        elif not bad and begin is not None:
            start, end = int(first[begin] / fine) * fine, (int(last[step - 1] / fine) + 1) * fine
            yield Episode("recorded failures", start, min(end, seconds))
            begin = None

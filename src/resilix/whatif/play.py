"""Plays candidates, one after the other, and says how far it is."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, TextIO

from resilix.testing.simulation.load import Load
from resilix.testing.simulation.modelled import Modelled
from resilix.testing.simulation.result import Result
from resilix.testing.simulation.run import simulate
from resilix.whatif.scenario import Candidate

PATIENCE: Final = 1.0
"""Real seconds for which nothing is said."""
EVERY: Final = 0.2
"""Real seconds between two lines."""
LOOK: Final = 256
"""Calls, or lines, from one look at the clock to the next."""


class Progress:
    """One line on a terminal that changes in place; elsewhere, and where no line can change, nothing at all."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            stream: The terminal; standard error by default.
            clock: Real seconds.
        """
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        # Python has None where a process was started without standard error.
        there = self._stream is not None  # pyright: ignore[reportUnnecessaryComparison]
        self._shows = there and self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._next = clock() + PATIENCE
        self._width = 0

    def due(self) -> bool:
        """Whether it is time to say something."""
        return self._shows and self._clock() >= self._next

    def say(self, text: str) -> None:
        """Put a text in the place of the last one."""
        self._next = self._clock() + EVERY
        text = _cut(text, self._stream)
        self._stream.write(f"\r{text.ljust(self._width)}")
        self._stream.flush()
        self._width = len(text)

    def clear(self) -> None:
        """Leave the line empty."""
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0


def _cut(text: str, stream: TextIO) -> str:
    """A text, or its end, where the figures are: a line that wraps could not be changed in place."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:  # not every terminal says
        columns = 0
    return text if len(text) < columns or not columns else "..." + text[4 + len(text) - columns :]


def play(
    candidates: tuple[Candidate, ...],
    load: Load,
    dependency: Modelled,
    *,
    seconds: float,
    seed: int,
    progress: Progress,
) -> list[Result]:
    """Give all candidates the same traffic.

    Args:
        candidates: What is tried.
        load: When calls come.
        dependency: What they call.
        seconds: For how long they come.
        seed: Where chance begins.
        progress: Is told how far it is.
    """
    results: list[Result] = []
    for place, one in enumerate(candidates, 1):
        about = f"simulating {one.name} ({place} of {len(candidates)})"
        results.append(
            simulate(
                one.policy,
                load=_watched(load, seconds, progress, about),
                dependency=dependency,
                seconds=seconds,
                seed=seed,
                processes=one.processes,
                clients=one.clients,
                shared=one.shared,
                per_shard=one.per_shard,
                name=one.name,
            )
        )
    progress.clear()
    return results


def _watched(load: Load, seconds: float, progress: Progress, about: str) -> Load:
    """The same load, which says how far it is."""

    def times(chance: random.Random) -> Iterator[float]:
        for number, moment in enumerate(load.times(chance)):
            if number % LOOK == 0 and progress.due():
                progress.say(f"{about}: {min(1.0, moment / seconds):.0%}, {number:,} calls")
            yield moment

    return Load(load.text, times, load.count)

"""When calls come: open-loop, so a slow answer does not make the next call come later."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import count
from typing import Any, TypeAlias

from resilix.core import options
from resilix.core.options import Seconds
from resilix.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Load:
    """When calls come; made by the functions of this module.

    Attributes:
        text: How it was written.
        times: Gives the moments of all calls, from a random generator.
        count: About how many calls come in so many seconds; ``None`` where nobody knows.
    """

    text: str
    times: Callable[[random.Random], Iterator[float]]
    count: Callable[[float], float] | None = None

    def __repr__(self) -> str:
        return self.text


Loads: TypeAlias = float | Load
"""What a load may be written as: calls per second, or a :class:`Load`."""


def steady(rate: float) -> Load:
    """So many calls a second, evenly.

    Example::

        steady(70)

    Args:
        rate: Calls per second. Zero: none, for a phase in which nobody calls.

    Raises:
        ConfigurationError: It is no such number.
    """
    even = _rate("steady", rate)
    if not even:
        return _nobody("steady(0)")
    each = 1 / even
    return Load(
        f"steady({rate:g})", lambda chance: (number * each for number in count()), lambda seconds: even * seconds
    )


def poisson(rate: float) -> Load:
    """So many calls a second on average, each independent of the others: what many users together look like.

    Example::

        poisson(70)

    Args:
        rate: Calls per second. Zero: none.

    Raises:
        ConfigurationError: It is no such number.
    """
    mean = _rate("poisson", rate)
    if not mean:
        return _nobody("poisson(0)")

    def times(chance: random.Random) -> Iterator[float]:
        now = 0.0
        while True:
            now += chance.expovariate(mean)
            yield now

    return Load(f"poisson({rate:g})", times, lambda seconds: mean * seconds)


def bursts(rate: float, *, size: int, every: Seconds) -> Load:
    """A Poisson load, and at regular intervals so many calls at one moment: a cron job, a page that polls.

    Example::

        bursts(20, size=200, every=60)

    Args:
        rate: Calls per second between the bursts. Zero: the bursts alone.
        size: Calls in a burst, at least 1.
        every: Seconds from one burst to the next; the first comes after as many.

    Raises:
        ConfigurationError: One of them is no such number.
    """
    between = poisson(_rate("bursts", rate))
    options.whole("bursts", "size", size, least=1, why="a burst has at least one call")
    length = options.duration("bursts", "every", every)

    def times(chance: random.Random) -> Iterator[float]:
        return merge((number * length for number in count(1) for _ in range(size)), between.times(chance))

    return Load(
        f"bursts({rate:g}, size={size}, every={length:g})",
        times,
        lambda seconds: about(between, seconds) + size * (seconds // length),
    )


def phases(*several: tuple[Seconds, Loads]) -> Load:
    """One load after another; the last goes on without end.

    Example::

        phases((60, 20), (30, 200), (60, 20))      # a rush of half a minute

    Args:
        several: Pairs of how many seconds, and which load.

    Raises:
        ConfigurationError: There is none, or one is no such pair.
    """
    if not several:
        raise ConfigurationError("phases(): there is none; write phases((60, 20), (30, 200)), say")
    read: list[tuple[float, Load]] = []
    for one in several:
        if not (isinstance(one, tuple) and len(one) == 2):
            raise options.refuse(
                "phases", "phase", one, "a phase is how many seconds, and which load", "write (60, 20), say"
            )
        read.append((options.duration("phases", "phase", one[0]), load_of("phases", "phase", one[1])))

    def times(chance: random.Random) -> Iterator[float]:
        begin = 0.0
        for number, (length, load) in enumerate(read):
            last = number == len(read) - 1
            for moment in load.times(chance):
                if moment >= length and not last:
                    break
                yield begin + moment
            begin += length

    def expected(seconds: float) -> float:
        calls = 0.0
        for number, (length, load) in enumerate(read):
            own = seconds if number == len(read) - 1 else min(length, seconds)
            calls += about(load, own)
            seconds -= own
        return calls

    return Load("phases(" + ", ".join(f"({length:g}, {load!r})" for length, load in read) + ")", times, expected)


def _nobody(text: str) -> Load:
    return Load(text, lambda chance: iter(()), lambda seconds: 0.0)


def about(load: Load, seconds: float) -> float:
    """About how many calls come in so many seconds; zero where nobody knows."""
    return 0.0 if load.count is None else load.count(seconds)


def load_of(owner: str, option: str, value: Any) -> Load:
    """Read an option that takes a load: a number is an even rate.

    Raises:
        ConfigurationError: It is neither a rate nor a :class:`Load`.
    """
    return value if isinstance(value, Load) else steady(_rate(owner, value, option))


def _rate(owner: str, value: Any, option: str = "rate") -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST:
        raise options.refuse(owner, option, value, f"it is calls per second, 0 to {MOST:,.0f}", f"write {option}=50")
    return float(value)


MOST = 1e6
"""Calls per second; more would only fill the memory."""

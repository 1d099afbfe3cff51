"""What happens to a modelled dependency, and when: outages, brown-outs, stalls."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from resilix.core import options
from resilix.core.options import Seconds
from resilix.errors import ConfigurationError

MOST = 1_000
"""Episodes that one function makes; with many more, looking for the one in force would take longer than the calls."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Something that goes wrong for a while; made by the functions of this module.

    Attributes:
        kind: What tables and pictures call it.
        start: Seconds from the beginning of the simulation.
        end: The same; the trouble is over at this moment.
        speed: How fast the dependency works meanwhile: 1 is as usual, 0 stands still.
        errors: The share of answers that are errors, 0 to 1.
        fails_after: Seconds after which a request fails without having been worked on; ``None``: it is worked on.
        hangs: A request that comes meanwhile is never answered.
        shard: Which shard it happens to; ``None`` for all.
    """

    kind: str
    start: float
    end: float
    speed: float = 1.0
    errors: float = 0.0
    fails_after: float | None = None
    hangs: bool = False
    shard: int | None = None

    def __repr__(self) -> str:
        where = "" if self.shard is None else f", shard {self.shard}"
        return f"{self.kind} {self.start:g} to {self.end:g} s{where}"


Script: TypeAlias = Episode | Iterable["Script"]
"""Episodes, in any nesting and order."""


def outage(start: Seconds, seconds: Seconds, *, after: Seconds = 0.005, shard: int | None = None) -> Episode:
    """The dependency is down: every request fails.

    Example::

        outage(start=60, seconds=30)

    Args:
        start: When, in seconds from the beginning.
        seconds: For how long.
        after: Seconds until a request fails. Zero: at once.
        shard: Which shard is down, from 0; ``None`` for all.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    fails = options.duration("outage", "after", after, zero="at once")
    return replace(_episode("outage", start, seconds, shard), fails_after=fails)


def black_hole(start: Seconds, seconds: Seconds, *, shard: int | None = None) -> Episode:
    """Requests vanish: nothing fails and nothing answers, as behind a firewall that drops packets.

    Example::

        black_hole(start=60, seconds=30)

    Args:
        start: When, in seconds from the beginning.
        seconds: For how long; a request from then is never answered, afterwards neither.
        shard: Which shard, from 0; ``None`` for all.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    return replace(_episode("black hole", start, seconds, shard), hangs=True)


def brown_out(
    start: Seconds, seconds: Seconds, *, slower: float = 1.0, errors: float = 0.0, shard: int | None = None
) -> Episode:
    """The dependency works, but slower, or some of its answers are errors, or both.

    Example::

        brown_out(start=60, seconds=120, slower=5, errors=0.3)

    Args:
        start: When, in seconds from the beginning.
        seconds: For how long.
        slower: How many times longer its work takes, at least 1.
        errors: Share of answers that are errors, 0 to 1.
        shard: Which shard, from 0; ``None`` for all.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    speed = 1 / _factor("brown_out", "slower", slower)
    return replace(
        _episode("brown-out", start, seconds, shard), speed=speed, errors=_share("brown_out", "errors", errors)
    )


def stall(start: Seconds, seconds: Seconds, *, shard: int | None = None) -> Episode:
    """The dependency stands still, as in a long garbage collection, and then goes on with what has piled up.

    Example::

        stall(start=60, seconds=3)

    Args:
        start: When, in seconds from the beginning.
        seconds: For how long.
        shard: Which shard, from 0; ``None`` for all.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    return replace(_episode("stall", start, seconds, shard), speed=0.0)


def flapping(
    start: Seconds, seconds: Seconds, *, down: Seconds, up: Seconds, after: Seconds = 0.005, shard: int | None = None
) -> list[Episode]:
    """Outages that come and go.

    Example::

        flapping(start=60, seconds=120, down=4, up=6)

    Args:
        start: When the first begins, in seconds from the beginning.
        seconds: For how long it goes on like that.
        down: Seconds of each outage.
        up: Seconds from one to the next.
        after: Seconds until a request fails. Zero: at once.
        shard: Which shard, from 0; ``None`` for all.

    Raises:
        ConfigurationError: An option cannot mean anything sensible, or there would be more than a thousand outages.
    """
    whole = _episode("flapping", start, seconds, shard)
    off, on = options.duration("flapping", "down", down), options.duration("flapping", "up", up)
    times = (whole.end - whole.start) / (off + on)
    if times > MOST:
        raise ConfigurationError(
            f"flapping(): it would go down {times:,.0f} times, and may {MOST:,}; write a longer down or up"
        )
    begins = [whole.start + number * (off + on) for number in range(math.ceil(times))]
    several = [outage(begin, min(off, whole.end - begin), after=after, shard=shard) for begin in begins]
    return [replace(one, kind="flapping") for one in several]


def cold_start(
    start: Seconds, seconds: Seconds, *, slower: float = 10.0, steps: int = 10, shard: int | None = None
) -> list[Episode]:
    """The dependency has just begun to run, with cold caches: slow at first, and faster step by step.

    Example::

        [outage(start=60, seconds=10), cold_start(start=70, seconds=30, slower=20)]

    Args:
        start: When, in seconds from the beginning.
        seconds: Until it is as fast as usual.
        slower: How many times longer its work takes at first, at least 1.
        steps: In how many steps of equal length its speed grows; 1 to 1,000.
        shard: Which shard, from 0; ``None`` for all.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    whole = _episode("cold start", start, seconds, shard)
    least = 1 / _factor("cold_start", "slower", slower)
    options.whole("cold_start", "steps", steps, least=1, most=MOST, why=f"it grows in 1 to {MOST:,} steps")
    each = (whole.end - whole.start) / steps
    return [
        replace(
            whole,
            start=whole.start + number * each,
            end=whole.start + (number + 1) * each,
            speed=least + (1 - least) * number / steps,
        )
        for number in range(steps)
    ]


def flat(script: Any) -> tuple[Episode, ...]:
    """All episodes of a script, in the order in which they begin.

    Raises:
        ConfigurationError: Something in it is no episode.
    """
    if isinstance(script, Episode):
        return (script,)
    if isinstance(script, str) or not isinstance(script, Iterable):
        raise options.refuse(
            "Dependency", "script", script, "it is made of episodes", "write script=[outage(start=10, seconds=30)], say"
        )
    parts: list[Episode] = []
    for one in script:  # pyright: ignore[reportUnknownVariableType]  # what the user wrote
        parts += flat(one)
    return tuple(sorted(parts, key=lambda one: (one.start, one.end)))


class Weather:
    """What one shard goes through: which episodes are in force at a moment, and when work will be done."""

    def __init__(self, episodes: Sequence[Episode], shard: int) -> None:
        own = [one for one in episodes if one.shard in (None, shard)]
        moments = sorted({0.0, *(one.start for one in own), *(one.end for one in own)})
        self._starts = moments
        self._now: list[tuple[Episode, ...]] = [
            tuple(one for one in own if one.start <= moment < one.end) for moment in moments
        ]
        self._speeds = [math.prod(one.speed for one in now) for now in self._now]

    def at(self, moment: float) -> tuple[Episode, ...]:
        """The episodes in force."""
        return self._now[bisect.bisect_right(self._starts, moment) - 1]

    def done_at(self, moment: float, work: float) -> float:
        """When work begun at a moment will be done.

        Args:
            moment: When it begins.
            work: Seconds it takes at the usual speed.

        Returns:
            The moment; infinite when it stands still for good.
        """
        place = bisect.bisect_right(self._starts, moment) - 1
        while True:
            end = self._starts[place + 1] if place + 1 < len(self._starts) else math.inf
            speed = self._speeds[place]
            if speed > 0 and moment + work / speed <= end:
                return moment + work / speed
            if end == math.inf:
                return math.inf
            work -= (end - moment) * speed
            moment, place = end, place + 1


def _episode(kind: str, start: Any, seconds: Any, shard: int | None) -> Episode:
    owner = kind.replace(" ", "_").replace("-", "_")
    begin = options.duration(owner, "start", start, zero="from the beginning")
    length = options.duration(owner, "seconds", seconds)
    if shard is not None:
        options.whole(owner, "shard", shard, least=0, why="shards are counted from 0")
    return Episode(kind, begin, begin + length, shard=shard)


def _factor(owner: str, option: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value < math.inf:
        raise options.refuse(
            owner, option, value, "it says how many times longer work takes, at least 1", f"write {option}=5"
        )
    return float(value)


def _share(owner: str, option: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        hint = f"write {option}={value / 100:g}" if isinstance(value, (int, float)) and 1 < value <= 100 else ""
        raise options.refuse(
            owner, option, value, "it is a share, from 0 to 1", hint or f"write {option}=0.3 for three of ten"
        )
    return float(value)

"""Measure variants side by side in one process, so that a noisy machine disturbs all of them alike.

A round runs each variant once, in a random order, for about a millisecond. The loop calls the variant itself, with no
frame in between, and what an empty loop takes is subtracted: whatever numerator and denominator share would draw the
ratio towards 1. What is kept of a round is each variant's time per call divided by the yardstick's *in the same round*.
The figure of a variant is the median of those ratios; its spread is their median absolute deviation.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

ROUND_SECONDS = 0.001

WARM_UP = 20
"""Calls before anything is timed: the first ones import, compile and specialise."""

Clock = Callable[[], float]
Errors = tuple[type[Exception], ...]
Loop = Callable[[int], Coroutine[Any, Any, float]]
"""Runs a variant so many times and gives the seconds it took."""


@dataclass(frozen=True)
class Figure:
    """What was measured of one variant.

    Attributes:
        name: The variant.
        ratio: Median of its time per call over the yardstick's, round by round.
        spread: Median absolute deviation of those ratios.
        nanoseconds: Median time per call, for orientation only.
    """

    name: str
    ratio: float
    spread: float
    nanoseconds: float


def median_and_spread(values: list[float]) -> tuple[float, float]:
    """The median, and the median distance from it."""
    middle = statistics.median(values)
    return middle, statistics.median(abs(one - middle) for one in values)


def figures_of(per_call: dict[str, list[float]], empty: float) -> list[Figure]:
    """Condense the rounds; the first variant is the yardstick.

    Args:
        per_call: Seconds per call, round by round, of each variant.
        empty: Seconds that one turn of a loop without a call takes.
    """
    net = {name: [one - empty for one in seconds] for name, seconds in per_call.items()}
    yardstick = next(iter(net.values()))
    figures = []
    for name, seconds in net.items():
        ratio, spread = median_and_spread([own / base for own, base in zip(seconds, yardstick, strict=True)])
        figures.append(Figure(name, ratio, spread, statistics.median(seconds) * 1e9))
    return figures


def compare(
    variants: dict[str, Callable[[int], Any]],
    rounds: int,
    *,
    awaited: bool = False,
    expects: Errors = (),
    clock: Clock = time.thread_time,
) -> list[Figure]:
    """Measure variants against the first of them.

    Args:
        variants: Functions of one argument.
        rounds: How often each of them gets its millisecond.
        awaited: They are async; all are awaited in one task of one event loop.
        expects: What each call may raise; it is caught where it is called.
        clock: What time means here.
    """
    make = _async_loop if awaited else _sync_loop
    loops = {name: make(fn, expects, clock) for name, fn in variants.items()}
    if awaited:
        return asyncio.run(_rounds(loops, _empty_loop(clock), rounds))
    # Sync variants must not see a running event loop, and their loops never suspend.
    try:
        _rounds(loops, _empty_loop(clock), rounds).send(None)
    except StopIteration as done:
        result: list[Figure] = done.value
        return result
    raise RuntimeError("a sync variant suspended")


async def _rounds(loops: dict[str, Loop], empty: Loop, rounds: int) -> list[Figure]:
    counts = {name: await _calibrate(loop) for name, loop in loops.items()}
    turns = await _calibrate(empty)
    per_call: dict[str, list[float]] = {name: [] for name in loops}
    bare_turns = []
    for _ in range(rounds):
        bare_turns.append(await empty(turns) / turns)
        for name in random.sample(list(loops), len(loops)):
            per_call[name].append(await loops[name](counts[name]) / counts[name])
    return figures_of(per_call, statistics.median(bare_turns))


async def _calibrate(loop: Loop) -> int:
    await loop(WARM_UP)
    count = 1
    while (seconds := await loop(count)) < ROUND_SECONDS / 4:
        count *= 2
    return max(1, int(count * ROUND_SECONDS / seconds))


def _empty_loop(clock: Clock) -> Loop:
    async def run(count: int) -> float:
        begin = clock()
        for _ in range(count):
            pass
        return clock() - begin

    return run


def _sync_loop(fn: Callable[[int], Any], expects: Errors, clock: Clock) -> Loop:
    async def run(count: int) -> float:
        begin = clock()
        for _ in range(count):
            try:  # noqa: SIM105 - costs nothing while nothing is raised; suppress() would
                fn(1)
            except expects:
                pass
        return clock() - begin

    return run


def _async_loop(fn: Callable[[int], Any], expects: Errors, clock: Clock) -> Loop:
    async def run(count: int) -> float:
        # Lets the event loop drop the cancelled timers that asyncio's and anyio's timeouts leave in its heap.
        await asyncio.sleep(0)
        begin = clock()
        for _ in range(count):
            try:  # noqa: SIM105 - as above
                await fn(1)
            except expects:
                pass
        return clock() - begin

    return run

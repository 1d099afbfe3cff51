"""Measure variants side by side in one process, so that a noisy machine disturbs all of them alike.

A round runs each variant once, in a random order, for about a millisecond of the thread's CPU time. What is kept of a
round is each variant's time per call divided by the yardstick's *in the same round*. The figure of a variant is the
median of those ratios; its spread is their median absolute deviation.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

ROUND_SECONDS = 0.001


@dataclass(frozen=True)
class Figure:
    """What was measured of one variant.

    Attributes:
        name: The variant.
        ratio: Median of its time per call over the yardstick's, round by round.
        spread: Median absolute deviation of those ratios.
        nanoseconds: Median CPU time per call, for orientation only.
    """

    name: str
    ratio: float
    spread: float
    nanoseconds: float


def summarise(name: str, ratios: list[float], seconds: list[float]) -> Figure:
    """Condense the rounds of one variant."""
    ratio = statistics.median(ratios)
    spread = statistics.median(abs(one - ratio) for one in ratios)
    return Figure(name, ratio, spread, statistics.median(seconds) * 1e9)


Loop = Callable[[int], float]
"""Runs a variant so many times and returns the CPU seconds it took."""


def sync_loop(call: Callable[[], Any]) -> Loop:
    """Time a sync variant."""

    def run(count: int) -> float:
        begin = time.thread_time()
        for _ in range(count):
            call()
        return time.thread_time() - begin

    return run


def compare(variants: dict[str, Loop], rounds: int) -> list[Figure]:
    """Measure sync variants; the first is the yardstick."""
    counts = {name: _calibrate(loop) for name, loop in variants.items()}
    per_call: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name in random.sample(list(variants), len(variants)):
            per_call[name].append(variants[name](counts[name]) / counts[name])
    return _figures(per_call)


WARM_UP = 20
"""Calls before anything is timed: the first ones import, compile and specialise."""


def _calibrate(loop: Loop) -> int:
    loop(WARM_UP)
    count = 1
    while True:
        seconds = loop(count)
        if seconds >= ROUND_SECONDS / 4:
            return max(1, int(count * ROUND_SECONDS / seconds))
        count *= 2


def _figures(per_call: dict[str, list[float]]) -> list[Figure]:
    yardstick = next(iter(per_call.values()))
    return [
        summarise(name, [own / base for own, base in zip(seconds, yardstick, strict=True)], seconds)
        for name, seconds in per_call.items()
    ]


def compare_async(variants: dict[str, Callable[[], Awaitable[Any]]], rounds: int) -> list[Figure]:
    """Measure async variants inside one running asyncio task; the first is the yardstick."""
    return asyncio.run(_compare_async(variants, rounds))


async def _compare_async(variants: dict[str, Callable[[], Awaitable[Any]]], rounds: int) -> list[Figure]:
    counts: dict[str, int] = {}
    for name, call in variants.items():
        await _time_async(call, WARM_UP)
        count = 1
        while (seconds := await _time_async(call, count)) < ROUND_SECONDS / 4:
            count *= 2
        counts[name] = max(1, int(count * ROUND_SECONDS / seconds))
    per_call: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name in random.sample(list(variants), len(variants)):
            # Lets the loop drop the cancelled timers that asyncio's and anyio's timeouts leave in its heap.
            await asyncio.sleep(0)
            per_call[name].append(await _time_async(variants[name], counts[name]) / counts[name])
    return _figures(per_call)


async def _time_async(call: Callable[[], Awaitable[Any]], count: int) -> float:
    begin = time.thread_time()
    for _ in range(count):
        await call()
    return time.thread_time() - begin

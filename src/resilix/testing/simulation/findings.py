"""From what happened in a simulation to figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from resilix.testing.simulation.modelled import Call, Modelled, Served
from resilix.testing.simulation.result import Change, Ending, Result, Step, Totals, latency_of

STEPS = 120
"""In about how many steps the figures over time are given."""

WIDTHS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
"""Seconds a step may have; for longer simulations, whole hours."""

AS_BEFORE = 0.95
"""Calls succeed as often as before when they do so at this share of it."""

LASTING = 5
"""Over so many steps with calls from a moment on, so that a lucky one does not count."""

ENOUGH = 5
"""Calls that say as much where fewer steps are left."""


AFTERWARDS = 60.0
"""Virtual seconds for which calls under way at the end may still come to an end."""


def width_of(seconds: float) -> float:
    """How long a step is, for a simulation of so many seconds."""
    for width in WIDTHS:
        if seconds / width <= STEPS:
            return width
    return 3600.0 * math.ceil(seconds / 3600.0 / STEPS)


def find(
    name: str,
    load: str,
    seed: int,
    seconds: float,
    dependency: Modelled,
    calls: Sequence[Call],
    served: Sequence[Served],
    changes: Sequence[Change],
    unexpected: Mapping[str, int] | None = None,
) -> Result:
    """The figures of a simulation."""
    width = width_of(seconds)
    steps = _steps(width, seconds, calls, served)
    begin = min((one.start for one in dependency.script), default=math.inf)
    end = max((min(one.end, seconds) for one in dependency.script), default=math.inf)
    opened = [one.at for one in changes if one.state == "open"]
    recovery = _recovery(steps, width, begin, end) if dependency.script else None
    well_again = math.inf if recovery is None else end + recovery
    reopened = {index for index, one in enumerate(changes) if one.state == "open" and _was(changes, index) != "closed"}
    return Result(
        name=name,
        seconds=seconds,
        seed=seed,
        load=load,
        endings=_endings(calls),
        latency=latency_of(_took(one, seconds) for one in calls),
        success_latency=latency_of(one.end - one.begin for one in calls if one.ending is Ending.SUCCEEDED),
        attempts_per_call=sum(one.attempts for one in calls) / len(calls) if calls else 0.0,
        time_to_open=min((at - begin for at in opened if at >= begin), default=None),
        time_to_recover=recovery,
        false_opens=sum(
            one.at < begin or one.at > well_again
            for index, one in enumerate(changes)
            if one.state == "open" and index not in reopened
        ),
        trouble=tuple(dependency.script),
        dependency=_totals(dependency, seconds, width, served),
        changes=tuple(changes),
        steps=steps,
        unexpected=dict(unexpected or {}),
    )


def _took(call: Call, seconds: float) -> float:
    """How long a call took; one that has not come back took as long as it was waited for, or longer."""
    return min(call.end, seconds + AFTERWARDS) - call.begin


def _was(changes: Sequence[Change], index: int) -> str:
    """The state of a breaker before a change."""
    same = (one.state for one in reversed(changes[:index]) if one.breaker == changes[index].breaker)
    return next(same, "closed")


def _endings(calls: Sequence[Call]) -> dict[str, int]:
    counted = Counter(one.ending for one in calls)
    return {kind.value: counted[kind] for kind in Ending}


def _steps(width: float, seconds: float, calls: Sequence[Call], served: Sequence[Served]) -> tuple[Step, ...]:
    count = math.ceil(seconds / width)
    by_step: list[list[Call]] = [[] for _ in range(count)]
    for one in calls:
        by_step[min(count - 1, int(one.begin / width))].append(one)
    steps: list[Step] = []
    for number, (own, there) in enumerate(zip(by_step, served, strict=False)):
        counted = Counter(one.ending for one in own)
        succeeded, fallback, refused = (counted[kind] for kind in (Ending.SUCCEEDED, Ending.FALLBACK, Ending.REFUSED))
        steps.append(
            Step(
                at=number * width,
                calls=len(own),
                succeeded=succeeded,
                fallback=fallback,
                refused=refused,
                failed=len(own) - succeeded - fallback - refused,
                p99=latency_of(_took(one, seconds) for one in own).p99,
                arrived=there.arrived,
                wasted=there.wasted,
                waiting=there.waiting,
            )
        )
    return tuple(steps)


def _recovery(steps: Sequence[Step], width: float, begin: float, end: float) -> float | None:
    """Seconds from the end of the trouble until calls succeed as often as before it, and go on to."""
    before = [one for one in steps if one.at + width <= begin and one.calls]
    usual = sum(one.succeeded for one in before) / sum(one.calls for one in before) if before else 1.0
    there = [one for one in steps if one.at + width > end]
    after = [one for one in there if one.calls]  # where nobody calls, nobody succeeds either
    if there and not after:
        return 0.0
    for place, step in enumerate(after):
        rest = after[place : place + LASTING]
        calls = sum(one.calls for one in rest)
        if len(rest) < min(LASTING, len(after)) and calls < ENOUGH:
            return None
        good = sum(one.succeeded for one in rest) >= AS_BEFORE * usual * calls
        if good and step.success_share >= AS_BEFORE * usual:
            return max(0.0, step.at - end)
    return None


def _totals(dependency: Modelled, seconds: float, width: float, served: Sequence[Served]) -> Totals:
    whole = dependency.places * seconds
    worked = math.fsum(one.worked for one in served[:-1])  # sum() of 3.12 rounds otherwise than that of 3.11
    return Totals(
        arrived=sum(one.arrived for one in served),
        answered=sum(one.answered for one in served),
        wasted=sum(one.wasted for one in served),
        failed=sum(one.failed for one in served),
        busy=min(1.0, worked / whole) if whole else 0.0,
        peak=max((one.arrived for one in served[:-1]), default=0) / width,
    )

"""Figures out of what the processes told."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from resilix.demo.messages import (
    FAILED,
    FALLBACK,
    FRESH,
    GUARDED,
    SIDES,
    UNGUARDED,
    Answered,
    Done,
    Gauges,
    Happened,
    Load,
    Message,
)
from resilix.demo.script import Phase, phase_at, script_for
from resilix.demo.settings import Settings


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed (nearest rank); NaN of nothing."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Figures:
    """Some requests, summed up. Shares are of ``requests``; NaN when there are none.

    Attributes:
        requests: How many.
        fresh: Share answered by the server.
        fallback: Share answered by the fallback.
        failed: Share that ended in an error for the caller.
        p50: Seconds half of them took at most.
        p99: Seconds 99 % of them took at most.
        longest: Seconds of the longest.
        attempts: Calls to the server per request.
        oldest: Seconds since the oldest answer served was fresh.
    """

    requests: int
    fresh: float
    fallback: float
    failed: float
    p50: float
    p99: float
    longest: float
    attempts: float
    oldest: float

    @property
    def answered(self) -> float:
        """Share with an answer, fresh or not."""
        return self.fresh + self.fallback


def figures_of(requests: Sequence[Answered]) -> Figures:
    """Sum up."""
    count = len(requests)
    latencies = [one.latency for one in requests]

    def share(outcome: str) -> float:
        return sum(one.outcome == outcome for one in requests) / count if count else math.nan

    return Figures(
        requests=count,
        fresh=share(FRESH),
        fallback=share(FALLBACK),
        failed=share(FAILED),
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
        longest=max(latencies, default=math.nan),
        attempts=sum(one.attempts for one in requests) / count if count else math.nan,
        oldest=max((one.age for one in requests), default=0.0),
    )


@dataclass(slots=True)
class Side:
    """Everything known of one side.

    Attributes:
        requests: Those that are over, in the order in which they ended.
        loads: The server's reports, oldest first.
        happened: The events, oldest first.
        gauges: The latest report of the policies.
        done: The client's last word.
    """

    requests: list[Answered] = field(default_factory=list[Answered])
    loads: list[Load] = field(default_factory=list[Load])
    happened: list[Happened] = field(default_factory=list[Happened])
    gauges: Gauges | None = None
    done: Done | None = None

    def take(self, message: Message) -> None:
        """Take in what one of its processes said."""
        if isinstance(message, Answered):
            self.requests.append(message)
        elif isinstance(message, Load):
            self.loads.append(message)
        elif isinstance(message, Happened):
            self.happened.append(message)
        elif isinstance(message, Gauges):
            self.gauges = message
        elif isinstance(message, Done):
            self.done = message

    # -- for the end ---------------------------------------------------------------------------------------

    def count(self, outcome: str) -> int:
        """How many requests ended so."""
        return sum(one.outcome == outcome for one in self.requests)

    def whole(self) -> Figures:
        """All requests."""
        return figures_of(self.requests)

    def during(self, start: float, end: float) -> Figures:
        """The requests that were due between two moments."""
        return figures_of([one for one in self.requests if start <= one.at < end])

    def in_phase(self, phase: Phase) -> Figures:
        """The requests that were due in a phase."""
        return self.during(phase.start, phase.end)

    def borne(self, *names: str) -> int:
        """Calls that reached the server in these phases (all of them, when none is named), by its own count."""
        if not self.loads:
            return 0
        calls = self.loads[-1].calls
        return sum(calls[name] for name in names or calls)

    def borne_between(self, start: float, end: float) -> int:
        """Calls that reached the server between two moments, as near as its reports tell."""
        return self._borne_until(end) - self._borne_until(start)

    def _borne_until(self, moment: float) -> int:
        index = bisect_right(self.loads, moment, key=lambda load: load.at)
        return sum(self.loads[index - 1].calls.values()) if index else 0

    def first_change(self, to_state: str, start: float, end: float = math.inf) -> float | None:
        """When the breaker first went to a state between two moments."""
        return next((one.at for one in self.happened if one.to_state == to_state and start <= one.at < end), None)

    def last_change(self, to_state: str, start: float) -> float | None:
        """When the breaker last went to a state since a moment."""
        return max((one.at for one in self.happened if one.to_state == to_state and one.at >= start), default=None)

    # -- for the moment ------------------------------------------------------------------------------------

    def lately(self, now: float, span: float) -> Figures:
        """The requests that ended within the last ``span`` seconds."""
        return figures_of([one for one in self.requests if now - span <= one.at + one.latency <= now])

    def by_time(self, until: float, width: float = 1.0) -> list[Figures]:
        """The requests by when they were due, in bins of ``width`` seconds; the last one may be cut short."""
        bins: list[list[Answered]] = [[] for _ in range(math.ceil(until / width))]
        for one in self.requests:
            if one.at < until:
                bins[int(one.at / width)].append(one)
        return [figures_of(each) for each in bins]


class Record:
    """Everything known of a run.

    Attributes:
        settings: What is played.
        script: The servers' life.
        unguarded: One side.
        guarded: The other.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.script = script_for(settings)
        self.unguarded = Side()
        self.guarded = Side()

    def side(self, name: str) -> Side:
        """The side of that name."""
        return {UNGUARDED: self.unguarded, GUARDED: self.guarded}[name]

    def take(self, label: str, message: Message) -> None:
        """Take in what a process said. ``label`` is its side, or its side and "server"."""
        self.side(next(side for side in SIDES if label.startswith(side))).take(message)

    def phase(self, now: float) -> Phase:
        """The phase at a moment."""
        return phase_at(self.script, now)

    def due(self, now: float) -> int:
        """How many requests of each side were due until now."""
        return max(0, min(self.settings.requests, int(now * self.settings.rate) + 1))

    def log(self, now: float) -> list[Happened]:
        """What happened until now, the script's turns too, oldest first."""
        turns = [Happened(phase.start, f"server: {phase.name}, {phase.describe()}") for phase in self.script]
        return sorted((one for one in (*turns, *self.guarded.happened) if one.at <= now), key=lambda one: one.at)

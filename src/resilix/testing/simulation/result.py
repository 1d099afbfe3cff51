"""What a simulation found: figures, steps of the time, a table, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from resilix.errors import ConfigurationError
from resilix.testing.simulation.trouble import Episode


class Ending(StrEnum):
    """How a call ended for its user."""

    SUCCEEDED = "succeeded"
    FALLBACK = "fallback"
    """An answer that did not come from the dependency."""
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    FAILED = "failed"
    UNFINISHED = "unfinished"
    """Still under way a minute after the end."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long calls took, in seconds; zero where there were none. Percentiles by nearest rank.

    A call that had not come back a minute after the end counts with the time until then.

    Attributes:
        p50: Half took no longer.
        p90: Nine of ten took no longer.
        p99: 99 of a hundred took no longer.
        most: The longest.
    """

    p50: float
    p90: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker changed its state.

    Attributes:
        at: When, in seconds from the beginning.
        breaker: Its name; with the process, and the shard, where there are several.
        state: The state it changed to: "closed", "open", "half_open".
    """

    at: float
    breaker: str
    state: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the time. Calls count in the step in which they came, requests in the one in which they arrived.

    Attributes:
        at: When it begins.
        calls: Calls that came.
        succeeded: Those of them that succeeded.
        fallback: Those that were answered by a fallback.
        refused: Those that were refused.
        failed: All others.
        p99: The 99th percentile of the seconds they took.
        arrived: Requests that arrived at the dependency.
        wasted: Requests it worked on for nobody.
        waiting: The most requests in line, in one shard.
    """

    at: float
    calls: int
    succeeded: int
    fallback: int
    refused: int
    failed: int
    p99: float
    arrived: int
    wasted: int
    waiting: int

    @property
    def success_share(self) -> float:
        """Share of the calls that succeeded; 1 where none came."""
        return self.succeeded / self.calls if self.calls else 1.0


@dataclass(frozen=True, slots=True)
class Totals:
    """What came to the dependency.

    Attributes:
        arrived: Requests.
        answered: Requests answered well, in time for somebody.
        wasted: Requests it worked on for nobody.
        failed: Requests answered with an error, or refused.
        busy: Share of its capacity that was used, 0 to 1; 0 where it has no bounds.
        peak: The most requests a second, over a step.
    """

    arrived: int
    answered: int
    wasted: int
    failed: int
    busy: float
    peak: float


@dataclass(frozen=True, slots=True)
class Result:
    """What :func:`simulate` found. Printed, it is a table; the same seed gives the same result, byte for byte.

    Attributes:
        name: What was simulated.
        seconds: For how long calls came.
        seed: Where chance began.
        load: How calls came, as text.
        endings: How many calls ended in which way; by the values of :class:`Ending`.
        latency: How long calls took, whatever their end.
        success_latency: How long calls that succeeded took.
        attempts_per_call: Requests that arrived at the dependency, for each call.
        time_to_open: Seconds from the beginning of the trouble until a breaker opened; ``None`` when none did.
        time_to_recover: Seconds from the end of the trouble until calls succeeded as often as before it; ``None`` when
            they never did.
        false_opens: Openings while the dependency was well.
        trouble: The episodes, in the order of time.
        dependency: What came to the dependency.
        changes: What the breakers did.
        steps: The figures over time.
        unexpected: Errors that the dependency did not raise, with the line that did, and how many calls ended with
            them: a fallback that raises something else, or a mistake in a policy of your own.
    """

    name: str
    seconds: float
    seed: int
    load: str
    endings: dict[str, int]
    latency: Latency
    success_latency: Latency
    attempts_per_call: float
    time_to_open: float | None
    time_to_recover: float | None
    false_opens: int
    trouble: tuple[Episode, ...]
    dependency: Totals
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    unexpected: dict[str, int]

    @property
    def calls(self) -> int:
        """How many calls came."""
        return sum(self.endings.values())

    @property
    def success_share(self) -> float:
        """Share of the calls that succeeded, 0 to 1."""
        return self.endings[Ending.SUCCEEDED] / self.calls if self.calls else 1.0

    @property
    def goodput(self) -> float:
        """Calls that succeeded, per second."""
        return self.endings[Ending.SUCCEEDED] / self.seconds

    @property
    def recovered(self) -> bool:
        """Whether calls succeeded at the end as often as before the trouble."""
        return not self.trouble or self.time_to_recover is not None

    @property
    def trouble_lasts(self) -> bool:
        """Whether the trouble lasts to the end, so that nothing can be said about a recovery."""
        return any(one.end >= self.seconds for one in self.trouble)

    def to_json(self) -> str:
        """All of it as JSON, the same text for the same seed."""
        return json.dumps({**asdict(self), "success_share": self.success_share, "goodput": self.goodput}, indent=1)

    def picture(self, path: str | Path) -> Path:
        """Draw it: answers, latency and the load on the dependency over time.

        Example::

            result.picture("outage.png")

        Args:
            path: A file that ends in .png or .svg.

        Raises:
            ConfigurationError: matplotlib is not installed (the extra ``demo`` brings it), or the ending is another.
        """
        from resilix.testing.simulation.picture import draw  # matplotlib is optional

        return draw([self], Path(path))

    def __str__(self) -> str:
        lines = [
            f"{count:,} calls ended with {error}, which the dependency did not raise"
            for error, count in self.unexpected.items()
        ]
        return "\n".join([table([self]), *lines])


def _rows(one: Result) -> dict[str, str]:
    """One column of the table."""
    return {
        "calls": f"{one.calls:,}",
        **{kind.value: f"{one.endings[kind] / max(1, one.calls):.1%}" for kind in Ending},
        "goodput": f"{one.goodput:.1f}/s",
        "latency p50": _seconds(one.latency.p50),
        "latency p90": _seconds(one.latency.p90),
        "latency p99": _seconds(one.latency.p99),
        "attempts per call": f"{one.attempts_per_call:.2f}",
        "requests, peak": f"{one.dependency.peak:.0f}/s",
        "requests for nobody": f"{one.dependency.wasted:,}",
        "time to open": _moment(one.time_to_open),
        "time to recover": _recovery(one),
        "false opens": f"{one.false_opens}",
    }


def table(results: Sequence[Result]) -> str:
    """Several results side by side, as text; rows in which all are zero are left out.

    Example::

        print(table([simulate(one, load=70, seconds=180) for one in (naive, better)]))

    Args:
        results: At least one.

    Raises:
        ConfigurationError: There is none.
    """
    if not results:
        raise ConfigurationError("table(): there is no result; write table([first, second])")
    columns = [_rows(one) for one in results]
    cells = {label: [column[label] for column in columns] for label in columns[0]}
    kept = {label: own for label, own in cells.items() if any(one != "0.0%" for one in own)}
    first = max(len(label) for label in kept)
    widths = [max(len(one.name), *(len(own[place]) for own in kept.values())) for place, one in enumerate(results)]
    head = "  ".join([" " * first, *(one.name.rjust(width) for one, width in zip(results, widths, strict=True))])
    lines = [head.rstrip()]
    for label, own in kept.items():
        padded = [cell.rjust(width) for cell, width in zip(own, widths, strict=True)]
        lines.append("  ".join([label.ljust(first), *padded]))
    return "\n".join(lines)


def latency_of(seconds: Iterable[float]) -> Latency:
    """The percentiles of some durations."""
    ordered = sorted(seconds)
    if not ordered:
        return Latency(0.0, 0.0, 0.0, 0.0)
    return Latency(*(_rank(ordered, share) for share in (0.5, 0.9, 0.99, 1.0)))


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _recovery(one: Result) -> str:
    if not one.trouble:
        return "no trouble"
    return "lasts to the end" if one.trouble_lasts else _moment(one.time_to_recover)


def _moment(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"

"""What the breaker's state machine is made of: its states, eras, tickets, and what it tells about itself.

An *era* is the time between two transitions, and an object. A call keeps the era it was admitted in and reports
to that one; if it is over by then, the report is an echo and changes nothing.
"""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

from resilix.core.counting import Count
from resilix.core.settings import BreakerSettings
from resilix.core.window import LONG_AGO, Window


class CircuitState(enum.StrEnum):
    """Where a breaker is: closed lets calls through, open refuses them, half-open admits probes.

    Example::

        if quotes.state is CircuitState.OPEN: ...
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Mode(enum.StrEnum):
    """Who is in charge of a breaker: the rules, or a person."""

    NORMAL = "normal"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    OBSERVING = "observing"


class Ticket:
    """Proof of admission: the era it was given in and, for a probe, when its lease ends.

    Attributes:
        era: The era to report to.
        started: When the call was admitted.
        lease: When a probe counts as failed; infinite for an ordinary call.
        settled: True once the outcome was reported.
    """

    __slots__ = ("era", "lease", "settled", "started")

    def __init__(self, era: Era, started: float, lease: float = math.inf) -> None:
        self.era = era
        self.started = started
        self.lease = lease
        self.settled = False


class Figures(NamedTuple):
    """What an era counted; the attributes of :class:`~resilix.core.snapshot.BreakerSnapshot` of the same names."""

    calls: int
    failures: int
    slow: int
    ignored: int
    consecutive: int
    failure_rate: float | None
    slow_rate: float | None


class Era:
    """The time between two transitions.

    Attributes:
        state: Closed, open or half-open.
        mode: Who is in charge.
        since: When it began.
        reason: Why it began; half-open, why it had opened: what refused callers are told.
        counter: Counts the successes of quiet calls: the window, or once the era is over the count of late outcomes.
            ``None`` while a success may change more than a number, and so must be reported.
        until: When an open era admits a probe; before every moment in the other states, so that ``now < until``
            alone means "refuse".
        length: Seconds of this opening, or of the one before a half-open era.
        number: Which opening by itself the length belongs to.
        undecided: The user's ``open_for`` function has yet to be asked for the length.
        frozen: The figures an opening publishes until the next era.
        window: Counts the outcomes while closed.
        streak: Failures in a row, as of the last one; see :meth:`consecutive`.
        streak_at: What the window had counted with that one.
        ignored: Outcomes that counted as neither.
        observed: Observing, and the rules would have opened it: said once.
        probes: Half-open: the probes in flight.
        good_probes: Half-open: results that succeeded.
        bad_probes: Half-open: results that failed, expired leases among them.
        failures: Outcomes of the whole era that failed; the successes are the rest of what its windows counted.
        counted: Calls that were counted by a window the era had before this one.
    """

    __slots__ = (
        "bad_probes", "counted", "counter", "failures", "frozen", "good_probes", "ignored", "length", "mode", "number",
        "observed", "probes", "reason", "since", "state", "streak", "streak_at", "undecided", "until", "window",
    )  # fmt: skip

    def __init__(self, state: CircuitState, mode: Mode, since: float, reason: str, window: Window) -> None:
        self.state = state
        self.mode = mode
        self.since = since
        self.reason = reason
        self.until = LONG_AGO
        self.length = 0.0
        self.number = 0
        self.undecided = False
        self.frozen: Figures | None = None
        self.window = window
        self.counter: Count | None = window
        self.streak = 0
        self.streak_at = 0.0
        self.ignored = 0
        self.observed = False
        self.probes: dict[Ticket, None] | None = None
        self.good_probes = 0
        self.bad_probes = 0
        self.failures = 0
        self.counted = 0.0

    def consecutive(self) -> int:
        """Failures in a row: whatever was counted since the last one was a success."""
        return self.streak if self.window.n == self.streak_at else 0

    def figures(self, now: float, settings: BreakerSettings) -> Figures:
        """What it publishes: the counts of its window, and the rates where they count."""
        counts = self.window.counts(now)
        judged = counts.calls >= settings.min_calls
        return Figures(
            *counts,
            ignored=self.ignored,
            consecutive=self.consecutive(),
            failure_rate=counts.failures / counts.calls if judged else None,
            slow_rate=counts.slow / counts.calls if judged and settings.slow_after is not None else None,
        )


class Refusal(NamedTuple):
    """Why a call may not go ahead.

    Attributes:
        retry_after: Seconds until the next probe is possible; ``None`` when forced open.
        reason: Why the breaker opened.
    """

    retry_after: float | None
    reason: str


class Change(NamedTuple):
    """One transition, for whoever announces it; within one era, a trip that was only observed."""

    old: Era
    era: Era
    reason: str
    opening: int

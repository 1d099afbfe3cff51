"""What a breaker tells about itself. Loaded with the first snapshot: making a frozen dataclass takes a millisecond."""

from __future__ import annotations

from dataclasses import dataclass

from resilix.core.era import CircuitState


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSnapshot:
    """What a breaker looked like at one moment; reading it changed nothing.

    Example::

        quotes.snapshot().failure_rate  # 0.42, or None below min_calls

    Attributes:
        name: The breaker's name.
        state: Closed, open or half-open.
        mode: "normal", or what a person asked for: "forced_open", "disabled", "observing".
        reason: Why it is in this state, in a few words; half-open, why it had opened.
        calls: Successes and failures in the window; like the next six figures, frozen while open.
        failures: How many of them failed.
        slow: How many of them were slow.
        ignored: Outcomes of this era that counted as neither.
        consecutive: Failures in a row.
        failure_rate: Share of failures, or ``None`` below ``min_calls``.
        slow_rate: Share of slow calls, or ``None`` below ``min_calls`` or without ``slow_after``.
        rejected: Calls refused since the breaker was made.
        opening: How often it has opened by itself since it was last closed; 0 when closed by then.
        probes: Probes in flight.
        retry_after: Seconds until the next probe is possible; ``None`` when closed or forced open.
        since: The reading of the breaker's clock when this state began.
    """

    name: str
    state: CircuitState
    mode: str
    reason: str
    calls: int
    failures: int
    slow: int
    ignored: int
    consecutive: int
    failure_rate: float | None
    slow_rate: float | None
    rejected: int
    opening: int
    probes: int
    retry_after: float | None
    since: float

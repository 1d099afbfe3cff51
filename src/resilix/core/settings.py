"""The checked options of a circuit breaker."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from tenacity import RetryCallState
from tenacity.wait import wait_base

from resilix.core import options
from resilix.core.verdict import refuse_async
from resilix.core.window import Counts, CountWindow, TimeWindow, Window
from resilix.errors import ConfigurationError

OWNER = "CircuitBreaker"
UNREACHABLE = math.inf
"""Stands for a rule that is switched off: no count or rate gets there."""

FALLBACK_OPEN_FOR = 30.0
"""Seconds an opening lasts until the user's ``open_for`` function has answered, or when it raised or gave nonsense."""


class Calls(NamedTuple):
    """A window measured in calls rather than seconds; made by :func:`calls`."""

    n: int


def calls(n: int) -> Calls:
    """Measure a breaker's window in calls: ``window=calls(100)`` looks at the last hundred.

    Example::

        quotes = CircuitBreaker("quotes", window=calls(100))

    Args:
        n: How many of the latest calls count; at least 1.

    Raises:
        ConfigurationError: ``n`` is not a whole number of at least 1.
    """
    return Calls(options.whole("calls", "n", n, least=1, why="a window of no calls can show no rate"))


class DefaultInt(int):
    """A default that can be told from the same number written by the user."""


MIN_CALLS = DefaultInt(20)


class BreakerSettings(NamedTuple):
    """Checked and ready for the state machine; durations in seconds, rules that are off unreachable."""

    consecutive: float
    failure_rate: float
    slow_rate: float
    slow_after: float | None
    window: float | Calls
    min_calls: int
    open_for: float | None
    open_for_function: Callable[[int], float] | None
    probes: int
    probe_failures: int
    probe_lease: float

    def new_window(self) -> Window:
        """Make an empty window of the configured kind."""
        return CountWindow(self.window.n) if isinstance(self.window, Calls) else TimeWindow(self.window)

    def trips(self, streak: int, counts: Counts) -> str | None:
        """Which rule opens a breaker that has seen this; ``None`` while none does.

        Args:
            streak: Failures in a row.
            counts: What the window holds.
        """
        if streak >= self.consecutive:
            return "consecutive failures"
        if counts.calls >= self.min_calls:
            if counts.failures / counts.calls >= self.failure_rate:
                return "failure rate"
            if counts.slow / counts.calls >= self.slow_rate:
                return "slow rate"
        return None

    @property
    def slow_probe_fails(self) -> bool:
        """Whether a slow probe is a failed probe."""
        return self.slow_rate != UNREACHABLE


def read_settings(
    *,
    failure_rate: Any,
    slow_rate: Any,
    slow_after: Any,
    consecutive: Any,
    window: Any,
    min_calls: Any,
    open_for: Any,
    probes: Any,
    probe_failures: Any,
    probe_lease: Any,
) -> BreakerSettings:
    """Check the options of a breaker.

    Raises:
        ConfigurationError: One of them, or a combination, cannot mean anything sensible.
    """
    if consecutive is None and failure_rate is None and slow_rate is None:
        raise ConfigurationError(
            "CircuitBreaker(consecutive=None, failure_rate=None, slow_rate=None): no rule is left that could "
            "open it; leave at least one on, or call .disable() to let everything through"
        )
    if consecutive is not None:
        options.whole(OWNER, "consecutive", consecutive, least=1, why="it opens after this many failures in a row")
    if failure_rate is not None:
        failure_rate = options.ratio(OWNER, "failure_rate", failure_rate)
    slow_rate, slow_after = _slow(slow_rate, slow_after)
    if not isinstance(window, Calls):
        window = options.duration(OWNER, "window", window)
    seconds, function = _open_for(open_for)
    options.whole(OWNER, "probes", probes, least=1, why="without a probe an open breaker could never close")
    options.whole(OWNER, "probe_failures", probe_failures, least=0, why="it is how many probes may fail")
    if probe_failures >= probes:
        raise options.refuse(
            OWNER,
            "probe_failures",
            probe_failures,
            f"with probes={probes} that many failures can never be exceeded, so no probe could reopen it",
            f"write probe_failures={probes - 1} or less, or more probes",
        )
    settings = BreakerSettings(
        consecutive=UNREACHABLE if consecutive is None else consecutive,
        failure_rate=UNREACHABLE if failure_rate is None else failure_rate,
        slow_rate=UNREACHABLE if slow_rate is None else slow_rate,
        slow_after=slow_after,
        window=window,
        min_calls=_min_calls(min_calls, window),
        open_for=seconds,
        open_for_function=function,
        probes=probes,
        probe_failures=probe_failures,
        probe_lease=options.duration(OWNER, "probe_lease", probe_lease),
    )
    # A user's function may not be hashable, or think itself equal to another.
    return _shared(settings) if function is None else settings


@functools.lru_cache(maxsize=64)
def _shared(settings: BreakerSettings) -> BreakerSettings:
    """One object for all breakers with the same rules: there may be one breaker for each of 100,000 keys."""
    return settings


def _slow(slow_rate: Any, slow_after: Any) -> tuple[float | None, float | None]:
    if slow_after is not None:
        slow_after = options.duration(OWNER, "slow_after", slow_after)
    if slow_rate is not None:
        slow_rate = options.ratio(OWNER, "slow_rate", slow_rate)
        if slow_after is None:
            raise options.refuse(
                OWNER,
                "slow_rate",
                slow_rate,
                "a rate of slow calls needs to know what slow is",
                "add slow_after=2.0 (seconds)",
            )
    return slow_rate, slow_after


def _min_calls(min_calls: Any, window: float | Calls) -> int:
    least = options.whole(OWNER, "min_calls", min_calls, least=1, why="a rate needs at least one call")
    if not isinstance(window, Calls) or least <= window.n:
        return least
    if isinstance(min_calls, DefaultInt):
        return window.n
    raise options.refuse(
        OWNER,
        "min_calls",
        min_calls,
        f"a window of calls({window.n}) never holds that many, so no rate would ever be judged",
        f"write min_calls={window.n} or less, or a larger window",
    )


def _open_for(open_for: Any) -> tuple[float | None, Callable[[int], float] | None]:
    if isinstance(open_for, wait_base):
        wait = open_for

        def from_tenacity(opening: int) -> float:
            state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
            state.attempt_number = opening
            return wait(state)

        return None, from_tenacity
    refuse_async(OWNER, "open_for", open_for)
    if callable(open_for) and not isinstance(open_for, type):
        return None, cast("Callable[[int], float]", open_for)
    return options.duration(OWNER, "open_for", open_for), None


def opening_seconds(function: Callable[[int], Any], opening: int) -> float:
    """Ask the user's ``open_for`` function. Runs user code: never call it under a lock.

    Raises:
        Exception: Whatever the function raised, or that its answer is not a duration.
    """
    return options.duration(OWNER, "open_for", function(opening), zero="an immediate probe")

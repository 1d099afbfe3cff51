"""What a pipeline does to a dependency in trouble, in one short paragraph: behind ``explain(simulate=True)``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from resilix.core.verdict import Verdict
from resilix.policies.base import Policy
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.bulkhead import Bulkhead
from resilix.policies.hazards import flatten
from resilix.policies.retry import Retry
from resilix.policies.timeout import Timeout
from resilix.testing.durations import exponential
from resilix.testing.simulation.dependency import Dependency
from resilix.testing.simulation.load import poisson
from resilix.testing.simulation.result import Result
from resilix.testing.simulation.run import simulate
from resilix.testing.simulation.trouble import outage, stall

LOADED: Final = 0.7
"""Share of the dependency's capacity that the calls need: a healthy service, with some reserve."""

BEGIN, DOWN, STALLED = 30.0, 45.0, 3.0
"""Seconds: when the trouble begins, how long the outage is, how long the stall."""

AFTER = 90.0
"""Seconds that are watched after the trouble, besides what the breakers stay open."""

QUICK: Final = 0.02
"""Seconds of service from which on down all times are shorter in proportion, for so many more calls come in them."""

AMPLIFIES: Final = 1.5
"""Attempts per call in an outage from which on we speak of amplification."""

COMMON: Final[tuple[type[Exception], ...]] = (ConnectionError, TimeoutError, OSError, RuntimeError)
"""Errors that are tried, before those the policies name: what they retry or count is what the dependency fails with."""


def paragraph(policy: Policy[Any]) -> str:
    """Simulate an outage and a stall, and say what came of them.

    Args:
        policy: The policy; fresh copies of it are simulated.

    Raises:
        ConfigurationError: Virtual time, or a simulation, is running; or a policy waits in sync code.
    """
    flat = flatten((policy,))
    capacity = min([5, *(max(1, one.limit // 2) for one in flat if isinstance(one, Bulkhead))])
    service = min([0.1, *(one.seconds / 10 for one in flat if isinstance(one, Timeout))])
    most = capacity / service
    error = _error(flat)
    pace = min(1.0, service / QUICK)
    begin, out, stop = pace * BEGIN, pace * DOWN, pace * STALLED
    seconds = begin + out + pace * AFTER + 2 * _longest_opening(flat)

    def run(episode: Any, length: float = seconds) -> Result:
        there = Dependency(capacity=capacity, service=exponential(service), script=episode, error=error)
        return simulate(policy, load=poisson(LOADED * most), dependency=there, seconds=length)

    # By itself, for beside a breaker that stays open for an hour the whole outage would be less than one step.
    during = run(outage(begin, out), begin + out)
    down, stalled = run(outage(begin, out)), run(stall(begin, stop))
    return " ".join(
        [
            f"Simulated with {_rate(LOADED * most)} calls/s on a dependency that can answer {_rate(most)}/s.",
            _in_outage(during),
            _afterwards(f"After an outage of {out:.3g} s", down),
            _afterwards(f"After a stall of {stop:.3g} s", stalled),
        ]
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _in_outage(result: Result) -> str:
    (trouble,) = result.trouble
    steps = [one for one in result.steps if one.at >= trouble.start]
    calls = sum(one.calls for one in steps)
    each = sum(one.arrived for one in steps) / calls if calls else 0.0
    attempts = f"{each:.2f} attempts per call"
    opened = "no breaker opens" if result.time_to_open is None else f"a breaker opens after {result.time_to_open:.1f} s"
    if each >= AMPLIFIES:
        return f"In an outage {opened}, and it amplifies: {attempts}. Give the retry a budget, or a breaker inside it."
    return f"In an outage {opened}, and it does not amplify: {attempts}."


def _afterwards(after: str, result: Result) -> str:
    if result.time_to_recover is not None:
        return f"{after} calls succeed as before {result.time_to_recover:.1f} s later."
    share = result.steps[-1].success_share
    reason = "; the dependency works on requests that nobody waits for any more" if result.dependency.wasted else ""
    return f"{after} it does not recover: at the end {share:.0%} of the calls succeed{reason}."


def _longest_opening(flat: Sequence[Any]) -> float:
    """The longest time a breaker stays open the first time, in seconds; an hour at most."""
    # The state machine has the options checked and in seconds.
    cores = [one._core for one in flat if isinstance(one, CircuitBreaker)]  # pyright: ignore[reportPrivateUsage]
    return min(3600.0, max((core.settings.open_for or 0.0 for core in cores), default=0.0))


def _error(flat: Sequence[Any]) -> type[Exception]:
    """The kind of error that most of the policies retry or count."""
    judging = [one for one in flat if isinstance(one, (CircuitBreaker, Retry))]
    named = [kind for one in judging for kind in _named_by(one)]
    return max(dict.fromkeys((*COMMON, *named)), key=lambda kind: sum(_counts(one, kind) for one in judging))


def _named_by(policy: CircuitBreaker | Retry) -> list[type[Exception]]:
    # What a policy was told to look for has no public name.
    matcher = policy.plan._on if isinstance(policy, Retry) else policy._judge._on  # pyright: ignore[reportPrivateUsage]
    return list(matcher.types)


def _counts(policy: CircuitBreaker | Retry, kind: type[Exception]) -> bool:
    """Whether a policy would retry or count an error; one that cannot be made from a text counts for none."""
    with suppress(Exception):  # a predicate of the user's, which knows nothing of such an error
        error = kind("simulated")
        if isinstance(policy, Retry):
            return bool(policy.plan.judge_error(error, policy.plan.state(0.0, None, (), {})).wanted)
        # The policy's own judge, so that predicates and ``ignore`` count.
        return policy._judge.error(error) is Verdict.FAILURE  # pyright: ignore[reportPrivateUsage]
    return False

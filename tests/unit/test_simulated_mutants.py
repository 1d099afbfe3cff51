"""What simulations must show of sound policies, and that they show when a policy is not sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.explored_mutants import BREAKER, BULKHEAD, RETRY, Plant, instead, planted

from resilix import Bulkhead, CircuitBreaker, Policy, RetryBudget, pipeline, retry, runtime, timeout
from resilix.attention import GIL
from resilix.core.breaker import BreakerCore
from resilix.core.verdict import Verdict
from resilix.testing.simulation import Dependency, Result, black_hole, outage, poisson, simulate

LIMIT, TOKENS, COST, SECONDS = 6, 70, 14, 1.0
TROUBLE = [outage(start=20, seconds=10), black_hole(start=60, seconds=10)]


class InFlight(Policy[Any]):
    """Counts calls that are under way inside it.

    Attributes:
        most: The most at one moment.
    """

    def __init__(self) -> None:
        self.most = 0
        self._now = 0

    async def acall(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            return await fn(*args, **kwargs)
        finally:
            self._now -= 1


def run(*, breaks: bool = True) -> tuple[Result, InFlight]:
    """An outage and a black hole, lived through by all of them together, or without a breaker."""
    inside = InFlight()

    def policies() -> Policy[Any]:
        trouble = (ConnectionError, TimeoutError)
        budget = RetryBudget("quotes", tokens=TOKENS, cost=COST)
        again = retry(on=trouble, attempts=3, budget=budget)
        breaker = CircuitBreaker("quotes", on=trouble, open_for=2.0)
        slots = Bulkhead("quotes", limit=LIMIT, max_wait=0.2)
        return pipeline(again, *([breaker] if breaks else []), slots, timeout(SECONDS), inside)

    there = Dependency(capacity=10, service=0.1, script=TROUBLE)
    return simulate(policies, load=poisson(40), dependency=there, seconds=120, seed=7), inside


def asked(result: Result, begin: float, end: float) -> tuple[int, int]:
    """How many requests arrived between two moments, and how many calls came."""
    steps = [one for one in result.steps if begin <= one.at < end]
    return sum(one.arrived for one in steps), sum(one.calls for one in steps)


def look(result: Result, inside: InFlight) -> None:
    """What holds whatever happens to the dependency."""
    assert inside.most <= LIMIT, f"{inside.most} in flight"
    arrived, calls = asked(result, 20, 30)
    # Until it opens: 10 failures in a row, and those under way. Then one probe for each opening.
    assert arrived <= 10 + LIMIT + 10 / 2.0 + 1, f"{arrived} requests for {calls} calls while it was down"
    arrived, calls = asked(result, 64, 70)
    assert arrived <= 6 / 2.0 + 1, f"{arrived} requests for {calls} calls while it answered nothing"
    assert result.time_to_open is not None, "it never opened"
    assert result.time_to_open < 1.0
    assert result.recovered, "it never recovered"
    assert result.latency.most < 3 * (SECONDS + 0.2) + 0.1 + 0.2 + 0.1, f"a call took {result.latency.most:.1f} s"
    assert result.false_opens == 0


def _no_probe_is_good(settle: Any, self: BreakerCore, era: Any, ticket: Any, verdict: Verdict, *rest: Any) -> None:
    settle(self, era, ticket, Verdict.IGNORED if verdict is Verdict.SUCCESS else verdict, *rest)


MUTANTS: dict[str, tuple[Plant, str]] = {
    "a place is handed over and freed as well": (
        BULKHEAD["a place is handed over and freed as well"].plant,
        "in flight",
    ),
    "there is no bound on probes": (BREAKER["there is no bound on probes"].plant, "while it answered nothing"),
    "a breaker counts no failure": (
        instead(BreakerCore, "report", lambda report, self, era, verdict, now, **slow: None),
        "while it was down",
    ),
    "no probe is good": (instead(BreakerCore, "_settle_probe", _no_probe_is_good), "never recovered"),
    "a timeout never expires": (instead(runtime.Expiry, "_fire", lambda fire, self: None), "never recovered"),
}
if GIL:  # without one, a place that nobody has any more comes back by itself
    stays = "a caller that gives up stays in line"
    MUTANTS[stays] = (BULKHEAD[stays].plant, "never recovered")


def test_sound_policies_keep_what_they_promise_in_trouble() -> None:
    """In flight at most the limit, few requests to the dead, opened within a second, recovered, no call takes long."""
    look(*run())


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_shows(name: str) -> None:
    """One simulation is enough."""
    plant, shown = MUTANTS[name]
    with planted(plant):
        result, inside = run()
    with pytest.raises(AssertionError, match=shown):
        look(result, inside)


def spent(result: Result) -> int:
    """Further attempts in the outage."""
    arrived, calls = asked(result, 20, 30)
    return arrived - calls


def test_a_budget_bounds_the_attempts_of_an_outage_and_its_loss_would_show() -> None:
    """Without a breaker: so many further attempts as there are tokens for, and no more however long it lasts."""
    most = TOKENS // COST + LIMIT  # and calls that came before the outage, and fail in it
    assert 0 < spent(run(breaks=False)[0]) <= most
    with planted(RETRY["an empty budget still pays"].plant):
        assert spent(run(breaks=False)[0]) > 10 * most

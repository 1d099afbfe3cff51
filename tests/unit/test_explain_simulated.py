"""``explain(simulate=True)``: whether a pipeline amplifies an outage, and whether it recovers, in one paragraph."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Never

import pytest

from resilix import (
    Bulkhead,
    CircuitBreaker,
    CircuitState,
    ConfigurationError,
    Policy,
    RetryBudget,
    pipeline,
    retry,
    timeout,
)
from resilix.testing import virtual_time
from resilix.testing.simulation import verdict


class QuotesError(Exception):
    """Somebody's own."""


class CodedError(Exception):
    """Cannot be made from a text alone."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)


def simulated(*policies: Any) -> str:
    """The paragraph."""
    text = pipeline(*policies).explain(simulate=True).simulated
    assert isinstance(text, str)
    return text


def test_naive_retries_amplify_and_do_not_recover_from_a_stall() -> None:
    """Both said, with figures and what helps."""
    text = simulated(retry(on=Exception, attempts=4, wait=0.05), timeout(1.0))
    assert re.search(
        r"no breaker opens, and it amplifies: [34]\.\d\d attempts per call\. Give the retry a budget", text
    )
    assert "After a stall of 3 s it does not recover: at the end" in text
    assert "requests that nobody waits for any more" in text


def test_a_breaker_and_a_budget_do_neither() -> None:
    """It opens, does not amplify, and recovers from both."""
    text = simulated(
        retry(on=Exception, budget=RetryBudget("b")), CircuitBreaker("explained", open_for=5.0), timeout(1.0)
    )
    assert "a breaker opens after 0." in text
    assert "it does not amplify" in text
    assert text.count("calls succeed as before") == 2


def test_beside_a_breaker_that_stays_open_for_an_hour_an_outage_is_still_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that counts other errors opens never, and the retries are all there."""
    monkeypatch.setattr(verdict, "LOADED", 0.05)  # few calls, for the sake of time
    long = CircuitBreaker("long", on=KeyError, open_for=3600)
    text = simulated(retry(on=ConnectionError, attempts=4, wait=0.05), long, Bulkhead("two", limit=2))
    assert re.search(r"it amplifies: [34]\.\d\d attempts per call", text)


def test_a_short_timeout_shortens_all_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a timeout of milliseconds would mean millions of calls; rates are written out."""
    monkeypatch.setattr(verdict, "LOADED", 0.05)
    calls = 0

    class Counting(Policy[Never]):
        """Counts the calls made under it."""

        async def acall(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
            """Make the call."""
            nonlocal calls
            calls += 1
            return await fn(*args, **kwargs)

    text = simulated(Counting(), timeout(0.01))
    assert "Simulated with 250 calls/s on a dependency that can answer 5,000/s." in text
    assert text.count("calls succeed as before") == 2
    assert calls < 10_000


def test_a_bulkhead_s_size_sets_the_scale() -> None:
    """Else it would refuse calls without any trouble."""
    assert "Simulated with 7 calls/s on a dependency that can answer 10/s" in simulated(Bulkhead("few", limit=3))


@pytest.mark.parametrize(
    ("kind", "on"),
    [
        ("builtin", ConnectionError),
        ("own", QuotesError),
        ("several", (KeyError, QuotesError)),
        ("predicate", lambda error: "down" in str(error)),
    ],
)
def test_the_dependency_fails_with_what_the_policies_count(kind: str, on: Any) -> None:
    """Types of the user's own and predicates included: the breaker opens."""
    assert "a breaker opens" in simulated(CircuitBreaker(f"counts {kind}", on=on))


def test_what_cannot_be_made_is_not_simulated() -> None:
    """A breaker that counts nothing else does not open, and nothing breaks."""
    assert "no breaker opens" in simulated(CircuitBreaker("coded", on=CodedError))


def test_it_is_the_same_every_time_and_leaves_the_policies_alone() -> None:
    """The paragraph is part of the text; without asking there is none."""
    breaker = CircuitBreaker("same")
    guard = pipeline(breaker, timeout(1.0))
    first, second = guard.explain(simulate=True), guard.explain(simulate=True)
    assert first == second
    assert str(first).endswith(str(first.simulated))
    assert guard.explain().simulated is None
    assert breaker.state is CircuitState.CLOSED


def test_it_says_where_it_cannot_be_done() -> None:
    """Inside virtual time; and when asked for with something that is neither yes nor no."""
    guard = pipeline(timeout(1.0))
    with virtual_time(), pytest.raises(ConfigurationError, match="only one clock"):
        guard.explain(simulate=True)
    with pytest.raises(ConfigurationError, match="simulate='yes'"):
        guard.explain(simulate="yes")  # type: ignore[arg-type]  # the mistake

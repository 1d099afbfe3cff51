"""How long a breaker stays open, what its figures show meanwhile, and which results count."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from tenacity import retry_if_result, wait_exponential
from tests.support.breaker import FakeClock, a_breaker, fail, recorded, refusal

from resilix import CircuitBreaker, CircuitOpenError, CircuitState, calls, events


def fine() -> str:
    return "answer"


def openings(breaker: CircuitBreaker, clock: FakeClock, count: int) -> list[float]:
    """Fail, wait for the probe, fail it again: how long each opening lasts."""
    lengths = []
    for _ in range(count):
        fail(breaker)
        left = refusal(breaker).retry_after
        assert left is not None
        lengths.append(left)
        clock.advance(left)
    return lengths


def test_a_function_of_the_openings_number_decides_and_starts_again_after_closing() -> None:
    """1, 2, 3 while probes fail; 1 again once it was closed."""
    clock = FakeClock(0.0)
    breaker = a_breaker(clock, consecutive=1, open_for=lambda n: 5.0 * n)
    assert openings(breaker, clock, 3) == [5.0, 10.0, 15.0]
    assert breaker.call(fine) == "answer"
    assert breaker.state is CircuitState.CLOSED
    assert openings(breaker, clock, 2) == [5.0, 10.0]


def test_a_tenacity_wait_decides_as_it_would_for_attempts() -> None:
    """wait_exponential(multiplier=5, max=30) gives 5, 10, 20, 30, 30."""
    clock = FakeClock(0.0)
    breaker = a_breaker(clock, consecutive=1, open_for=wait_exponential(multiplier=5, max=30))
    assert openings(breaker, clock, 5) == [5.0, 10.0, 20.0, 30.0, 30.0]


@pytest.mark.parametrize("broken", [lambda n: 1 / 0, lambda n: -1.0, lambda n: "soon", lambda n: float("nan")])
def test_a_function_that_fails_leaves_an_opening_of_30_seconds(broken: Callable[[int], Any]) -> None:
    """The breaker opens all the same, and an event tells of the broken function."""
    clock, seen = FakeClock(0.0), []
    breaker = a_breaker(clock, consecutive=1, open_for=broken)
    stop = events.subscribe(seen.append)
    try:
        assert openings(breaker, clock, 1) == [30.0]
    finally:
        stop()
    assert [one.hook for one in seen if isinstance(one, events.HookError)] == ["open_for"]


def test_a_manual_opening_does_not_advance_the_number() -> None:
    """It lasts as long as the next opening by itself would, and that one is still the first."""
    clock = FakeClock(0.0)
    breaker = a_breaker(clock, consecutive=1, open_for=lambda n: 5.0 * n)
    breaker.open(reason="maintenance")
    assert (breaker.snapshot().retry_after, breaker.snapshot().reason) == (5.0, "maintenance")
    clock.now = 5.0
    assert breaker.call(fine) == "answer"
    assert openings(breaker, clock, 1) == [5.0]


def test_every_transition_says_why_it_happened() -> None:
    """Half-open because the time is over; what had opened it stays the reason that refused callers are given."""
    clock = FakeClock(0.0)
    breaker = a_breaker(clock, consecutive=1, open_for=5.0, probe_lease=2.0)
    with recorded(breaker) as seen:
        fail(breaker)
        clock.advance(5.0)
        fail(breaker)
        clock.advance(5.0)
        breaker.acquire()
        assert (refusal(breaker).reason, breaker.snapshot().reason) == ("probe failed", "probe failed")
        clock.advance(2.0)
        assert refusal(breaker).reason == "probe lease expired"
        clock.advance(5.0)
        assert breaker.call(fine) == "answer"
    assert [(one.from_state, one.to_state, one.reason) for one in seen if isinstance(one, events.Transition)] == [
        ("closed", "open", "consecutive failures"),
        ("open", "half_open", "open time over"),
        ("half_open", "open", "probe failed"),
        ("open", "half_open", "open time over"),
        ("half_open", "open", "probe lease expired"),
        ("open", "half_open", "open time over"),
        ("half_open", "closed", "probes succeeded"),
    ]


def test_a_probe_is_admitted_exactly_when_the_opening_is_over_and_not_before() -> None:
    """4.999 s refuse, 5.000 s admit; until then it reads open."""
    clock = FakeClock(0.0)
    breaker = a_breaker(clock, consecutive=1, open_for=5.0)
    fail(breaker)
    clock.now = 4.999
    with pytest.raises(CircuitOpenError):
        breaker.acquire()
    clock.now = 5.0
    assert breaker.state is CircuitState.OPEN
    permit = breaker.acquire()
    assert breaker.state is CircuitState.HALF_OPEN
    permit.success()
    assert breaker.state is CircuitState.CLOSED


def test_the_rates_of_the_moment_of_opening_stay_while_it_is_open() -> None:
    """Late outcomes and time change nothing that is published."""
    clock = FakeClock(0.0)
    breaker = a_breaker(clock, consecutive=None, window=calls(4), on=ConnectionError)
    late = breaker.acquire()
    for _ in range(2):
        breaker.call(fine)
        fail(breaker)
    assert breaker.state is CircuitState.OPEN
    before = breaker.snapshot()
    late.failure()
    clock.now += 3.0
    after = breaker.snapshot()
    assert (before.failure_rate, before.calls, before.failures) == (0.5, 4, 2)
    assert (after.failure_rate, after.calls, after.failures) == (0.5, 4, 2)


def test_a_tenacity_predicate_on_results_counts_results() -> None:
    """retry_if_result names results that are failures; a predicate that raises makes them ignored."""
    breaker = a_breaker(on=retry_if_result(lambda result: result == "sorry"), consecutive=2)
    assert breaker.call(lambda: "sorry") == "sorry"
    assert breaker.call(fine) == "answer"
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (2, 1)
    picky = a_breaker(on=retry_if_result(lambda result: result > 3), consecutive=2)
    assert picky.call(fine) == "answer"
    assert (picky.snapshot().calls, picky.snapshot().ignored) == (0, 1)


async def _later(result: object) -> bool:
    return True


def test_a_predicate_that_hands_back_a_coroutine_gives_no_verdict() -> None:
    """Nobody would await it: the verdict is ignored, and the result stands."""
    made = []

    def lazy(result: object) -> Any:
        made.append(_later(result))
        return made[-1]

    breaker = a_breaker(on_result=lazy)
    assert breaker.call(fine) == "answer"
    assert (breaker.snapshot().calls, breaker.snapshot().ignored) == (0, 1)
    made[0].close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_probes_of_the_parent_do_not_block_a_forked_child() -> None:
    """What the hook of os.register_at_fork does: the child has its probe free, and the parent's outcome is an echo."""
    clock = FakeClock(0.0)
    breaker = a_breaker(clock, consecutive=1, open_for=1.0)
    fail(breaker)
    clock.now = 1.0
    parents = breaker.acquire()
    with pytest.raises(CircuitOpenError):
        breaker.acquire()
    breaker._after_fork()
    childs = breaker.acquire()
    parents.failure()
    assert breaker.state is CircuitState.HALF_OPEN
    childs.success()
    assert breaker.state is CircuitState.CLOSED

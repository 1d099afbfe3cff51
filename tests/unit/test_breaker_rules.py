"""The rules at their borders, changed while it runs, and by the clock: what one number more or less would change."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import pytest
from tests.support.breaker import FakeClock, a_breaker, admitted, fail, half_open, refusal, succeed

from resilix import CircuitBreaker, CircuitOpenError, CircuitState, calls, events
from resilix.attention import GIL
from resilix.core.breaker import BreakerCore


def core_of(breaker: CircuitBreaker) -> BreakerCore:
    return breaker._core


def quiet(breaker: CircuitBreaker) -> bool:
    """Whether the next call takes the quiet path: no ticket, and a success takes no lock."""
    core = core_of(breaker)
    return core.quiet is core.era and core.era.counter is core.era.window


# -- borders -----------------------------------------------------------------------------------------------------


def test_the_slow_rate_is_inclusive() -> None:
    """Exactly the threshold opens it, as the failure rate does; a call of exactly slow_after is not slow."""
    clock = FakeClock()
    options: dict[str, Any] = {"slow_rate": 0.5, "slow_after": 1.0, "min_calls": 2, "window": calls(4)}
    breaker = a_breaker(clock, **options)
    breaker.call(clock.advance, 1.0)
    breaker.call(clock.advance, 1.5)
    assert (breaker.state, breaker.snapshot().slow_rate) == (CircuitState.OPEN, 0.5)
    assert breaker.snapshot().reason == "slow rate"


def test_a_rate_counts_from_the_twentieth_call_by_default() -> None:
    """Nineteen failures of nineteen open nothing; with the twentieth call the rate is judged."""
    breaker = a_breaker(consecutive=None)
    fail(breaker, 19)
    assert (breaker.state, breaker.snapshot().failure_rate) == (CircuitState.CLOSED, None)
    fail(breaker)
    assert breaker.state is CircuitState.OPEN


def test_an_opening_whose_length_is_being_asked_for_refuses_for_30_seconds() -> None:
    """While the user's function runs, other callers are refused, and told what holds if it never answers."""
    told: list[float | None] = []

    def asked(opening: int) -> float:
        told.append(refusal(breaker).retry_after)
        return 5.0

    breaker = a_breaker(FakeClock(100.0), consecutive=1, open_for=asked)
    fail(breaker)
    assert (told, refusal(breaker).retry_after) == ([30.0], 5.0)


def test_the_first_trip_that_is_only_observed_is_told() -> None:
    """Also when the very first call of the era is the one that would have opened it; then no more of them."""
    breaker = a_breaker(consecutive=1)
    seen: list[events.Event] = []
    stop = events.subscribe(seen.append)
    try:
        breaker.observe()
        fail(breaker, 2)
    finally:
        stop()
    assert len([one for one in seen if isinstance(one, events.TripObserved)]) == 1


def test_a_success_at_the_edge_of_a_slice_belongs_to_the_next_one() -> None:
    """It is forgotten with that one: twenty slices later, what came before has left and it has not."""
    clock = FakeClock(0.0)
    breaker = a_breaker(clock, window=20.0)
    fail(breaker)
    clock.now = 1.0
    succeed(breaker)
    clock.now = 20.0
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (1, 0)


def test_a_clock_below_zero_is_a_clock() -> None:
    """Only differences matter: closed it admits, counts and opens; half-open it tells the time to the next probe."""
    clock = FakeClock(-5.0)
    breaker = a_breaker(clock, consecutive=2, open_for=5.0, probe_lease=2.0, on_result=lambda result: False)
    succeed(breaker)
    fail(breaker, 2)
    assert (breaker.snapshot().calls, refusal(breaker).retry_after) == (3, 5.0)
    clock.now = 0.5
    assert admitted(breaker) is not None
    assert refusal(breaker).retry_after == 2.0


# -- the quiet path ----------------------------------------------------------------------------------------------


def test_an_interpreter_that_does_not_say_has_a_gil() -> None:
    """Before Python 3.13 there is always one, and a breaker uses its quiet path."""
    assert getattr(sys, "_is_gil_enabled", lambda: True)() == GIL


def test_a_plain_breaker_begins_on_the_quiet_path() -> None:
    """Nothing is judged but errors: a success is one addition, and takes no lock."""
    assert quiet(a_breaker())
    assert not quiet(a_breaker(on_result=lambda result: False))
    assert not quiet(a_breaker(slow_after=1.0))


def test_the_first_success_after_a_failure_leads_back_to_the_quiet_path() -> None:
    """Once it has ended the streak, successes can only lower the rates; not so below min_calls."""
    breaker = a_breaker(window=calls(10), min_calls=4)
    fail(breaker)
    assert not quiet(breaker)
    succeed(breaker, 2)
    assert not quiet(breaker), "the fourth call may be the success that makes the rate count"
    succeed(breaker)
    assert quiet(breaker)
    fail(breaker)
    succeed(breaker)
    assert quiet(breaker)


def test_a_success_leads_back_to_the_quiet_path_after_a_change_of_rules() -> None:
    """With no failure in the window it can change nothing, however few calls there are."""
    breaker = a_breaker()
    breaker.reconfigure(failure_rate=0.9)
    assert not quiet(breaker)
    succeed(breaker)
    assert quiet(breaker)


def test_only_a_window_in_seconds_needs_the_time() -> None:
    """A window of calls has no edge that time can reach, so a success need not read the clock; also when changed."""
    breaker = a_breaker(window=calls(10), min_calls=5)
    assert core_of(breaker).lazy is core_of(breaker).era
    breaker.reconfigure(window=30.0)
    assert core_of(breaker).lazy is None
    breaker.reconfigure(window=calls(10))
    assert core_of(breaker).lazy is core_of(breaker).era
    assert core_of(a_breaker(window=30.0)).lazy is None


# -- other rules while it runs ------------------------------------------------------------------------------------


def test_a_streak_that_is_longer_than_the_new_rule_opens_at_the_next_failure() -> None:
    """Four failures, then consecutive=3: the fifth opens it, although three have long been passed."""
    breaker = a_breaker(consecutive=10)
    fail(breaker, 4)
    breaker.reconfigure(consecutive=3)
    assert breaker.state is CircuitState.CLOSED
    fail(breaker)
    assert (breaker.state, breaker.snapshot().reason) == (CircuitState.OPEN, "consecutive failures")


def test_durations_are_judged_as_soon_as_slow_after_is_set() -> None:
    """A breaker that took the quiet path must leave it, and may take it again afterwards."""
    clock = FakeClock()
    breaker = a_breaker(clock)
    breaker.reconfigure(slow_after=1.0)
    breaker.call(clock.advance, 2.0)
    assert breaker.snapshot().slow == 1
    breaker.reconfigure(slow_after=None)
    assert core_of(breaker).quiet is core_of(breaker).era


def test_the_next_success_is_judged_by_the_new_rules() -> None:
    """A success of a quiet breaker opens it, when the rate is over the new threshold already."""
    breaker = a_breaker(failure_rate=0.9, consecutive=None, window=calls(10), min_calls=2)
    fail(breaker)
    succeed(breaker, 2)
    breaker.reconfigure(failure_rate=0.2)
    succeed(breaker)
    assert (breaker.state, breaker.snapshot().reason) == (CircuitState.OPEN, "failure rate")


def test_more_results_than_the_new_number_of_probes_decide() -> None:
    """Three good ones of five are in when two are declared enough: it closes."""
    clock = FakeClock()
    breaker, probe = half_open(clock, probes=5)
    probe.success()
    for _ in range(2):
        breaker.acquire().success()
    breaker.reconfigure(probes=2)
    assert breaker.state is CircuitState.CLOSED


def test_more_probes_out_than_the_new_number_leave_none_free() -> None:
    """The next probe is possible when the leases have run out or the opening after them is over, not at once."""
    clock = FakeClock()
    breaker, _ = half_open(clock, probes=3, probe_lease=0.5)
    breaker.acquire()
    breaker.reconfigure(probes=1)
    assert breaker.snapshot().retry_after == 0.5
    with pytest.raises(CircuitOpenError):
        breaker.acquire()


def test_a_forked_child_finds_an_open_breaker_open() -> None:
    """Only probes are forgotten: an opening lasts as long as it lasts in the parent."""
    clock = FakeClock()
    breaker = a_breaker(clock, consecutive=1, open_for=5.0)
    fail(breaker)
    core_of(breaker).after_fork()
    assert (breaker.state, refusal(breaker).retry_after) == (CircuitState.OPEN, 5.0)


def test_a_snapshot_cannot_be_changed() -> None:
    """It says how things were."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        a_breaker().snapshot().rejected = 3  # type: ignore[misc]

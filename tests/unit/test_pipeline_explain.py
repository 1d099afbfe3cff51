"""``explain()``: the worst case of one call, figured out by hand, and what is dangerous about an order, in words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import tenacity
from tests.support.front import Traced, breaker, fresh, warned

from resilix import (
    Bulkhead,
    Policy,
    RejectedError,
    RetryBudget,
    TimeoutExceededError,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.testing import virtual_time


def again(**options: Any) -> Any:
    return retry(on=ConnectionError, **options)


def slots(**options: Any) -> Bulkhead:
    return Bulkhead(fresh("front-slots"), limit=3, **options)


# (policies, attempts, seconds), each figured out by hand
CASES: list[tuple[list[Any], int | None, float | None]] = [
    ([timeout(2.0)], 1, 2.0),
    ([breaker()], 1, None),
    ([again(attempts=3, wait=1.0), timeout(2.0)], 3, 3 * 2.0 + 2 * 1.0),
    ([again(attempts=3, wait=0), timeout(2.0)], 3, 6.0),
    ([again(attempts=1), timeout(2.0)], 1, 2.0),
    # the default waits at most 0.1, 0.2, 0.4 s …, never more than 10 s
    ([again(attempts=4), timeout(2.0)], 4, 4 * 2.0 + 0.1 + 0.2 + 0.4),
    ([again(attempts=10), timeout(1.0)], 10, 10.0 + 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2 + 6.4 + 10 + 10),
    # the place in line is part of each attempt
    ([again(attempts=3, wait=1.0), slots(max_wait=0.5), timeout(2.0)], 3, 3 * 2.5 + 2.0),
    ([slots(max_wait=0.5), timeout(2.0)], 1, 2.5),
    ([slots(max_wait=None), timeout(2.0)], 1, None),
    # a bound around everything
    ([timeout(5.0), again(attempts=3, wait=1.0), timeout(2.0)], 3, 5.0),
    ([timeout(30.0), again(attempts=3, wait=1.0), timeout(2.0)], 3, 8.0),
    ([timeout(30.0), slots(max_wait=None)], 1, 30.0),
    # no wait may pass ``within``, so the last attempt begins by then
    ([again(attempts=10, wait=1.0, within=5.0), timeout(2.0)], 10, 7.0),
    ([again(attempts=2, wait=1.0, within=50.0), timeout(2.0)], 2, 5.0),
    ([again(attempts=None, wait=0, within=5.0), timeout(2.0)], None, 7.0),
    ([again(attempts=None, within=5.0), timeout(2.0)], None, 7.0),
    # waits that are tenacity's, where a bound can be read off them
    ([again(attempts=3, wait=tenacity.wait_fixed(1)), timeout(2.0)], 3, 8.0),
    ([again(attempts=3, wait=tenacity.wait_random(0, 4)), timeout(2.0)], 3, 14.0),
    ([again(attempts=3, wait=tenacity.wait_exponential(max=5)), timeout(2.0)], 3, 16.0),
    ([again(attempts=3, wait=tenacity.wait_none()), timeout(2.0)], 3, 6.0),
    # waits that somebody's function decides
    ([again(attempts=3, wait=lambda attempt: 1.0), timeout(2.0)], 3, None),
    ([retry(on=lambda error: True, attempts=3, wait=1.0), timeout(2.0)], 3, None),
    ([retry(on=lambda error: True, attempts=3, wait=1.0, within=9.0), timeout(2.0)], 3, 11.0),
    # cooperative: ends nothing by itself
    ([timeout(2.0, cooperative=True)], 1, None),
    # nothing bounds an attempt
    ([again(attempts=3, wait=1.0)], 3, None),
    ([fallback(None, on=ConnectionError), again(attempts=2, wait=1.0), breaker(), slots(), timeout(2.0)], 2, 5.0),
]


@pytest.mark.parametrize(("policies", "attempts", "seconds"), CASES)
def test_the_worst_case_is_right(policies: list[Any], attempts: int | None, seconds: float | None) -> None:
    """Attempts and seconds of one call at worst, waits included; None where nothing bounds them."""
    explained = pipeline(*policies).explain()
    assert explained.attempts == attempts
    assert explained.seconds == (None if seconds is None else pytest.approx(seconds))


def test_the_worst_case_does_not_depend_on_nesting() -> None:
    """Pipelines in pipelines are laid open."""
    quotes = breaker()
    flat = pipeline(again(attempts=3, wait=1.0), quotes, timeout(2.0)).explain()
    nested = pipeline(pipeline(again(attempts=3, wait=1.0), pipeline(quotes)), timeout(2.0)).explain()
    assert (nested.order, nested.attempts, nested.seconds) == (flat.order, 3, 8.0)


def test_the_worst_case_really_happens() -> None:
    """A dependency that hangs every time takes exactly as long as explain() said, in virtual time."""
    guard = pipeline(again(attempts=3, wait=1.0), timeout(2.0))
    runs: list[None] = []

    async def hangs() -> None:
        runs.append(None)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ConnectionError from None

    with virtual_time() as time:
        with pytest.raises(ConnectionError):
            asyncio.run(guard.acall(hangs))
        assert (len(runs), time.now()) == (guard.explain().attempts, pytest.approx(guard.explain().seconds))


def test_stacked_retries_multiply() -> None:
    """The attempts of retries inside each other multiply, and the warning says how far."""
    with warned() as caught:
        explained = pipeline(again(attempts=3, wait=1.0), again(attempts=2, wait=0.5), timeout(2.0)).explain()
    assert explained.attempts == 6
    assert explained.seconds == pytest.approx(3 * (2 * 2.0 + 0.5) + 2 * 1.0)
    assert "up to 6 per call" in str(caught[0].message)
    assert str(caught[0].message) in explained.hazards


# -- hazards ---------------------------------------------------------------------------------------------------


def hazards(*policies: Policy[Any]) -> str:
    with warned():
        return "\n".join(pipeline(*policies).explain().hazards)


def test_a_sound_order_has_no_hazards() -> None:
    """Budget, bound, bulkhead inside the retry, async or not: nothing to say but what cannot be known."""
    explained = pipeline(
        fallback(None, on=(RejectedError, ConnectionError)),
        again(attempts=3, budget=RetryBudget(fresh())),
        breaker(),
        slots(),
        timeout(2.0, cooperative=True),
    ).explain()
    assert explained.hazards == ()
    assert str(explained).endswith("no hazards found")


def test_hazard_no_budget() -> None:
    """Without a budget a retry amplifies an outage; a breaker inside bounds for how long."""
    assert "no budget: in an outage it makes 3 attempts per call for as long as it lasts" in hazards(
        again(attempts=3), timeout(1)
    )
    assert "no budget: in an outage it makes 3 attempts per call until the breaker opens" in hazards(
        again(attempts=3), breaker(), timeout(1)
    )
    assert "any number of attempts" in hazards(again(attempts=None, within=3), timeout(1))
    assert "no budget" not in hazards(again(attempts=1), timeout(1))


def test_hazard_unbounded_attempt() -> None:
    """Something has to end an attempt that hangs."""
    assert "nothing bounds how long an attempt may take" in hazards(breaker())
    assert "nothing bounds" not in hazards(breaker(), timeout(1))


def test_hazard_abandoned_calls() -> None:
    """A retry around a sync timeout multiplies what is in flight; a cooperative one does not."""
    assert "goes on in its worker thread while the next one starts" in hazards(again(attempts=2), timeout(1))
    assert "worker thread" not in hazards(again(attempts=2), timeout(1, cooperative=True))
    assert "worker thread" not in hazards(timeout(1), again(attempts=2))
    assert "worker thread" not in hazards(again(attempts=1), timeout(1))
    assert "bound them with a bulkhead" in hazards(again(attempts=2), timeout(1))
    assert "the bulkhead inside the retry bounds how many run" in hazards(again(attempts=2), slots(), timeout(1))


def test_hazard_place_kept_while_waiting() -> None:
    """A bulkhead around a retry holds its place while nothing runs."""
    assert "keeps its place during the waits" in hazards(slots(), again(attempts=2), timeout(1))
    assert "keeps its place" not in hazards(again(attempts=2), slots(), timeout(1))


def test_hazard_breaker_outside_fallback() -> None:
    """A breaker around a fallback never sees a failure."""
    assert "does not see the failures" in hazards(breaker(), fallback(None, on=ConnectionError), timeout(1))
    assert "does not see" not in hazards(fallback(None, on=ConnectionError), breaker(), timeout(1))


def test_hazard_timeout_outside_the_breaker_only() -> None:
    """Hangs are cut off from outside and never open it; said for the breakers that have no timeout inside."""
    inner, outer = breaker(), breaker()
    told = hazards(timeout(2), inner)
    assert f"cuts off what hangs from outside {inner!r}" in told
    assert "put a timeout inside the breaker" in told
    assert "cuts off" not in hazards(timeout(5), inner, timeout(2))
    assert "cuts off" not in hazards(inner, timeout(2))
    assert "cuts off" not in hazards(timeout(2, cooperative=True), inner)
    assert "cuts off" not in hazards(timeout(2), slots())
    assert hazards(timeout(5), again(attempts=2), outer, inner).count("cuts off") == 2
    assert f"from outside {outer!r}" not in hazards(outer, timeout(5), inner)
    with warned() as caught:
        pipeline(timeout(2), inner)
    assert caught == []


@pytest.mark.parametrize(("inside", "state"), [(False, "closed"), (True, "open")])
def test_a_hang_opens_a_breaker_only_with_a_timeout_inside(inside: bool, state: str) -> None:
    """What the hazard says, in virtual time: cut off from outside it is a cancellation, which counts as nothing."""
    quotes = breaker(consecutive=3)
    guard = pipeline(timeout(5.0), quotes, *([timeout(2.0)] if inside else []))

    async def calls() -> None:
        for _ in range(3):
            with pytest.raises(TimeoutExceededError):
                await guard.acall(asyncio.sleep, 3600.0)

    with virtual_time():
        asyncio.run(calls())
    assert (quotes.state, quotes.snapshot().failures) == (state, 3 if inside else 0)


def test_a_policy_of_your_own_is_said_to_be_unknown() -> None:
    """explain() shows it in its place and does not pretend to know what it does."""
    explained = pipeline(Traced("mine", []), timeout(2.0)).explain()
    assert explained.order == ("Traced(mine)", "timeout(2)")
    assert (explained.attempts, explained.seconds) == (1, 2.0)
    assert "Traced(mine) is your own" in "\n".join(explained.hazards)


def test_it_reads_as_a_short_text() -> None:
    """print(guard.explain()) is for people."""
    assert str(pipeline(again(attempts=3, wait=1.0), timeout(2.0, cooperative=True), timeout(2.0)).explain()).split(
        "hazard: "
    )[0] == (
        "outermost first: retry(on=ConnectionError, attempts=3) > timeout(2, cooperative=True) > timeout(2)\n"
        "worst case: 3 attempts per call, 8 s\n"
    )
    assert "worst case: 1 attempt per call, unbounded" in str(pipeline(breaker()).explain())
    assert "worst case: unbounded attempts per call, 7 s" in str(
        pipeline(again(attempts=None, wait=1.0, within=5.0), timeout(2.0)).explain()
    )

"""retry(…).attempts(): a block of code instead of a function, and the budget that retries pay from."""

from __future__ import annotations

import asyncio
import gc
import warnings
import weakref
from typing import Any

import pytest
import trio
from tests.support.retry_calls import CALLS, FORMS, Scripted, block_call, listening, sync_call

from resilix import ConfigurationError, DeadlineExpiredError, RetryBudget, deadline, retry
from resilix.clock import SYSTEM
from resilix.events import GivenUp
from resilix.runtime import RUNTIME, RealDriver
from resilix.testing import virtual_time

every_form = pytest.mark.parametrize("form", FORMS)


def test_success_ends_the_loop() -> None:
    """No further attempt is handed out, and the code after the loop runs."""
    numbers = []
    for attempt in retry(on=OSError, wait=0).attempts():
        with attempt:
            numbers.append(attempt.number)
            if attempt.number == 1:
                raise OSError
    assert numbers == [1, 2]


def test_async_for_is_the_same_on_trio() -> None:
    """The waits between are trio's."""
    numbers = []

    async def main() -> None:
        async for attempt in retry(on=OSError, wait=0.001).attempts():
            with attempt:
                numbers.append(attempt.number)
                if attempt.number < 3:
                    raise OSError

    trio.run(main)
    assert numbers == [1, 2, 3]


@pytest.mark.parametrize("run", [asyncio.run, lambda main: trio.run(lambda: main)])
def test_leaving_an_async_loop_early_leaves_nothing_to_clean_up(run: Any) -> None:
    """A break inside the block is a success; nobody warns about a generator that was not closed."""
    numbers = []

    async def main() -> None:
        async for attempt in retry(on=OSError).attempts():
            with attempt:
                numbers.append(attempt.number)
                break
        gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main())
    assert numbers == [1]


def test_break_and_continue_inside_the_block_are_successes() -> None:
    """They leave the block without an error, so there is nothing to retry."""
    budget = RetryBudget("breaks", tokens=10, cost=5)
    budget.core.level = 0
    for attempt in retry(on=OSError, budget=budget).attempts():
        with attempt:
            break
    for attempt in retry(on=OSError, budget=budget).attempts():
        with attempt:
            continue
    assert budget.remaining == 2


def test_an_attempt_that_is_not_used_is_an_error() -> None:
    """Nobody could know how it ended."""
    with pytest.raises(ConfigurationError, match="with attempt"):
        list(retry(on=OSError).attempts())

    async def main() -> None:
        async for attempt in retry(on=OSError).attempts():
            assert attempt.number == 1

    with pytest.raises(ConfigurationError, match="with attempt"):
        asyncio.run(main())


def test_an_attempt_can_be_used_only_once() -> None:
    """Another execution without a wait would be one more than was allowed."""
    runs = 0
    attempt = next(iter(retry(on=OSError).attempts()))
    with attempt:
        runs += 1
        raise OSError
    with pytest.raises(ConfigurationError, match="used already"), attempt:
        runs += 1
    assert runs == 1


def test_a_loop_that_is_over_stays_over() -> None:
    """As any iterator does."""
    steps = iter(retry(on=OSError, wait=0).attempts())
    with next(steps):
        pass
    assert list(steps) == []


def test_each_iteration_is_a_call_of_its_own() -> None:
    """The same object may be iterated again, in a nested loop too."""
    loop = retry(on=OSError, attempts=2, wait=0).attempts()
    seen = []

    def nested() -> None:
        for outer in loop:
            with outer:
                for inner in loop:
                    with inner:
                        seen.append((outer.number, inner.number))
                        raise OSError

    with pytest.raises(OSError):
        nested()
    assert seen == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_the_iterator_itself_can_be_iterated() -> None:
    """For code that calls iter() or aiter() first."""
    steps = iter(retry(on=OSError).attempts())
    assert iter(steps) is steps
    asteps = aiter(retry(on=OSError).attempts())
    assert aiter(asteps) is asteps


@every_form
def test_a_refused_retry_gives_up_with_the_last_error(form: Any) -> None:
    """An empty budget makes a call one attempt; a full one is charged per retry."""
    budget = RetryBudget(f"refused {form.__name__}", tokens=10, cost=5)
    script = Scripted(OSError())
    with pytest.raises(OSError):
        form(retry(on=OSError, attempts=9, wait=0, budget=budget), script)
    assert (script.calls, budget.remaining, budget.denied) == (3, 0, 1)
    with listening() as seen, pytest.raises(OSError):
        form(retry(on=OSError, attempts=9, wait=0, budget=budget), script)
    assert script.calls == 4
    assert isinstance(seen[-1], GivenUp)
    assert seen[-1].reason == "budget"


@every_form
def test_success_fills_the_budget(form: Any) -> None:
    """One token for a success at once, the price of one retry for a success after some."""
    budget = RetryBudget(f"filled {form.__name__}", tokens=100, cost=7)
    budget.core.level = 50
    policy = retry(on=OSError, attempts=9, wait=0, budget=budget)
    form(policy, Scripted("ok"))
    assert budget.remaining == 51
    form(policy, Scripted(OSError(), OSError(), "ok"))
    assert budget.remaining == 51 - 2 * 7 + 7


@pytest.mark.parametrize("form", CALLS)
def test_a_result_that_was_judged_fills_the_budget_when_it_stands(form: Any) -> None:
    """And only then."""
    budget = RetryBudget(f"judged {form.__name__}", tokens=100, cost=7)
    budget.core.level = 50
    policy = retry(on=OSError, on_result=lambda result: result == "bad", attempts=2, wait=0, budget=budget)
    form(policy, Scripted("ok"))
    assert budget.remaining == 51
    form(policy, Scripted("bad", "ok"))
    assert budget.remaining == 51
    form(policy, Scripted("bad"))
    assert budget.remaining == 51 - 7


def test_a_full_budget_stays_full() -> None:
    """Success never overfills it."""
    budget = RetryBudget("full", tokens=100, cost=7)
    sync_call(retry(on=OSError, budget=budget), Scripted("ok"))
    assert budget.remaining == 100


def test_a_block_obeys_within_and_the_deadline() -> None:
    """As a call does: the wait that would pass them is not begun, and nothing starts after them."""
    with virtual_time() as clock:
        with pytest.raises(OSError):
            block_call(retry(on=OSError, attempts=None, within=5, wait=2), Scripted(OSError()))
        assert clock.now() == 4.0
        with deadline(3), pytest.raises(OSError):
            block_call(retry(on=OSError, attempts=9, wait=2), Scripted(OSError()))
        assert clock.now() == 6.0
        with deadline(0), pytest.raises(DeadlineExpiredError):
            next(iter(retry(on=OSError).attempts()))


class WatchedError(Exception):
    """An error that can be watched."""


class Sleepy(RealDriver):
    """A driver whose sleeps take one second longer than they should."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds + 1


@pytest.mark.parametrize("block", [False, True])
def test_a_retry_that_overslept_is_paid_back_and_keeps_no_error(block: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt was not made; and the error that comes through is in no reference cycle."""
    driver = Sleepy()
    monkeypatch.setattr(SYSTEM, "now", driver.now)
    monkeypatch.setattr(RUNTIME, "driver", driver)
    budget = RetryBudget(f"overslept {block}", tokens=100, cost=7)
    policy = retry(on=WatchedError, attempts=9, wait=5, budget=budget)

    def fail() -> None:
        raise WatchedError

    def run() -> weakref.ref[Any]:
        try:
            if block:
                for attempt in policy.attempts():
                    with attempt:
                        fail()
            else:
                policy(fail)()
        except WatchedError as error:
            return weakref.ref(error)
        raise AssertionError("it must fail")

    gc.collect()
    gc.disable()
    try:
        with deadline(11.5):
            assert run()() is None
    finally:
        gc.enable()
    assert budget.remaining == 100 - 7  # one retry was made, the second was paid back

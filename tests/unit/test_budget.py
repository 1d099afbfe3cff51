"""The retry budget: bounded amplification in an outage, no cost while retries work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.bulkhead import hasty_threads, join_all, started

from resilix import ConfigurationError, RejectedError, RetryBudget, events, retry
from resilix.core.budget import BudgetCore
from resilix.events import GivenUp

_made: list[RetryBudget] = []


def purse(**options: Any) -> RetryBudget:
    """Make a budget under a name of its own; it is kept, so that no other can have the name."""
    budget = RetryBudget(f"purse-{len(_made)}", **options)
    _made.append(budget)
    return budget


class Service:
    """Fails as often as told, and counts what it had to bear."""

    def __init__(self, fails: Callable[[], bool] = lambda: True) -> None:
        self.attempts = 0
        self._fails = fails

    def __call__(self) -> str:
        self.attempts += 1
        if self._fails():
            raise ConnectionError
        return "answer"

    async def acall(self) -> str:
        return self()


def request(call: Callable[[], Any]) -> bool:
    """Make one request; whether it succeeded."""
    try:
        call()
    except ConnectionError:
        return False
    return True


# -- the core ------------------------------------------------------------------------------------------------------


class BudgetMachine(RuleBasedStateMachine):
    """Against a plain integer."""

    @initialize(cost=st.integers(1, 20), extra=st.integers(0, 60))
    def start(self, cost: int, extra: int) -> None:
        self.core = BudgetCore(cost + extra, cost)
        self.level, self.denied = cost + extra, 0

    @rule()
    def spend(self) -> None:
        affordable = self.level >= self.core.cost
        assert self.core.spend() is affordable
        if affordable:
            self.level -= self.core.cost
        else:
            self.denied += 1

    @rule(refund=st.booleans())
    def give(self, refund: bool) -> None:
        tokens = self.core.cost if refund else 1
        self.core.give(tokens)
        self.level = min(self.core.tokens, self.level + tokens)

    @invariant()
    def agrees(self) -> None:
        assert 0 <= self.core.level <= self.core.tokens
        assert (self.core.level, self.core.denied) == (self.level, self.denied)


BudgetMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBudgetAgainstAModel = BudgetMachine.TestCase


def test_threads_spend_and_give_exactly() -> None:
    """Eight threads: not a token is spent twice or given in vain, and every refusal is counted."""
    core = BudgetCore(5000, 14)
    granted = [0] * 8

    def spender(index: int) -> None:
        for _ in range(500):
            granted[index] += core.spend()

    def giver() -> None:
        for _ in range(500):
            core.give(1)

    with hasty_threads():
        join_all([started(spender, index) for index in range(8)])
        assert (sum(granted), core.level, core.denied) == (357, 2, 4000 - 357)
        join_all([started(giver) for _ in range(8)])
    assert core.level == 4002


# -- in a retry ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
def test_in_a_total_outage_attempts_per_request_go_to_one(is_async: bool) -> None:
    """500 tokens at 14 each pay for 35 retries, however long the outage lasts; then a request is one attempt."""
    budget, service = purse(), Service()
    policy = retry(on=ConnectionError, attempts=3, wait=0, budget=budget)
    requests = 3000
    if is_async:
        guarded = policy(service.acall)

        async def outage() -> None:
            for _ in range(requests):
                with pytest.raises(ConnectionError):
                    await guarded()

        asyncio.run(outage())
    else:
        call = policy(service)
        assert not any(request(call) for _ in range(requests))
    assert service.attempts == requests + 35
    assert service.attempts / requests < 1.02
    assert budget.remaining == 500 - 35 * 14 == 10
    before = service.attempts
    assert not request(policy(service))
    assert service.attempts == before + 1


def test_the_first_requests_of_an_outage_are_retried_in_full() -> None:
    """35 retries are 17 requests of three attempts and one of two."""
    budget, service = purse(), Service()
    call = retry(on=ConnectionError, attempts=3, wait=0, budget=budget)(service)
    made = []
    for _ in range(20):
        before = service.attempts
        request(call)
        made.append(service.attempts - before)
    assert made == [3] * 17 + [2, 1, 1]
    assert budget.denied == 3


def test_without_an_answer_nothing_comes_back() -> None:
    """Failures, refusals and errors that are not retried neither cost nor give."""
    budget = purse(tokens=28, cost=14)
    policy = retry(on=ConnectionError, attempts=2, wait=0, budget=budget)
    assert not request(policy(Service()))
    assert budget.remaining == 14

    def other() -> None:
        raise KeyError

    def refused() -> None:
        raise RejectedError

    for fn, kind in ((other, KeyError), (refused, RejectedError)):
        with pytest.raises(kind):
            policy(fn)()
        assert (budget.remaining, budget.denied) == (14, 0)


def test_a_success_at_once_gives_one_token() -> None:
    """One, up to full."""
    budget = purse(tokens=16, cost=14)
    policy = retry(on=ConnectionError, attempts=2, wait=0, budget=budget)
    assert not request(policy(Service()))
    levels = []
    for _ in range(16):
        assert request(policy(Service(lambda: False)))
        levels.append(budget.remaining)
    assert levels == [*range(3, 17), 16, 16]


@pytest.mark.parametrize(("failures", "left"), [(0, 100), (1, 100), (2, 90)])
def test_a_success_after_retries_gives_back_what_the_last_one_cost(failures: int, left: int) -> None:
    """One retry that worked is free; of two, the first stays paid."""
    budget = purse(tokens=100, cost=10)
    outcomes = iter([True] * failures + [False])
    assert retry(on=ConnectionError, attempts=3, wait=0, budget=budget)(Service(lambda: next(outcomes)))() == "answer"
    assert budget.remaining == left


def test_results_that_are_judged_pay_and_refund_too() -> None:
    """``on_result``: a retried result costs, a good one gives, and a bad last one gives nothing."""
    budget = purse(tokens=100, cost=10)
    answers = iter([503, 503, 200, 200, 503, 503, 503])
    guarded = retry(on=ConnectionError, on_result=lambda status: status == 503, attempts=3, wait=0, budget=budget)(
        lambda: next(answers)
    )
    assert guarded() == 200
    assert budget.remaining == 90
    assert guarded() == 200
    assert budget.remaining == 91
    assert guarded() == 503
    assert budget.remaining == 71


def test_a_block_form_pays_and_refunds_too() -> None:
    """``.attempts()`` goes to the same purse."""
    budget = purse(tokens=100, cost=10)
    policy = retry(on=ConnectionError, attempts=2, wait=0, budget=budget)
    fails = Service()

    def block(service: Service) -> None:
        for attempt in policy.attempts():
            with attempt:
                service()

    with pytest.raises(ConnectionError):
        block(fails)
    assert budget.remaining == 90
    outcomes = iter([True, False])
    works = Service(lambda: next(outcomes))
    block(works)
    assert (works.attempts, budget.remaining) == (2, 90)


def test_at_ten_percent_failures_nothing_is_denied() -> None:
    """While retries work the budget is never in the way."""
    luck, budget = random.Random(20), purse()
    service = Service(lambda: luck.random() < 0.1)
    call = retry(on=ConnectionError, attempts=3, wait=0, budget=budget)(service)
    requests = 10_000
    succeeded = sum(request(call) for _ in range(requests))
    assert budget.denied == 0
    assert succeeded > requests * 0.998
    assert 1.08 < service.attempts / requests < 1.14


def test_one_budget_bounds_several_retries_together() -> None:
    """Shared by many clients of one dependency, the 35 retries are theirs together."""
    budget, service = purse(), Service()
    calls = [retry(on=ConnectionError, attempts=n, wait=0, budget=budget)(service) for n in (2, 3, 5)]
    for number in range(600):
        assert not request(calls[number % 3])
    assert service.attempts == 600 + 35


def test_threads_share_it_exactly() -> None:
    """Eight threads in an outage: 35 retries in all."""
    budget = purse()
    services = [Service() for _ in range(8)]
    policy = retry(on=ConnectionError, attempts=3, wait=0, budget=budget)

    def client(service: Service) -> None:
        call = policy(service)
        for _ in range(200):
            request(call)

    with hasty_threads():
        join_all([started(client, service) for service in services])
    assert sum(service.attempts for service in services) == 1600 + 35
    # A request ends with a denial unless both of its retries were paid: at most 17 of them.
    assert 1600 - 17 <= budget.denied <= 1600


def test_an_empty_purse_is_the_reason_that_listeners_hear() -> None:
    """``GivenUp`` names the budget, and the error itself carries a note only if it was retried."""
    budget = purse(tokens=10, cost=10)
    call = retry(on=ConnectionError, attempts=5, wait=0, budget=budget)(Service())
    heard: list[GivenUp] = []
    stop = events.subscribe(lambda event: heard.append(event) if isinstance(event, GivenUp) else None)
    try:
        with pytest.raises(ConnectionError) as first:
            call()
        with pytest.raises(ConnectionError) as second:
            call()
    finally:
        stop()
    assert [(event.attempts, event.reason) for event in heard] == [(2, "budget"), (1, "budget")]
    assert getattr(first.value, "__notes__", []) != []
    assert getattr(second.value, "__notes__", []) == []


# -- what it shows and refuses ---------------------------------------------------------------------------------


def test_what_it_says_about_itself() -> None:
    """The attributes an operator reads."""
    budget = purse(tokens=40, cost=10)
    assert (budget.remaining, budget.remaining_ratio, budget.denied) == (40, 1.0, 0)
    assert not request(retry(on=ConnectionError, attempts=2, wait=0, budget=budget)(Service()))
    assert (budget.remaining, budget.remaining_ratio) == (30, 0.75)
    assert repr(budget) == f"RetryBudget({budget.name!r}, 30/40)"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cost": 0}, "a retry that costs nothing is not bounded; write cost=1 or more"),
        ({"cost": 1.5}, "whole number"),
        ({"tokens": 13}, "with cost=14 not even one retry could be paid; write tokens=14 or more"),
        ({"tokens": 0, "cost": 1}, "not even one retry"),
        ({"tokens": float("inf")}, "whole number"),
        ({"tokens": True}, "whole number"),
        ({"token": 5}, "did you mean tokens"),
    ],
    ids=str,
)
def test_nonsense_is_refused_where_it_is_written(options: dict[str, Any], says: str) -> None:
    """With what is wrong and what to write instead."""
    with pytest.raises(ConfigurationError, match=says):
        RetryBudget("bad", **options)


def test_it_needs_a_name_and_retry_needs_a_budget() -> None:
    """The two ways to get them wrong."""
    with pytest.raises(ConfigurationError, match="name"):
        RetryBudget(None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="purse that retries pay from"):
        retry(on=ConnectionError, budget=100)  # type: ignore[arg-type]

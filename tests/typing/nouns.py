"""What a type checker says of breakers, bulkheads, permits, budgets, deadlines and events. Checked, never run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import assert_type

import tenacity

from resilix import (
    BreakerSnapshot,
    Bulkhead,
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    Permit,
    RetryBudget,
    TimeoutExceededError,
    calls,
    deadline,
    events,
    retry,
    timeout,
)
from resilix.telemetry.logs import log_events

quotes = CircuitBreaker(
    "quotes",
    on=(ConnectionError, TimeoutError),
    ignore=lambda error: "404" in str(error),
    on_result=lambda reply: reply is None,
    slow_rate=0.5,
    slow_after=timedelta(seconds=2),
    window=calls(100),
    open_for=tenacity.wait_exponential(multiplier=5, max=300),
    clock=lambda: 0.0,
)
growing = CircuitBreaker("growing", open_for=lambda opening: min(5.0 * opening, 60.0))
slots = Bulkhead("quotes", limit=20, max_wait=timedelta(seconds=1), queue=None)
budget = RetryBudget("quotes", tokens=100, cost=10)

assert_type(quotes.state, CircuitState)
assert_type(quotes.snapshot(), BreakerSnapshot)
assert_type(quotes.snapshot().retry_after, float | None)
assert_type(quotes.acquire(), Permit)
assert_type(slots.free, int)
assert_type(budget.remaining_ratio, float)

with quotes.acquire() as permit:
    assert_type(permit, Permit)
    permit.success()
    permit.failure(ValueError())
    permit.release()


async def run() -> None:
    with await slots.aacquire() as place:
        assert_type(place, Permit)
    async for attempt in retry(on=ConnectionError).attempts():
        with attempt:
            assert_type(attempt.number, int)


def block() -> int:
    """A with block that may swallow what leaves it: the checkers know that the loop may go on."""
    for attempt in retry(on=ConnectionError, attempts=None, within=30.0).attempts():
        with attempt:
            return 1
    return 0


with deadline(timedelta(seconds=2)) as moment:
    assert_type(moment, deadline)
    assert_type(deadline.remaining(), float)

retry(on=tenacity.retry_if_exception_type(OSError), stop=tenacity.stop_after_delay(3), wait=tenacity.wait_fixed(1))
retry(on=lambda error: timedelta(seconds=1) if "429" in str(error) else False, wait=lambda attempt: 0.1 * attempt)
timeout(timedelta(seconds=1), cooperative=True)


def refused(error: CircuitOpenError) -> None:
    assert_type(error.retry_after, float | None)
    assert_type(error.name, str)


def late(error: TimeoutExceededError) -> float:
    as_builtin: TimeoutError = error
    del as_builtin
    return error.seconds


def heard(event: events.Event) -> None:
    if isinstance(event, events.RetryScheduled):
        assert_type(event.wait, float)
        assert_type(event.error, BaseException | None)


assert_type(events.subscribe(heard), Callable[[], None])
assert_type(log_events("myservice"), Callable[[], None])

"""Scenarios for ``explore`` in which time runs out: timeouts, deadlines, retries and their budget."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from tests.support.explored import MOMENTS, Busy, Callers, at_peace, watch_places

from resilix import (
    Bulkhead,
    DeadlineExpiredError,
    RejectedError,
    RetryBudget,
    TimeoutExceededError,
    deadline,
    pipeline,
    retry,
    timeout,
)
from resilix.testing import Schedule

# -- timeout -----------------------------------------------------------------------------------------------------


async def limits(schedule: Schedule) -> None:
    """Calls with one time limit, some entered again by their own function, some of which swallow a cancellation.

    The limit ends a call at its moment and nobody else's call, nobody later, and takes no cancellation from outside.
    """
    chance, limit = schedule.chance, timeout(1.0)
    callers = Callers(schedule)
    swallowed: set[asyncio.Task[Any]] = set()

    @limit
    async def guarded(seconds: float, rest: tuple[float, ...], swallows: bool) -> str:
        try:
            await asyncio.sleep(seconds)
            if rest:
                await guarded(rest[0], rest[1:], False)
        except asyncio.CancelledError:
            if not swallows:
                raise
            swallowed.add(_me())
            await asyncio.sleep(0)
        return "answer"

    def caller() -> Any:
        seconds, swallows = chance.choice(MOMENTS), chance.random() < 0.2
        rest = tuple(chance.choice(MOMENTS[:4]) for _ in range(chance.choice((0, 0, 1, 2))))

        async def call() -> None:
            began, me = schedule.now(), _me()
            try:
                await guarded(seconds, rest, swallows)
            except TimeoutExceededError:
                assert schedule.now() >= began + 1.0, "too early"
            assert schedule.now() <= began + 1.0, "too late"
            asked = callers.cancelled.count(me)
            assert me.cancelling() == asked, (
                f"{me.cancelling()} cancellations are left over, and {asked} were asked for"
            )
            for _ in range(3):
                await asyncio.sleep(0.5)  # nobody cancels it any more

        return call

    for _ in range(4):
        callers.come(caller())
    callers.cancel_some(0.5)
    await asyncio.gather(*callers.tasks, return_exceptions=True)
    for task in callers.tasks:
        if task not in swallowed:
            assert task.cancelled() == (task in callers.cancelled), "a cancellation was swallowed, or came from nowhere"
        if not task.cancelled():
            task.result()


def _me() -> asyncio.Task[Any]:
    me = asyncio.current_task()
    assert me is not None
    return me


# -- deadline ----------------------------------------------------------------------------------------------------


async def last_moment(schedule: Schedule) -> None:
    """Calls under a deadline that passes while they wait for a place, or between attempts: then nothing starts."""
    chance = schedule.chance
    slots = Bulkhead("quotes", limit=1, max_wait=None)
    guard = pipeline(retry(on=ConnectionError, attempts=4, wait=0.5), slots)
    busy, callers = Busy(), Callers(schedule)
    watch_places(schedule, slots, busy)

    @guard
    async def work() -> None:
        assert deadline.remaining() > 0.0, "it was started when no time was left"
        await busy.work(chance.choice(MOMENTS[:4]))
        if chance.random() < 0.5:
            raise ConnectionError

    def caller() -> Any:
        seconds = chance.choice((0.5, 1.0, 1.5))

        async def call() -> None:
            ends = schedule.now() + seconds
            try:
                with deadline(seconds):
                    await work()
            except DeadlineExpiredError:
                assert schedule.now() == ends, "it waited past the deadline, or gave up before"
            except ConnectionError:
                pass

        return call

    for _ in range(5):
        callers.come(caller())
    callers.cancel_some(0.2)
    await callers.end()
    at_peace(slots)


# -- retry -------------------------------------------------------------------------------------------------------

COST, TOKENS = 14, 3 * 14


async def purse(schedule: Schedule) -> None:
    """Calls that all fail at first pay from one budget, and those that then succeed pay back: the books balance."""
    chance = schedule.chance
    budget = RetryBudget("quotes", tokens=TOKENS, cost=COST)
    again = retry(on=ConnectionError, attempts=3, wait=chance.choice((0.0, 0.5)), budget=budget)
    callers, further, saved = Callers(schedule), [0], [0]
    schedule.always(lambda: 0 <= budget.remaining <= TOKENS)
    schedule.always(lambda: further[0] <= TOKENS // COST + saved[0])

    def caller() -> Any:
        needed = chance.choice((2, 2, 3, 99))
        made = [0]

        @again
        async def work() -> None:
            made[0] += 1
            further[0] += made[0] > 1
            await asyncio.sleep(chance.choice(MOMENTS))
            if made[0] < needed:
                raise ConnectionError
            saved[0] += 1

        async def call() -> None:
            with suppress(ConnectionError):
                await work()

        return call

    for _ in range(5):
        callers.come(caller())
    if chance.random() < 0.4:
        callers.cancel_some(0.3)
    await callers.end()
    left = TOKENS - COST * (further[0] - saved[0])
    if callers.cancelled:  # one that is cancelled between attempts has paid for nothing
        assert budget.remaining <= left
    else:
        assert budget.remaining == left, f"{budget.remaining} left, and not {left}"


async def called_off(schedule: Schedule) -> None:
    """A function that turns its cancellation into an ordinary error is not tried again: its caller wants to end."""
    chance = schedule.chance
    guard = pipeline(retry(on=ConnectionError, attempts=3, wait=chance.choice((0.0, 0.5))), timeout(1.0))
    callers = Callers(schedule)

    @guard
    async def work() -> None:
        assert _me() not in callers.cancelled, "it was tried again after a cancellation"
        try:
            await asyncio.sleep(chance.choice(MOMENTS))
        except asyncio.CancelledError:
            raise ConnectionError from None
        raise ConnectionError

    async def call() -> None:
        with suppress(ConnectionError, TimeoutError, RejectedError):
            await work()

    for _ in range(3):
        callers.come(call)
    callers.cancel_some(0.7)
    await asyncio.gather(*callers.tasks, return_exceptions=True)
    for task in callers.tasks:
        if not task.cancelled():
            task.result()

"""``retry``: try again what may work the next time, and stop in time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tenacity import RetryCallState
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from resilix.clock import SYSTEM
from resilix.core.deadline import DEADLINE
from resilix.core.options import Seconds, checked, refuse
from resilix.core.retry_plan import RetryPlan
from resilix.core.verdict import On
from resilix.policies.base import Guard
from resilix.policies.budget import RetryBudget
from resilix.policies.functions import PLAIN, AnyCallable, is_awaitable
from resilix.policies.quiet import Quiet, with_quiet
from resilix.policies.retry_call import KIND, AttemptLoop, RetryCall
from resilix.policies.target import Target, continue_async
from resilix.policies.time_left import check_deadline, over
from resilix.runtime import RUNTIME, cancel_requested

Further = Callable[[], Any]
"""Makes all further attempts of one call; in async code it gives something to await."""
Begin = Callable[[Exception, float, tuple[Any, ...], dict[str, Any]], "Further | None"]
"""Told the error of the first attempt, when the call began, and its arguments."""

QUIET = """
if deadline.used and over():
    result = PLAIN
else:
    try:
        result = INNER
    except Exception as error:
        further = begin(error, STARTED, CALL)
        if further is None:
            raise
    else:
        DONE
        further = None
    if further is not None:
        result = AWAIT further()
"""
"""Make the first attempt; nothing else happens when it succeeds."""

REFILL = """if budget.level < budget.tokens:
            budget.give(1)
        DONE"""
"""With a budget: what a success pays back."""


class Retry(Guard):
    """Made by :func:`retry`, where its options are described."""

    kind = KIND

    def __init__(self, plan: RetryPlan) -> None:
        self._plan = plan

    def __repr__(self) -> str:
        plan = self._plan
        bound = [f"on={plan.shown}"]
        if plan.attempts < float("inf"):
            bound.append(f"attempts={plan.attempts:g}")
        if plan.within < float("inf"):
            bound.append(f"within={plan.within:g}")
        return f"retry({', '.join(bound)})"

    @property
    def plan(self) -> RetryPlan:
        """The checked options."""
        return self._plan

    def attempts(self) -> AttemptLoop:
        """Retry a block instead of a function: a loop of attempts, each used with ``with``.

        Example::

            for attempt in retry(on=ConnectionError).attempts():
                with attempt:
                    reply = fetch("ACME")

            async for attempt in retry(on=ConnectionError).attempts():
                with attempt:
                    reply = await fetch("ACME")

        The last error leaves the block as it is. ``on_result`` is not asked: a block has no result.
        """
        return AttemptLoop(self._plan)

    def _bind(self, target: Target) -> AnyCallable:
        begin = self._begin_async(target) if target.is_async else self._begin_sync(target)
        shell = self._bind_async(target, begin) if target.is_async else self._bind_sync(target, begin)
        if self._plan.judges_results:
            return shell  # it looks at every result
        names: dict[str, object] = {
            "deadline": DEADLINE,
            "over": over,
            "begin": begin,
            "system": SYSTEM,
            "budget": self._plan.budget,
        }
        return with_quiet(shell, Quiet(self._quiet(), names, wants_call=self._plan.shows_call))

    def _quiet(self) -> str:
        lines = QUIET
        if self._plan.needs_start:
            lines = lines.replace("STARTED", "started").replace("    try:", "    started = system.now()\n    try:", 1)
        if self._plan.budget is not None:
            lines = lines.replace("DONE", REFILL)
        return lines.replace("STARTED", "0.0")

    def _start(self, target: Target, args: tuple[Any, ...]) -> float:
        """What a call needs before its first attempt; nothing at all by default."""
        if DEADLINE.used:
            check_deadline(self.kind, target.label(args))
        return SYSTEM.now() if self._plan.needs_start else 0.0

    def _begin_sync(self, target: Target) -> Begin:
        """What follows when the first attempt has failed: all further attempts, or ``None`` when there is none."""
        fn, plan, own = target.fn, self._plan, target.outcomes is None

        def begin(error: Exception, started: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Further | None:
            if own and plan.passes(error):
                return None
            call = RetryCall(plan, target, args, kwargs, started)
            wait = call.failed(error)
            return None if wait is None else partial(again, fn, call, wait, args, kwargs)

        return begin

    def _begin_async(self, target: Target) -> Begin:
        """The same, to be awaited."""
        fn, plan, own = target.fn, self._plan, target.outcomes is None

        def begin(error: Exception, started: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Further | None:
            if own and plan.passes(error):
                return None
            call = RetryCall(plan, target, args, kwargs, started)
            wait = call.failed(error, cancelled=cancel_requested())
            return None if wait is None else partial(again_async, fn, call, wait, args, kwargs)

        return begin

    def _bind_sync(self, target: Target, begin: Begin) -> AnyCallable:
        fn, plan, plain, deadline = target.fn, self._plan, PLAIN, DEADLINE
        budget = plan.budget
        careful, timed = plan.judges_results, plan.needs_start
        plain_result = None if target.outcomes is None else target.outcomes.plain

        def retried(*args: Any, **kwargs: Any) -> Any:
            started = self._start(target, args) if timed or deadline.used else 0.0
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                further = begin(error, started, args, kwargs)
                if further is None:
                    raise
            else:
                if type(result) not in plain and is_awaitable(result):
                    return continue_async(self, target, result, args, kwargs)
                if not careful or (plain_result is not None and plain_result(result)):
                    if budget is not None and budget.level < budget.tokens:
                        budget.give(1)
                    return result
                call = RetryCall(plan, target, args, kwargs, started)
                wait = call.returned(result)
                if wait is None:
                    return result
                call.drop(result)
                further = partial(again, fn, call, wait, args, kwargs)
            return further()

        return retried

    def _bind_async(self, target: Target, begin: Begin) -> AnyCallable:
        fn, plan, deadline = target.fn, self._plan, DEADLINE
        budget = plan.budget
        careful, timed = plan.judges_results, plan.needs_start
        plain_result = None if target.outcomes is None else target.outcomes.plain

        async def retried(*args: Any, **kwargs: Any) -> Any:
            started = self._start(target, args) if timed or deadline.used else 0.0
            try:
                result = await fn(*args, **kwargs)
            except Exception as error:
                further = begin(error, started, args, kwargs)
                if further is None:
                    raise
            else:
                if not careful or (plain_result is not None and plain_result(result)):
                    if budget is not None and budget.level < budget.tokens:
                        budget.give(1)
                    return result
                call = RetryCall(plan, target, args, kwargs, started)
                wait = call.returned(result, cancelled=cancel_requested())
                if wait is None:
                    return result
                await call.adrop(result)
                further = partial(again_async, fn, call, wait, args, kwargs)
            return await further()

        return retried


def again(fn: AnyCallable, call: RetryCall, wait: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make the attempts after the first."""
    while True:
        RUNTIME.driver.sleep(wait)
        if call.overslept():
            return call.give_up()
        try:
            result = fn(*args, **kwargs)
        except Exception as error:
            following = call.failed(error)
            if following is None:
                raise
        else:
            if type(result) not in PLAIN and is_awaitable(result):
                return _resume(fn, call, result, args, kwargs)
            following = call.returned(result)
            if following is None:
                return result
            call.drop(result)
        wait = following


async def again_async(
    fn: AnyCallable, call: RetryCall, wait: float, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Make the attempts after the first, async."""
    while True:
        await RUNTIME.driver.asleep(wait)
        if call.overslept():
            return call.give_up()
        try:
            result = await fn(*args, **kwargs)
        except Exception as error:
            following = call.failed(error, cancelled=cancel_requested())
            if following is None:
                raise
        else:
            following = call.returned(result, cancelled=cancel_requested())
            if following is None:
                return result
            await call.adrop(result)
        wait = following


async def _resume(
    fn: AnyCallable, call: RetryCall, awaitable: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Go on async with a sync function that failed at once and, called again, handed back something to await."""
    first = [awaitable]

    async def attempt(*args: Any, **kwargs: Any) -> Any:
        result = first.pop() if first else fn(*args, **kwargs)
        return await result if is_awaitable(result) else result

    try:
        result = await attempt()
    except Exception as error:
        wait = call.failed(error, cancelled=cancel_requested())
        if wait is None:
            raise
    else:
        wait = call.returned(result, cancelled=cancel_requested())
        if wait is None:
            return result
    return await again_async(attempt, call, wait, args, kwargs)


@checked("retry", "retry(on=ConnectionError)", method=False)
def retry(
    *,
    on: On,
    on_result: Callable[[Any], object] | None = None,
    attempts: int | None = 3,
    wait: Seconds | Callable[[int], Seconds] | wait_base | None = None,
    within: Seconds | None = None,
    stop: stop_base | Callable[[RetryCallState], bool] | None = None,
    budget: RetryBudget | None = None,
) -> Retry:
    """Call again what failed in a way that may pass, and stop in time.

    Example::

        @retry(on=ConnectionError, attempts=3)
        def price(symbol: str) -> int: ...

    When it stops, the last error comes through as the same object (with a note how many attempts were made), or the
    last result as it is. Cancellation, interrupts and refusals by our own policies are never retried, except that
    ``on`` names ``RejectedError`` or one of its kinds itself as a type. Nor is anything retried in an asyncio task that
    has been asked to cancel: somebody is waiting for it to end.

    Args:
        on: What is worth another attempt: a type, a tuple of types, a predicate, or a tenacity retry object. A number
            or ``timedelta`` returned by a predicate of your own is the wait (a server's Retry-After, say), zero too;
            tenacity's objects only say yes or no.
        on_result: A predicate: a result for which it is true is worth another attempt; it may return a wait too.
        attempts: The most attempts, the first one included; ``None`` when ``within`` or ``stop`` bound them.
        wait: Seconds between attempts (0: none), a function of the number of the attempt that failed, or any tenacity
            wait. By default tenacity's ``wait_random_exponential``: full jitter up to 0.1 s, doubling, at most 10 s.
        within: Seconds for the whole call, from its start: a wait that would pass it is not begun.
        stop: A tenacity stop object, asked with the call state tenacity would give it.
        budget: The purse that retries pay from; see ``RetryBudget``. ``None`` is no budget.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.

    Full jitter: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    if budget is not None and not isinstance(budget, RetryBudget):
        raise refuse(
            "retry",
            "budget",
            budget,
            "it is the purse that retries pay from",
            'write budget=RetryBudget("quotes")',
        )
    core = None if budget is None else budget.core
    return Retry(
        RetryPlan(on=on, on_result=on_result, attempts=attempts, wait=wait, within=within, stop=stop, budget=core)
    )

"""``retry``: try again what may work the next time, and stop in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Never, Self

from tenacity import RetryCallState
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from resilix.clock import SYSTEM
from resilix.core.attempts import Attempts, Decision, Outcome, RetryPlan, is_wanted
from resilix.core.deadline import DEADLINE
from resilix.core.options import Seconds, checked, refuse
from resilix.core.verdict import On
from resilix.errors import ConfigurationError
from resilix.events import HUB, AttemptFailed, GivenUp, RetryScheduled
from resilix.policies.base import PLAIN, AnyCallable, BoundPolicy, Target, continue_async, is_awaitable
from resilix.policies.budget import RetryBudget
from resilix.policies.time_left import check_deadline
from resilix.runtime import RUNTIME, cancel_requested

NOTE = "resilix: "


class Retry(BoundPolicy[Never]):
    """Made by :func:`retry`, where its options are described."""

    kind = "retry"

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
        return AttemptLoop(self)

    def _bind(self, target: Target) -> AnyCallable:
        return self._bind_async(target) if target.is_async else self._bind_sync(target)

    def _start(self, target: Target, args: tuple[Any, ...]) -> float:
        """What a call needs before its first attempt; nothing at all by default."""
        if DEADLINE.used:
            check_deadline(self.kind, target.label(args))
        return SYSTEM.now() if self._plan.needs_start else 0.0

    def _bind_sync(self, target: Target) -> AnyCallable:
        fn, plan, plain, deadline = target.fn, self._plan, PLAIN, DEADLINE
        budget = plan.budget
        careful, timed = plan.judges_results, plan.needs_start

        def retried(*args: Any, **kwargs: Any) -> Any:
            started = self._start(target, args) if timed or deadline.used else 0.0
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                call = _Call(self, target, args, kwargs, started)
                wait = call.failed(error)
                if wait is None:
                    raise
            else:
                if type(result) not in plain and is_awaitable(result):
                    return continue_async(self, target, result, args, kwargs)
                if not careful:
                    if budget is not None and budget.level < budget.tokens:
                        budget.give(1)
                    return result
                call = _Call(self, target, args, kwargs, started)
                wait = call.returned(result)
                if wait is None:
                    return result
            return again(call, wait, args, kwargs)

        def again(call: _Call, wait: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            while True:
                RUNTIME.driver.sleep(wait)
                try:
                    result = fn(*args, **kwargs)
                except Exception as error:
                    following = call.failed(error)
                    if following is None:
                        raise
                else:
                    following = call.returned(result)
                    if following is None:
                        return result
                wait = following

        return retried

    def _bind_async(self, target: Target) -> AnyCallable:
        fn, plan, deadline = target.fn, self._plan, DEADLINE
        budget = plan.budget
        careful, timed = plan.judges_results, plan.needs_start

        async def retried(*args: Any, **kwargs: Any) -> Any:
            started = self._start(target, args) if timed or deadline.used else 0.0
            try:
                result = await fn(*args, **kwargs)
            except Exception as error:
                call = _Call(self, target, args, kwargs, started)
                wait = call.failed(error, cancelled=cancel_requested())
                if wait is None:
                    raise
            else:
                if not careful:
                    if budget is not None and budget.level < budget.tokens:
                        budget.give(1)
                    return result
                call = _Call(self, target, args, kwargs, started)
                wait = call.returned(result, cancelled=cancel_requested())
                if wait is None:
                    return result
            return await again(call, wait, args, kwargs)

        async def again(call: _Call, wait: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            while True:
                await RUNTIME.driver.asleep(wait)
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
                wait = following

        return retried


class _Call:
    """One call that did not end with its first attempt: asks the core and tells the listeners."""

    __slots__ = ("_attempts", "_label", "_plan")

    def __init__(
        self,
        policy: Retry,
        target: Target | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        started: float,
    ) -> None:
        plan = policy.plan
        label = "block" if target is None else target.label(args)
        fn = None if target is None else target.function(args)
        state = plan.state(started, fn, args if target is None else target.arguments(args), kwargs)

        def hook_error(hook: str, broken: Exception) -> None:
            HUB.hook_failed(policy.kind, label, hook, broken)

        self._label = label
        self._plan = plan
        self._attempts = Attempts(plan, started, hook_error, state)

    def failed(self, error: Exception, *, cancelled: bool = False) -> float | None:
        """An attempt raised. Seconds to wait before the next, or ``None`` when there is none."""
        decision, made = self._decide(Outcome(error), cancelled)
        if decision.wait is None and decision.reason and made > 1:
            _add_note(error, f"{NOTE}{self._label} gave up after {made} attempts ({decision.reason})")
        return decision.wait

    def returned(self, result: Any, *, cancelled: bool = False) -> float | None:
        """An attempt returned. Seconds to wait before the next, or ``None`` when the result stands."""
        if not self._plan.judges_results:
            self.done()
            return None
        decision, _ = self._decide(Outcome(None, result), cancelled)
        if decision.wait is None and not decision.reason:
            self.done()
        return decision.wait

    def done(self) -> None:
        """The call succeeded: pay back what is due."""
        budget = self._plan.budget
        if budget is not None:
            budget.give(1 if self._attempts.number == 1 else budget.cost)

    def _decide(self, outcome: Outcome, cancelled: bool) -> tuple[Decision, int]:
        attempts, now = self._attempts, SYSTEM.now()
        made = attempts.number
        wanted = attempts.wanted(outcome, now)
        if not is_wanted(wanted):
            return Decision(None, ""), made
        if HUB.listeners:
            HUB.emit(AttemptFailed(attempt=made, **self._facts(outcome)))
        given_up = Decision(None, "cancelled")
        decision = given_up if cancelled else attempts.decide(wanted, now, DEADLINE.moment())
        if HUB.listeners:
            if decision.wait is None:
                HUB.emit(GivenUp(attempts=made, reason=decision.reason, **self._facts(outcome)))
            else:
                HUB.emit(RetryScheduled(attempt=made + 1, wait=decision.wait, **self._facts(outcome)))
        return decision, made

    def _facts(self, outcome: Outcome) -> dict[str, Any]:
        error = outcome.error
        kind = "result" if error is None else type(error).__name__
        return {"policy": Retry.kind, "name": self._label, "error": error, "error_type": kind}


def _add_note(error: Exception, note: str) -> None:
    """Say on the error itself that it was retried; one note, however often the same object is raised."""
    notes: list[object] | None = getattr(error, "__notes__", None)
    if notes is not None:
        notes[:] = [one for one in notes if not (isinstance(one, str) and one.startswith(NOTE))]
    error.add_note(note)


class AttemptLoop:
    """The loop of attempts made by :meth:`Retry.attempts`; iterate it once, with ``for`` or ``async for``."""

    def __init__(self, policy: Retry) -> None:
        self._policy = policy

    def __iter__(self) -> Iterator[Attempt]:
        attempt = self._first()
        while True:
            yield attempt
            wait = attempt.verdict()
            if wait is None:
                return
            RUNTIME.driver.sleep(wait)
            attempt = attempt.following()

    async def __aiter__(self) -> AsyncIterator[Attempt]:
        attempt = self._first(is_async=True)
        while True:
            yield attempt
            wait = attempt.verdict()
            if wait is None:
                return
            await RUNTIME.driver.asleep(wait)
            attempt = attempt.following()

    def _first(self, *, is_async: bool = False) -> Attempt:
        if DEADLINE.used:
            check_deadline(Retry.kind, "block")
        call = _Call(self._policy, None, (), {}, SYSTEM.now())
        return Attempt(call, 1, is_async=is_async)


class Attempt:
    """One attempt of a block; use it with ``with``.

    Attributes:
        number: Which attempt this is, from 1.
    """

    __slots__ = ("_call", "_is_async", "_used", "_wait", "number")

    def __init__(self, call: _Call, number: int, *, is_async: bool) -> None:
        self.number = number
        self._call = call
        self._is_async = is_async
        self._used = False
        self._wait: float | None = None

    def __enter__(self) -> Self:
        self._used = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None:
            self._call.done()
        elif isinstance(error, Exception):
            self._wait = self._call.failed(error, cancelled=self._is_async and cancel_requested())
        return self._wait is not None

    def verdict(self) -> float | None:
        """Seconds until the next attempt, or ``None`` when the block is done.

        Raises:
            ConfigurationError: The attempt was not used with ``with``, so nobody knows how it ended.
        """
        if not self._used:
            raise ConfigurationError(
                "for attempt in ….attempts(): an attempt was not used, so its outcome is unknown; write "
                "with attempt: around the work"
            )
        return self._wait

    def following(self) -> Attempt:
        """The next attempt of the same block."""
        return Attempt(self._call, self.number + 1, is_async=self._is_async)


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
    ``on`` names ``RejectedError`` or one of its kinds itself as a type.

    Args:
        on: What is worth another attempt: a type, a tuple of types, a predicate, or a tenacity retry object. A number
            or ``timedelta`` returned by a predicate is the wait (a server's Retry-After, say).
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

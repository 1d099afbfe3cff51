"""What a retry does after each attempt: done, wait and try again, or give up, and why.

The loop itself lives in ``policies/retry.py``; it never comes here when the first attempt succeeds. Backoff is
tenacity's: its wait, stop and retry objects are asked in the order tenacity asks them, with the call state it would
have given them (``tenacity/__init__.py``: retry, wait, stop, then the next action).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple

import tenacity
from tenacity import RetryAction, RetryCallState, TryAgain
from tenacity.retry import (
    retry_all,
    retry_any,
    retry_base,
    retry_if_exception,
    retry_if_exception_cause_type,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_exception_type,
)
from tenacity.stop import stop_base
from tenacity.wait import wait_base, wait_random_exponential

from resilix.core import options
from resilix.core.budget import BudgetCore
from resilix.core.verdict import Matcher, OnHookError

OWNER = "retry"
ON_EXCEPTIONS_ONLY: Final = (
    retry_if_exception,
    retry_if_exception_type,
    retry_if_not_exception_type,
    retry_if_exception_cause_type,
    retry_if_exception_message,
)
"""Retry objects that never look at a result. Exact types: some of their subclasses do look."""


class Outcome(NamedTuple):
    """What an attempt ended with.

    Attributes:
        error: The exception, or ``None``.
        result: The result, when there was no exception.
    """

    error: Exception | None
    result: Any = None


class Decision(NamedTuple):
    """What to do now.

    Attributes:
        wait: Seconds until the next attempt; ``None`` when there will be none.
        reason: Why there will be none; empty when the outcome is nothing to retry.
    """

    wait: float | None
    reason: str


class _Numbered:
    """All of a call state that tenacity's own exponential wait reads; a full one costs 15 µs a failure."""

    __slots__ = ("attempt_number",)

    def __init__(self, number: int) -> None:
        self.attempt_number = number


class RetryPlan:
    """The checked options of a retry.

    Attributes:
        judges_results: Whether results have to be looked at, not only exceptions.
        needs_start: Whether anything asks how long ago the first attempt began.
        attempts: The most attempts of one call; infinite when ``stop`` or ``within`` bound them.
        within: Seconds for the whole call; infinite without a bound.
    """

    __slots__ = (
        "_on", "_on_result", "_retrying", "_stop", "_wait", "_wait_kind", "attempts", "budget", "judges_results",
        "needs_start", "shown", "within",
    )  # fmt: skip

    def __init__(
        self,
        *,
        on: Any,
        on_result: Any,
        attempts: Any,
        wait: Any,
        within: Any,
        stop: Any,
        budget: BudgetCore | None,
    ) -> None:
        self._on = Matcher(OWNER, "on", on)
        self._on_result = on_result
        if on_result is not None:
            options.function(OWNER, "on_result", on_result, "result")
        self.within = math.inf if within is None else options.duration(OWNER, "within", within)
        self._stop = _read_stop(stop)
        self.attempts = _read_attempts(attempts, bounded=stop is not None or within is not None)
        self._wait, self._wait_kind = _read_wait(wait)
        self.budget = budget
        self.judges_results = on_result is not None or (self._on.tenacity and asks_results(on))
        theirs = self._on.tenacity or self._stop is not None or isinstance(wait, wait_base)
        if theirs and wait is None:
            self._wait_kind = "tenacity"
        self.needs_start = theirs or within is not None
        self._retrying = _retry_object(self._wait, self._stop, on) if theirs else None
        self.shown = self._on.shown

    def state(self, started: float, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> RetryCallState | None:
        """Make the call state tenacity's objects are asked with, if there are any."""
        if self._retrying is None:
            return None
        state = RetryCallState(self._retrying, fn, args, kwargs)
        state.start_time = started
        return state

    def wanted(self, outcome: Outcome, state: RetryCallState | None) -> object:
        """Say whether the outcome is to be retried: False, True, or the seconds to wait. Runs user code."""
        error = outcome.error
        if error is not None:
            explicit = self._on.tenacity and isinstance(error, TryAgain)
            return explicit or self._on.ask(error, state)
        if self._on_result is not None:
            answer = self._on_result(outcome.result)
            if answer is not False and answer is not None:
                return answer
        if self._on.tenacity and self.judges_results and state is not None:
            return self._on.predicate is not None and self._on.predicate(state)
        return False

    def wait(self, number: int, state: RetryCallState | None) -> float:
        """Ask the wait strategy. Runs user code."""
        if self._wait_kind == "number":
            return float(self._wait)
        argument: Any = state if self._wait_kind == "tenacity" else number
        if self._wait_kind == "default":
            argument = _Numbered(number)
        answer = self._wait(argument)
        return options.duration(OWNER, "wait", answer, zero="no wait")

    def stops(self, state: RetryCallState | None) -> bool:
        """Ask the stop strategy. Runs user code."""
        return self._stop is not None and bool(self._stop(state))

    def longest_waits(self) -> float:
        """The most that all waits of one call can add up to; infinite where that cannot be known."""
        waits = self.attempts - 1
        if waits == 0:
            return 0.0
        if self._wait_kind == "number":
            return float(waits * self._wait)
        longest = getattr(self._wait, "max", math.inf)
        if self._wait_kind == "default" and waits < math.inf:
            return float(sum(min(0.1 * 2.0 ** min(k, 64), longest) for k in range(int(waits))))
        known = self._wait_kind == "tenacity" and isinstance(longest, (int, float)) and longest < NO_MAXIMUM
        return float(waits * longest) if known else math.inf


NO_MAXIMUM = 1e9
"""Tenacity's own "no maximum" is far above this many seconds."""


class Attempts:
    """The attempts of one call, from the first that failed.

    Attributes:
        number: How many attempts have been made.
    """

    __slots__ = ("_hook_error", "_plan", "_started", "_state", "number")

    def __init__(self, plan: RetryPlan, started: float, hook_error: OnHookError, state: RetryCallState | None) -> None:
        self.number = 1
        self._plan = plan
        self._started = started
        self._state = state
        self._hook_error = hook_error

    def wanted(self, outcome: Outcome, now: float) -> object:
        """Whether this outcome may be retried at all. A predicate that raises means no."""
        self._note(outcome, now)
        try:
            return self._plan.wanted(outcome, self._state)
        except Exception as broken:
            self._hook_error("on" if outcome.error is not None else "on_result", broken)
            return False

    def decide(self, wanted: object, now: float, deadline: float) -> Decision:
        """Say what comes after an outcome that may be retried.

        Args:
            wanted: What :meth:`wanted` answered.
            now: The time.
            deadline: The moment by which the whole call must be over; infinite without one.
        """
        decision = self._decide(wanted, now, deadline)
        if decision.wait is None:
            self._state = None  # it holds the error, whose traceback holds us
        return decision

    def _decide(self, wanted: object, now: float, deadline: float) -> Decision:
        plan, state = self._plan, self._state
        if self.number >= plan.attempts:
            return Decision(None, "attempts")
        try:
            wait = self._hint(wanted)
            if wait is None:
                wait = plan.wait(self.number, state)
        except Exception as broken:
            self._hook_error("wait", broken)
            return Decision(None, "hook")
        if state is not None:
            state.upcoming_sleep = wait
        try:
            if plan.stops(state):
                return Decision(None, "stop")
        except Exception as broken:
            self._hook_error("stop", broken)
            return Decision(None, "hook")
        if now + wait > self._started + plan.within:
            return Decision(None, "within")
        if now + wait >= deadline:
            return Decision(None, "deadline")
        if plan.budget is not None and not plan.budget.spend():
            return Decision(None, "budget")
        self._advance(wait)
        return Decision(wait, "")

    def _note(self, outcome: Outcome, now: float) -> None:
        state, error = self._state, outcome.error
        if state is None:
            return
        if error is not None:
            state.set_exception((type(error), error, error.__traceback__))
        else:
            state.set_result(outcome.result)
        state.outcome_timestamp = now

    def _hint(self, wanted: object) -> float | None:
        """The wait that ``on`` asked for, as a server's Retry-After would; nonsense counts as absent."""
        if isinstance(wanted, bool) or not isinstance(wanted, (int, float, timedelta)):
            return None
        seconds = wanted.total_seconds() if isinstance(wanted, timedelta) else float(wanted)
        return seconds if 0 <= seconds < math.inf else None

    def _advance(self, wait: float) -> None:
        self.number += 1
        state = self._state
        if state is not None:
            state.next_action = RetryAction(wait)
            state.idle_for += wait
            state.prepare_for_next_attempt()


def is_wanted(answer: object) -> bool:
    """Whether an answer of ``on`` means yes: a number does, zero included."""
    return (isinstance(answer, (int, float, timedelta)) and not isinstance(answer, bool)) or bool(answer)


def asks_results(on: Any) -> bool:
    """Whether a tenacity retry object looks at results too."""
    if isinstance(on, (retry_any, retry_all)):
        return any(asks_results(one) for one in on.retries)
    return type(on) not in ON_EXCEPTIONS_ONLY


def _read_attempts(attempts: Any, *, bounded: bool) -> float:
    if attempts is None:
        if bounded:
            return math.inf
        raise options.refuse(
            OWNER,
            "attempts",
            None,
            "without a bound it would retry for ever",
            "give within=30.0 (seconds) or stop=…, or write attempts=3",
        )
    why = "attempts counts the first one too, so it must be at least 1"
    return options.whole(OWNER, "attempts", attempts, least=1, why=why)


def _read_stop(stop: Any) -> Callable[[Any], object] | None:
    if stop is None or isinstance(stop, stop_base):
        return stop
    if callable(stop) and not isinstance(stop, type):
        return stop  # type: ignore[no-any-return]
    raise options.refuse(
        OWNER,
        "stop",
        stop,
        "it decides when to stop, as a tenacity stop object or a function of the call state",
        "write attempts=5, within=30.0, or stop=tenacity.stop_after_delay(30)",
    )


def _read_wait(wait: Any) -> tuple[Any, str]:
    if wait is None:
        return wait_random_exponential(multiplier=0.1, max=10), "default"
    if isinstance(wait, wait_base):
        return wait, "tenacity"
    if callable(wait) and not isinstance(wait, type):
        return wait, "function"
    return options.duration(OWNER, "wait", wait, zero="no wait between attempts"), "number"


def _retry_object(wait: Any, stop: Any, on: Any) -> tenacity.Retrying:
    return tenacity.Retrying(
        wait=wait if isinstance(wait, wait_base) else tenacity.wait_none(),
        stop=stop if stop is not None else tenacity.stop_never,
        retry=on if isinstance(on, retry_base) else tenacity.retry_if_exception(bool),
        reraise=True,
    )

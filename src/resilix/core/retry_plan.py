"""The checked options of a retry, and the questions they answer.

Backoff is tenacity's: its wait, stop and retry objects are taken as they are and asked with the call state tenacity
would give them. ``attempts.py`` asks them, in tenacity's order.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple

import tenacity
from tenacity import RetryCallState, TryAgain
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base, wait_fixed, wait_random, wait_random_exponential

from resilix.core import options
from resilix.core.budget import BudgetCore
from resilix.core.verdict import Matcher, asks_results
from resilix.errors import RejectedError

OWNER = "retry"
FIRST_WAIT: Final = 0.1
"""Seconds the first default wait takes at most; it doubles from there."""
LONGEST_WAIT: Final = 10.0
"""Seconds any default wait takes at most."""
DOUBLINGS: Final = 7
"""After so many waits the default has reached its longest."""
NO_MAXIMUM: Final = 1e9
"""Tenacity's own "no maximum" is far above this many seconds."""


class Answer(NamedTuple):
    """What a predicate said about an outcome.

    Attributes:
        wanted: Whether it is worth another attempt.
        hint: Seconds to wait before that attempt, when the predicate knows better than the schedule.
        least: The hint is the least; a longer wait of the schedule stands.
    """

    wanted: bool
    hint: float | None = None
    least: bool = False


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
        shows_call: Whether anything of the user's is shown the arguments of the call, in tenacity's call state.
        attempts: The most attempts of one call; infinite when ``stop`` or ``within`` bound them.
        within: Seconds for the whole call; infinite without a bound.
        on_result: The user's predicate for results, if there is one.
        on_state: tenacity's predicate, where it looks at results too.
    """

    __slots__ = (
        "_on", "_retrying", "_stop", "_wait", "_wait_kind", "attempts", "budget", "judges_results", "needs_start",
        "on_result", "on_state", "shown", "shows_call", "within",
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
        for option, value in (("on", on), ("on_result", on_result), ("wait", wait), ("stop", stop)):
            _refuse_async(option, value)
        if on == () and on_result is None:
            raise options.refuse(
                OWNER, "on", on, "it names nothing, so nothing would be retried", "write on=ConnectionError, say"
            )
        self._on = Matcher(OWNER, "on", on)
        self.on_result = None if on_result is None else options.function(OWNER, "on_result", on_result, "result")
        self.within = math.inf if within is None else options.duration(OWNER, "within", within)
        self._stop = _read_stop(stop)
        self.attempts = _read_attempts(attempts, bounded=stop is not None or within is not None)
        self._wait, self._wait_kind = _read_wait(wait)
        self.budget = budget
        self.on_state = self._on.predicate if self._on.tenacity and asks_results(on) else None
        self.judges_results = on_result is not None or self.on_state is not None
        theirs = self._on.tenacity or self._stop is not None or isinstance(wait, wait_base)
        if theirs and wait is None:
            self._wait_kind = "tenacity"
        self.needs_start = theirs or within is not None
        self.shows_call = theirs and any(_sees_state(one) for one in (on, wait, stop) if callable(one))
        self._retrying = _retry_object(self._wait, self._stop, on) if theirs else None
        self.shown = self._on.shown

    def state(self, started: float, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> RetryCallState | None:
        """Make the call state tenacity's objects are asked with, if there are any."""
        if self._retrying is None:
            return None
        state = RetryCallState(self._retrying, fn, args, kwargs)
        state.start_time = started
        return state

    def judge_error(self, error: Exception, state: RetryCallState | None) -> Answer:
        """Ask ``on`` about an exception. Runs user code."""
        if self._on.tenacity:
            # Their predicates say yes or no: a count or a length is no wait.
            return Answer(isinstance(error, TryAgain) or bool(self._on.ask(error, state)))
        return read_answer(self._on.ask(error))

    def passes(self, error: Exception) -> bool:
        """Whether it is a refusal by one of our own policies that nothing names: there is nothing to ask about it."""
        return isinstance(error, RejectedError) and not isinstance(error, self._on.named)

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
        if self.on_result is not None or (self._on.predicate is not None and not self._on.tenacity):
            return math.inf  # a predicate may answer with any wait
        if self._wait_kind == "number":
            return float(waits * self._wait) if self._wait else 0.0  # infinite times zero is no number
        if self._wait_kind == "default":
            doubled = int(min(waits, DOUBLINGS))
            return FIRST_WAIT * (2.0**doubled - 1) + (waits - doubled) * LONGEST_WAIT
        longest = _longest(self._wait) if self._wait_kind == "tenacity" else math.inf
        return waits * longest if longest else 0.0


def _longest(wait: Any) -> float:
    """The most one wait of a tenacity strategy can take; infinite where that cannot be known."""
    if isinstance(wait, wait_fixed):
        return float(wait.wait_fixed)
    if isinstance(wait, wait_random):
        return float(wait.wait_random_max)
    longest = getattr(wait, "max", math.inf)
    known = isinstance(longest, (int, float)) and longest < NO_MAXIMUM
    return float(max(longest, getattr(wait, "min", 0))) if known else math.inf


def read_answer(answer: object) -> Answer:
    """Read what a predicate of ours said: a number or ``timedelta``, zero too, is yes and the wait.

    A wait that makes no sense (negative, infinite, NaN) counts as a plain yes: servers do send such things.
    """
    if isinstance(answer, bool) or answer is None:
        return Answer(bool(answer))
    if isinstance(answer, timedelta):
        answer = answer.total_seconds()
    if isinstance(answer, (int, float)):
        return Answer(True, float(answer) if 0 <= answer <= NO_MAXIMUM else None)
    if hasattr(answer, "__await__"):
        raise TypeError(f"the predicate gave back {type(answer).__name__}, which nobody awaits here")
    return Answer(bool(answer))


def _sees_state(strategy: Any) -> bool:
    """Whether code that is not tenacity's is asked with a call state; predicates of retry objects are not."""
    if isinstance(strategy, type) or not isinstance(strategy, (retry_base, stop_base, wait_base)):
        return not isinstance(strategy, type)
    if type(strategy).__module__.partition(".")[0] != "tenacity":
        return True
    parts: list[Any] = []
    for name, part in vars(strategy).items():
        several = isinstance(part, (tuple, list))
        if several or not (isinstance(strategy, retry_base) and name == "predicate"):
            parts += part if several else [part]
    return any(_sees_state(part) for part in parts if callable(part))


def _refuse_async(option: str, value: Any) -> None:
    """A coroutine function would be asked and never awaited, and what it gives back would always mean yes."""
    if isinstance(value, type):
        return  # an exception type, or a mistake that has its own message
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(value, "__call__", None)):  # noqa: B004
        raise options.refuse(
            OWNER, option, value, "it is async, and nobody awaits it between attempts", "write it as a plain def"
        )
    if isinstance(value, retry_base):
        for part in (getattr(value, "predicate", None), *getattr(value, "retries", ())):
            _refuse_async(option, part)


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
        return wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT), "default"
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

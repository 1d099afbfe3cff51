"""What a retry does after each attempt: done, wait and try again, or give up, and why.

The loop itself lives in ``policies/retry.py``; it never comes here when the first attempt succeeds. tenacity's objects
are asked in the order tenacity asks them, with the call state it would have given them (``tenacity/__init__.py``:
retry, wait, stop, then the next action).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tenacity import RetryAction, RetryCallState

from resilix.core.retry_plan import Answer, RetryPlan, read_answer
from resilix.core.verdict import OnHookError


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


DONE = Decision(None, "")
"""The outcome is nothing to retry."""


class Attempts:
    """The attempts of one call, from the first that failed.

    Attributes:
        number: The number of the attempt under way.
    """

    __slots__ = ("_hint", "_hook_error", "_least", "_plan", "_started", "_state", "number")

    def __init__(self, plan: RetryPlan, started: float, hook_error: OnHookError, state: RetryCallState | None) -> None:
        self.number = 1
        self._plan = plan
        self._started = started
        self._state = state
        self._hook_error = hook_error
        self._hint: float | None = None
        self._least = False

    def wanted(self, outcome: Outcome, now: float, ruled: Callable[[Answer], Answer] | None = None) -> bool:
        """Whether this outcome may be retried at all. A predicate that raises means no.

        Args:
            outcome: What the attempt ended with.
            now: The time.
            ruled: Has the last word, given what the options of the retry say.
        """
        wanted = self._asked(outcome, now)
        if ruled is not None:
            wanted, self._hint, self._least = ruled(Answer(wanted, self._hint))
        return wanted

    def _asked(self, outcome: Outcome, now: float) -> bool:
        plan, state, error = self._plan, self._state, outcome.error
        self._hint = None
        self._note(outcome, now)
        if error is not None:
            return self._ask("on", lambda: plan.judge_error(error, state))
        on_result, on_state = plan.on_result, plan.on_state
        if on_result is not None and self._ask("on_result", lambda: read_answer(on_result(outcome.result))):
            return True
        return on_state is not None and self._ask("on", lambda: Answer(bool(on_state(state))))

    def _ask(self, hook: str, question: Callable[[], Answer]) -> bool:
        try:
            wanted, self._hint, _ = question()
        except Exception as broken:
            self._hook_error(hook, broken)
            return False
        return wanted

    def decide(self, now: float, deadline: float) -> Decision:
        """Say what comes after an outcome that may be retried.

        Args:
            now: The time.
            deadline: The moment by which the whole call must be over; infinite without one.
        """
        plan, state = self._plan, self._state
        if self.number >= plan.attempts:
            return Decision(None, "attempts")
        try:
            wait = self._hint
            if wait is None or self._least:
                wait = max(plan.wait(self.number, state), wait or 0.0)
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

    def end(self) -> None:
        """There will be no further attempt. The call state holds the error, whose traceback holds us: let go."""
        self._state = None

    def _note(self, outcome: Outcome, now: float) -> None:
        state, error = self._state, outcome.error
        if state is None:
            return
        if error is not None:
            state.set_exception((type(error), error, error.__traceback__))
        else:
            state.set_result(outcome.result)
        state.outcome_timestamp = now

    def _advance(self, wait: float) -> None:
        self.number += 1
        state = self._state
        if state is not None:
            state.next_action = RetryAction(wait)
            state.idle_for += wait
            state.prepare_for_next_attempt()

"""One call of a retry from its first failed attempt on, and the loop of attempts for a block."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from resilix import events
from resilix.clock import SYSTEM
from resilix.core.attempts import DONE, Attempts, Decision, Outcome
from resilix.core.deadline import DEADLINE
from resilix.core.retry_plan import RetryPlan
from resilix.errors import ConfigurationError
from resilix.events import HUB
from resilix.policies.target import Target
from resilix.policies.time_left import check_deadline
from resilix.runtime import RUNTIME, cancel_requested
from resilix.tally import TALLY

KIND: Final = "retry"
NOTE: Final = "resilix: "


class RetryCall:
    """One call that did not end with its first attempt: asks the core and tells the listeners.

    Attributes:
        label: The name of its pipeline or function.
    """

    __slots__ = ("_args", "_attempts", "_last", "_outcomes", "_plan", "label")

    def __init__(
        self,
        plan: RetryPlan,
        target: Target | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        started: float,
    ) -> None:
        label = "block" if target is None else target.label(args)
        fn = None if target is None else target.function(args)
        state = plan.state(started, fn, args if target is None else target.arguments(args), kwargs)

        def hook_error(hook: str, broken: Exception) -> None:
            HUB.hook_failed(KIND, label, hook, broken)

        self.label = label
        self._plan = plan
        self._args = args
        self._outcomes = None if target is None else target.outcomes
        self._attempts = Attempts(plan, started, hook_error, state)
        self._last: Outcome | None = None

    def failed(self, error: Exception, *, cancelled: bool = False) -> float | None:
        """An attempt raised. Seconds to wait before the next, or ``None`` when there is none."""
        return self._after(Outcome(error), cancelled)

    def returned(self, result: Any, *, cancelled: bool = False) -> float | None:
        """An attempt returned. Seconds to wait before the next, or ``None`` when the result stands."""
        if not self._plan.judges_results:
            self.done()
            return None
        return self._after(Outcome(None, result), cancelled)

    def done(self) -> None:
        """The call succeeded: pay back what is due."""
        budget = self._plan.budget
        if budget is not None:
            budget.give(1 if self._attempts.number == 1 else budget.cost)

    def drop(self, result: Any) -> None:
        """The result will not reach the caller: tell its maker."""
        if self._outcomes is not None:
            self._outcomes.dropped(self._args, result)

    async def adrop(self, result: Any) -> None:
        """The same, async."""
        if self._outcomes is not None:
            await self._outcomes.adropped(self._args, result)

    def overslept(self) -> bool:
        """Whether the deadline passed during the wait, which may take longer than it should: no attempt then."""
        if self._last is None:
            return False  # there is no deadline
        if SYSTEM.now() >= DEADLINE.moment():
            return True
        self._last = None
        return False

    def give_up(self) -> Any:
        """Return or raise once more what the last attempt ended with: the next one cannot be made after all."""
        outcome, self._last = self._last, None
        assert outcome is not None, "asked only once overslept() said so"
        self._attempts.end()
        if self._plan.budget is not None:
            self._plan.budget.give(self._plan.budget.cost)
        self._given_up(outcome, self._attempts.number - 1, "deadline")
        if outcome.error is None:
            return outcome.result
        try:
            raise outcome.error
        finally:
            del outcome  # its traceback holds this frame

    def _after(self, outcome: Outcome, cancelled: bool) -> float | None:
        attempts, now = self._attempts, SYSTEM.now()
        made, decision = attempts.number, DONE
        outcomes, args = self._outcomes, self._args
        ruled = None if outcomes is None else partial(outcomes.ruled, args, outcome.error, outcome.result)
        if attempts.wanted(outcome, now, ruled):
            if HUB.listeners:
                HUB.emit(events.AttemptFailed(attempt=made, **self._facts(outcome)))
            deadline = DEADLINE.moment()
            decision = Decision(None, "cancelled") if cancelled else attempts.decide(now, deadline)
            if decision.wait is not None:
                TALLY.add("retries", self.label, "result" if outcome.error is None else "error")
                if deadline < float("inf"):
                    self._last = outcome
                if HUB.listeners:
                    HUB.emit(events.RetryScheduled(attempt=made + 1, wait=decision.wait, **self._facts(outcome)))
                return decision.wait
            self._given_up(outcome, made, decision.reason)
        elif outcome.error is None and (outcomes is None or outcomes.good(outcome.result)):
            self.done()
        attempts.end()
        return None

    def _given_up(self, outcome: Outcome, made: int, reason: str) -> None:
        TALLY.add("exhausted", self.label, reason)
        if outcome.error is not None and made > 1:
            _add_note(outcome.error, f"{NOTE}{self.label} gave up after {made} attempts ({reason})")
        if HUB.listeners:
            HUB.emit(events.GivenUp(attempts=made, reason=reason, **self._facts(outcome)))

    def _facts(self, outcome: Outcome) -> dict[str, Any]:
        error = outcome.error
        kind = "result" if error is None else type(error).__name__
        facts: dict[str, Any] = {"policy": KIND, "name": self.label, "error": error, "error_type": kind}
        if self._outcomes is not None:
            facts["attributes"] = self._outcomes.attributes(self._args, outcome.result)
        return facts


def _add_note(error: Exception, note: str) -> None:
    """Say on the error itself that it was retried; one note, however often the same object is raised."""
    with suppress(Exception):  # an error that takes no note (a frozen dataclass, say) still is the caller's
        notes: list[object] | None = getattr(error, "__notes__", None)
        if notes is not None:
            notes[:] = [one for one in notes if not (isinstance(one, str) and one.startswith(NOTE))]
        error.add_note(note)


class AttemptLoop:
    """The attempts of a block: iterate over it with ``for`` or ``async for``; each time is a call of its own."""

    __slots__ = ("_plan",)

    def __init__(self, plan: RetryPlan) -> None:
        self._plan = plan

    def __iter__(self) -> AttemptIterator:
        return AttemptIterator(self._plan, is_async=False)

    def __aiter__(self) -> AttemptIterator:
        return AttemptIterator(self._plan, is_async=True)


class AttemptIterator:
    """Gives out one attempt after the other. No generator: left early, it has nothing to close."""

    __slots__ = ("_is_async", "_last", "_plan")

    def __init__(self, plan: RetryPlan, *, is_async: bool) -> None:
        self._plan = plan
        self._is_async = is_async
        self._last: Attempt | None = None

    def __iter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    def __next__(self) -> Attempt:
        if self._last is None:
            return self._first()
        wait = self._last.verdict()
        if wait is None:
            raise StopIteration
        RUNTIME.driver.sleep(wait)
        return self._following(self._last)

    async def __anext__(self) -> Attempt:
        if self._last is None:
            return self._first()
        wait = self._last.verdict()
        if wait is None:
            raise StopAsyncIteration
        await RUNTIME.driver.asleep(wait)
        return self._following(self._last)

    def _first(self) -> Attempt:
        if DEADLINE.used:
            check_deadline(KIND, "block")
        call = RetryCall(self._plan, None, (), {}, SYSTEM.now())
        self._last = Attempt(call, 1, is_async=self._is_async)
        return self._last

    def _following(self, last: Attempt) -> Attempt:
        self._last = last.following()
        return self._last


class Attempt:
    """One attempt of a block; use it with ``with``.

    Attributes:
        number: Which attempt this is, from 1.
    """

    __slots__ = ("_call", "_is_async", "_used", "_wait", "number")

    def __init__(self, call: RetryCall, number: int, *, is_async: bool) -> None:
        self.number = number
        self._call = call
        self._is_async = is_async
        self._used = False
        self._wait: float | None = None

    def __enter__(self) -> Self:
        if self._used:
            raise ConfigurationError(
                "with attempt: this attempt was used already, and one attempt is one execution; "
                "take the next from the loop: for attempt in ….attempts(): with attempt: …"
            )
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
        """The next attempt of the same block; raises the last error when there is no time for it after all."""
        if self._call.overslept():
            self._call.give_up()
        return Attempt(self._call, self.number + 1, is_async=self._is_async)

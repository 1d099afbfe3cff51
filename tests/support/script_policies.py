"""Random pipelines and what happens to them, to be run once with ``call`` and once with ``acall``."""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import tenacity
from tests.support.retry_calls import listening
from tests.support.retry_scripts import Clock, everything_by

from resilix import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    ResilixWarning,
    RetryBudget,
    calls,
    deadline,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.events import ErrorEvent, Event

NUMBERS = itertools.count()
ERRORS: list[Callable[[], Exception]] = [
    lambda: ConnectionError("down"),
    lambda: TimeoutError("slow"),
    lambda: ValueError("bad"),
    lambda: KeyError("odd"),
    lambda: CircuitOpenError("elsewhere", retry_after=1.0, reason="test"),
    lambda: BulkheadFullError("elsewhere", limit=1),
]


class Stage:
    """The policies of one run. The same seed makes the same ones, under names that do not show in the log."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        number = next(NUMBERS)
        probes, probe_failures = dice.choice([(1, 0), (1, 0), (2, 0), (2, 1)])
        self.breaker = CircuitBreaker(
            f"breaker {number}",
            on=dice.choice([Exception, OSError, lambda error: isinstance(error, OSError)]),
            ignore=dice.choice([(), KeyError]),
            on_result=dice.choice([None, None, lambda result: result == "odd"]),
            consecutive=dice.choice([2, 3, 10]),
            failure_rate=dice.choice([None, 0.5, 0.3]),
            slow_rate=dice.choice([None, 0.5]),
            slow_after=1.0,
            window=dice.choice([calls(5), 10.0]),
            min_calls=dice.choice([2, 5]),
            open_for=dice.choice([0.5, 5.0, lambda opening: opening * 2.0]),
            probes=probes,
            probe_failures=probe_failures,
            probe_lease=3.0,
        )
        self.slots = Bulkhead(f"slots {number}", limit=dice.choice([1, 2]))
        self.budget = RetryBudget(f"budget {number}", tokens=30, cost=7)
        self.held: list[Any] = []
        self.guard = pipeline(*self._policies(dice), name="scripted")
        self.decorated = dice.random() < 0.5

    def _policies(self, dice: random.Random) -> list[Any]:
        again = retry(
            on=dice.choice(
                [
                    OSError,
                    (OSError, CircuitOpenError),
                    lambda error: isinstance(error, OSError),
                    lambda error: 0.5 if isinstance(error, OSError) else False,
                    lambda error: error.nothing,
                    tenacity.retry_if_exception_type(OSError)
                    | tenacity.retry_if_result(lambda result: result == "odd"),
                ]
            ),
            on_result=dice.choice([None, None, lambda result: result == "odd"]),
            attempts=dice.choice([1, 2, 3, 5]),
            wait=dice.choice([None, 0, 1.5, lambda number: number * 0.4, tenacity.wait_exponential_jitter(max=3)]),
            within=dice.choice([None, None, 4.0]),
            stop=dice.choice([None, None, tenacity.stop_after_delay(2)]),
            budget=dice.choice([None, self.budget]),
        )
        last = dice.choice(
            [
                fallback(None, on=(OSError, CircuitOpenError)),
                fallback(handle=lambda error: type(error).__name__, on=Exception),
                fallback(call=lambda *args: args, on=OSError),
                fallback(handle=lambda error: error.nothing, on=ValueError),
            ]
        )
        policies = [self.breaker, self.slots, again]
        policies += dice.sample([last, timeout(dice.choice([60.0, 2.0]), cooperative=True), timeout(60.0)], 2)
        dice.shuffle(policies)
        return policies[: dice.randint(2, 5)]


def _moves(seed: int) -> list[tuple[str, Any]]:
    """What happens: calls with the ends of their attempts and how long each works, and things in between."""
    dice = random.Random(-seed)
    ends: list[Any] = ["fine", "fine", "odd", *ERRORS, ERRORS[0], ERRORS[0], ERRORS[0]]
    moves: list[tuple[str, Any]] = []
    for _ in range(dice.randint(4, 14)):
        what = dice.choice(["call"] * 6 + ["tick", "tick", "hold", "let go", "open", "close", "force_open", "observe"])
        attempts = [(dice.choice(ends), dice.choice([0.0, 0.0, 0.2, 1.5, 6.0])) for _ in range(5)]
        limit = dice.choice([None, None, None, 0.0, 1.0, 5.0])
        moves.append((what, (attempts, limit) if what == "call" else dice.choice([0.3, 2.0, 12.0])))
    return moves


class Run:
    """One run of a script.

    Attributes:
        log: Everything that can be seen from outside, in order.
    """

    def __init__(self, seed: int) -> None:
        self.log: list[Any] = []
        self.clock = Clock(self.log)
        self._seed = seed

    async def play(self, call: Callable[..., Awaitable[Any]]) -> list[Any]:
        """Make all moves; ``call`` makes one call of the pipeline, sync or async."""
        with ExitStack() as stack:
            stack.enter_context(everything_by(self.clock))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", ResilixWarning)
            stage = Stage(self._seed)
            random.seed(self._seed)
            seen: list[Event] = []
            if self._seed % 3:
                seen = stack.enter_context(listening())
            for what, value in _moves(self._seed):
                await self._move(stage, call, what, value)
                self._look(stage, seen)
        return self.log

    async def _move(self, stage: Stage, call: Callable[..., Awaitable[Any]], what: str, value: Any) -> None:
        self.log.append(what)
        if what == "call":
            attempts, limit = value
            steps = iter(attempts)

            def work(*args: Any) -> Any:
                end, seconds = next(steps)
                self.log.append(("works", args, self.clock.time))
                self.clock.time += seconds
                if callable(end):
                    raise end()
                return end

            with ExitStack() as stack:
                if limit is not None:
                    stack.enter_context(deadline(limit))
                try:
                    self.log.append(("value", await call(stage, work)))
                except Exception as error:
                    told = [note for note in getattr(error, "__notes__", []) if "gave up" in note]
                    self.log.append(("error", type(error).__name__, told, type(error.__cause__).__name__))
        elif what == "tick":
            self.clock.time += value
        elif what == "hold":
            if stage.slots.free:
                stage.held.append(stage.slots.acquire())
        elif what == "let go":
            if stage.held:
                stage.held.pop().release()
        else:
            getattr(stage.breaker, what)()

    def _look(self, stage: Stage, seen: list[Event]) -> None:
        shown = stage.breaker.snapshot()
        self.log.append(
            (
                shown.state, shown.calls, shown.failures, shown.slow, shown.ignored, shown.consecutive, shown.rejected,
                shown.opening, shown.probes, shown.retry_after, stage.slots.free, stage.slots.rejected,
                stage.budget.remaining, stage.budget.denied, self.clock.time,
            )
        )  # fmt: skip
        self.log += [_told(event) for event in seen]
        seen.clear()


def _told(event: Event) -> tuple[Any, ...]:
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    if isinstance(event, ErrorEvent):
        fields["error"] = type(event.error).__name__
    if event.policy in ("breaker", "bulkhead"):
        fields["name"] = "a noun"
    return type(event).__name__, fields


async def by_call(stage: Stage, work: Callable[..., Any]) -> Any:
    """One call with ``def``."""
    return stage.guard(work)(1) if stage.decorated else stage.guard.call(work, 1)


async def by_acall(stage: Stage, work: Callable[..., Any]) -> Any:
    """One call with ``async def``."""

    async def awork(*args: Any) -> Any:
        return work(*args)

    awork.__qualname__ = work.__qualname__
    return await (stage.guard(awork)(1) if stage.decorated else stage.guard.acall(awork, 1))

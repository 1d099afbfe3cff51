"""Random retries, run by tenacity and by resilix on the same clock and the same dice, and what both saw."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import tenacity
from tenacity import (
    retry_all,
    retry_any,
    retry_if_exception,
    retry_if_exception_cause_type,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_exception_message,
    retry_if_not_exception_type,
    retry_if_not_result,
    retry_if_result,
    retry_unless_exception_type,
)
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from resilix import retry
from resilix.clock import SYSTEM
from resilix.runtime import RUNTIME, RealDriver

Log = list[Any]


class Clock(RealDriver):
    """A clock that only moves when the function works or the retry sleeps."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.time = 100.0
        self.log = log

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.log.append(("sleep", float(seconds)))
        self.time += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


@contextmanager
def everything_by(clock: Clock) -> Iterator[None]:
    """Have tenacity and resilix read this clock and sleep by it."""
    before = SYSTEM.now, RUNTIME.driver, tenacity.time
    SYSTEM.now, RUNTIME.driver = clock.monotonic, clock
    tenacity.time = SimpleNamespace(monotonic=clock.monotonic)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        SYSTEM.now, RUNTIME.driver, tenacity.time = before  # type: ignore[attr-defined]


# -- what a call state shows ---------------------------------------------------------------------------------


def shown(value: Any) -> Any:
    """An exception or a result, comparable between two runs."""
    return (type(value).__name__, value.args) if isinstance(value, BaseException) else value


def facts(state: tenacity.RetryCallState) -> tuple[Any, ...]:
    """All that a callback can read from the call state."""
    outcome = state.outcome
    assert outcome is not None
    held = outcome.exception() if outcome.failed else outcome.result()
    return (
        state.attempt_number, outcome.attempt_number, outcome.failed, shown(held), state.seconds_since_start,
        state.idle_for, state.upcoming_sleep, state.next_action, state.args, state.kwargs, state.get_fn_name(),
    )  # fmt: skip


class SeenWait(wait_base):
    """A wait that writes down what it was asked with."""

    def __init__(self, log: Log, inner: Any) -> None:
        self.log, self.inner = log, inner

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        self.log.append(("wait", facts(retry_state)))
        return float(self.inner(retry_state))


class SeenStop(stop_base):
    """A stop that writes down what it was asked with."""

    def __init__(self, log: Log, inner: Any) -> None:
        self.log, self.inner = log, inner

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        self.log.append(("stop", facts(retry_state)))
        return bool(self.inner(retry_state))


class SeenRetry(retry_base):
    """A retry object that writes down what it was asked with."""

    def __init__(self, log: Log, inner: Any) -> None:
        self.log, self.inner = log, inner

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        self.log.append(("retry", facts(retry_state)))
        return bool(self.inner(retry_state))


# -- random strategies ---------------------------------------------------------------------------------------


def some_wait(dice: random.Random, depth: int = 2) -> Any:
    def less() -> Any:
        return some_wait(dice, depth - 1)

    simple: list[Callable[[], Any]] = [
        lambda: tenacity.wait_fixed(dice.choice([0, 0.5, timedelta(seconds=2)])),
        lambda: tenacity.wait_none(),
        lambda: tenacity.wait_random(0, 3),
        lambda: tenacity.wait_incrementing(1, dice.choice([-0.25, 0.5]), 4),
        lambda: tenacity.wait_exponential(0.1, 3, 2, dice.choice([0, 0.3])),
        lambda: tenacity.wait_random_exponential(0.1, 5),
        lambda: tenacity.wait_exponential_jitter(multiplier=0.2, max=4, jitter=1),
    ]
    nested: list[Callable[[], Any]] = [
        lambda: less() + less(),
        lambda: tenacity.wait_chain(less(), less(), less()),
        lambda: tenacity.wait_combine(less(), less()),
    ]
    return dice.choice(simple + nested if depth else simple)()


def some_stop(dice: random.Random) -> Any:
    delay = dice.choice([0.5, 2.0, 6.0])
    few = tenacity.stop_after_attempt(dice.choice([1, 2, 3, 4, 5, 6, 6, 6]))
    return dice.choice(
        [
            few,
            few | tenacity.stop_after_delay(delay),
            few | tenacity.stop_before_delay(delay),
            few | (tenacity.stop_after_attempt(2) & tenacity.stop_after_delay(delay)),
            tenacity.stop_any(tenacity.stop_never, few),
        ]
    )


def some_retry(dice: random.Random, depth: int = 2) -> Any:
    def less() -> Any:
        return some_retry(dice, depth - 1)

    simple: list[Callable[[], Any]] = [
        lambda: retry_if_exception_type(dice.choice([OSError, ValueError, (KeyError, OSError)])),
        lambda: retry_if_not_exception_type(dice.choice([OSError, KeyError])),
        lambda: retry_unless_exception_type(dice.choice([OSError, ValueError])),
        lambda: retry_if_exception(lambda error: len(error.args[0]) % 2),
        lambda: retry_if_exception_cause_type(ValueError),
        lambda: retry_if_exception_message(match="[a-m]"),
        lambda: retry_if_not_exception_message(match="[a-m]"),
        lambda: retry_if_result(lambda result: result % 3),
        lambda: retry_if_not_result(lambda result: result % 2),
        lambda: tenacity.retry_never,
        lambda: tenacity.retry_always,
    ]
    nested: list[Callable[[], Any]] = [
        lambda: less() | less(),
        lambda: less() & less(),
        lambda: retry_any(less(), less(), less()),
        lambda: retry_all(less(), less()),
    ]
    return dice.choice(simple + nested if depth else simple)()


def _plain_wait(dice: random.Random) -> tuple[Any, Any] | None:
    """What to give to resilix, and what that is for tenacity."""
    return dice.choice(
        [
            None, None, None,
            (None, tenacity.wait_random_exponential(0.1, 10)),
            (1.5, tenacity.wait_fixed(1.5)),
            (timedelta(seconds=2), tenacity.wait_fixed(timedelta(seconds=2))),
            (lambda number: number * 0.5, lambda state: state.attempt_number * 0.5),
        ]
    )  # fmt: skip


def _plain_on(dice: random.Random) -> tuple[Any, Any] | None:
    return dice.choice(
        [
            None, None, None,
            (OSError, retry_if_exception_type(OSError)),
            ((KeyError, ValueError), retry_if_exception_type((KeyError, ValueError))),
            (lambda error: error.args[0] > "c", retry_if_exception(lambda error: error.args[0] > "c")),
        ]
    )  # fmt: skip


# -- one script ----------------------------------------------------------------------------------------------

WORDS = ("a", "bc", "def", "xyz", "zz")


class Script:
    """What a seed stands for: the strategies, and how each attempt ends."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        dice = random.Random(seed)
        self.wait = some_wait(dice)
        self.stop = some_stop(dice)
        self.on = some_retry(dice)
        self.looks_on = dice.random() < 0.5
        self.plain_wait, self.plain_on = _plain_wait(dice), _plain_on(dice)
        self.decorated = dice.random() < 0.5
        self.pauses = [dice.choice([0.0, 0.25, 1.5]) for _ in range(8)]
        ends = ["value", "os", "value error", "key", "caused"] + ["again"] * (self.plain_on is None)
        self.ends = [dice.choice(ends) for _ in range(8)]
        self.words = [dice.choice(WORDS) for _ in range(8)]

    def strategies(self, log: Log, *, ours: bool) -> tuple[Any, Any, Any]:
        """wait, stop, retry: fresh recorders around them. The retry object is bare in half of the scripts.

        In some scripts ours is a plain number or type, and tenacity gets the object that means the same.
        """
        wait = SeenWait(log, self.wait) if self.plain_wait is None else self.plain_wait[0 if ours else 1]
        on = SeenRetry(log, self.on) if self.looks_on else self.on
        if self.plain_on is not None:
            on = self.plain_on[0 if ours else 1]
        return wait, SeenStop(log, self.stop), on

    def function(self, clock: Clock) -> tuple[Callable[..., Any], Callable[..., Any], list[BaseException]]:
        """The scripted function, as ``def`` and as ``async def``, and the errors it raised."""
        raised: list[BaseException] = []
        steps = iter(range(8))

        def quote(*args: Any, **kwargs: Any) -> int:
            step = next(steps)
            clock.log.append(("run", args, kwargs))
            clock.time += self.pauses[step]
            if self.ends[step] == "value":
                return step
            try:
                _fail(self.ends[step], self.words[step], step)
            except Exception as error:
                raised.append(error)
                raise
            raise AssertionError("unreachable")

        async def aquote(*args: Any, **kwargs: Any) -> int:
            return quote(*args, **kwargs)

        aquote.__qualname__ = quote.__qualname__
        return quote, aquote, raised


def _fail(end: str, word: str, step: int) -> None:
    if end == "caused":
        raise RuntimeError(word, step) from ValueError("below")
    kinds: dict[str, type[Exception]] = {
        "os": OSError, "value error": ValueError, "key": KeyError, "again": tenacity.TryAgain,
    }  # fmt: skip
    raise kinds[end](word, step)


def by_tenacity(script: Script, *, is_async: bool) -> Any:
    """Run it with tenacity. A log; for async something to await that gives it."""
    log: Log = []
    clock = Clock(log)
    wait, stop, on = script.strategies(log, ours=False)
    fn, afn, _ = script.function(clock)

    def ended(error: tenacity.RetryError) -> Any:
        last = error.last_attempt
        return last.exception() if last.failed else last.result()

    def sync() -> Log:
        with everything_by(clock):
            random.seed(script.seed)
            try:
                log.append(("end", tenacity.Retrying(sleep=clock.sleep, wait=wait, stop=stop, retry=on)(fn, 1, b=2)))
            except tenacity.RetryError as error:
                log.append(("end", shown(ended(error))))
            except Exception as error:
                log.append(("end", shown(error)))
        return log

    async def asynchronous() -> Log:
        with everything_by(clock):
            random.seed(script.seed)
            try:
                retrying = tenacity.AsyncRetrying(sleep=clock.asleep, wait=wait, stop=stop, retry=on)
                log.append(("end", await retrying(afn, 1, b=2)))
            except tenacity.RetryError as error:
                log.append(("end", shown(ended(error))))
            except Exception as error:
                log.append(("end", shown(error)))
        return log

    return asynchronous() if is_async else sync()


def _same(error: Exception, raised: list[BaseException]) -> Any:
    assert error is raised[-1], "the last error comes through as the same object"
    return shown(error)


def by_resilix(script: Script, *, is_async: bool) -> Any:
    """The same with our loop; sees too that the last error comes out as the same object."""
    log: Log = []
    clock = Clock(log)
    wait, stop, on = script.strategies(log, ours=True)
    fn, afn, raised = script.function(clock)
    policy = retry(attempts=None, on=on, wait=wait, stop=stop)

    def sync() -> Log:
        with everything_by(clock):
            random.seed(script.seed)
            try:
                log.append(("end", policy(fn)(1, b=2) if script.decorated else policy.call(fn, 1, b=2)))
            except Exception as error:
                log.append(("end", _same(error, raised)))
        return log

    async def asynchronous() -> Log:
        with everything_by(clock):
            random.seed(script.seed)
            try:
                log.append(("end", await (policy(afn)(1, b=2) if script.decorated else policy.acall(afn, 1, b=2))))
            except Exception as error:
                log.append(("end", _same(error, raised)))
        return log

    return asynchronous() if is_async else sync()

"""Random policies of every sort, which write down what they ask and what they are asked."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import tenacity
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base
from tests.support.retry_scripts import facts

from resilix import Bulkhead, CircuitBreaker, CircuitOpenError, Policy, RetryBudget, calls, fallback, pipeline, retry
from resilix import timeout as time_limit

NUMBERS = itertools.count()


class Recorder(Protocol):
    """What the policies write into."""

    log: list[Any]

    def reading(self) -> float:
        """A clock of the breakers' own."""
        ...


class Nouns:
    """The policies with a state that one script uses."""

    def __init__(self, dice: random.Random, recorder: Recorder) -> None:
        number = next(NUMBERS)
        self.breakers = [breaker(dice, recorder, f"noun-{number}-{one}") for one in range(2)]
        self.slots = [bulkhead(dice, f"noun-{number}-{one}") for one in range(2)]
        self.budget = RetryBudget(f"noun-{number}", tokens=30, cost=7)
        self.limits: list[Any] = []

    def limit(self, seconds: float) -> Any:
        """A timeout that is no cooperative one."""
        self.limits.append(time_limit(seconds))
        return self.limits[-1]


def breaker(dice: random.Random, recorder: Recorder, name: str) -> CircuitBreaker:
    """One with a count or a time window, mostly one that may be quiet."""

    def broken(error: Exception) -> bool:
        recorder.log.append(("on", type(error).__name__))
        return error.nothing

    slow_after = dice.choice([None, None, None, 1.0])
    return CircuitBreaker(
        name,
        on=dice.choice([Exception, OSError, lambda error: isinstance(error, OSError), broken]),
        ignore=dice.choice([(), (), KeyError]),
        on_result=dice.choice([None, None, None, None, lambda result: result == "odd"]),
        consecutive=dice.choice([1, 2, 3, 10]),
        failure_rate=dice.choice([None, 0.5, 0.3]),
        slow_rate=None if slow_after is None else dice.choice([None, 0.5]),
        slow_after=slow_after,
        window=dice.choice([calls(5), calls(20), 10.0, 1.0]),
        min_calls=dice.choice([1, 2, 5]),
        open_for=dice.choice([0.5, 5.0, lambda opening: opening * 2.0]),
        probes=dice.choice([1, 1, 2]),
        probe_lease=3.0,
        clock=dice.choice([None, None, recorder.reading]),
    )


def bulkhead(dice: random.Random, name: str) -> Bulkhead:
    """With and without waiting."""
    return Bulkhead(
        name,
        limit=dice.choice([1, 1, 2, 5]),
        max_wait=dice.choice([0, 0, 0, 1.5, 60.0, None]),
        queue=dice.choice([None, None, 0, 1]),
    )


# -- tenacity's, by somebody else ----------------------------------------------------------------------------------


class OwnRetry(retry_base):
    """Looks at the arguments."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        self.recorder.log.append(("own retry", shown(retry_state)))
        return bool(retry_state.outcome and retry_state.outcome.failed)


class OwnWait(wait_base):
    """Looks at the arguments."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        self.recorder.log.append(("own wait", shown(retry_state)))
        return 0.25 * len(retry_state.args)


class OwnStop(stop_base):
    """Looks at the arguments."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        self.recorder.log.append(("own stop", shown(retry_state)))
        return retry_state.attempt_number > 2


def shown(state: tenacity.RetryCallState) -> tuple[Any, ...]:
    """All that can be read from a call state, comparable between two runs."""
    return tuple(repr(one) for one in facts(state))


def retrying(dice: random.Random, recorder: Recorder, budget: RetryBudget) -> Any:
    """A retry of any kind."""

    def stop(state: tenacity.RetryCallState) -> bool:
        recorder.log.append(("stop", shown(state)))
        return state.attempt_number > 3

    odd = tenacity.retry_if_result(lambda result: result == "odd")
    if dice.random() < 0.25:
        on: Any = dice.choice([OSError, (OSError, CircuitOpenError), Exception])
        return retry(on=on, wait=dice.choice([0, 1.5]), budget=dice.choice([None, budget]))
    return retry(
        on=dice.choice(
            [
                OSError,
                (OSError, CircuitOpenError),
                lambda error: isinstance(error, OSError),
                lambda error: 0.5 if isinstance(error, OSError) else False,
                lambda error: error.nothing,
                tenacity.retry_if_exception_type(OSError),
                tenacity.retry_if_exception_type(OSError) | odd,
                tenacity.retry_if_exception(lambda error: isinstance(error, OSError)),
                OwnRetry(recorder),
            ]
        ),
        on_result=dice.choice([None, None, None, lambda result: result == "odd"]),
        attempts=dice.choice([1, 2, 3, 5]),
        wait=dice.choice(
            [
                None, 0, 1.5, lambda number: number * 0.4, lambda number: number.nothing,
                OwnWait(recorder), OwnWait(recorder),
                tenacity.wait_exponential_jitter(max=3), tenacity.wait_chain(tenacity.wait_fixed(1), OwnWait(recorder)),
            ]
        ),
        within=dice.choice([None, None, 4.0]),
        stop=dice.choice([None, None, tenacity.stop_after_delay(2), stop, OwnStop(recorder)]),
        budget=dice.choice([None, budget]),
    )  # fmt: skip


# -- the other verbs -----------------------------------------------------------------------------------------------


def answering(dice: random.Random, recorder: Recorder) -> Any:
    """A fallback of any kind."""

    def instead(*args: Any, **kwargs: Any) -> Any:
        recorder.log.append(("instead", repr(args), repr(kwargs)))
        return "instead"

    def asked(error: Exception) -> bool:
        recorder.log.append(("fallback on", type(error).__name__))
        return isinstance(error, (OSError, TypeError))

    return dice.choice(
        [
            lambda: fallback(None, on=(OSError, CircuitOpenError)),
            lambda: fallback("value", on=asked),
            lambda: fallback("value", on=lambda error: error.nothing),
            lambda: fallback(call=instead, on=(OSError, TypeError)),
            lambda: fallback(handle=lambda error: type(error).__name__, on=Exception),
            lambda: fallback(handle=lambda error: error.nothing, on=ValueError),
        ]
    )()


class Own(Policy[Any]):
    """Of a user: writes down what it is called with, and tries twice in its own way."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.recorder.log.append(("own policy", repr(args), repr(kwargs)))
        try:
            return fn(*args, **kwargs)
        except KeyError:
            return fn(*args, **kwargs)

    async def acall(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        self.recorder.log.append(("own policy", repr(args), repr(kwargs)))
        try:
            return await fn(*args, **kwargs)
        except KeyError:
            return await fn(*args, **kwargs)


def policies(dice: random.Random, recorder: Recorder, nouns: Nouns, *, threads: bool) -> list[Any]:
    """One to six policies in any order; ``threads``: a sync timeout may be among them."""
    makers: list[Callable[[], Any]] = [
        lambda: nouns.breakers[0],
        lambda: nouns.breakers[0],
        lambda: nouns.breakers[1],
        lambda: nouns.slots[0],
        lambda: nouns.slots[0],
        lambda: nouns.slots[1],
        lambda: retrying(dice, recorder, nouns.budget),
        lambda: retrying(dice, recorder, nouns.budget),
        lambda: answering(dice, recorder),
        lambda: time_limit(dice.choice([60.0, 2.0]), cooperative=True),
        lambda: Own(recorder),
        lambda: nouns.limit(dice.choice([1.0, 3.0, 60.0])),
        lambda: nouns.limit(dice.choice([1.0, 3.0, 60.0])),
    ]
    if threads and dice.random() < 0.8:
        makers = makers[:-2]
    chosen = [make() for make in dice.sample(makers, dice.choice([1, 1, 2, 2, 3, 3, 4, 5, 6]))]
    dice.shuffle(chosen)
    if len(chosen) > 2 and dice.random() < 0.3:
        cut = dice.randint(1, len(chosen) - 1)
        chosen[cut:] = [pipeline(*chosen[cut:], name="inner")]
    return chosen

"""The variants: what is called, under which policies, against which yardstick, and the goal where there is one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from benchmarks.measure import Clock, Errors, Figure, compare
from benchmarks.parts import (
    LONG,
    NEVER,
    AnyFunction,
    abare,
    aexact,
    afails,
    aidentity,
    answered,
    asuspends,
    bare,
    count_breaker,
    exact,
    fails,
    four,
    full,
    identity,
    opened,
    slots,
    tenacious,
    three,
    time_breaker,
    under_asyncio_timeout,
    under_fail_after,
)
from resilix import RejectedError, deadline, fallback, retry, timeout

Variants = dict[str, AnyFunction]

EXACT = "bare, with the function's own parameter"
"""What no wrapper can be cheaper than."""
COUNT, TIME = "breaker, count window", "breaker, default (time window)"
SLOW = "breaker, time window and slow calls"
THREE, FOUR = "retry + breaker + bulkhead", "retry + breaker + bulkhead + timeout"
THREE_TIMED, FOUR_TIMED = f"{THREE}, breaker with a time window", f"{FOUR}, breaker with a time window"
ATTEMPTS = "3 attempts without a wait"


@dataclass(frozen=True)
class Group:
    """Variants measured side by side; the first is the yardstick.

    Attributes:
        name: What the group shows.
        variants: Makes them.
        goals: Largest ratio aimed at, by variant.
        awaited: Whether they are async.
        expects: What every call of the group may raise.
        clock: What time means.
        around: What is entered around all of it.
        alone: Measured in a process of its own, because it changes what others cost.
    """

    name: str
    variants: Callable[[], Variants]
    goals: dict[str, float] = field(default_factory=dict)
    awaited: bool = False
    expects: Errors = ()
    clock: Clock = time.thread_time
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    alone: bool = False

    def run(self, rounds: int) -> list[Figure]:
        """Measure it."""
        with self.around():
            variants = self.variants()
            return compare(variants, rounds, awaited=self.awaited, expects=self.expects, clock=self.clock)


def sync_quiet() -> Variants:
    """Sync calls that succeed."""
    return {
        "bare wrapper": bare(identity),
        EXACT: exact(identity),
        COUNT: count_breaker()(identity),
        TIME: time_breaker()(identity),
        SLOW: time_breaker(slow_rate=0.5, slow_after=LONG)(identity),
        "retry": retry(on=ValueError)(identity),
        "bulkhead": slots()(identity),
        "fallback": fallback(None, on=ValueError)(identity),
        THREE: three(count_breaker())(identity),
        THREE_TIMED: three(time_breaker())(identity),
        f"fallback + {THREE}": answered(three(count_breaker()))(identity),
        "tenacity.retry": tenacious(identity),
    }


def sync_failing() -> Variants:
    """Sync calls that fail in a way that counts."""
    return {
        "bare wrapper, failing": bare(fails),
        COUNT: count_breaker(**NEVER)(fails),
        TIME: time_breaker(**NEVER)(fails),
        "bulkhead": slots()(fails),
        "fallback, answering": fallback(None, on=ValueError)(fails),
        "retry, for another error": retry(on=OSError)(fails),
        f"retry, {ATTEMPTS}": retry(on=ValueError, wait=0)(fails),
        f"{THREE}, {ATTEMPTS}": three()(fails),
        f"tenacity.retry, {ATTEMPTS}": tenacious(fails),
    }


def sync_refused() -> Variants:
    """Sync calls that are refused."""
    return {
        "bare wrapper, succeeding": bare(identity),
        "breaker, open": opened()(identity),
        "bulkhead, full": full()(identity),
        "fallback around an open breaker": answered(opened())(identity),
        f"{THREE}, open": three(opened())(identity),
        f"{THREE}, full": three(None, full())(identity),
    }


def async_quiet() -> Variants:
    """Async calls that succeed without suspending."""
    return {
        "bare wrapper": abare(aidentity),
        EXACT: aexact(aidentity),
        COUNT: count_breaker()(aidentity),
        TIME: time_breaker()(aidentity),
        SLOW: time_breaker(slow_rate=0.5, slow_after=LONG)(aidentity),
        "retry": retry(on=ValueError)(aidentity),
        "bulkhead": slots()(aidentity),
        "fallback": fallback(None, on=ValueError)(aidentity),
        "timeout": timeout(LONG)(aidentity),
        THREE: three(count_breaker())(aidentity),
        THREE_TIMED: three(time_breaker())(aidentity),
        FOUR: four(count_breaker())(aidentity),
        FOUR_TIMED: four(time_breaker())(aidentity),
        f"fallback + {FOUR}": answered(four(count_breaker()))(aidentity),
        "tenacity.retry": tenacious(aidentity),
        "asyncio.timeout": under_asyncio_timeout(aidentity),
        "anyio.fail_after": under_fail_after(aidentity),
    }


def async_suspending() -> Variants:
    """Async calls that go through the event loop once."""
    return {
        "bare wrapper": abare(asuspends),
        TIME: time_breaker()(asuspends),
        "timeout": timeout(LONG)(asuspends),
        THREE: three(time_breaker())(asuspends),
        FOUR: four(time_breaker())(asuspends),
        "asyncio.timeout": under_asyncio_timeout(asuspends),
        "anyio.fail_after": under_fail_after(asuspends),
    }


def async_failing() -> Variants:
    """Async calls that fail in a way that counts."""
    return {
        "bare wrapper, failing": abare(afails),
        COUNT: count_breaker(**NEVER)(afails),
        TIME: time_breaker(**NEVER)(afails),
        "bulkhead": slots()(afails),
        "timeout": timeout(LONG)(afails),
        "fallback, answering": fallback(None, on=ValueError)(afails),
        "retry, for another error": retry(on=OSError)(afails),
        f"retry, {ATTEMPTS}": retry(on=ValueError, wait=0)(afails),
        f"{THREE}, {ATTEMPTS}": three()(afails),
        f"{FOUR}, {ATTEMPTS}": four()(afails),
        f"tenacity.retry, {ATTEMPTS}": tenacious(afails),
        "asyncio.timeout": under_asyncio_timeout(afails),
        "anyio.fail_after": under_fail_after(afails),
    }


def async_refused() -> Variants:
    """Async calls that are refused."""
    return {
        "bare wrapper, succeeding": abare(aidentity),
        "breaker, open": opened()(aidentity),
        "bulkhead, full": full()(aidentity),
        "fallback around an open breaker": answered(opened())(aidentity),
        f"{THREE}, open": three(opened())(aidentity),
        f"{THREE}, full": three(None, full())(aidentity),
        f"{FOUR}, open": four(opened())(aidentity),
    }


def sync_timeout() -> Variants:
    """Sync timeouts hand the call to a worker thread; what else is in the process pays for it too."""
    return {
        "bare wrapper": bare(identity),
        "timeout, in a worker thread": timeout(LONG)(identity),
        "timeout, cooperative": timeout(LONG, cooperative=True)(identity),
        FOUR: four(time_breaker())(identity),
        f"{THREE}, beside them": three(time_breaker())(identity),
        "bulkhead, beside them": slots()(identity),
    }


def sync_timeout_failing() -> Variants:
    """The same with a function that fails."""
    return {
        "bare wrapper, failing": bare(fails),
        "timeout, in a worker thread": timeout(LONG)(fails),
        "timeout, cooperative": timeout(LONG, cooperative=True)(fails),
        f"{FOUR}, {ATTEMPTS}": four()(fails),
    }


def under_deadline() -> Variants:
    """Calls inside a deadline: every policy looks at what is left."""
    return {
        "bare wrapper": bare(identity),
        COUNT: count_breaker()(identity),
        TIME: time_breaker()(identity),
        "retry": retry(on=ValueError)(identity),
        "bulkhead": slots()(identity),
        THREE: three(time_breaker())(identity),
    }


def async_under_deadline() -> Variants:
    """The same, async."""
    return {
        "bare wrapper": abare(aidentity),
        TIME: time_breaker()(aidentity),
        "retry": retry(on=ValueError)(aidentity),
        "bulkhead": slots()(aidentity),
        "timeout": timeout(LONG)(aidentity),
        FOUR: four(time_breaker())(aidentity),
    }


def a_day() -> AbstractContextManager[object]:
    """A deadline that is far off."""
    return deadline(86_400)


REFUSALS = {"breaker, open": 6.0, "bulkhead, full": 6.0}
SYNC = {COUNT: 0.65, TIME: 1.5, "retry": 0.8, "bulkhead": 0.7, THREE: 1.0}
# On 3.11 asyncio.get_running_loop() asks the system for the process id, and current_task() is Python code.
CANCELLING = 3.3 if sys.version_info < (3, 12) else 2.4
ASYNC = {COUNT: 0.9, TIME: 1.3, "retry": 0.9, "bulkhead": 0.95, THREE: 1.1, FOUR: CANCELLING}
FAILURES: Errors = (ValueError,)

GROUPS = [
    Group("sync, quiet", sync_quiet, SYNC),
    Group("sync, failing", sync_failing, expects=FAILURES),
    Group("sync, refused", sync_refused, REFUSALS, expects=(RejectedError,)),
    Group("async, quiet", async_quiet, ASYNC, awaited=True),
    Group("async, through the loop once", async_suspending, awaited=True),
    Group("async, failing", async_failing, awaited=True, expects=FAILURES),
    Group("async, refused", async_refused, REFUSALS, awaited=True, expects=(RejectedError,)),
    Group("sync timeout", sync_timeout, clock=time.perf_counter, alone=True),
    Group("sync timeout, failing", sync_timeout_failing, expects=FAILURES, clock=time.perf_counter, alone=True),
    Group("sync, under a deadline", under_deadline, around=a_day, alone=True),
    Group("async, under a deadline", async_under_deadline, around=a_day, awaited=True, alone=True),
]

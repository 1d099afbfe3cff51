"""The variants: what is called, under which policies, against which yardstick, and the goal where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import tenacity

from benchmarks.measure import Figure, compare, compare_async, sync_loop
from resilix import Bulkhead, CircuitBreaker, RejectedError, calls, deadline, fallback, pipeline, retry, timeout

ALWAYS = 10**9
"""Failures in a row that a breaker of the failing path never reaches."""


@dataclass(frozen=True)
class Group:
    """Variants measured side by side; the first is the yardstick.

    Attributes:
        name: What the group shows.
        run: Measures it in so many rounds.
        goals: Largest ratio aimed at, by variant.
        alone: Measured in a process of its own, because it changes what others cost.
    """

    name: str
    run: Callable[[int], list[Figure]]
    goals: dict[str, float]
    alone: bool = False


def identity(value: int) -> int:
    """The function under all sync variants."""
    return value


async def aidentity(value: int) -> int:
    """The function under all async variants."""
    return value


async def asuspends(value: int) -> int:
    """A function that goes through the event loop once."""
    await asyncio.sleep(0)
    return value


def fails(value: int) -> int:
    """A function that always fails."""
    raise ValueError(value)


async def afails(value: int) -> int:
    """The same, async."""
    raise ValueError(value)


def bare(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The yardstick: a decorator that does nothing."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


def abare(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The yardstick, async."""

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await fn(*args, **kwargs)

    return wrapper


class Names:
    """A fresh name for each noun, so that no two of them warn about each other."""

    count = 0

    @classmethod
    def new(cls) -> str:
        """The next name."""
        cls.count += 1
        return f"bench-{cls.count}"


def count_breaker(**options: Any) -> CircuitBreaker:
    """A breaker with a window of the last hundred calls."""
    return CircuitBreaker(Names.new(), window=calls(100), **options)


def time_breaker(**options: Any) -> CircuitBreaker:
    """A breaker as it comes: a window of 30 s."""
    return CircuitBreaker(Names.new(), **options)


def slots() -> Bulkhead:
    """A bulkhead that is never full."""
    return Bulkhead(Names.new(), limit=10)


def catching(fn: Callable[..., Any]) -> Callable[[], Any]:
    """A call that expects to fail."""

    def call() -> Any:
        try:
            return fn(1)
        except (ValueError, RejectedError):
            return None

    return call


def acatching(fn: Callable[..., Any]) -> Callable[[], Awaitable[Any]]:
    """The same, async."""

    async def call() -> Any:
        try:
            return await fn(1)
        except (ValueError, RejectedError):
            return None

    return call


def tenacious(attempts: int) -> Callable[..., Any]:
    """Tenacity, set to the same job as ours."""
    return tenacity.retry(
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_none(),
        retry=tenacity.retry_if_exception_type(ValueError),
        reraise=True,
    )


def _sync(variants: dict[str, Callable[..., Any]], rounds: int) -> list[Figure]:
    return compare({name: sync_loop(lambda fn=fn: fn(1)) for name, fn in variants.items()}, rounds)


def _async(variants: dict[str, Callable[..., Any]], rounds: int) -> list[Figure]:
    return compare_async({name: (lambda fn=fn: fn(1)) for name, fn in variants.items()}, rounds)


def sync_quiet(rounds: int) -> list[Figure]:
    """Sync calls that succeed."""
    combined = pipeline(retry(on=ValueError), time_breaker(), slots())
    return _sync(
        {
            "bare wrapper": bare(identity),
            "breaker, count window": count_breaker()(identity),
            "breaker, default (time window)": time_breaker()(identity),
            "retry": retry(on=ValueError)(identity),
            "bulkhead": slots()(identity),
            "fallback": fallback(None, on=ValueError)(identity),
            "retry + breaker + bulkhead": combined(identity),
            "… with fallback": fallback(None, on=ValueError)(combined(identity)),
            "tenacity.retry": tenacious(3)(identity),
        },
        rounds,
    )


def sync_failing(rounds: int) -> list[Figure]:
    """Sync calls that fail in a way that counts."""
    never = {"consecutive": ALWAYS, "failure_rate": None, "on": ValueError}
    variants = {
        "bare wrapper, failing": bare(fails),
        "breaker, count window": count_breaker(**never)(fails),
        "breaker, time window": time_breaker(**never)(fails),
        "bulkhead": slots()(fails),
        "fallback, answering": fallback(None, on=ValueError)(fails),
        "retry, 3 attempts without a wait": retry(on=ValueError, wait=0)(fails),
        "tenacity.retry, 3 attempts without a wait": tenacious(3)(fails),
    }
    return compare({name: sync_loop(catching(fn)) for name, fn in variants.items()}, rounds)


def sync_refused(rounds: int) -> list[Figure]:
    """Sync calls that are refused."""
    opened, full = time_breaker(), Bulkhead(Names.new(), limit=1)
    opened.open(for_=86_400)
    permit = full.acquire()
    variants = {
        "bare wrapper, succeeding": bare(identity),
        "breaker, open": opened(identity),
        "bulkhead, full": full(identity),
    }
    figures = compare({name: sync_loop(catching(fn)) for name, fn in variants.items()}, rounds)
    permit.release()
    return figures


def async_quiet(rounds: int) -> list[Figure]:
    """Async calls that succeed without suspending."""
    three = pipeline(retry(on=ValueError), time_breaker(), slots())
    four = pipeline(retry(on=ValueError), time_breaker(), slots(), timeout(5.0))

    async def asyncio_timeout(value: int) -> int:
        async with asyncio.timeout(5.0):
            return await aidentity(value)

    async def anyio_fail_after(value: int) -> int:
        with anyio.fail_after(5.0):
            return await aidentity(value)

    return _async(
        {
            "bare wrapper": abare(aidentity),
            "breaker, count window": count_breaker()(aidentity),
            "breaker, default (time window)": time_breaker()(aidentity),
            "retry": retry(on=ValueError)(aidentity),
            "bulkhead": slots()(aidentity),
            "fallback": fallback(None, on=ValueError)(aidentity),
            "timeout": timeout(5.0)(aidentity),
            "asyncio.timeout": asyncio_timeout,
            "anyio.fail_after": anyio_fail_after,
            "retry + breaker + bulkhead": three(aidentity),
            "retry + breaker + bulkhead + timeout": four(aidentity),
            "tenacity.retry": tenacious(3)(aidentity),
        },
        rounds,
    )


def async_suspending(rounds: int) -> list[Figure]:
    """Async calls that go through the event loop once."""
    three = pipeline(retry(on=ValueError), time_breaker(), slots())
    four = pipeline(retry(on=ValueError), time_breaker(), slots(), timeout(5.0))
    return _async(
        {
            "bare wrapper": abare(asuspends),
            "breaker, default (time window)": time_breaker()(asuspends),
            "timeout": timeout(5.0)(asuspends),
            "retry + breaker + bulkhead": three(asuspends),
            "retry + breaker + bulkhead + timeout": four(asuspends),
        },
        rounds,
    )


def async_failing(rounds: int) -> list[Figure]:
    """Async calls that fail in a way that counts."""
    never = {"consecutive": ALWAYS, "failure_rate": None, "on": ValueError}
    variants = {
        "bare wrapper, failing": abare(afails),
        "breaker, time window": time_breaker(**never)(afails),
        "bulkhead": slots()(afails),
        "timeout": timeout(5.0)(afails),
        "fallback, answering": fallback(None, on=ValueError)(afails),
        "retry, 3 attempts without a wait": retry(on=ValueError, wait=0)(afails),
    }
    return compare_async({name: acatching(fn) for name, fn in variants.items()}, rounds)


def async_refused(rounds: int) -> list[Figure]:
    """Async calls that are refused."""
    opened, full = time_breaker(), Bulkhead(Names.new(), limit=1)
    opened.open(for_=86_400)
    permit = full.acquire()
    variants = {
        "bare wrapper, succeeding": abare(aidentity),
        "breaker, open": opened(aidentity),
        "bulkhead, full": full(aidentity),
    }
    figures = compare_async({name: acatching(fn) for name, fn in variants.items()}, rounds)
    permit.release()
    return figures


def sync_timeout(rounds: int) -> list[Figure]:
    """Sync timeouts hand the call to a worker thread, and make bulkheads remember who holds a place."""
    return _sync(
        {
            "bare wrapper": bare(identity),
            "timeout, in a worker thread": timeout(5.0)(identity),
            "timeout, cooperative": timeout(5.0, cooperative=True)(identity),
            "bulkhead, beside a sync timeout": slots()(identity),
        },
        rounds,
    )


def under_deadline(rounds: int) -> list[Figure]:
    """Calls inside a deadline: every policy looks at what is left."""
    with deadline(86_400):
        return _sync(
            {
                "bare wrapper": bare(identity),
                "breaker, default (time window)": time_breaker()(identity),
                "retry": retry(on=ValueError)(identity),
                "bulkhead": slots()(identity),
            },
            rounds,
        )


GROUPS = [
    Group(
        "sync, quiet",
        sync_quiet,
        {"breaker, count window": 2.5, "breaker, default (time window)": 3.5, "retry": 1.8, "bulkhead": 2.0},
    ),
    Group("sync, failing", sync_failing, {}),
    Group("sync, refused", sync_refused, {"breaker, open": 12.0, "bulkhead, full": 12.0}),
    Group(
        "async, quiet",
        async_quiet,
        {"breaker, count window": 2.0, "breaker, default (time window)": 2.5, "retry": 1.8, "bulkhead": 2.0},
    ),
    Group("async, through the loop once", async_suspending, {}),
    Group("async, failing", async_failing, {}),
    Group("async, refused", async_refused, {"breaker, open": 12.0, "bulkhead, full": 12.0}),
    Group("sync timeout (a process of its own)", sync_timeout, {}, alone=True),
    Group("under a deadline (a process of its own)", under_deadline, {}, alone=True),
]

"""What the variants are made of: functions to guard, the yardsticks, and policies with fresh names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import tenacity

from resilix import Bulkhead, CircuitBreaker, calls, fallback, pipeline, retry, timeout
from resilix.policies.base import Policy

AnyFunction = Callable[..., Any]

NEVER: dict[str, Any] = {"consecutive": 10**9, "failure_rate": None, "on": ValueError}
"""Options of a breaker that counts failures and never opens."""

LONG = 5.0
"""Seconds of every timeout: none of them ends a call here."""


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


def bare(fn: AnyFunction) -> AnyFunction:
    """The yardstick: a decorator that does nothing."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


def exact(fn: AnyFunction) -> AnyFunction:
    """What no wrapper can be cheaper than: it does nothing and has the function's own parameter."""

    def wrapper(value: int) -> int:
        result: int = fn(value)
        return result

    return wrapper


def aexact(fn: AnyFunction) -> AnyFunction:
    """The same, async."""

    async def wrapper(value: int) -> int:
        result: int = await fn(value)
        return result

    return wrapper


def abare(fn: AnyFunction) -> AnyFunction:
    """The yardstick, async."""

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await fn(*args, **kwargs)

    return wrapper


def under_asyncio_timeout(fn: AnyFunction) -> AnyFunction:
    """The standard library's timeout."""

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        async with asyncio.timeout(LONG):
            return await fn(*args, **kwargs)

    return wrapper


def under_fail_after(fn: AnyFunction) -> AnyFunction:
    """The timeout of anyio."""

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with anyio.fail_after(LONG):
            return await fn(*args, **kwargs)

    return wrapper


def tenacious(fn: AnyFunction) -> AnyFunction:
    """Tenacity, set to the same job as our retry; between attempts it calls ``time.sleep(0)``, or asyncio's."""
    wrapped: AnyFunction = tenacity.retry(
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_none(),
        retry=tenacity.retry_if_exception_type(ValueError),
        reraise=True,
    )(fn)
    return wrapped


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


def opened() -> CircuitBreaker:
    """A breaker that refuses for longer than any of this takes."""
    breaker = time_breaker()
    breaker.open(for_=86_400)
    return breaker


def slots() -> Bulkhead:
    """A bulkhead that is never full."""
    return Bulkhead(Names.new(), limit=10)


def full() -> Bulkhead:
    """A bulkhead whose only place is taken for good."""
    bulkhead = Bulkhead(Names.new(), limit=1)
    bulkhead.acquire()
    return bulkhead


def three(breaker: CircuitBreaker | None = None, bulkhead: Bulkhead | None = None) -> Policy[Any]:
    """Retry, breaker and bulkhead as one; retries do not wait."""
    return pipeline(retry(on=ValueError, wait=0), breaker or time_breaker(**NEVER), bulkhead or slots())


def four(breaker: CircuitBreaker | None = None, bulkhead: Bulkhead | None = None) -> Policy[Any]:
    """The same with a timeout innermost."""
    whole: Policy[Any] = pipeline(three(breaker, bulkhead), timeout(LONG))
    return whole


def answered(policy: Policy[Any]) -> Policy[Any]:
    """A fallback around a policy, which answers whatever goes wrong."""
    return pipeline(fallback(None, on=Exception), policy)

"""The quiet paths whose cost is counted rather than timed, each beside the wrapper that does nothing.

Every one of them is called in one process, so names, functions and policies are those of the timed benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.cases import COUNT, FOUR, THREE, TIME
from benchmarks.parts import (
    LONG,
    AnyFunction,
    abare,
    aidentity,
    bare,
    count_breaker,
    four,
    identity,
    slots,
    three,
    time_breaker,
)
from resilix import CircuitBreaker, fallback, retry, timeout

MODULES = (
    "resilix.prometheus", "resilix.opentelemetry", "resilix.telemetry.logs", "resilix.telemetry.health",
    "resilix.asgi", "resilix.wsgi", "resilix.httpx", "resilix.httpx2", "resilix.testing",
)  # fmt: skip
"""What may be imported and not used, and must add nothing to a call."""

SYNC, ASYNC = "sync, bare wrapper", "async, bare wrapper"
"""The yardsticks."""

PLANTED = "planted: "
"""How the names of paths begin that are slower by one frame than the one named after it: the gate must see them."""


@dataclass(frozen=True)
class Path:
    """One function to call over and over.

    Attributes:
        call: Takes one argument.
        awaited: Whether it is async.
    """

    call: AnyFunction
    awaited: bool

    @property
    def yardstick(self) -> str:
        """The path that its cost is a multiple of."""
        return ASYNC if self.awaited else SYNC


def policies() -> dict[str, Path]:
    """The policies, one by one and together, around a function that returns its argument."""
    sync: dict[str, AnyFunction] = {
        SYNC: bare(identity),
        f"sync, {COUNT}": count_breaker()(identity),
        f"sync, {TIME}": time_breaker()(identity),
        "sync, bulkhead": slots()(identity),
        "sync, retry": retry(on=ValueError)(identity),
        "sync, fallback": fallback(None, on=ValueError)(identity),
        f"sync, {THREE}": three(time_breaker())(identity),
        "sync, breaker, open": for_good()(identity),
        f"{PLANTED}sync, {COUNT}": one_frame_more(count_breaker()(identity)),
    }
    awaited: dict[str, AnyFunction] = {
        ASYNC: abare(aidentity),
        f"async, {COUNT}": count_breaker()(aidentity),
        f"async, {TIME}": time_breaker()(aidentity),
        "async, bulkhead": slots()(aidentity),
        "async, retry": retry(on=ValueError)(aidentity),
        "async, fallback": fallback(None, on=ValueError)(aidentity),
        "async, timeout": timeout(LONG)(aidentity),
        f"async, {THREE}": three(time_breaker())(aidentity),
        f"async, {FOUR}": four(time_breaker())(aidentity),
        "async, breaker, open": for_good()(aidentity),
        f"{PLANTED}async, {COUNT}": one_coroutine_more(count_breaker()(aidentity)),
    }
    return _paths(sync, awaited)


def for_good() -> CircuitBreaker:
    """A breaker that is open for so long that the seconds left, which each refusal tells, do not change meanwhile."""
    breaker = time_breaker()
    breaker.open(for_=1e18)
    return breaker


def one_frame_more(fn: AnyFunction) -> AnyFunction:
    """The least that a careless change adds: a function that calls the function."""

    def again(value: int) -> int:
        result: int = fn(value)
        return result

    return again


def one_coroutine_more(fn: AnyFunction) -> AnyFunction:
    """The same, async."""

    async def again(value: int) -> int:
        result: int = await fn(value)
        return result

    return again


def http() -> dict[str, Path]:
    """A request through the HTTP layer, over a transport that hands back an answer made before."""
    # Imported here, because the policies are counted without it too.
    from benchmarks.http import AsyncPassThrough, PassThrough, request
    from resilix.httpx2 import AsyncTransport, Transport, standard

    one = request()
    send = Transport(standard("counted", limit=20), inner=PassThrough()).handle_request
    asend = AsyncTransport(standard("counted-async", limit=20), inner=AsyncPassThrough()).handle_async_request

    def sync(value: int) -> Any:
        return send(one)

    async def awaited(value: int) -> Any:
        return await asend(one)

    return _paths({"sync, HTTP layer, all four": sync}, {"async, HTTP layer, all four": awaited})


def _paths(sync: dict[str, AnyFunction], awaited: dict[str, AnyFunction]) -> dict[str, Path]:
    return {name: Path(fn, False) for name, fn in sync.items()} | {name: Path(fn, True) for name, fn in awaited.items()}

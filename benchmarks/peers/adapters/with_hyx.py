"""hyx: decorators for async code alone."""

from __future__ import annotations

from typing import Any

from hyx.bulkhead import bulkhead
from hyx.circuitbreaker import consecutive_breaker
from hyx.circuitbreaker.exceptions import BreakerFailing
from hyx.retry import retry
from hyx.timeout import timeout

from benchmarks.peers.peer import Decorator, Function, Peer


def guarding(threshold: int, recovery: float) -> Decorator:
    """Opens after so many failures in a row; one success closes it."""
    return consecutive_breaker(ValueError, threshold, recovery, recovery_threshold=1)


def retrying() -> Decorator:
    """Three attempts: its ``attempts`` are what comes after the first."""
    return retry(on=ValueError, attempts=2, backoff=0)


def _within(seconds: float) -> Decorator:
    # Its decorator asks for a running event loop where it is applied; its context manager does not.
    def decorator(fn: Function) -> Function:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            async with timeout(seconds):
                return await fn(*args, **kwargs)

        return wrapper

    return decorator


def all_four(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """Retry, breaker, bulkhead and timeout, one around the other."""
    again, breaker, places = retrying(), guarding(threshold, 60.0), bulkhead(limit, limit)

    def decorator(fn: Function) -> Function:
        return again(breaker(places(fn if seconds is None else _within(seconds)(fn))))

    return decorator


PEERS = [
    Peer(
        "hyx",
        ("hyx",),
        "import hyx.bulkhead, hyx.circuitbreaker, hyx.retry, hyx.timeout",
        abreaker=guarding,
        refused=BreakerFailing,
        aretry=retrying,
        apipeline=all_four,
        idle=consecutive_breaker,
    )
]

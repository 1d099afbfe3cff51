"""What people assemble today: a retry, a breaker, a limiter and a timeout of four makers, one around the other."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio

from benchmarks.parts import tenacious
from benchmarks.peers.adapters import with_aiobreaker, with_backoff, with_circuitbreaker, with_pybreaker
from benchmarks.peers.peer import Decorator, Function, Peer

POOL = ThreadPoolExecutor(16)
"""Where the sync stacks call what they give up after a while."""


def _pooled(seconds: float) -> Decorator:
    def decorator(fn: Function) -> Function:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return POOL.submit(fn, *args, **kwargs).result(seconds)

        return wrapper

    return decorator


def _places(limit: int) -> Decorator:
    semaphore = threading.BoundedSemaphore(limit)

    def decorator(fn: Function) -> Function:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not semaphore.acquire(blocking=False):
                raise RuntimeError("full")
            try:
                return fn(*args, **kwargs)
            finally:
                semaphore.release()

        return wrapper

    return decorator


def _aplaces(limiter: Any) -> Decorator:
    def decorator(fn: Function) -> Function:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            async with limiter:
                return await fn(*args, **kwargs)

        return wrapper

    return decorator


def _fail_after(seconds: float) -> Decorator:
    def decorator(fn: Function) -> Function:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with anyio.fail_after(seconds):
                return await fn(*args, **kwargs)

        return wrapper

    return decorator


def _asyncio_timeout(seconds: float) -> Decorator:
    def decorator(fn: Function) -> Function:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            async with asyncio.timeout(seconds):
                return await fn(*args, **kwargs)

        return wrapper

    return decorator


def _around(*decorators: Decorator | None) -> Decorator:
    def decorator(fn: Function) -> Function:
        for one in reversed(decorators):
            fn = fn if one is None else one(fn)
        return fn

    return decorator


def usual(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """The best known of each kind, sync."""
    inner = None if seconds is None else _pooled(seconds)
    return _around(tenacious, with_pybreaker.guarding(threshold, 60.0), _places(limit), inner)


def ausual(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """The best known of each kind, async."""
    inner = None if seconds is None else _fail_after(seconds)
    limiter = anyio.CapacityLimiter(limit)
    return _around(tenacious, with_aiobreaker.guarding(threshold, 60.0), _aplaces(limiter), inner)


def lean(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """The cheapest of each kind, sync."""
    inner = None if seconds is None else _pooled(seconds)
    breaker = with_circuitbreaker.guarding(threshold, 60.0)
    return _around(with_backoff.retrying(), breaker, _places(limit), inner)


def alean(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """The cheapest of each kind, async."""
    inner = None if seconds is None else _asyncio_timeout(seconds)
    breaker = with_circuitbreaker.guarding(threshold, 60.0)
    return _around(with_backoff.retrying(), breaker, _aplaces(asyncio.Semaphore(limit)), inner)


PEERS = [
    Peer("tenacity + pybreaker + Semaphore + pool", ("tenacity", "pybreaker"), "", pipeline=usual),
    Peer("backoff + circuitbreaker + Semaphore + pool", ("backoff", "circuitbreaker"), "", pipeline=lean),
    Peer("tenacity + aiobreaker + anyio", ("tenacity", "aiobreaker", "anyio"), "", apipeline=ausual),
    Peer("backoff + circuitbreaker + asyncio", ("backoff", "circuitbreaker"), "", apipeline=alean),
]

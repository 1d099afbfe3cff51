"""A transport around a guarded pool, as thin as one can be: what the real one has to do, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx

from resilix.http.pool import PoolGuard, guard_of

PLACES = 10
LIMITS = httpx.Limits(max_connections=PLACES)


def guard_around(transport: Any) -> PoolGuard:
    """The guard of a transport that has one."""
    guard = guard_of(transport)
    assert guard is not None
    return guard


class Guarded(httpx.BaseTransport):
    """Waits for a place, mends after an abnormal end, and leaves when the body is over."""

    def __init__(self, inner: httpx.HTTPTransport) -> None:
        self.inner = inner
        self.guard = guard_around(inner)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.guard.enter(request.extensions["timeout"]["pool"])
        try:
            response = self.inner.handle_request(request)
        except BaseException:
            self.guard.leave()
            self.guard.mend()
            raise
        response.stream = GuardedBody(response.stream, self.guard)
        return response

    def close(self) -> None:
        self.inner.close()


class GuardedBody(httpx.SyncByteStream):
    """Says when the body is over."""

    def __init__(self, inner: Any, guard: PoolGuard) -> None:
        self.inner = inner
        self.guard: PoolGuard | None = guard

    def over(self, *, died: bool) -> None:
        guard, self.guard = self.guard, None
        if guard is not None:
            guard.leave(self.inner)
            if died:
                guard.mend()

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.inner
        except GeneratorExit:
            raise
        except BaseException:
            self.over(died=True)
            raise

    def close(self) -> None:
        try:
            self.inner.close()
        except BaseException:
            self.over(died=True)
            raise
        self.over(died=False)


class AsyncGuarded(httpx.AsyncBaseTransport):
    """The same, async."""

    def __init__(self, inner: httpx.AsyncHTTPTransport) -> None:
        self.inner = inner
        self.guard = guard_around(inner)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.guard.aenter(request.extensions["timeout"]["pool"])
        try:
            response = await self.inner.handle_async_request(request)
        except BaseException:
            self.guard.leave()
            await self.guard.amend()
            raise
        response.stream = AsyncGuardedBody(response.stream, self.guard)
        return response

    async def aclose(self) -> None:
        await self.inner.aclose()


class AsyncGuardedBody(httpx.AsyncByteStream):
    """The same, async."""

    def __init__(self, inner: Any, guard: PoolGuard) -> None:
        self.inner = inner
        self.guard: PoolGuard | None = guard

    async def over(self, *, died: bool) -> None:
        guard, self.guard = self.guard, None
        if guard is not None:
            guard.leave(self.inner)
            if died:
                await guard.amend()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self.inner:
                yield part
        except GeneratorExit:
            raise
        except BaseException:
            await self.over(died=True)
            raise

    async def aclose(self) -> None:
        try:
            await self.inner.aclose()
        except BaseException:
            await self.over(died=True)
            raise
        await self.over(died=False)


class Lost:
    """A connection in use for ever, as the pool sees it."""

    def __init__(self, *, slow: bool = False) -> None:
        self.closed = False
        self.slow = slow

    def is_idle(self) -> bool:
        return False

    is_closed = has_expired = is_available = is_idle

    def can_handle_request(self, origin: Any) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True
        await asyncio.sleep(30.0 if self.slow else 0.0)

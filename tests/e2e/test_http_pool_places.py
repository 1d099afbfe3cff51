"""The guard in front of a pool: places for callers of every kind, and what mending does step by step."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from tests.support.http_pool_guarded import LIMITS, PLACES, Lost, guard_around
from tests.support.http_pool_storm import in_threads

from resilix.clock import SYSTEM
from resilix.http.pool import guard_of
from resilix.http.until import Until

# -- mending ----------------------------------------------------------------------------------


class Promised:
    """A request that was promised a connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def is_queued(self) -> bool:
        return False


def test_a_lost_connection_promised_to_another_request_goes_when_that_one_has_turned_away() -> None:
    """The pool may give an idle connection to two; the second finds out only when its turn comes."""
    transport = httpx.HTTPTransport(limits=LIMITS)
    pool: Any = transport._pool
    connection, guard = Lost(), guard_around(transport)
    request = Promised(connection)
    pool._connections, pool._requests = [connection], [request]
    guard.mend()
    assert pool._connections == [connection]
    request.connection = None
    guard.enter()
    assert pool._connections == []
    assert connection.closed


def test_a_cancellation_while_mending_leaves_no_connection_open() -> None:
    """The slots come back before anything is awaited, and each connection is closed."""

    async def main() -> None:
        transport = httpx.AsyncHTTPTransport(limits=LIMITS)
        pool: Any = transport._pool
        connections = [Lost(slow=True), Lost(), Lost()]
        pool._connections = list(connections)
        mending = asyncio.ensure_future(guard_around(transport).amend())
        await asyncio.sleep(0.01)
        assert pool._connections == []
        mending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await mending
        assert [one.closed for one in connections] == [True, True, True]

    asyncio.run(main())


def test_where_nothing_can_be_awaited_the_slots_of_an_async_pool_come_back() -> None:
    """A coroutine that is thrown away may not await; who enters next closes the sockets."""
    transport = httpx.AsyncHTTPTransport(limits=LIMITS)
    pool: Any = transport._pool
    pool._connections = [Lost(), Lost()]
    guard, lost = guard_around(transport), list(pool._connections)
    guard.mend()
    assert pool._connections == []
    assert not any(one.closed for one in lost)
    asyncio.run(guard.aenter(0.0))
    assert all(one.closed for one in lost)


# -- places --------------------------------------------------------------------------------------------------


def test_there_is_one_guard_for_a_pool() -> None:
    """Two transports of ours around the same inner one count together."""
    inner = httpx.HTTPTransport(limits=LIMITS)
    first, second = guard_of(inner), guard_of(inner)
    assert first is not None
    assert first is second
    assert first.places == PLACES


@pytest.mark.parametrize(
    "inner", [httpx.HTTPTransport(http2=True), httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))]
)
def test_a_pool_without_a_bound_has_no_gate(inner: Any) -> None:
    """Nor has one whose connections serve many at once."""
    guard = guard_around(inner)
    assert guard.places is None
    for _ in range(200):
        guard.enter(0.0)
    guard.leave()


@pytest.mark.parametrize(
    "inner",
    [httpx2.HTTPTransport(), httpx2.AsyncHTTPTransport(), httpx.MockTransport(lambda _: httpx.Response(200)), None],
    ids=["httpx2", "httpx2 async", "mock", "none"],
)
def test_what_needs_no_guard_has_none(inner: Any) -> None:
    """httpx2 loses nothing, and what has no pool neither."""
    assert guard_of(inner) is None


def one_place() -> Any:
    """A guard with a single place, taken."""
    guard = guard_around(httpx.HTTPTransport(limits=httpx.Limits(max_connections=1)))
    guard.enter(0.0)
    return guard


@pytest.mark.parametrize("seconds", [0.0, 0.05, Until(60.0, 0.0)])
def test_who_gets_no_place_in_time_gets_the_error_of_the_library(seconds: float) -> None:
    """A thread, a task of asyncio and one of trio; an ``Until`` ends with its moment."""
    guard = one_place()
    started = SYSTEM.now()
    with pytest.raises(httpx.PoolTimeout, match="no connection of the pool came free in time"):
        guard.enter(seconds)
    for backend in ("asyncio", "trio"):
        with pytest.raises(httpx.PoolTimeout):
            anyio.run(guard.aenter, seconds, backend=backend)
    assert SYSTEM.now() - started < 2.0
    guard.leave()
    guard.enter(0.0)


def test_threads_and_loops_of_both_kinds_share_the_places() -> None:
    """Never more at once than there are, and all get their turn."""
    guard = guard_around(httpx.HTTPTransport(limits=httpx.Limits(max_connections=3)))
    lock, inside, most, done = threading.Lock(), 0, 0, 0

    def count(change: int) -> None:
        nonlocal inside, most, done
        with lock:
            inside += change
            most = max(most, inside)
            done += change < 0

    def thread() -> None:
        for _ in range(20):
            guard.enter(5.0)
            count(+1)
            time.sleep(0.001)
            count(-1)
            guard.leave()

    async def task() -> None:
        for _ in range(20):
            await guard.aenter(None)
            count(+1)
            await anyio.sleep(0.001)
            count(-1)
            guard.leave()

    async def tasks() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(task)

    in_threads([thread, thread, *(lambda b=b: anyio.run(tasks, backend=b) for b in ("asyncio", "asyncio", "trio"))])
    assert (most, done, guard.free) == (3, 20 * 14, 3)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_waiter_takes_nothing_with_it_and_the_order_stays(backend: str) -> None:
    """First come, first served, without those who have gone."""
    guard, order = one_place(), list[int]()

    async def main() -> None:
        async def wait(number: int) -> None:
            with scopes[number]:
                await guard.aenter(None)
                order.append(number)
                guard.leave()

        scopes = [anyio.CancelScope() for _ in range(5)]
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(wait, number)
                await anyio.wait_all_tasks_blocked()
            scopes[0].cancel()
            scopes[2].cancel()
            await anyio.wait_all_tasks_blocked()
            guard.leave()

    anyio.run(main, backend=backend)
    assert order == [1, 3, 4]
    assert guard.free == 1

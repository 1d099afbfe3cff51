"""virtual_time(foreign_sleeps=True): limits that are no policy's expire by the clock, and never send it anywhere."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
from tests.support.virtual import LONG, anap

from resilix import TimeoutExceededError, timeout
from resilix.testing import Wait, virtual_time

Work = Callable[[], Awaitable[object]]


async def in_timeout(seconds: float, work: Work) -> str:
    try:
        async with asyncio.timeout(seconds):
            await work()
    except TimeoutError:
        return "expired"
    return "done"


async def in_wait_for(seconds: float, work: Work) -> str:
    try:
        await asyncio.wait_for(asyncio.ensure_future(work()), timeout=seconds)
    except TimeoutError:
        return "expired"
    return "done"


async def in_trios_scope(seconds: float, work: Work) -> str:
    with trio.move_on_after(seconds) as scope:
        await work()
    return "expired" if scope.cancelled_caught else "done"


async def in_trios_block(seconds: float, work: Work) -> str:
    try:
        with trio.fail_after(seconds, shield=True):
            await work()
    except trio.TooSlowError:
        return "expired"
    return "done"


async def in_anyios_scope(seconds: float, work: Work) -> str:
    limit = anyio.move_on_after(delay=seconds)
    with limit as scope:
        await work()
    return "expired" if scope.cancelled_caught else "done"


async def in_anyios_block(seconds: float, work: Work) -> str:
    try:
        with anyio.fail_after(seconds):
            await work()
    except TimeoutError:
        return "expired"
    return "done"


LIMITS: dict[str, tuple[str, Callable[[float, Work], Awaitable[str]]]] = {
    "asyncio.timeout": ("asyncio", in_timeout),
    "asyncio.wait_for": ("asyncio", in_wait_for),
    "trio.move_on_after": ("trio", in_trios_scope),
    "trio.fail_after": ("trio", in_trios_block),
    "anyio.move_on_after on asyncio": ("asyncio", in_anyios_scope),
    "anyio.move_on_after on trio": ("trio", in_anyios_scope),
    "anyio.fail_after on asyncio": ("asyncio", in_anyios_block),
    "anyio.fail_after on trio": ("trio", in_anyios_block),
}
every_limit = pytest.mark.parametrize("name", LIMITS)


def sleep(seconds: float) -> Work:
    return lambda: anyio.sleep(seconds)


def wait(seconds: float) -> Work:
    return lambda: anap(seconds)


@every_limit
@pytest.mark.parametrize("kind", [sleep, wait])
@pytest.mark.parametrize(("seconds", "ends"), [(1999.0, "done"), (2000.0, "done"), (2001.0, "expired")])
def test_a_limit_is_exact_around_virtual_waits(name: str, kind: Any, seconds: float, ends: str) -> None:
    """Around a sleep and around the wait of a retry; what ends exactly at its limit is in time."""
    backend, limited = LIMITS[name]
    with virtual_time(foreign_sleeps=True) as time:
        assert anyio.run(limited, 2000.0, kind(seconds), backend=backend) == ends
        assert time.now() == min(seconds, 2000.0)


@every_limit
def test_a_limit_alone_does_not_send_the_clock(name: str) -> None:
    """What it guards answers for real, and it takes its time: a policy's limit would expire."""
    backend, limited = LIMITS[name]
    go = threading.Timer(0.12, lambda: None)

    async def answer() -> None:
        await anyio.to_thread.run_sync(go.join, LONG)

    with virtual_time(foreign_sleeps=True) as time:
        go.start()
        assert anyio.run(limited, 20.0, answer, backend=backend) == "done"
        assert (time.now(), time.timeline) == (0.0, [])


@every_limit
def test_a_limit_still_expires_for_real(name: str) -> None:
    """When nobody waits virtually, real time is what it has."""
    backend, limited = LIMITS[name]
    with virtual_time(foreign_sleeps=True) as time:
        assert anyio.run(limited, 0.01, anyio.sleep_forever, backend=backend) == "expired"
        assert time.now() == 0.0


@every_limit
def test_the_wait_of_another_task_takes_the_clock_past_a_limit(name: str) -> None:
    """The limit expires at its moment on the way, and is written down."""
    backend, limited = LIMITS[name]
    ends: list[tuple[str, float]] = []

    async def guarded() -> None:
        ends.append((await limited(30.0, anyio.sleep_forever), time.now()))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(guarded)
            await anap(100.0)
            ends.append(("slept", time.now()))

    with virtual_time(foreign_sleeps=True) as time:
        anyio.run(main, backend=backend)
    assert ends == [("expired", 30.0), ("slept", 100.0)]
    assert [one[:3] for one in time.timeline] == [(0.0, 100.0, "retry"), (0.0, 30.0, "expired")]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_limit_inside_a_policys_limit(backend: str) -> None:
    """The nearer one ends it, whichever it is."""

    async def inner(seconds: float) -> str:
        with anyio.move_on_after(seconds):
            await anyio.sleep(1000)
        return "moved on"

    with virtual_time(foreign_sleeps=True) as time:
        assert anyio.run(timeout(7.0).acall, inner, 5.0, backend=backend) == "moved on"
        assert time.now() == 5.0
        with pytest.raises(TimeoutExceededError):
            anyio.run(timeout(7.0).acall, inner, 50.0, backend=backend)
        assert time.now() == 12.0


async def move_a_timeout() -> None:
    async with asyncio.timeout(5.0) as limit:
        limit.reschedule(asyncio.get_running_loop().time() + LONG)
        await anyio.sleep(50.0)


async def move_a_scope() -> None:
    with anyio.fail_after(5.0) as scope:
        scope.deadline = math.inf
        await anyio.sleep(50.0)


@pytest.mark.parametrize(
    ("move", "backend"), [(move_a_timeout, "asyncio"), (move_a_scope, "asyncio"), (move_a_scope, "trio")]
)
def test_a_limit_that_is_given_another_moment_is_real_from_then_on(move: Any, backend: str) -> None:
    """Moments are of the real clock; the old one is forgotten."""
    with virtual_time(foreign_sleeps=True) as time:
        anyio.run(move, backend=backend)
        assert time.now() == 50.0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_limit_is_no_limit(backend: str) -> None:
    """None, infinity and zero are left to the library."""

    async def main() -> None:
        for nothing in (None, math.inf):
            with anyio.move_on_after(nothing):
                await anyio.sleep(5.0)
        with anyio.move_on_after(0) as scope:
            await anyio.sleep(5.0)
        assert scope.cancelled_caught

    with virtual_time(foreign_sleeps=True) as time:
        anyio.run(main, backend=backend)
        assert time.now() == 10.0


def test_the_end_of_the_block_leaves_it_to_real_time() -> None:
    """Policies' limits are let go; these have a real end of their own."""

    async def main() -> str:
        done = asyncio.Event()
        with virtual_time(foreign_sleeps=True):
            task = asyncio.ensure_future(in_timeout(LONG, done.wait))
            await asyncio.sleep(1.0)
        done.set()
        return await task

    assert asyncio.run(main()) == "done"


def test_what_a_scope_is_asked_before_it_is_entered_it_answers() -> None:
    """And what is set on it is set."""

    async def main() -> None:
        limit = trio.move_on_after(50.0)
        limit.shield = True
        with limit as scope:
            assert (scope.shield, limit.shield, isinstance(scope, trio.CancelScope)) == (True, True, True)
        assert limit.cancelled_caught is False

    with virtual_time(foreign_sleeps=True):
        trio.run(main)


def test_the_limits_of_libraries_stay_real() -> None:
    """They guard sockets: here one of asyncio's own, which wait_for on 3.12 and later uses, and of anyio's."""
    space: dict[str, Any] = {"asyncio": asyncio, "anyio": anyio}
    library = compile(
        "async def lib():\n"
        "    async with asyncio.timeout(5.0):\n"
        "        with anyio.fail_after(5.0):\n"
        "            await asyncio.wait_for(asyncio.sleep(50.0), 5.0)\n",
        anyio.__file__,
        "exec",
    )
    exec(library, space)
    with virtual_time(foreign_sleeps=True) as time:
        asyncio.run(space["lib"]())
        assert [one[1:3] for one in time.timeline] == [(50.0, "sleep")]
    assert isinstance(time.timeline[0], Wait)

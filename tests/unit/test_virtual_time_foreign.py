"""virtual_time(foreign_sleeps=True): sleeps that are not a policy's, who follows, and what stays real."""

from __future__ import annotations

import asyncio
import contextvars
import math
import subprocess
import sys
import threading
import time as real_time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio
import trio.lowlevel
from tests.support.virtual import LONG, anap, nap, run_threads

from resilix import ConfigurationError, TimeoutExceededError, retry, timeout
from resilix.testing import virtual_time

HOUR = 3600.0
REAL = {"time": real_time.sleep, "asyncio": asyncio.sleep, "trio": trio.sleep, "anyio": anyio.sleep}
REPLACED = [
    *[(module, "sleep") for module in (real_time, asyncio, asyncio.tasks, trio, anyio)],
    *[(module, "timeout") for module in (asyncio, asyncio.timeouts)],
    *[(module, "wait_for") for module in (asyncio, asyncio.tasks)],
    *[(module, name) for module in (trio, anyio) for name in ("move_on_after", "fail_after")],
]
BEFORE = [getattr(module, name) for module, name in REPLACED]


async def through_asyncio(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def through_anyio(seconds: float) -> None:
    await anyio.sleep(seconds)


async def through_trio(seconds: float) -> None:
    await trio.sleep(seconds)


SLEEPERS: dict[str, tuple[str, Callable[[float], Any]]] = {
    "asyncio.sleep": ("asyncio", through_asyncio),
    "anyio.sleep on asyncio": ("asyncio", through_anyio),
    "trio.sleep": ("trio", through_trio),
    "anyio.sleep on trio": ("trio", through_anyio),
}


def touched() -> list[bool]:
    """For each function, whether its module has another than when this file was read."""
    return [getattr(module, name) is not real for (module, name), real in zip(REPLACED, BEFORE, strict=True)]


# -- they follow the clock -------------------------------------------------------------------------------------------


def test_a_thread_sleeps_virtually() -> None:
    """An hour takes an hour of the clock, is written down apart from the waits of policies, and costs nothing."""
    with virtual_time(foreign_sleeps=True) as time:
        real_time.sleep(HOUR)
        nap(1.0)
        real_time.sleep(2)
        assert time.now() == HOUR + 3.0
        assert time.foreign_sleeps == [HOUR, 2]
        assert time.sleeps == [1.0]


@pytest.mark.parametrize("name", SLEEPERS)
def test_tasks_sleep_virtually_and_each_to_its_own_moment(name: str) -> None:
    """Three at once, in any order, beside one that waits for a policy."""
    backend, sleep = SLEEPERS[name]
    ends: list[tuple[float, float]] = []

    async def one(seconds: float) -> None:
        await sleep(seconds)
        ends.append((seconds, time.now()))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for seconds in (HOUR, 1.0, 2.5):
                group.start_soon(one, seconds)
            await anap(2.0)
            ends.append((2.0, time.now()))

    with virtual_time(foreign_sleeps=True) as time:
        anyio.run(main, backend=backend)
        assert sorted(time.foreign_sleeps) == [1.0, 2.5, HOUR]
        assert time.sleeps == [2.0]
    assert ends == [(1.0, 1.0), (2.0, 2.0), (2.5, 2.5), (HOUR, HOUR)]


def test_the_sleep_of_asyncio_still_hands_back_its_result() -> None:
    """As asyncio.sleep does, by position and by name, awaited or as a task of its own."""

    async def main() -> list[str]:
        task = asyncio.create_task(asyncio.sleep(delay=5, result="task"))
        return [await asyncio.sleep(1, "awaited"), *await asyncio.gather(task, asyncio.tasks.sleep(2, "gathered"))]

    with virtual_time(foreign_sleeps=True) as time:
        assert asyncio.run(main()) == ["awaited", "task", "gathered"]
        assert time.now() == 5.0


def test_threads_asyncio_and_trio_share_the_clock_whatever_they_wait_for() -> None:
    """Foreign sleeps and waits of policies in two threads and two loops at once: every moment is exact."""
    ends: dict[str, list[float]] = {}

    def plain(name: str, step: float) -> None:
        for turn in range(4):
            (nap if turn % 2 else real_time.sleep)(step)
            ends.setdefault(name, []).append(time.now())

    def looped(name: str, step: float) -> None:
        async def main() -> None:
            for turn in range(4):
                await (anap if turn % 2 else SLEEPERS[name][1])(step)
                ends.setdefault(name, []).append(time.now())

        anyio.run(main, backend=SLEEPERS[name][0])

    steps = {"first": 1.0, "second": 2.5, "asyncio.sleep": 1.5, "trio.sleep": 4.0}
    with virtual_time(foreign_sleeps=True) as time:
        run_threads(
            lambda: plain("first", 1.0),
            lambda: plain("second", 2.5),
            lambda: looped("asyncio.sleep", 1.5),
            lambda: looped("trio.sleep", 4.0),
        )
        assert sorted(time.foreign_sleeps) == sorted(time.sleeps) == sorted([*steps.values()] * 2)
    assert ends == {name: [step * k for k in (1, 2, 3, 4)] for name, step in steps.items()}


@pytest.mark.parametrize(("needed", "ends"), [(1.9, "done"), (2.0, "done"), (2.1, "expired")])
def test_a_timeout_is_exact_around_a_foreign_sleep(needed: float, ends: str) -> None:
    """In a thread and in a task alike; what ends exactly at its limit is in time."""

    async def slow() -> str:
        await asyncio.sleep(needed)
        return "done"

    def slow_thread() -> str:
        real_time.sleep(needed)
        return "done"

    for call in (lambda: asyncio.run(timeout(2.0).acall(slow)), lambda: timeout(2.0).call(slow_thread)):
        with virtual_time(foreign_sleeps=True) as time:
            try:
                found = call()
            except TimeoutExceededError:
                found = "expired"
            assert (found, time.now()) == (ends, min(needed, 2.0))


def test_advance_ends_foreign_sleeps_too() -> None:
    """By hand, from another thread; whoever wakes up sees the time after the whole advance."""
    asleep = threading.Event()
    seen: list[float] = []

    def sleeper() -> None:
        asleep.set()
        real_time.sleep(HOUR)
        seen.append(time.now())

    with virtual_time(foreign_sleeps=True) as time:
        thread = threading.Thread(target=sleeper, daemon=True)
        thread.start()
        assert asleep.wait(LONG)
        time.advance(2 * HOUR)
        thread.join(LONG)
    assert seen in ([2 * HOUR], [3 * HOUR])  # it may have begun after the advance


def test_a_function_of_a_retry_may_sleep_itself() -> None:
    """The two kinds add up to the clock and stay apart."""

    @retry(on=ConnectionError, attempts=3, wait=1.0)
    def slow_and_down() -> None:
        real_time.sleep(10)
        raise ConnectionError

    with virtual_time(foreign_sleeps=True) as time:
        with pytest.raises(ConnectionError):
            slow_and_down()
        assert (time.sleeps, time.foreign_sleeps, time.now()) == ([1.0, 1.0], [10, 10, 10], 32.0)


# -- who follows -----------------------------------------------------------------------------------------------------


def test_a_thread_from_before_the_block_keeps_its_real_sleep() -> None:
    """A watchdog, a plugin's thread: it is not part of the test."""
    go, done = threading.Event(), threading.Event()

    def old() -> None:
        assert go.wait(LONG)
        real_time.sleep(0.001)
        done.set()

    thread = threading.Thread(target=old, daemon=True)
    thread.start()
    with virtual_time(foreign_sleeps=True) as time:
        go.set()
        assert done.wait(LONG)
        assert (time.foreign_sleeps, time.now()) == ([], 0.0)
    thread.join(LONG)


def test_a_thread_from_before_the_block_follows_with_what_the_block_hands_to_it() -> None:
    """Asyncio and anyio keep their worker threads; the function a task gives to one belongs to the task."""

    async def main() -> None:
        threads = [await asyncio.to_thread(threading.get_ident), await anyio.to_thread.run_sync(threading.get_ident)]
        with virtual_time(foreign_sleeps=True) as time:

            def asleep(seconds: float) -> int:
                real_time.sleep(seconds)
                return threading.get_ident()

            again = [await asyncio.to_thread(asleep, HOUR), await anyio.to_thread.run_sync(asleep, 2 * HOUR)]
            assert again == threads
            assert (time.foreign_sleeps, time.now()) == ([HOUR, 2 * HOUR], 3 * HOUR)

    asyncio.run(main())


def test_the_worker_of_a_timeout_follows_though_it_is_older() -> None:
    """A worker thread of ours that has waited for a job since before the block."""
    assert timeout(LONG).call(lambda: "warm") == "warm"
    with virtual_time(foreign_sleeps=True) as time:
        with pytest.raises(TimeoutExceededError):
            timeout(1.0).call(real_time.sleep, HOUR)
        assert time.now() == 1.0


def test_the_threads_of_the_block_follow_in_a_pool_too() -> None:
    """A pool made inside."""
    with virtual_time(foreign_sleeps=True) as time, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(real_time.sleep, [HOUR, HOUR])) == [None, None]
        assert time.now() == HOUR


# -- what stays real -------------------------------------------------------------------------------------------------


def test_nothing_is_touched_without_the_option() -> None:
    """It reaches into code that is not the user's, so it is asked for."""
    with virtual_time() as time:
        assert not any(touched())
        real_time.sleep(0.001)
        assert (time.foreign_sleeps, time.now()) == ([], 0.0)


def test_sleeps_of_no_length_only_let_others_run() -> None:
    """They take no time and are not written down."""

    async def main() -> None:
        await asyncio.sleep(0)
        await anyio.lowlevel.checkpoint()

    async def tmain() -> None:
        await trio.lowlevel.checkpoint()

    with virtual_time(foreign_sleeps=True) as time:
        real_time.sleep(0)
        asyncio.run(main())
        trio.run(tmain)
        assert (time.foreign_sleeps, time.now()) == ([], 0.0)


def test_an_infinite_sleep_is_no_wait_for_the_clock() -> None:
    """The clock does not jump to the end of time; the task is there to be cancelled."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, math.inf)
            await anyio.sleep(5)
            group.cancel_scope.cancel()

    for backend in ("asyncio", "trio"):
        with virtual_time(foreign_sleeps=True) as time:
            anyio.run(main, backend=backend)
            assert (time.foreign_sleeps, time.now()) == ([5], 5.0)


@pytest.mark.parametrize("seconds", [-1, "1", None, math.nan, 1e100])
def test_nonsense_is_refused_as_ever(seconds: Any) -> None:
    """By the real function, with its own error."""

    def error_of(sleep: Callable[[Any], object]) -> tuple[type[BaseException], str]:
        with pytest.raises((ValueError, TypeError, OverflowError)) as refused:
            sleep(seconds)
        return type(refused.value), str(refused.value)

    with virtual_time(foreign_sleeps=True) as time:
        assert error_of(real_time.sleep) == error_of(REAL["time"])
        assert time.now() == 0.0


def test_python_looking_after_a_process_sleeps_for_real() -> None:
    """``wait(timeout=…)`` looks again and again: in virtual time it would not rest between."""
    with virtual_time(foreign_sleeps=True) as time:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.005)
            process.communicate(b"\n", timeout=LONG)
        assert (time.foreign_sleeps, time.now()) == ([], 0.0)


# -- what is put back ------------------------------------------------------------------------------------------------


class BrokenError(Exception):
    pass


def test_the_real_functions_are_put_back() -> None:
    """After the block, and after an error in it."""
    with virtual_time(foreign_sleeps=True):
        assert all(touched())
    assert not any(touched())
    with pytest.raises(BrokenError), virtual_time(foreign_sleeps=True):
        raise BrokenError
    assert not any(touched())


def test_what_somebody_else_put_in_its_place_is_left_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who replaces a sleep inside the block finds their own afterwards."""
    monkeypatch.setattr(real_time, "sleep", real_time.sleep)  # so that it is put back in the end

    def theirs(seconds: float) -> None:
        raise BrokenError

    with virtual_time(foreign_sleeps=True):
        real_time.sleep = theirs
    assert real_time.sleep is theirs


def test_a_copy_that_somebody_keeps_is_real_after_the_block() -> None:
    """A module that was imported inside the block goes on with it."""
    with virtual_time(foreign_sleeps=True) as time:
        kept, coroutine = real_time.sleep, asyncio.sleep(0.001, "real")
        kept(1.0)
    began = real_time.monotonic()
    kept(0.002)
    assert real_time.monotonic() - began >= 0.002
    assert asyncio.run(REAL["asyncio"](0, "real")) == "real"
    assert asyncio.run(awaiting(coroutine)) == "real"
    assert time.foreign_sleeps == [1.0]


async def awaiting(coroutine: Any) -> Any:
    return await coroutine


def test_it_may_end_in_another_context_than_it_began_in() -> None:
    """As a fixture does whose two halves run apart."""
    time = virtual_time(foreign_sleeps=True)
    contextvars.copy_context().run(time.__enter__)
    real_time.sleep(1.0)
    time.__exit__(None, None, None)
    assert (any(touched()), time.now()) == (False, 1.0)


@pytest.mark.parametrize("switch", [1, None, "yes"])
def test_the_switch_is_a_bool(switch: Any) -> None:
    """Anything else is refused where it is written."""
    with pytest.raises(ConfigurationError, match="foreign_sleeps"):
        virtual_time(foreign_sleeps=switch)

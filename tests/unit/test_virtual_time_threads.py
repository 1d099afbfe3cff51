"""virtual_time() across threads and event loops at once: one clock, and everybody's moments exact."""

from __future__ import annotations

import asyncio
import threading
import time as real_time

import anyio
import anyio.to_thread
import pytest
import trio
import trio.testing
from tests.support.virtual import LONG, anap, nap, run_threads

from resilix import Bulkhead, TimeoutExceededError, timeout
from resilix.runtime import RUNTIME
from resilix.testing import virtual_time
from resilix.testing.crowd import Crowd


def test_eight_threads_keep_their_own_schedules() -> None:
    """Each makes three waits of its own length, and each wait ends at exactly its own moment."""
    ends: dict[int, list[float]] = {number: [] for number in range(1, 9)}
    with virtual_time() as time:

        def one(number: int) -> None:
            for _ in range(3):
                nap(number)
                ends[number].append(time.now())

        run_threads(*[lambda number=number: one(number) for number in ends])
        assert time.now() == 24.0
        assert sorted(time.sleeps) == sorted([float(number) for number in ends] * 3)
    assert ends == {number: [number * 1.0, number * 2.0, number * 3.0] for number in ends}


def test_loops_and_threads_share_one_clock() -> None:
    """Two asyncio loops, a trio run and two plain threads at once."""
    ends: dict[str, list[float]] = {}
    with virtual_time() as time:

        def plain(name: str, step: float) -> None:
            ends[name] = []
            for _ in range(4):
                nap(step)
                ends[name].append(time.now())

        def looped(name: str, backend: str, step: float) -> None:
            async def main() -> None:
                ends[name] = []
                for _ in range(4):
                    await anap(step)
                    ends[name].append(time.now())

            anyio.run(main, backend=backend)

        run_threads(
            lambda: plain("a", 1.0),
            lambda: plain("b", 2.5),
            lambda: looped("c", "asyncio", 1.5),
            lambda: looped("d", "asyncio", 4.0),
            lambda: looped("e", "trio", 3.0),
        )
    steps = {"a": 1.0, "b": 2.5, "c": 1.5, "d": 4.0, "e": 3.0}
    assert ends == {name: [step * k for k in (1, 2, 3, 4)] for name, step in steps.items()}


def test_a_thread_that_was_there_before_takes_part_once_it_waits() -> None:
    """A worker thread of the user's that is older than the block."""
    orders: list[float] = []
    go, done = threading.Event(), threading.Event()

    def old() -> None:
        go.wait(LONG)
        nap(3.0)
        orders.append(RUNTIME.driver.virtual)
        done.set()

    thread = threading.Thread(target=old, daemon=True)
    thread.start()
    with virtual_time() as time:
        go.set()
        assert done.wait(LONG)
        assert time.now() == 3.0
    thread.join(LONG)
    assert orders == [True]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_sync_policies_in_worker_threads_of_a_loop(backend: str) -> None:
    """A task awaits a thread that waits virtually, while another task waits longer."""
    ends: dict[str, float] = {}
    with virtual_time() as time:

        async def through_a_thread() -> None:
            await anyio.to_thread.run_sync(nap, 2.0)
            ends["thread"] = time.now()

        async def directly() -> None:
            await anap(5.0)
            ends["task"] = time.now()

        async def main() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(through_a_thread)
                group.start_soon(directly)

        anyio.run(main, backend=backend)
    assert ends == {"thread": 2.0, "task": 5.0}


def test_what_a_thread_tells_a_loop_comes_before_its_own_wait() -> None:
    """A thread wakes a task and then waits long; the task's short wait begins at once and ends first."""
    rounds = 20
    ends: list[float] = []
    with virtual_time() as time:
        bells = [asyncio.Event() for _ in range(rounds)]
        loops: list[asyncio.AbstractEventLoop] = []
        ready = threading.Event()

        async def listener() -> None:
            loops.append(asyncio.get_running_loop())
            patience = asyncio.ensure_future(anap(10_000.0))  # so that the loop waits virtually as well
            await asyncio.sleep(0)
            ready.set()
            for bell in bells:
                await bell.wait()
                await anap(1.0)
                ends.append(time.now())
            patience.cancel()

        def ringer() -> None:
            assert ready.wait(LONG)
            for bell in bells:
                loops[0].call_soon_threadsafe(bell.set)
                nap(10.0)

        run_threads(lambda: asyncio.run(listener()), ringer)
    assert ends == [10.0 * k + 1.0 for k in range(rounds)]


def test_a_place_handed_from_thread_to_thread_comes_before_the_givers_wait() -> None:
    """A gives its place to B, who waits for it, and goes on to wait long itself: B's short wait ends first."""
    for turn in range(10):
        ends: dict[str, float] = {}
        with virtual_time() as time:
            slots = Bulkhead(f"virtual-threads-{turn}", limit=1, max_wait=None)
            taken = threading.Event()

            def giver(slots: Bulkhead = slots, taken: threading.Event = taken, ends: dict[str, float] = ends) -> None:
                with slots.acquire():
                    taken.set()
                    while not slots.waiting:
                        real_time.sleep(0.0005)
                nap(10.0)
                ends["giver"] = time.now()

            def taker(slots: Bulkhead = slots, taken: threading.Event = taken, ends: dict[str, float] = ends) -> None:
                assert taken.wait(LONG)
                with slots.acquire():
                    nap(1.0)
                    ends["taker"] = time.now()

            run_threads(giver, taker)
        assert ends == {"giver": 10.0, "taker": 1.0}


def test_sync_timeouts_in_many_threads_expire_at_their_limits() -> None:
    """Every caller is a thread of its own and its function waits in a worker: limits and ends are all exact."""
    ends: dict[int, tuple[str, float]] = {}
    with virtual_time() as time:

        def one(number: int) -> None:
            try:
                timeout(3.5).call(RUNTIME.driver.sleep, number)
                ends[number] = ("done", time.now())
            except TimeoutExceededError:
                ends[number] = ("expired", time.now())

        run_threads(*[lambda number=number: one(number) for number in range(1, 7)])
    assert ends == {n: ("done", float(n)) if n <= 3 else ("expired", 3.5) for n in range(1, 7)}


def test_a_place_that_comes_free_for_real_in_a_moment_is_waited_for() -> None:
    """The holder is blocked in something real for 20 ms: max_wait does not pass meanwhile."""
    slots = Bulkhead("virtual-real-holder", limit=1, max_wait=1.0)
    taken = threading.Event()

    def holder() -> None:
        with slots.acquire():
            taken.set()
            real_time.sleep(0.02)

    def waiter() -> None:
        assert taken.wait(LONG)
        with slots.acquire():
            pass

    with virtual_time() as time:
        run_threads(holder, waiter)
        assert time.now() == 0.0


def test_a_trio_run_that_goes_on_after_the_block_is_as_before() -> None:
    """No helper task of ours is left in it."""

    async def main() -> None:
        before = trio.lowlevel.current_statistics().tasks_living
        with virtual_time():
            await anap(1.0)
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before

    trio.run(main)


def test_advance_wakes_threads_asyncio_and_trio_alike() -> None:
    """By hand, from a thread, while others wait everywhere: what is due by then ends, and the rest goes on exactly."""
    ends: dict[str, list[float]] = {}
    with virtual_time() as time:

        def mover() -> None:
            nap(2.5)
            time.advance(10.0)
            ends["mover"] = [time.now()]

        def plain() -> None:
            for seconds in (3.0, 1.0):
                nap(seconds)
                ends.setdefault("plain", []).append(time.now())

        def looped(name: str, backend: str, first: float) -> None:
            async def main() -> None:
                for seconds in (first, 2.0):
                    await anap(seconds)
                    ends.setdefault(name, []).append(time.now())

            anyio.run(main, backend=backend)

        run_threads(
            mover,
            plain,
            lambda: looped("asyncio", "asyncio", 4.0),
            lambda: looped("trio", "trio", 5.0),
            lambda: nap(50.0),
        )
        assert time.now() == 50.0
        assert sorted(time.sleeps) == [1.0, 2.0, 2.0, 2.5, 3.0, 4.0, 5.0, 50.0]
    assert ends == {"mover": [12.5], "plain": [12.5, 13.5], "asyncio": [12.5, 14.5], "trio": [12.5, 14.5]}


def test_a_thread_from_before_the_block_that_was_woken_and_stands_where_it_stood_has_moved() -> None:
    """A worker that has just been given a job may still wait for the interpreter, at the place where it idled."""
    rounds: list[int] = []
    jobs = threading.Lock()
    jobs.acquire()

    def idle() -> None:
        while len(rounds) < 2:
            jobs.acquire()
            rounds.append(1)

    thread = threading.Thread(target=idle, daemon=True)
    thread.start()
    real_time.sleep(0.01)
    crowd = Crowd()
    assert crowd.restless([thread], for_sleep=True) == []
    jobs.release()
    while not rounds:
        real_time.sleep(0.001)
    real_time.sleep(0.01)
    assert crowd.restless([thread], for_sleep=True) == [thread]
    jobs.release()
    thread.join(LONG)

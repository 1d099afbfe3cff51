"""virtual_time() writes down what was waited for, when, and by whom."""

from __future__ import annotations

import asyncio
import time as real_time

import anyio
import pytest
import trio
from tests.support.virtual import afailing, anap, failing, nap, run_threads, sleeping

from resilix import Bulkhead, BulkheadFullError, TimeoutExceededError, pipeline, retry, timeout
from resilix.testing import Wait, faults, virtual_time
from resilix.testing.waits import MOST, SHOWN

HERE = "test_each_line_says_who_waited.<locals>"


def test_each_line_says_who_waited() -> None:
    """A retry by its label, a sleep and an expired limit by the function of the user's they were met in."""

    @retry(on=ConnectionError, attempts=2, wait=1.0)
    def price() -> None:
        failing()

    @retry(on=ConnectionError, attempts=2, wait=2.0)
    async def stock() -> None:
        await afailing()

    def pause() -> None:
        real_time.sleep(3.0)

    async def hang() -> None:
        await anyio.sleep_forever()

    async def checkout() -> None:
        with pytest.raises(ConnectionError):
            await stock()
        await asyncio.sleep(4.0)
        with pytest.raises(TimeoutExceededError):
            await timeout(5.0).acall(hang)

    def place() -> None:
        guard = Bulkhead("timeline", limit=1, max_wait=6.0)
        with guard.acquire(), pytest.raises(BulkheadFullError):
            guard.acquire()

    with virtual_time(foreign_sleeps=True) as time:
        with pytest.raises(ConnectionError):
            price()
        pause()
        asyncio.run(checkout())
        place()
        with pytest.raises(ConnectionError):
            pipeline(retry(on=ConnectionError, attempts=2, wait=0), name="orders").call(failing)
    assert time.timeline == [
        Wait(0.0, 1.0, "retry", f"{HERE}.price"),
        Wait(1.0, 3.0, "sleep", f"{HERE}.pause"),
        Wait(4.0, 2.0, "retry", f"{HERE}.stock"),
        Wait(6.0, 4.0, "sleep", f"{HERE}.checkout"),
        Wait(10.0, 5.0, "expired", f"{HERE}.checkout"),
        Wait(15.0, 6.0, "expired", f"{HERE}.place"),
        Wait(21.0, 0.0, "retry", "orders"),
    ]


def test_a_block_of_attempts_is_named_by_its_function() -> None:
    """It has no label of its own."""

    def threaded() -> None:
        for attempt in sleeping(1).attempts():
            with attempt:
                failing()

    async def tries() -> None:
        async for attempt in sleeping(2).attempts():
            with attempt:
                await afailing()

    with virtual_time() as time:
        for run in (threaded, lambda: asyncio.run(tries()), lambda: trio.run(tries)):
            with pytest.raises(ConnectionError):
                run()
    here = "test_a_block_of_attempts_is_named_by_its_function"
    assert [(one.seconds, one.who) for one in time.timeline] == [
        (1.0, f"{here}.<locals>.threaded"),
        (2.0, f"{here}.<locals>.tries"),
        (2.0, f"{here}.<locals>.tries"),
    ]


def test_the_lines_of_threads_and_loops_come_in_the_order_of_the_clock() -> None:
    """Whoever begins later stands below, across two threads, asyncio and trio."""
    with virtual_time() as time:
        run_threads(
            lambda: [nap(1.0) for _ in range(6)],
            lambda: [nap(2.0) for _ in range(3)],
            lambda: asyncio.run(anap(4.0)),
            lambda: trio.run(anap, 5.0),
        )
    began = [one.moment for one in time.timeline]
    assert began == sorted(began)
    assert {one.moment for one in time.timeline if one.seconds == 1.0} == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}
    assert sorted(one.seconds for one in time.timeline) == sorted(time.sleeps)


def test_a_limit_that_did_not_expire_is_not_written_down() -> None:
    """Not one that was met, nor one that the end of the block let go."""

    async def main() -> None:
        with virtual_time() as time:
            assert await timeout(1.0).acall(anap, 0.5) is None
            left = asyncio.ensure_future(timeout(5.0).acall(asyncio.Event().wait))
            await asyncio.sleep(0)
        with pytest.raises(TimeoutExceededError):
            await left
        assert [one.kind for one in time.timeline] == ["retry"]

    asyncio.run(main())


def test_it_is_bounded_and_sleeps_is_not() -> None:
    """A long run keeps its last lines, and all of the lengths that a test may compare."""
    with virtual_time() as time:
        with pytest.raises(ConnectionError):
            sleeping(*range(MOST + 5)).call(failing)
        assert [one.seconds for one in time.timeline] == list(range(5, MOST + 5))
        assert time.sleeps == list(range(MOST + 5))
        time.timeline.clear()
        assert len(time.timeline) == MOST


def test_the_text_of_the_clock_is_a_table_for_messages() -> None:
    """The last lines, and how many there were before."""
    with virtual_time() as time:
        assert str(time) == "<virtual time 0>"
        with pytest.raises(ConnectionError):
            pipeline(sleeping(1.5, 0.25), name="orders").call(failing)
        assert str(time).splitlines() == [
            "<virtual time 1.75>",
            "         0  retry    1.5 s  orders",
            "       1.5  retry    0.25 s  orders",
        ]
        for _ in range(SHOWN):
            nap(1.0)
        assert str(time).splitlines()[:2] == ["<virtual time 21.75>", "         … 2 earlier"]
        assert len(str(time).splitlines()) == 2 + SHOWN


def test_there_is_nothing_before_the_block() -> None:
    """And what there was stays after it."""
    time = virtual_time()
    assert (time.timeline, time.foreign_sleeps, time.sleeps) == ([], [], [])
    with time:
        nap(1.0)
    assert [one.seconds for one in time.timeline] == [1.0]


def test_the_time_an_injected_fault_takes_has_a_line_and_is_no_wait() -> None:
    """A fault plan that delays: the attempt takes so long, in threads and in tasks."""

    async def call() -> str:
        return "answer"

    with faults.enabled(), virtual_time() as time:
        assert faults.latency(2.0).call(lambda: "answer") == "answer"
        assert asyncio.run(faults.latency(3.0).acall(call)) == "answer"
        assert [one[:3] for one in time.timeline] == [(0.0, 2.0, "spent"), (2.0, 3.0, "spent")]
        assert (time.sleeps, time.foreign_sleeps) == ([], [])

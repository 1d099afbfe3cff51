"""virtual_time() with event loops: the same promises on asyncio and trio."""

from __future__ import annotations

import asyncio
import socket
import time as real_time
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest
from tests.support.virtual import LONG, afailing, anap, nap, sleeping

from resilix import Bulkhead, BulkheadFullError, TimeoutExceededError, deadline, retry, timeout
from resilix.testing import virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def _pending() -> int:
    """How many waits are registered."""
    from resilix.runtime import RUNTIME

    conductor: Any = RUNTIME.driver._conductor  # type: ignore[attr-defined]
    return int(conductor.timeline.size)


async def hang() -> None:
    await anyio.Event().wait()


def test_it_works_around_a_run(anyio_backend: str) -> None:
    """The block holds asyncio.run or trio.run, several of them one after another, and sync waits between."""
    with virtual_time() as time:
        for _ in range(2):
            anyio.run(anap, 1.0, backend=anyio_backend)
            nap(0.5)
        assert time.now() == 3.0
        assert time.sleeps == [1.0, 0.5, 1.0, 0.5]


async def test_it_works_inside_a_running_test() -> None:
    """The loop was there before the block and goes on after it."""
    policy = retry(on=ConnectionError, attempts=3, wait=1.0)
    with virtual_time() as time:
        with pytest.raises(ConnectionError):
            await policy.acall(afailing)
        assert time.now() == 2.0
        assert time.sleeps == [1.0, 1.0]
    with virtual_time() as time:
        await anap(3.0)
        assert time.now() == 3.0


async def test_the_block_form_of_retry_waits_virtually() -> None:
    """``async for attempt in ….attempts()`` goes the same way."""
    with virtual_time() as time:
        made = 0
        async for attempt in sleeping(1, 2).attempts():
            with attempt:
                made += 1
                if made < 3:
                    raise ConnectionError
        assert (made, time.now(), time.sleeps) == (3, 3.0, [1.0, 2.0])


async def test_a_zero_wait_lets_others_run() -> None:
    """It takes no time but is a checkpoint."""
    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    with virtual_time() as time:
        async with anyio.create_task_group() as group:
            group.start_soon(other)
            await anap(0)
            await anap(0)
            assert ran == ["other"]
        assert (time.now(), time.sleeps) == (0.0, [0.0, 0.0])


async def test_concurrent_tasks_share_the_time() -> None:
    """One and two seconds at once are over at 1.0 and 2.0, not at 3.0."""
    ends: dict[float, float] = {}
    with virtual_time() as time:

        async def one(seconds: float) -> None:
            await anap(seconds)
            ends[seconds] = time.now()

        async with anyio.create_task_group() as group:
            for seconds in (2.0, 1.0, 0.25, 7.0):
                group.start_soon(one, seconds)
    assert ends == {1.0: 1.0, 2.0: 2.0, 0.25: 0.25, 7.0: 7.0}


async def test_a_hundred_tasks_keep_their_own_schedules() -> None:
    """Each makes several waits; every one of them ends at exactly its own moment."""
    ends: dict[int, list[float]] = {}
    with virtual_time() as time:

        async def one(number: int) -> None:
            step = 1 + number % 8
            ends[number] = []
            for _ in range(3):
                await anap(step)
                ends[number].append(time.now())

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(one, number)
    assert ends == {number: [(1 + number % 8) * k for k in (1.0, 2.0, 3.0)] for number in range(100)}


async def test_steps_without_time_do_not_let_others_overtake() -> None:
    """A task that takes twenty steps to its next wait begins it before anybody else is woken."""
    ends: list[tuple[str, float]] = []
    with virtual_time() as time:

        async def busy() -> None:
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            await anap(1.0)
            ends.append(("busy", time.now()))

        async def lazy() -> None:
            await anap(2.0)
            ends.append(("lazy", time.now()))

        async with anyio.create_task_group() as group:
            group.start_soon(lazy)
            group.start_soon(busy)
    assert ends == [("busy", 1.0), ("lazy", 2.0)]


# -- limits ---------------------------------------------------------------------------------------------------------


async def test_a_timeout_cancels_what_hangs_at_exactly_its_limit() -> None:
    """Nothing would ever set the event; the limit passes without being waited for."""
    began = real_time.monotonic()
    with virtual_time() as time:
        with pytest.raises(TimeoutExceededError):
            await timeout(3600.0).acall(hang)
        assert time.now() == 3600.0
    assert real_time.monotonic() - began < 60


async def test_a_timeout_around_a_retry_ends_its_wait() -> None:
    """A wait that goes beyond the limit is cut off at the limit, where no deadline tells the retry beforehand."""

    async def long_nap() -> None:
        await anap(5.0)  # not under the timeout as a policy, so it does not know

    with virtual_time() as time:
        with pytest.raises(TimeoutExceededError):
            await timeout(2.0).acall(long_nap)
        assert time.now() == 2.0
        assert _pending() == 0


@pytest.mark.parametrize("seconds", [1.0, 2.0])
async def test_a_call_that_ends_within_its_limit_is_in_time(seconds: float) -> None:
    """Its exact end too, the same as for sync calls."""
    with virtual_time() as time:
        await timeout(2.0).acall(anap, seconds)
        assert time.now() == seconds


async def test_many_timeouts_at_one_moment_expire_together() -> None:
    """A hundred hanging calls cost one moment of real time, not a hundred."""
    expired: list[float] = []
    with virtual_time() as time:

        async def one() -> None:
            with pytest.raises(TimeoutExceededError):
                await timeout(1.0).acall(hang)
            expired.append(time.now())

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(one)
    assert expired == [1.0] * 100


async def test_timeouts_expire_in_the_order_of_time() -> None:
    """Whoever entered first."""
    expired: list[float] = []
    with virtual_time() as time:

        async def one(seconds: float) -> None:
            with pytest.raises(TimeoutExceededError):
                await timeout(seconds).acall(hang)
            expired.append(time.now())

        async with anyio.create_task_group() as group:
            for seconds in (3.0, 1.0, 2.0):
                group.start_soon(one, seconds)
    assert expired == [1.0, 2.0, 3.0]


async def test_a_deadline_bounds_the_waits_inside() -> None:
    """The retry gives up before it, with exact time left."""
    with virtual_time() as time, deadline(2.5):
        with pytest.raises(ConnectionError):
            await sleeping(1, 1, 1, 1).acall(afailing)
        assert (time.now(), deadline.remaining()) == (2.0, 0.5)


async def test_a_place_is_refused_after_exactly_max_wait(anyio_backend: str) -> None:
    """The holder never gives it back."""
    with virtual_time() as time:
        slots = Bulkhead(f"virtual-async-full-{anyio_backend}", limit=1, max_wait=1.5)
        with await slots.aacquire():
            with pytest.raises(BulkheadFullError) as refused:
                await slots.aacquire()
        assert (refused.value.waited, time.now()) == (1.5, 1.5)
        assert _pending() == 0


async def test_a_place_is_handed_over_when_it_comes_free_in_time(anyio_backend: str) -> None:
    """The holder needs one second, the next may wait for one and a half; the third is refused at half a second."""
    log: list[tuple[str, float]] = []
    with virtual_time() as time:
        slots = Bulkhead(f"virtual-async-handed-{anyio_backend}", limit=1, max_wait=1.5)
        hasty = deadline(0.5)

        async def holder() -> None:
            await slots.acall(anap, 1.0)
            log.append(("holder", time.now()))

        async def next_one() -> None:
            await slots.acall(anap, 1.0)
            log.append(("next", time.now()))

        async def hasty_one() -> None:
            with hasty, pytest.raises(Exception, match="no time left"):
                await slots.acall(anap, 1.0)
            log.append(("hasty", time.now()))

        async with anyio.create_task_group() as group:
            for one in (holder, next_one, hasty_one):
                group.start_soon(one)
                await anyio.lowlevel.checkpoint()
    assert log == [("hasty", 0.5), ("holder", 1.0), ("next", 2.0)]


# -- cancelling, moving by hand, ending -------------------------------------------------------------------------------


async def test_a_cancelled_wait_does_not_move_the_clock() -> None:
    """Sleepers and limits that nobody wants any more are gone, and time goes only as far as the others need."""
    with virtual_time() as time:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(anap, 100.0)
                group.start_soon(timeout(50.0).acall, hang)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert _pending() == 10
            group.cancel_scope.cancel()
        assert _pending() == 0
        await anap(1.0)
        assert time.now() == 1.0


async def test_many_cancelled_waits_leave_nothing_behind() -> None:
    """Limits that are set and taken back ten thousand times do not pile up."""

    async def quick() -> int:
        return 1

    with virtual_time() as time:
        policy = timeout(50.0)
        assert sum([await policy.acall(quick) for _ in range(10_000)]) == 10_000
        await anap(1.0)
        from resilix.runtime import RUNTIME

        conductor: Any = RUNTIME.driver._conductor  # type: ignore[attr-defined]
        assert len(conductor.timeline._heap) < 100
        assert time.now() == 1.0


async def test_an_outer_cancellation_is_not_turned_into_a_timeout() -> None:
    """Whoever cancels from outside gets their cancellation through."""
    with virtual_time() as time:
        with anyio.CancelScope() as outer:
            async with anyio.create_task_group() as group:
                group.start_soon(timeout(5.0).acall, hang)
                await anap(1.0)
                outer.cancel()
        assert outer.cancelled_caught
        assert time.now() == 1.0


async def test_advance_wakes_and_expires_what_is_due_in_order(anyio_backend: str) -> None:
    """By hand and in one go: what is due by then; the rest goes on waiting. trio runs what it wakes in any order."""
    order: list[tuple[str, float]] = []
    with virtual_time() as time:

        async def sleeper(seconds: float) -> None:
            await anap(seconds)
            order.append((f"sleep {seconds:g}", time.now()))

        async def limited(seconds: float) -> None:
            try:
                await timeout(seconds).acall(hang)
            except TimeoutExceededError:
                order.append((f"limit {seconds:g}", time.now()))

        async with anyio.create_task_group() as group:
            group.start_soon(sleeper, 30.0)
            group.start_soon(sleeper, 9.0)
            group.start_soon(limited, 8.0)
            group.start_soon(sleeper, 7.0)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            time.advance(10.0)
        assert {text for text, _ in order[:3]} == {"sleep 7", "limit 8", "sleep 9"}
        assert [when for _, when in order] == [10.0, 10.0, 10.0, 30.0]
        if anyio_backend == "asyncio":
            assert order.index(("sleep 7", 10.0)) < order.index(("sleep 9", 10.0))


async def test_whoever_still_waits_when_the_block_ends_is_let_go() -> None:
    """Sleeps end and limits expire, so that nothing hangs; the clock stays where it was."""
    ended: list[str] = []

    async def sleeper() -> None:
        await anap(100.0)
        ended.append("sleep")

    async def limited() -> None:
        with pytest.raises(TimeoutExceededError):
            await timeout(50.0).acall(hang)
        ended.append("limit")

    with anyio.fail_after(LONG):
        async with anyio.create_task_group() as group:
            with virtual_time() as time:
                group.start_soon(sleeper)
                group.start_soon(limited)
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
    assert sorted(ended) == ["limit", "sleep"]
    assert time.now() == 0.0


# -- the real world ---------------------------------------------------------------------------------------------------


async def _echo(stream: anyio.abc.SocketStream) -> None:
    async with stream:
        async for data in stream:
            await stream.send(data)


async def test_real_answers_are_in_time() -> None:
    """Twenty round trips over a real local socket, each within a virtual millisecond: no time passes for them."""
    with virtual_time() as time:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", family=socket.AF_INET)
        port: Any = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, _echo)
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:

                @timeout(0.001)
                async def round_trip(text: bytes) -> bytes:
                    await stream.send(text)
                    return await stream.receive()

                assert [await round_trip(b"%d" % k) for k in range(20)] == [b"%d" % k for k in range(20)]
            group.cancel_scope.cancel()
        assert time.now() == 0.0


async def test_an_answer_that_takes_a_moment_of_real_time_is_in_time() -> None:
    """Ten real milliseconds of silence do not use up a limit."""

    async def answer() -> str:
        await anyio.sleep(0.01)  # not a policy's, so it is real
        return "answer"

    with virtual_time() as time:
        assert await timeout(0.001).acall(answer) == "answer"
        assert time.now() == 0.0


async def test_the_time_of_another_task_does_not_expire_a_real_answer() -> None:
    """One task waits virtually, over and over; a real round trip meanwhile gets its moment before its limit passes."""
    with virtual_time() as time:
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)

            @timeout(5.0)
            async def receive() -> bytes:
                await anyio.wait_readable(left)
                return left.recv(10)

            async def answer() -> None:
                for _ in range(5):
                    await anap(1.0)  # the last of them ends exactly when the limit would pass
                right.send(b"answer")

            async with anyio.create_task_group() as group:
                group.start_soon(answer)
                assert await receive() == b"answer"
        assert time.now() == 5.0


def test_an_asyncio_loop_of_its_own_kind_is_left_as_it_was() -> None:
    """A loop that outlives the block turns on real time again."""
    loop = asyncio.new_event_loop()
    try:
        with virtual_time() as time:
            loop.run_until_complete(anap(5.0))
            assert time.now() == 5.0
        assert loop.run_until_complete(asyncio.wait_for(asyncio.sleep(0, "real"), LONG)) == "real"
        assert asyncio.all_tasks(loop) == set()
    finally:
        loop.close()

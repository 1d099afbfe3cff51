"""timeout on async functions: asyncio and trio, deadlines, events, many loops, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import math
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
from tests.support.retry_calls import listening
from tests.support.script_loop import jump

from resilix import ConfigurationError, DeadlineExpiredError, TimeoutExceededError, deadline, pipeline, retry, timeout
from resilix.events import CallRefused, TimedOut
from resilix.ledger import Ledger, Page
from resilix.testing import virtual_time

BACKENDS = ["asyncio", "trio"]


@pytest.fixture(params=BACKENDS)
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Run an async function on asyncio and on trio."""

    def on_backend(main: Callable[[], Awaitable[Any]]) -> Any:
        return anyio.run(main, backend=request.param)

    return on_backend


async def hang() -> None:
    await anyio.sleep_forever()


def ledger_of(policy: Any) -> Ledger:
    """The ledger of a policy that was used on asyncio."""
    ledger: Ledger = policy._ledger
    return ledger


# -- what the caller sees --------------------------------------------------------------------------------------


def test_expiry_raises_an_error_that_knows_its_seconds(run: Any) -> None:
    """It is ours and a TimeoutError, names the function, and is told to listeners."""

    async def main() -> None:
        with pytest.raises(TimeoutExceededError) as caught:
            await timeout(0.01)(hang)()
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.seconds == 0.01
        assert str(caught.value) == "hang did not finish within 0.01 s"

    with listening() as seen:
        run(main)
    assert [event for event in seen if isinstance(event, TimedOut)] == [
        TimedOut(policy="timeout", name="hang", seconds=0.01, abandoned=False)
    ]


def test_what_ends_in_time_passes_untouched(run: Any) -> None:
    """Results and errors are the same objects; an error of the user's own type stays theirs."""
    result = object()
    errors = [TimeoutError("mine"), TimeoutError(), TimeoutExceededError(9.0), OSError()]

    async def give() -> object:
        await anyio.lowlevel.checkpoint()
        return result

    async def main() -> None:
        assert await timeout(60)(give)() is result
        for error in errors:

            async def fail(error: Exception = error) -> None:
                await anyio.lowlevel.checkpoint()
                raise error

            with pytest.raises(type(error)) as caught:
                await timeout(60)(fail)()
            assert caught.value is error

    run(main)


def test_a_late_result_of_a_function_that_swallowed_its_cancellation_is_returned() -> None:
    """It finished after all; asyncio.timeout decides likewise."""

    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "late"
        return "never"

    assert asyncio.run(timeout(0.01)(stubborn)()) == "late"


def test_an_outer_scope_of_trio_or_anyio_is_never_lost(run: Any) -> None:
    """The outer one is told from ours, whichever ends first."""

    async def main() -> None:
        with anyio.move_on_after(0.01) as scope:
            await timeout(60)(hang)()
        assert scope.cancelled_caught
        with anyio.move_on_after(60) as scope:
            with pytest.raises(TimeoutExceededError):
                await timeout(0.01)(hang)()
            await anyio.lowlevel.checkpoint()
        assert not scope.cancelled_caught

    run(main)


def test_a_scope_inside_the_function_is_its_own(run: Any) -> None:
    """With scopes of anyio inside ours the inner one moves on, ours never notices."""

    async def inner() -> str:
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()
        return "moved on"

    async def main() -> None:
        assert await timeout(60)(inner)() == "moved on"

    run(main)


def test_task_groups_of_anyio_mix_with_it(run: Any) -> None:
    """A group inside expires with it; a group outside cancels it."""

    async def inside() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            group.start_soon(anyio.sleep_forever)

    async def outside() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(timeout(60)(hang))
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()

    async def main() -> None:
        with pytest.raises(TimeoutExceededError):
            await timeout(0.01)(inside)()
        await outside()

    run(main)


def test_the_same_policy_may_be_entered_again(run: Any) -> None:
    """Recursion works on both backends, and the outermost limit holds."""
    policy = timeout(0.02)

    async def deep(depth: int) -> None:
        await (policy(deep)(depth - 1) if depth else hang())

    async def main() -> None:
        with pytest.raises(TimeoutExceededError):
            await policy(deep)(3)
        await anyio.lowlevel.checkpoint()

    run(main)


# -- deadlines ---------------------------------------------------------------------------------------------------


def test_a_deadline_shortens_it_and_shows_in_the_error(run: Any) -> None:
    """The call is given what is left, and that is what the error says."""

    async def main() -> None:
        with virtual_time() as clock, deadline(2.0):
            with pytest.raises(TimeoutExceededError) as caught:
                await timeout(5.0)(hang)()
            assert clock.now() == 2.0
            assert caught.value.seconds == 2.0

    run(main)


def test_nothing_starts_when_the_deadline_has_passed(run: Any) -> None:
    """No zero timeout is entered: the function never runs."""
    ran = []

    async def work() -> None:
        ran.append(1)

    async def main() -> None:
        with virtual_time(), deadline(0):
            for policy in (timeout(5.0), timeout(5.0, cooperative=True)):
                with pytest.raises(DeadlineExpiredError):
                    await policy(work)()
                with pytest.raises(DeadlineExpiredError):
                    await policy.acall(work)

    with listening() as seen:
        run(main)
    assert ran == []
    assert {(type(event), getattr(event, "kind", "")) for event in seen} == {(CallRefused, "deadline_expired")}


def test_policies_inside_learn_how_long_they_have(run: Any) -> None:
    """A retry inside stops before the timeout instead of being cancelled in its wait."""

    async def fail() -> None:
        raise OSError

    async def main() -> None:
        with virtual_time() as clock:
            with pytest.raises(OSError):
                await timeout(5.0)(retry(on=OSError, attempts=9, wait=2.0)(fail))()
            assert clock.now() == 4.0
            assert deadline.remaining() == math.inf

    run(main)


def test_cooperative_only_sets_the_deadline(run: Any) -> None:
    """Inside it can be read; what takes longer is not cancelled."""
    left = []

    async def work() -> str:
        left.append(deadline.remaining())
        await retry(on=OSError, wait=0)(anyio.sleep)(0)
        return "done"

    async def main() -> None:
        with virtual_time(), deadline(60.0):
            assert await timeout(5.0, cooperative=True)(work)() == "done"
            assert deadline.remaining() == 60.0
            with deadline(2.0):
                assert await timeout(5.0, cooperative=True)(work)() == "done"

    run(main)
    assert left == [5.0, 2.0]


# -- loops, threads, tasks -----------------------------------------------------------------------------------------


def test_several_loops_in_several_threads_share_one_policy() -> None:
    """No call is cancelled for another's sake, none is forgotten, and nothing stays behind."""
    policy = timeout(0.05)

    async def work(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    guarded = policy(work)
    ends: list[list[Any]] = []
    together = threading.Barrier(3)

    async def main() -> list[Any]:
        together.wait(30)
        calls = [guarded(0 if number % 2 else 30) for number in range(60)]
        return await asyncio.gather(*calls, return_exceptions=True)

    threads = [threading.Thread(target=lambda: ends.append(asyncio.run(main()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(ends) == 3
    for end in ends:
        assert end[1::2] == ["done"] * 30
        assert all(isinstance(one, TimeoutExceededError) for one in end[::2])


def test_a_module_level_function_works_in_one_loop_after_another() -> None:
    """Each asyncio.run makes a new loop; the pages of closed ones go when the next comes."""
    policy = timeout(0.01)
    guarded = policy(hang)
    loops = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        with pytest.raises(TimeoutExceededError):
            await guarded()

    for _ in range(5):
        asyncio.run(main())
    gc.collect()
    assert [one() for one in loops[:-1]] == [None] * 4


def test_a_loop_that_was_stopped_in_the_middle_does_not_disturb_the_next() -> None:
    """Its armed timer never fires; the next loop arms its own."""
    policy = timeout(0.01)
    guarded = policy(hang)

    async def leave() -> None:
        leaving.append(asyncio.ensure_future(guarded()))
        await asyncio.sleep(0)

    leaving: list[Any] = []
    for _ in range(2):
        asyncio.run(leave())
        with pytest.raises(TimeoutExceededError):
            asyncio.run(guarded())
    assert all(one.cancelled() for one in leaving)


def test_the_ledger_forgets_every_call() -> None:
    """Whatever way a call ends, it stands in no list afterwards."""
    policy = timeout(10.0)

    async def work(seconds: float) -> None:
        await asyncio.sleep(seconds)
        if seconds == 2:
            raise OSError

    guarded = policy(work)

    async def main() -> Page | None:
        tasks = [asyncio.ensure_future(guarded(seconds)) for seconds in (1, 2, 30, 3, 40, 40)]
        await asyncio.sleep(0)
        page = ledger_of(policy).page
        assert page is not None
        assert len(page.live) == 6
        asyncio.get_running_loop().call_later(5, tasks[-1].cancel)
        await asyncio.wait(tasks)
        return page

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resilix.core.deadline.DEADLINE.used", False)
        page = jump(main())
    assert page.live == {}
    assert page._fired == {}


def test_one_timer_serves_all_calls_of_a_policy() -> None:
    """However many calls are running, the loop holds one handle; none is cancelled again and again."""
    policy = timeout(10.0)
    guarded = policy(asyncio.sleep)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(guarded(5, number)) for number in range(50)]
        await asyncio.sleep(0)
        ours = [one for one in loop._scheduled if getattr(one._callback, "__self__", None).__class__ is Page]
        assert len(ours) == 1
        assert await asyncio.gather(*tasks) == list(range(50))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resilix.core.deadline.DEADLINE.used", False)
        jump(main())


class Heavy:
    """Something a request carries in a context variable."""


def test_the_shared_timer_keeps_nothing_of_the_call_that_armed_it() -> None:
    """It is armed for as long as there are calls, and must not hold the first one's context for ever."""
    carried: contextvars.ContextVar[Any] = contextvars.ContextVar("carried")
    policy = timeout(10.0)
    guarded = policy(asyncio.sleep)

    async def request(seconds: float) -> weakref.ref[Heavy]:
        heavy = Heavy()
        carried.set(heavy)
        await guarded(seconds)
        return weakref.ref(heavy)

    async def main() -> None:
        heavy = await asyncio.ensure_future(request(1))
        await asyncio.sleep(0)  # the loop lets go of what it has just run
        gc.collect()
        assert heavy() is None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resilix.core.deadline.DEADLINE.used", False)
        jump(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_are_limited_too() -> None:
    """Their first step runs before the loop knows them."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        factory: Any = asyncio.eager_task_factory  # type: ignore[attr-defined, unused-ignore]
        loop.set_task_factory(factory)
        quick = asyncio.ensure_future(timeout(60)(asyncio.sleep)(0, "quick"))
        slow = asyncio.ensure_future(timeout(0.01)(hang)())
        assert await quick == "quick"
        with pytest.raises(TimeoutExceededError):
            await slow
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    asyncio.run(main())


@pytest.mark.parametrize("used", [False, True])
def test_a_coroutine_that_is_driven_by_hand_is_told_what_it_lacks(used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a task there is nothing to cancel."""
    for attribute in ("used", "attended"):
        monkeypatch.setattr(f"resilix.core.deadline.DEADLINE.{attribute}", used)

    async def main() -> None:
        coroutine = timeout(1)(hang)()

        def drive() -> None:
            try:
                coroutine.send(None)
            except BaseException as error:
                raised.append(error)

        asyncio.get_running_loop().call_soon(drive)
        await asyncio.sleep(0)

    raised: list[BaseException] = []
    asyncio.run(main())
    assert "needs a running task" in str(raised[0])


def test_a_coroutine_that_is_closed_halfway_is_forgotten() -> None:
    """Closing is neither a timeout nor a success, and no later timer cancels anybody for it."""
    policy = timeout(0.01)

    async def main() -> None:
        coroutine = policy(hang)()
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0.03)

    asyncio.run(main())
    page = ledger_of(policy).page
    assert page is None or page.live == {}


def test_trio_in_guest_mode_does_not_hide_asyncio() -> None:
    """A timeout in the host loop is asyncio's although a trio run is going on in the thread."""
    ends: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        over = loop.create_future()

        async def guest() -> None:
            with pytest.raises(TimeoutExceededError):
                await timeout(0.05)(trio.sleep_forever)()
            ends.append("guest")

        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=over.set_result,
            host_uses_signal_set_wakeup_fd=True,
        )
        with pytest.raises(TimeoutExceededError):
            await timeout(0.01)(asyncio.sleep)(60)
        ends.append("host")
        (await over).unwrap()

    asyncio.run(main())
    assert ends == ["host", "guest"]


def test_expiry_is_neither_early_nor_lost_by_the_real_clock(run: Any) -> None:
    """A call gets the time it was given, and gives the caller back soon after."""

    async def main() -> None:
        begun = time.monotonic()
        with pytest.raises(TimeoutExceededError):
            await timeout(0.03)(hang)()
        assert 0.029 <= time.monotonic() - begun < 5

    run(main)


# -- input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, "1", None, True, timedelta(0)])
def test_nonsense_is_refused_where_it_is_written(seconds: Any) -> None:
    """A limit is a finite duration above zero."""
    with pytest.raises(ConfigurationError, match=r"timeout\(seconds="):
        timeout(seconds)


def test_cooperative_is_a_switch_and_seconds_are_needed() -> None:
    """And the bare decorator is told its options."""
    with pytest.raises(ConfigurationError, match="switch"):
        timeout(1, cooperative=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="timeout"):
        timeout()  # type: ignore[call-arg]


def test_it_shows_and_tells_its_options() -> None:
    """In repr and as attributes; a timedelta is read as seconds."""
    assert repr(timeout(2.5)) == "timeout(2.5)"
    assert repr(timeout(timedelta(minutes=1), cooperative=True)) == "timeout(60, cooperative=True)"
    assert (timeout(2).seconds, timeout(2).cooperative, timeout(2).abandoned) == (2.0, False, 0)
    assert timeout(2, cooperative=True).cooperative
    assert "timeout(2)" in repr(pipeline(timeout(2)))

"""One bulkhead and callers of every kind at once: threads, asyncio loops, trio runs."""

from __future__ import annotations

import asyncio
import functools
import random
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from tests.support.attention import attending
from tests.support.bulkhead import (
    KINDS,
    PATIENCE,
    Gauge,
    bulkhead,
    eventually,
    hasty_threads,
    join_all,
    run_async,
    run_bounded,
    started,
)

from resilix import Bulkhead, BulkheadFullError

LIMIT = 3


@pytest.fixture(params=["quiet", "attended"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the shells go the short way, or the one that notes which places are held."""
    attending(monkeypatch, deadlines=False, held=request.param == "attended")
    chosen: str = request.param
    return chosen


class Crowd:
    """Many calls from several sides, and what became of each."""

    def __init__(self, slots: Bulkhead, seed: int, *, cancelling: bool) -> None:
        self.slots = slots
        self.gauge = Gauge(slots.limit)
        self.made = self.done = self.refused = self.cancelled = 0
        self._cancelling = cancelling
        self._seed = seed
        self._lock = threading.Lock()

    def count(self, what: str) -> None:
        with self._lock:
            setattr(self, what, getattr(self, what) + 1)

    def threads(self, calls: int) -> None:
        def body() -> None:
            with self.gauge:
                assert self.gauge.met.wait(PATIENCE)
                time.sleep(0)

        guarded = self.slots(body)
        for _ in range(calls):
            self.count("made")
            try:
                guarded()
            except BulkheadFullError:
                self.count("refused")
            else:
                self.count("done")

    def guarded(self, pause: Callable[[float], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def body() -> None:
            with self.gauge:
                while not self.gauge.met.is_set():
                    await pause(0.0005)
                await pause(0)

        return self.slots(body)

    async def asyncio_tasks(self, calls: int) -> None:
        luck, guarded = random.Random(self._seed), self.guarded(asyncio.sleep)

        async def one() -> None:
            self.count("made")
            try:
                await guarded()
            except BulkheadFullError:
                self.count("refused")
            except asyncio.CancelledError:
                self.count("cancelled")
                raise
            else:
                self.count("done")

        async with asyncio.timeout(PATIENCE):
            for _ in range(calls // 10):
                tasks = [asyncio.ensure_future(one()) for _ in range(10)]
                await asyncio.sleep(0)  # all of them have begun
                for task in tasks:
                    for _ in range(luck.randrange(3)):
                        await asyncio.sleep(0)
                    if self._cancelling and luck.random() < 0.3:
                        task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def trio_tasks(self, calls: int) -> None:
        luck, guarded = random.Random(self._seed + 1), self.guarded(trio.sleep)

        async def one(scope: trio.CancelScope) -> None:
            self.count("made")
            with scope:
                try:
                    await guarded()
                except BulkheadFullError:
                    self.count("refused")
                except trio.Cancelled:
                    self.count("cancelled")
                    raise
                else:
                    self.count("done")

        with trio.fail_after(PATIENCE):
            for _ in range(calls // 10):
                async with trio.open_nursery() as nursery:
                    scopes = [trio.CancelScope() for _ in range(10)]
                    for scope in scopes:
                        nursery.start_soon(one, scope)
                    for scope in scopes:
                        for _ in range(luck.randrange(3)):
                            await trio.lowlevel.checkpoint()
                        if self._cancelling and luck.random() < 0.3:
                            scope.cancel()

    def run(self, *loops: str, calls: int) -> None:
        sides: list[threading.Thread] = [started(self.threads, calls), started(self.threads, calls)]
        for loop in loops:
            main = self.trio_tasks if loop == "trio" else self.asyncio_tasks
            sides.append(started(run_async, loop, functools.partial(main, calls)))
        with hasty_threads():
            join_all(sides)

    def check(self) -> None:
        slots = self.slots
        assert (slots.free, slots.in_use, slots.waiting) == (slots.limit, 0, 0)
        assert self.gauge.peak == slots.limit
        assert self.gauge.inside == 0
        assert self.made == self.done + self.refused + self.cancelled
        assert slots.rejected == self.refused


@pytest.mark.parametrize("loops", [("asyncio", "trio"), ("asyncio", "asyncio"), ("trio", "trio")], ids="+".join)
def test_two_loops_and_two_threads_share_the_places(loops: tuple[str, ...], path: str) -> None:
    """In flight never exceeds the limit, everybody is served, and at the end every place is free."""
    crowd = Crowd(bulkhead("crowd", limit=LIMIT, max_wait=None), 1, cancelling=False)
    crowd.run(*loops, calls=150)
    crowd.check()
    assert (crowd.done, crowd.refused) == (600, 0)


@pytest.mark.parametrize("loops", [("asyncio", "trio"), ("asyncio", "asyncio")], ids="+".join)
def test_cancelled_and_impatient_callers_lose_nothing(loops: tuple[str, ...], path: str) -> None:
    """Calls that are cancelled or run out of ``max_wait`` at any moment leave no place and no waiter behind."""
    crowd = Crowd(bulkhead("crowd", limit=LIMIT, max_wait=0.001, queue=8), 7, cancelling=True)
    crowd.run(*loops, calls=150)
    crowd.check()
    assert crowd.made == 600


@pytest.mark.parametrize("path", ["quiet"], indirect=True)
def test_a_bulkhead_that_refuses_at_once_counts_exactly(path: str) -> None:
    """Eight threads in a hurry: what ran and what was refused add up, and the limit holds."""
    slots = bulkhead("hurry", limit=2)
    crowd = Crowd(slots, 3, cancelling=False)
    with hasty_threads():
        join_all([started(crowd.threads, 300) for _ in range(8)])
    crowd.check()
    assert crowd.made == 2400
    assert crowd.gauge.total == crowd.done


@pytest.mark.parametrize("path", ["quiet"], indirect=True)
def test_taking_and_giving_back_without_the_lock_is_not_torn(path: str) -> None:
    """Four threads that do nothing but take and give back: not one step of the counter is lost."""
    slots = bulkhead("torn", limit=2)
    refused = [0] * 4

    def hammer(index: int) -> None:
        guarded = slots(lambda: None)
        for _ in range(20_000):
            try:
                guarded()
            except BulkheadFullError:
                refused[index] += 1

    with hasty_threads():
        join_all([started(hammer, index) for index in range(4)])
    assert (slots.free, slots.waiting) == (2, 0)
    assert slots.rejected == sum(refused)


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_went_the_short_way_hands_its_place_over(kind: str, path: str) -> None:
    """Who found a place at once and leaves while others wait wakes the first of them."""
    slots = bulkhead("handing", limit=1, max_wait=None)
    inside, leave = threading.Event(), threading.Event()
    served: list[int] = []

    def first() -> None:
        inside.set()
        assert leave.wait(PATIENCE)

    async def afirst() -> None:
        first()

    run = functools.partial(run_async, kind, slots(afirst)) if kind != "thread" else slots(first)
    thread = started(run)
    assert inside.wait(PATIENCE)
    waiters = KINDS["thread"]()
    for number in range(3):
        waiters.start(slots, functools.partial(served.append, number))
        eventually(lambda: slots.waiting == number + 1, "the arrival")  # noqa: B023 - used at once
    leave.set()
    join_all([thread])
    waiters.close()
    assert served == [0, 1, 2]
    assert (slots.free, slots.waiting) == (1, 0)


def test_first_come_first_served_whoever_comes() -> None:
    """Threads, asyncio tasks and trio tasks in one line are served in the order in which they joined it."""
    slots = bulkhead("line", limit=1, max_wait=None)
    arrivals = [kind for kind in KINDS for _ in range(5)]
    random.Random(4).shuffle(arrivals)
    callers = {kind: make() for kind, make in KINDS.items()}
    served: list[int] = []
    place = slots.acquire()
    for number, kind in enumerate(arrivals):
        callers[kind].start(slots, functools.partial(served.append, number))
        eventually(lambda: slots.waiting == number + 1, f"arrival {number} ({kind})")  # noqa: B023 - used at once
    place.release()
    for caller in callers.values():
        caller.close()
    assert served == list(range(len(arrivals)))
    assert (slots.free, slots.waiting) == (1, 0)


def _hold(slots: Bulkhead) -> Any:
    from resilix.core.permits import Hold

    return Hold(slots._queue)


# -- cancellation ----------------------------------------------------------------------------------------------


BACKENDS = ["asyncio", "trio"]


class Cancellable:
    """A call in a task of its own that can be cancelled, on both backends; made inside the running loop."""

    def __init__(self, slots: Bulkhead, ran: list[str]) -> None:
        self.ended: list[str] = []
        self._slots, self._ran = slots, ran

    async def _call(self) -> None:
        async def body() -> None:
            self._ran.append("ran")

        try:
            await self._slots.acall(body)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("returned")


class AsyncioCancellable(Cancellable):
    def start(self, nursery: Any) -> None:
        self._task = asyncio.ensure_future(self._call())

    def cancel(self) -> None:
        self._task.cancel()


class TrioCancellable(Cancellable):
    def start(self, nursery: Any) -> None:
        self._scope = trio.CancelScope()
        nursery.start_soon(self._scoped)

    async def _scoped(self) -> None:
        with self._scope:
            await self._call()

    def cancel(self) -> None:
        self._scope.cancel()


async def settle(backend: str) -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        if backend == "trio":
            await trio.lowlevel.checkpoint()
        else:
            await asyncio.sleep(0)


def on_both(backend: str, scenario: Callable[[Any], Awaitable[None]]) -> None:
    """Run a scenario that starts tasks, with a watchdog."""

    async def under_trio() -> None:
        async with trio.open_nursery() as nursery:
            await scenario(nursery)

    async def under_asyncio() -> None:
        await scenario(None)

    run_bounded(run_async, backend, under_trio if backend == "trio" else under_asyncio)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Which event loop."""
    chosen: str = request.param
    return chosen


@pytest.mark.parametrize("moment", ["before the grant", "just before the grant", "with the grant", "after the grant"])
def test_a_cancelled_waiter_passes_its_place_on(backend: str, moment: str, path: str) -> None:
    """Whenever the cancellation strikes, the next in line gets the place and the cancelled function does not run."""
    slots = bulkhead("cancel", limit=1, max_wait=None)
    kind = TrioCancellable if backend == "trio" else AsyncioCancellable
    first_ran: list[str] = []
    next_ran: list[str] = []

    async def scenario(nursery: Any) -> None:
        place = slots.acquire()
        first, following = kind(slots, first_ran), kind(slots, next_ran)
        first.start(nursery)
        await settle(backend)
        following.start(nursery)
        await settle(backend)
        assert slots.waiting == 2
        if moment == "before the grant":
            first.cancel()
            await settle(backend)
            assert slots.waiting == 1
            place.release()
        elif moment == "just before the grant":
            first.cancel()  # in the same tick
            place.release()
        elif moment == "with the grant":
            place.release()
            first.cancel()  # in the same tick
        else:
            place.release()
            await settle(backend)
            first.cancel()  # too late: it has run
        await settle(backend)
        assert following.ended == ["returned"]
        if moment == "after the grant":
            assert (first.ended, first_ran) == (["returned"], ["ran"])
        else:
            assert (first.ended, first_ran) in ((["CancelledError"], []), (["Cancelled"], []))

    on_both(backend, scenario)
    assert next_ran == ["ran"]
    assert (slots.free, slots.waiting, slots.rejected) == (1, 0, 0)


def test_nobody_pushes_in(backend: str) -> None:
    """A place that was handed over and not entered yet cannot be snatched by a caller who comes later."""
    slots = bulkhead("no-barging", limit=1, max_wait=None)
    kind = TrioCancellable if backend == "trio" else AsyncioCancellable
    ran: list[str] = []

    async def scenario(nursery: Any) -> None:
        place, waiter = slots.acquire(), kind(slots, ran)
        waiter.start(nursery)
        await settle(backend)
        place.release()
        assert (ran, slots.free, slots.waiting) == ([], 0, 0)
        assert not _hold(slots).take()
        await settle(backend)
        assert ran == ["ran"]

    on_both(backend, scenario)
    assert slots.free == 1


def test_a_cancelled_call_gives_its_place_back(backend: str, path: str) -> None:
    """Cancellation inside the function frees the place and goes on as itself."""
    slots = bulkhead("inside", limit=1)
    seen: list[str] = []

    async def scenario(nursery: Any) -> None:
        if backend == "trio":

            async def forever() -> None:
                await trio.sleep_forever()

            with trio.CancelScope() as scope:
                scope.cancel()
                try:
                    await slots.acall(forever)
                except trio.Cancelled:
                    seen.append("cancelled")
                    raise
            return
        task = asyncio.ensure_future(slots.acall(asyncio.Event().wait))
        await asyncio.sleep(0)
        assert slots.in_use == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        seen.append("cancelled")

    on_both(backend, scenario)
    assert seen == ["cancelled"]
    assert slots.free == 1


# -- loops that end ----------------------------------------------------------------------------------------------


def test_a_waiter_whose_loop_was_closed_is_passed_over() -> None:
    """The place goes to the next in line, and the dead task takes nothing when it is collected at last."""
    slots = bulkhead("closed-loop", limit=1, max_wait=None)
    place = slots.acquire()
    loop = asyncio.new_event_loop()

    async def body() -> None:
        raise AssertionError("nobody runs in a closed loop")

    # A coroutine driven by hand: a task would complain, rightly, that it is destroyed while it is pending.
    async def parked() -> None:
        await slots.acall(body)

    coroutine = parked()
    asyncio._set_running_loop(loop)
    try:
        coroutine.send(None)
    finally:
        asyncio._set_running_loop(None)
    loop.close()
    ran: list[str] = []
    thread = started(slots.call, ran.append, "ran")
    eventually(lambda: slots.waiting == 2, "the second arrival")
    place.release()
    join_all([thread])
    assert ran == ["ran"]
    coroutine.close()
    assert (slots.free, slots.waiting) == (1, 0)


def test_a_waiter_that_is_collected_leaves_the_line() -> None:
    """A suspended call that nobody will ever resume leaves the queue when its coroutine is closed."""
    slots = bulkhead("collected", limit=1, max_wait=None)
    place = slots.acquire()
    loop = asyncio.new_event_loop()

    async def body() -> None: ...

    coroutine = slots.acall(body)
    asyncio._set_running_loop(loop)
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    finally:
        asyncio._set_running_loop(None)
    assert slots.waiting == 1
    coroutine.close()  # type: ignore[attr-defined]
    assert slots.waiting == 0
    place.release()
    loop.close()
    assert slots.free == 1


def test_a_waiter_of_an_ended_trio_run_is_passed_over() -> None:
    """Waking somebody whose trio run is over is no error for whoever frees the place."""
    slots = bulkhead("ended-run", limit=1, max_wait=None)
    place = slots.acquire()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def main() -> None:
        tokens.append(trio.lowlevel.current_trio_token())

    run_bounded(trio.run, main)
    hold = _hold(slots)
    assert hold.enqueue(lambda: tokens[0].run_sync_soon(lambda: None))
    place.release()
    assert (slots.free, slots.waiting) == (1, 0)


def test_one_bulkhead_serves_loop_after_loop(backend: str) -> None:
    """Made once at import, used in many runs: nothing in it belongs to one loop."""
    slots = bulkhead("many-runs", limit=1, max_wait=None)
    ran: list[int] = []

    async def body(number: int) -> None:
        await settle(backend)
        ran.append(number)

    for start in (0, 2, 4):

        async def scenario(nursery: Any, start: int = start) -> None:
            if backend == "trio":
                nursery.start_soon(slots.acall, body, start)
                nursery.start_soon(slots.acall, body, start + 1)
            else:
                await asyncio.gather(slots.acall(body, start), slots.acall(body, start + 1))

        on_both(backend, scenario)
    assert sorted(ran) == list(range(6))
    assert slots.free == 1

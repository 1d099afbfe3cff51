"""In flight means running: a sync call that a timeout abandoned keeps its places until it really ends.

The functions here hang until the test lets them go; the timeouts are real and short.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import pytest
from tests.support.bulkhead import PATIENCE, bulkhead, eventually, join_all, started

from resilix import Bulkhead, BulkheadFullError, TimeoutExceededError, pipeline, retry, timeout
from resilix.core.permits import HELD

SHORT = 0.01


class Hanging:
    """A function that hangs until it is let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.running = self.begun = self.ended = 0
        self._lock = threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            self.running += 1
            self.begun += 1
        assert self.gate.wait(PATIENCE)
        with self._lock:
            self.running -= 1
            self.ended += 1
        return "done"

    def expect(self, running: int) -> None:
        """See so many calls running; a worker may be slow to begin."""
        eventually(lambda: self.running == running, f"the start of {running} calls")


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """A hanging function; let go at the end of the test at the latest."""
    function = Hanging()
    yield function
    function.gate.set()
    function.expect(0)


def released(slots: Bulkhead, hanging: Hanging) -> None:
    """Let the call end, and see its place come back, once."""
    hanging.gate.set()
    eventually(lambda: slots.free == slots.limit, "the return of the place")
    assert (hanging.running, slots.in_use, slots.waiting) == (0, 0, 0)  # it ended before the place came back


def stacked(slots: Bulkhead, hanging: Hanging) -> Callable[[], Any]:
    return slots(timeout(SHORT)(hanging))


def in_a_pipeline(slots: Bulkhead, hanging: Hanging) -> Callable[[], Any]:
    guard = pipeline(slots, timeout(SHORT))
    return lambda: guard.call(hanging)


def in_the_body(slots: Bulkhead, hanging: Hanging) -> Callable[[], Any]:
    inner = timeout(SHORT)(hanging)

    @slots
    def outer() -> Any:
        return inner()

    return outer


def in_a_block(slots: Bulkhead, hanging: Hanging) -> Callable[[], Any]:
    inner = timeout(SHORT)(hanging)

    def outer() -> Any:
        with slots.acquire():
            return inner()

    return outer


def timeout_outside(slots: Bulkhead, hanging: Hanging) -> Callable[[], Any]:
    return timeout(SHORT)(slots(hanging))


@pytest.mark.parametrize(
    "stack", [stacked, in_a_pipeline, in_the_body, in_a_block, timeout_outside], ids=lambda s: s.__name__
)
def test_an_abandoned_call_keeps_its_place(stack: Callable[..., Callable[[], Any]], hanging: Hanging) -> None:
    """The caller is back after the timeout; the place is not, until the call has really ended."""
    slots = bulkhead(stack.__name__, limit=1)
    call = stack(slots, hanging)
    with pytest.raises(TimeoutExceededError):
        call()
    hanging.expect(1)
    assert slots.in_use == 1
    with pytest.raises(BulkheadFullError):
        slots.call(lambda: None)
    released(slots, hanging)
    assert slots.call(lambda: "again") == "again"
    assert slots.free == 1


def test_the_place_of_an_abandoned_call_goes_to_who_waits(hanging: Hanging) -> None:
    """When the abandoned call ends, the first in line gets its place."""
    slots = bulkhead("heir", limit=1, max_wait=None)
    with pytest.raises(TimeoutExceededError):
        stacked(slots, hanging)()
    hanging.expect(1)
    seen: list[int] = []
    waiter = started(slots.call, lambda: seen.append(hanging.running))
    eventually(lambda: slots.waiting == 1, "the waiter")
    hanging.gate.set()
    join_all([waiter])
    assert seen == [0], "the waiter ran while the abandoned call did"
    assert slots.free == 1


def test_with_a_retry_between_every_abandoned_attempt_counts(hanging: Hanging) -> None:
    """Bulkhead > retry > timeout: one place, and it stays taken until the last of the attempts has ended."""
    slots = bulkhead("retried", limit=1)
    guarded = slots(retry(on=TimeoutExceededError, attempts=3, wait=0)(timeout(SHORT)(hanging)))
    with pytest.raises(TimeoutExceededError):
        guarded()
    hanging.expect(3)
    assert slots.in_use == 1
    released(slots, hanging)
    assert hanging.ended == 3


def test_with_the_retry_outside_each_attempt_needs_a_place(hanging: Hanging) -> None:
    """Retry > bulkhead > timeout: the second attempt finds the place still taken by the first."""
    slots = bulkhead("retry-outside", limit=1)
    guarded = retry(on=TimeoutExceededError, attempts=3, wait=0)(slots(timeout(SHORT)(hanging)))
    with pytest.raises(BulkheadFullError):
        guarded()
    hanging.expect(1)
    assert (hanging.begun, slots.in_use) == (1, 1)
    released(slots, hanging)


def test_all_the_places_around_it_are_kept(hanging: Hanging) -> None:
    """Two bulkheads around one call: both stay taken, and both come back."""
    outer, inner = bulkhead("outer", limit=2), bulkhead("inner", limit=2)
    with pytest.raises(TimeoutExceededError):
        outer(inner(timeout(SHORT)(hanging)))()
    assert (outer.in_use, inner.in_use) == (1, 1)
    released(outer, hanging)
    released(inner, hanging)


def test_a_call_that_ends_in_time_keeps_nothing(hanging: Hanging) -> None:
    """Without a timeout there is nothing to keep, however often it is called."""
    hanging.gate.set()
    slots = bulkhead("in-time", limit=1)
    guarded = slots(timeout(PATIENCE)(hanging))
    for _ in range(50):
        assert guarded() == "done"
        assert slots.free == 1


def test_ending_and_running_out_of_time_at_once_loses_nothing() -> None:
    """Calls whose end races with their timeout: whoever wins, the place comes back once."""
    slots = bulkhead("race", limit=2)
    gates: list[threading.Event] = []

    def body() -> None:
        gates[-1].wait(PATIENCE)

    guarded = slots(timeout(0.001)(body))
    for _ in range(100):
        gates.append(threading.Event())
        setter = threading.Timer(0.001, gates[-1].set)
        setter.start()
        with suppress(TimeoutExceededError):
            guarded()
        setter.join()
        eventually(lambda: slots.free == 2, "the return of the place")
    assert (slots.in_use, slots.rejected) == (0, 0)


def test_an_interrupted_caller_leaves_the_place_with_the_call(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while waiting for the worker: the call goes on, and so does its place."""
    from resilix.workers import Job

    slots = bulkhead("interrupted", limit=1)
    guarded = slots(timeout(PATIENCE)(hanging))

    def struck(job: Job, seconds: float) -> bool:
        eventually(lambda: hanging.running == 1, "the start")
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "wait", struck)
    with pytest.raises(KeyboardInterrupt):
        guarded()
    assert slots.in_use == 1
    released(slots, hanging)


def test_an_async_call_keeps_its_place_for_a_thread_it_left_behind(hanging: Hanging) -> None:
    """``async def`` under a bulkhead that awaits a sync call in a thread, which a timeout abandons."""
    slots = bulkhead("async", limit=1)
    inner = timeout(SHORT)(hanging)

    @slots
    async def outer() -> None:
        await asyncio.to_thread(inner)

    with pytest.raises(TimeoutExceededError):
        asyncio.run(outer())
    assert slots.in_use == 1
    released(slots, hanging)


def test_a_thread_that_outlived_its_call_takes_no_place_with_it(hanging: Hanging) -> None:
    """What a call started and left running is not in its place any more: it must not give that back a second time."""
    slots = bulkhead("outlived", limit=1)
    inner = timeout(SHORT)(hanging)
    go = threading.Event()
    errors: list[str] = []

    def later() -> None:
        assert go.wait(PATIENCE)
        try:
            inner()
        except TimeoutExceededError as error:
            errors.append(type(error).__name__)

    @slots
    def outer() -> threading.Thread:
        return started(copy_context().run, later)

    thread = outer()
    assert slots.free == 1
    go.set()
    join_all([thread])
    assert errors == ["TimeoutExceededError"]
    hanging.expect(1)
    assert slots.free == 1
    hanging.gate.set()
    eventually(lambda: hanging.running == 0, "the end")
    with slots.acquire():
        assert slots.free == 0
    assert slots.free == 1


def test_nothing_stays_noted_after_a_call(hanging: Hanging) -> None:
    """The context of the caller is as it was, also after a timeout."""
    slots = bulkhead("noted", limit=1)
    before = HELD.current()
    with pytest.raises(TimeoutExceededError):
        stacked(slots, hanging)()
    assert HELD.current() == before
    released(slots, hanging)

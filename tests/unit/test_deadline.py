"""Deadlines: they only narrow, travel with the context, and every policy obeys."""

from __future__ import annotations

import asyncio
import gc
import math
import sys
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from datetime import timedelta
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bulkhead import PATIENCE, bulkhead, join_all, run_async, started
from tests.support.bulkhead_time import StillTime, still_time

from resilix import (
    CircuitBreaker,
    ConfigurationError,
    DeadlineExpiredError,
    Policy,
    RejectedError,
    TimeoutExceededError,
    deadline,
    events,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.core.deadline import DEADLINE, DeadlineState
from resilix.events import CallRefused, Event


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> StillTime:
    """Time that passes only where somebody waits."""
    return still_time(monkeypatch)


# -- one and several -----------------------------------------------------------------------------------------


def test_without_a_deadline_there_is_all_the_time() -> None:
    """Infinite, before and after a block."""
    assert deadline.remaining() == math.inf
    with deadline(5):
        assert deadline.remaining() < math.inf
    assert deadline.remaining() == math.inf


def test_what_remains_counts_down_to_zero_and_not_below(still: StillTime) -> None:
    """From the moment the block is entered, not from when the object was made."""
    limit = deadline(timedelta(seconds=2))
    still.time += 10
    with limit:
        assert deadline.remaining() == 2.0
        still.time += 1.5
        assert deadline.remaining() == 0.5
        still.time += 1.5
        assert deadline.remaining() == 0.0
    assert deadline.remaining() == math.inf


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=6))
def test_nested_deadlines_only_narrow(lengths: list[float]) -> None:
    """Inside, the nearest of all holds; on the way out each earlier state comes back."""
    state = DeadlineState()
    owners = [object() for _ in lengths]

    def nest() -> None:
        for index, (owner, length) in enumerate(zip(owners, lengths, strict=True), 1):
            state.enter(owner, length)
            assert state.moment() == min(lengths[:index])
        for index in range(len(lengths), 0, -1):
            assert state.moment() == min(lengths[:index])
            state.leave(owners[index - 1])
        assert state.moment() == math.inf

    Context().run(nest)
    assert state.used


def test_timeouts_look_while_time_is_virtual_and_for_good_after_the_first_deadline() -> None:
    """A process that has seen a deadline goes on looking when virtual time ends."""
    state = DeadlineState()
    looked = [state.attended]
    for virtual in (True, False):
        state.attend(virtual=virtual)
        looked.append(state.attended)
    Context().run(state.narrow, 5.0)
    looked.append(state.attended)
    for virtual in (True, False):
        state.attend(virtual=virtual)
        looked.append(state.attended)
    assert looked == [False, True, False, True, True, True]


def test_an_error_leaves_the_block_and_takes_the_deadline_along() -> None:
    """The same object comes out, and the deadline is over."""
    error = KeyError()
    with pytest.raises(KeyError) as caught, deadline(5):
        raise error
    assert caught.value is error
    assert deadline.remaining() == math.inf


def test_it_shows_its_seconds() -> None:
    """As it was written."""
    assert repr(deadline(2.5)) == "deadline(2.5)"


@pytest.mark.parametrize(
    "seconds", [-1, -0.001, math.nan, math.inf, -math.inf, "2", None, True, timedelta(seconds=-1)], ids=repr
)
def test_nonsense_is_refused_where_it_is_written(seconds: Any) -> None:
    """Negative, not a number, infinite, or no number at all."""
    with pytest.raises(ConfigurationError, match=r"deadline\(seconds="):
        deadline(seconds)


def test_forgotten_seconds_are_explained() -> None:
    """With what to write."""
    with pytest.raises(ConfigurationError, match=r"deadline\(2\.0\)"):
        deadline()  # type: ignore[call-arg]


# -- one object, many users ----------------------------------------------------------------------------------


def test_one_object_may_be_entered_again_and_again(still: StillTime) -> None:
    """After itself, and inside itself: each time counts from its own entry."""
    limit = deadline(10)
    for _ in range(2):
        with limit:
            assert deadline.remaining() == 10.0
            still.time += 4
            with limit:
                assert deadline.remaining() == 6.0
            still.time += 1
            assert deadline.remaining() == 5.0
    assert deadline.remaining() == math.inf


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_object_in_two_tasks_at_once(backend: str, still: StillTime) -> None:
    """Tasks that enter and leave it in turns each have their own."""
    limit = deadline(10)
    seen: dict[str, list[float]] = {"first": [], "second": []}

    async def main() -> None:
        make = trio.Event if backend == "trio" else asyncio.Event
        entered, may_leave, left = make(), make(), make()

        async def first() -> None:
            with limit:
                seen["first"].append(deadline.remaining())
                entered.set()
                await may_leave.wait()
                seen["first"].append(deadline.remaining())
            seen["first"].append(deadline.remaining())
            left.set()

        async def second() -> None:
            await entered.wait()
            still.time += 3
            with limit:
                seen["second"].append(deadline.remaining())
                may_leave.set()
                await left.wait()  # the first leaves while the second is inside
                seen["second"].append(deadline.remaining())
            seen["second"].append(deadline.remaining())

        if backend == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first)
                nursery.start_soon(second)
        else:
            await asyncio.gather(first(), second())

    run_async(backend, main)
    assert seen == {"first": [10.0, 7.0, math.inf], "second": [10.0, 10.0, math.inf]}


def test_one_object_in_two_threads_at_once(still: StillTime) -> None:
    """Threads too: each has its own deadline and gets its own state back."""
    limit = deadline(10)
    inside, apart = threading.Barrier(2, timeout=PATIENCE), threading.Barrier(2, timeout=PATIENCE)
    seen: list[tuple[float, float]] = []

    def user(leaves_first: bool) -> None:
        with limit:
            within = deadline.remaining()
            inside.wait()
            if not leaves_first:
                apart.wait()
        if leaves_first:
            apart.wait()
        seen.append((within, deadline.remaining()))

    join_all([started(user, True), started(user, False)])
    assert seen == [(10.0, math.inf)] * 2


def test_a_block_left_in_another_context_disturbs_nothing() -> None:
    """As a generator fixture does: leaving is no error, and the deadlines of that context stay."""
    limit = deadline(10)
    first = copy_context()
    first.run(limit.__enter__)
    with deadline(5):
        before = DEADLINE.moment()
        limit.__exit__(None, None, None)
        assert DEADLINE.moment() == before
    assert first.run(deadline.remaining) < math.inf
    first.run(limit.__exit__, None, None, None)
    assert first.run(deadline.remaining) == math.inf


def test_a_context_that_was_copied_inside_the_block_may_leave_it() -> None:
    """A child knows the deadlines of its parent, and leaving one there does not touch the parent."""
    limit = deadline(10)
    with limit:
        child = copy_context()
        child.run(limit.__exit__, None, None, None)
        assert child.run(deadline.remaining) == math.inf
        assert deadline.remaining() < math.inf


def test_a_collected_coroutine_ends_its_narrowing_without_a_word() -> None:
    """A suspended call that is collected finishes in whatever context the collector runs in."""
    slots = bulkhead("collected", limit=1)

    @timeout(5.0, cooperative=True)
    @slots
    async def call() -> None:
        await _Pause()

    coroutine = call()
    copy_context().run(coroutine.send, None)
    assert slots.in_use == 1
    del coroutine
    gc.collect()  # an error here would be an unraisable one, which the suite turns into a failure
    assert slots.free == 1
    assert deadline.remaining() == math.inf


class _Pause:
    def __await__(self) -> Any:
        yield


# -- travelling ----------------------------------------------------------------------------------------------


def test_it_travels_into_tasks_and_threads_with_a_context(still: StillTime) -> None:
    """Tasks, ``asyncio.to_thread``, copied contexts and the workers of ``timeout`` have it; a bare thread has not."""
    seen: dict[str, float] = {}

    def note(where: str) -> None:
        seen[where] = deadline.remaining()

    async def main() -> None:
        async def noting() -> None:
            note("task")

        await asyncio.gather(noting())
        await asyncio.to_thread(note, "to_thread")

    with deadline(5):
        asyncio.run(main())
        join_all([started(copy_context().run, note, "copy"), started(note, "bare")])
        pipeline(timeout(60.0, cooperative=True)).call(note, "cooperative")
    inherits = getattr(sys.flags, "thread_inherit_context", 0)  # what Python does without a GIL, from 3.14 on
    bare = 5.0 if inherits else math.inf
    assert seen == {"task": 5.0, "to_thread": 5.0, "copy": 5.0, "cooperative": 5.0, "bare": bare}


def test_a_worker_of_a_timeout_has_the_nearer_of_both() -> None:
    """The deadline around a sync timeout and the timeout's own."""
    wide = timeout(PATIENCE)
    with deadline(1000):
        assert wide.call(deadline.remaining) <= PATIENCE
    with deadline(PATIENCE):
        assert timeout(1000.0).call(deadline.remaining) <= PATIENCE


def test_a_task_that_outlives_the_block_keeps_its_deadline(still: StillTime) -> None:
    """It was started for the call that had the deadline."""

    async def main() -> list[float]:
        seen: list[float] = []
        go = asyncio.Event()

        async def work() -> None:
            await go.wait()
            seen.append(deadline.remaining())

        with deadline(5):
            task = asyncio.ensure_future(work())
        go.set()
        await task
        return [*seen, deadline.remaining()]

    assert asyncio.run(main()) == [5.0, math.inf]


# -- obeying -------------------------------------------------------------------------------------------------


class Own(Policy[Any]):
    """A user's policy; it knows nothing of deadlines."""

    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    async def acall(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return await fn(*args, **kwargs)


def breaker() -> CircuitBreaker:
    return CircuitBreaker(bulkhead("name", limit=1).name)


OBEYING: dict[str, Callable[[], Policy[Any]]] = {
    "breaker": breaker,
    "bulkhead": lambda: bulkhead("obeying", limit=1),
    "retry": lambda: retry(on=ValueError),
    "timeout": lambda: timeout(5.0),
    "cooperative": lambda: timeout(5.0, cooperative=True),
    "pipeline": lambda: pipeline(Own(), retry(on=ValueError), breaker(), bulkhead("piped", limit=1), timeout(5.0)),
    "fallback": lambda: pipeline(fallback(None, on=KeyError), bulkhead("with-fallback", limit=1)),
}


@pytest.mark.parametrize("name", OBEYING)
@pytest.mark.parametrize("mode", ["call", "decorated", "asyncio", "trio"])
def test_nothing_starts_when_no_time_is_left(name: str, mode: str, still: StillTime) -> None:
    """Zero seconds have passed already: every policy refuses, and the function does not run."""
    policy = OBEYING[name]()
    ran: list[int] = []

    def body() -> None:
        ran.append(1)

    async def abody() -> None:
        ran.append(1)

    ways: dict[str, Callable[[], Any]] = {
        "call": lambda: policy.call(body),
        "decorated": lambda: policy(body)(),
        "asyncio": lambda: run_async(mode, lambda: policy.acall(abody)),
        "trio": lambda: run_async(mode, lambda: policy.acall(abody)),
    }
    with deadline(0), pytest.raises(DeadlineExpiredError, match="no time left before the deadline to start") as caught:
        ways[mode]()
    assert isinstance(caught.value, RejectedError)
    assert "body" in caught.value.label
    assert ran == []


def test_a_fallback_passes_the_refusal_through_or_serves_it() -> None:
    """It decides by its ``on`` alone."""
    with deadline(0):
        assert pipeline(fallback("served", on=RejectedError), bulkhead("f", limit=1)).call(str) == "served"
        with pytest.raises(DeadlineExpiredError):
            pipeline(fallback("served", on=KeyError), bulkhead("f", limit=1)).call(str)
        # There is nothing to refuse where nothing but a fallback stands.
        assert fallback("served", on=KeyError).call(lambda: "ran") == "ran"


def test_a_retry_does_not_begin_a_wait_that_would_pass_it(still: StillTime) -> None:
    """The last error comes out at once; a wait that ends in time is waited."""
    made: list[float] = []

    @retry(on=ValueError, attempts=10, wait=2.0)
    def failing() -> None:
        made.append(deadline.remaining())
        raise ValueError

    with deadline(5.0), pytest.raises(ValueError):
        failing()
    assert made == [5.0, 3.0, 1.0]
    assert still.waits == [2.0, 2.0]


def test_a_refused_call_is_not_retried(still: StillTime) -> None:
    """Attempts that cannot start are not tried again."""
    slots = bulkhead("inner", limit=1)

    @retry(on=Exception, attempts=5, wait=0)
    def outer() -> None:
        still.time += 2.0
        slots.call(lambda: None)

    with deadline(1.0), pytest.raises(DeadlineExpiredError):
        outer()
    assert slots.rejected == 1


def test_a_breaker_does_not_count_the_refusal(still: StillTime) -> None:
    """A deadline that passed further in says nothing about the dependency."""
    quotes = breaker()
    slots = bulkhead("further-in", limit=1)

    @quotes
    def call() -> None:
        still.time += 2.0
        slots.call(lambda: None)

    for _ in range(30):
        with deadline(1.0), pytest.raises(DeadlineExpiredError):
            call()
    assert quotes.state.value == "closed"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("around", "own"), [(2.0, 5.0), (5.0, 2.0)])
def test_an_async_timeout_ends_at_the_nearer_of_both(backend: str, around: float, own: float, still: StillTime) -> None:
    """The deadline around it or its own seconds, and it says how long the call really had."""
    guarded = timeout(own)(trio.sleep_forever if backend == "trio" else asyncio.Event().wait)

    async def main() -> None:
        with deadline(around):
            await guarded()

    with pytest.raises(TimeoutExceededError) as caught:
        run_async(backend, main)
    assert caught.value.seconds == 2.0
    assert still.waits == [2.0]


@pytest.mark.parametrize(("around", "own"), [(2.0, 5.0), (5.0, 2.0)])
def test_a_sync_timeout_ends_at_the_nearer_of_both(around: float, own: float, still: StillTime) -> None:
    """The caller is back at the deadline, or after the timeout's own seconds."""
    gate = threading.Event()
    with pytest.raises(TimeoutExceededError) as caught, deadline(around):
        timeout(own).call(gate.wait, PATIENCE)
    gate.set()
    assert caught.value.seconds == 2.0
    assert still.waits == [2.0]


def test_listeners_hear_which_policy_refused() -> None:
    """A verb by the function's name, a bulkhead by its own."""
    heard: list[Event] = []
    slots = bulkhead("told", limit=1)
    stop = events.subscribe(heard.append)
    try:
        with deadline(0):
            for policy in (slots, retry(on=ValueError)):
                with pytest.raises(DeadlineExpiredError):
                    policy.call(len, ())
    finally:
        stop()
    assert heard == [
        CallRefused(policy="bulkhead", name=slots.name, kind="deadline_expired"),
        CallRefused(policy="retry", name="len", kind="deadline_expired"),
    ]

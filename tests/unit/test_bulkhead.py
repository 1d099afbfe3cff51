"""What a bulkhead promises to one caller: places, waits, refusals, permits."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from tests.support.attention import attending
from tests.support.bulkhead import bulkhead, eventually, join_all, run_async, started
from tests.support.bulkhead_time import StillTime, still_time

from resilix import Bulkhead, BulkheadFullError, ConfigurationError, DeadlineExpiredError, Permit, deadline, events
from resilix.core.permits import HELD
from resilix.events import CallAdmitted, CallRefused, Event

MODES = ["thread", "asyncio", "trio"]


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> StillTime:
    """Time that passes only where somebody waits."""
    return still_time(monkeypatch)


@pytest.fixture(params=["quiet", "attended"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways through the shells."""
    attending(monkeypatch, deadlines=False, held=request.param == "attended")
    chosen: str = request.param
    return chosen


@pytest.fixture
def heard() -> Iterator[list[Event]]:
    """The events of this test."""
    seen: list[Event] = []
    stop = events.subscribe(seen.append)
    yield seen
    stop()


def call(mode: str, slots: Bulkhead, body: Callable[[], Any]) -> Any:
    """Call ``body`` under ``slots`` in one of three ways."""
    if mode == "thread":
        return slots.call(body)

    async def awaited() -> Any:
        return body()

    async def main() -> Any:
        return await slots.acall(awaited)

    return run_async(mode, main)


def take(mode: str, slots: Bulkhead) -> Permit:
    """Acquire by hand in one of three ways."""
    return slots.acquire() if mode == "thread" else run_async(mode, slots.aacquire)  # type: ignore[no-any-return]


# -- places ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_place_is_taken_while_the_function_runs(mode: str, path: str) -> None:
    """In use inside, free afterwards, and the result comes through."""
    slots = bulkhead("inside", limit=2)
    assert call(mode, slots, lambda: (slots.in_use, slots.free)) == (1, 1)
    assert (slots.in_use, slots.free) == (0, 2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_any_exception_frees_the_place_and_comes_through(mode: str, kind: type[BaseException], path: str) -> None:
    """The same object leaves, whatever it is."""
    slots = bulkhead("errors", limit=1)
    error = kind("mine")

    def body() -> None:
        raise error

    if mode == "trio" or (mode == "asyncio" and kind is not ValueError):
        # The loops have their own ideas about these; drive the coroutine by hand.
        async def awaited() -> None:
            body()

        with pytest.raises(kind) as caught:
            slots.acall(awaited).send(None)  # type: ignore[attr-defined]
    else:
        with pytest.raises(kind) as caught:
            call(mode, slots, body)
    assert caught.value is error
    assert slots.free == 1


def test_a_decorated_method_has_its_places_too(path: str) -> None:
    """As a decorator it guards a method, and a function that hands back an awaitable as long as that is awaited."""
    slots = bulkhead("method", limit=1)

    class Client:
        @slots
        def fetch(self, what: str) -> tuple[str, int]:
            return what, slots.in_use

        @slots
        def start(self) -> Any:
            async def work() -> int:
                return slots.in_use

            return work()

    assert Client().fetch("ACME") == ("ACME", 1)
    assert run_async("asyncio", Client().start) == 1
    assert slots.free == 1


def test_a_nested_call_takes_a_second_place(path: str) -> None:
    """A place is per call, not per thread."""
    slots = bulkhead("nested", limit=2)
    assert slots.call(slots.call, lambda: slots.in_use) == 2
    with pytest.raises(BulkheadFullError):
        slots.call(slots.call, slots.call, lambda: None)
    assert slots.free == 2


def test_what_it_says_about_itself() -> None:
    """The attributes an operator reads."""
    slots = bulkhead("spoken", limit=3, max_wait=timedelta(seconds=2), queue=5)
    with slots.acquire():
        assert (slots.limit, slots.in_use, slots.free, slots.waiting, slots.rejected) == (3, 1, 2, 0, 0)
        assert repr(slots) == f"Bulkhead({slots.name!r}, 1/3)"
    assert slots.max_wait == 2.0
    assert bulkhead("unbounded", limit=1, max_wait=None).max_wait == float("inf")


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{}, {"max_wait": 0}, {"max_wait": 5.0, "queue": 0}], ids=str)
def test_without_a_wait_a_full_bulkhead_refuses_at_once(
    mode: str, options: dict[str, Any], path: str, still: StillTime
) -> None:
    """No waiting by default, with ``max_wait=0``, and with ``queue=0``; each refusal is counted once."""
    slots = bulkhead("full", limit=2, **options)
    ran: list[int] = []
    with slots.acquire(), slots.acquire():
        for number in range(1, 4):
            with pytest.raises(BulkheadFullError) as caught:
                call(mode, slots, lambda: ran.append(1))
            error = caught.value
            assert (error.name, error.limit, error.waited) == (slots.name, 2, 0.0)
            assert slots.rejected == 2 * number - 1
            with pytest.raises(BulkheadFullError):
                take(mode, slots)
            assert slots.rejected == 2 * number
    assert (ran, still.waits, slots.free, slots.waiting) == ([], [], 2, 0)


@pytest.mark.parametrize("mode", MODES)
def test_who_waits_in_vain_is_told_for_how_long(mode: str, still: StillTime) -> None:
    """After ``max_wait`` the caller is refused, with the time it waited, and has left the line."""
    slots = bulkhead("in-vain", limit=1, max_wait=2.5)
    with slots.acquire():
        with pytest.raises(
            BulkheadFullError, match=r"full \(limit 1\) after waiting 2.5 s; the call was not made"
        ) as e:
            call(mode, slots, lambda: None)
        assert e.value.waited == 2.5
        assert still.waits == [2.5]
        assert (slots.rejected, slots.waiting, slots.free) == (1, 0, 0)
    assert slots.free == 1
    assert pickle.loads(pickle.dumps(e.value)).waited == 2.5


@pytest.mark.parametrize("mode", MODES)
def test_a_place_handed_over_in_the_last_moment_counts(mode: str, still: StillTime) -> None:
    """When the time is over and the place came in the same moment, the call is made."""
    slots = bulkhead("last-moment", limit=1, max_wait=1.0)
    place = slots.acquire()
    still.meanwhile = place.release
    assert call(mode, slots, lambda: slots.in_use) == 1
    assert (slots.rejected, slots.free, slots.waiting) == (0, 1, 0)


@pytest.mark.parametrize("mode", MODES)
def test_acquire_waits_like_a_call(mode: str, still: StillTime) -> None:
    """By hand: the same wait, the same refusal, and a refused caller holds nothing."""
    slots = bulkhead("by-hand", limit=1, max_wait=1.0)
    place = slots.acquire()
    with pytest.raises(BulkheadFullError):
        take(mode, slots)
    assert (slots.waiting, slots.rejected) == (0, 1)
    still.meanwhile = place.release
    second = take(mode, slots)
    assert slots.in_use == 1
    second.release()
    assert slots.free == 1


def test_the_line_has_room_for_so_many() -> None:
    """``queue=2``: the third who would wait is refused at once; when one leaves there is room again."""
    slots = bulkhead("short-line", limit=1, max_wait=None, queue=2)
    place = slots.acquire()
    threads = [started(slots.call, lambda: None) for _ in range(2)]
    eventually(lambda: slots.waiting == 2, "two waiters")
    for number in (1, 2, 3):
        with pytest.raises(BulkheadFullError) as caught:
            slots.call(lambda: None)
        assert (caught.value.waited, slots.rejected, slots.waiting) == (0.0, number, 2)
    place.release()
    join_all(threads)
    assert slots.call(lambda: "room") == "room"
    assert (slots.free, slots.rejected) == (1, 3)


def test_max_wait_none_waits_without_a_bound(still: StillTime) -> None:
    """``None`` waits as long as it takes; a deadline is then the only bound."""
    slots = bulkhead("patient", limit=1, max_wait=None)
    place = slots.acquire()
    still.meanwhile = place.release
    slots.call(lambda: None)
    assert still.waits == [None]
    place = slots.acquire()
    still.meanwhile = place.release
    with deadline(3.0), pytest.raises(DeadlineExpiredError):
        slots.call(lambda: None)
    assert still.waits == [None, 3.0]


# -- deadlines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("max_wait", [0.0, 5.0])
def test_nobody_starts_or_lines_up_when_no_time_is_left(
    mode: str, full: bool, max_wait: float, still: StillTime
) -> None:
    """A deadline that has passed refuses at once, whether there is a place or not, and is counted."""
    slots = bulkhead("too-late", limit=1, max_wait=max_wait)
    place = slots.acquire() if full else None
    ran: list[int] = []
    with deadline(0), pytest.raises(DeadlineExpiredError):
        call(mode, slots, lambda: ran.append(1))
    with deadline(0), pytest.raises(DeadlineExpiredError):
        take(mode, slots)
    assert (ran, still.waits, slots.waiting, slots.rejected) == ([], [], 0, 2)
    assert slots.free == (0 if full else 1)
    if place is not None:
        place.release()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("given", "max_wait", "error"), [(1.0, 5.0, DeadlineExpiredError), (5.0, 1.0, BulkheadFullError)]
)
def test_the_nearer_bound_ends_the_wait(
    mode: str, given: float, max_wait: float, error: type[Exception], still: StillTime
) -> None:
    """Whichever is nearer bounds the wait, and the refusal says which it was."""
    slots = bulkhead("nearer", limit=1, max_wait=max_wait)
    with slots.acquire(), deadline(given), pytest.raises(error):
        call(mode, slots, lambda: None)
    assert still.waits == [1.0]
    assert (slots.rejected, slots.waiting, slots.free) == (1, 0, 1)


def test_a_timer_that_is_early_does_not_change_the_refusal(still: StillTime) -> None:
    """Event loops may fire a timer a hair before its time; a wait that the deadline bounds still ends as one."""
    slots = bulkhead("early", limit=1, max_wait=5.0)

    def early() -> None:
        still.time -= 1e-9

    still.meanwhile = early
    with slots.acquire(), deadline(1.0), pytest.raises(DeadlineExpiredError):
        slots.call(lambda: None)


def test_a_deadline_that_passes_on_the_way_into_the_line(still: StillTime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking at the deadline and lining up it may pass: that is a refusal, not a negative wait."""
    slots = bulkhead("on-the-way", limit=1, max_wait=5.0)
    enqueue = type(slots._queue).enqueue

    def slowly(queue: Any, *args: Any) -> bool:
        still.time += 2.0
        return enqueue(queue, *args)

    monkeypatch.setattr(type(slots._queue), "enqueue", slowly)
    with slots.acquire(), deadline(1.0), pytest.raises(DeadlineExpiredError):
        slots.call(lambda: None)
    assert still.waits == [0.0]
    assert (slots.free, slots.waiting) == (1, 0)


@pytest.mark.parametrize("mode", MODES)
def test_a_place_that_comes_with_the_deadline_is_passed_on(mode: str, still: StillTime) -> None:
    """Nothing starts when no time is left, even if a place has just been handed over."""
    slots = bulkhead("with-the-deadline", limit=1, max_wait=5.0)
    place = slots.acquire()
    still.meanwhile = place.release
    ran: list[int] = []
    with deadline(1.0), pytest.raises(DeadlineExpiredError):
        call(mode, slots, lambda: ran.append(1))
    assert (ran, slots.free, slots.rejected) == ([], 1, 1)


# -- permits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ["success", "failure", "release"])
def test_any_way_of_settling_frees_the_place_once(mode: str, end: str) -> None:
    """The first report frees the place, later ones change nothing."""
    slots = bulkhead("settled", limit=2)
    permit, other = take(mode, slots), take(mode, slots)
    assert slots.free == 0
    getattr(permit, end)()
    assert slots.free == 1
    for _ in range(2):
        permit.success()
        permit.failure(ValueError())
        permit.release()
    assert slots.free == 1
    other.release()
    assert slots.free == 2


@pytest.mark.parametrize("held_used", [False, True])
def test_a_permit_is_a_context_manager(held_used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block frees the place however it is left, also when it was settled inside."""
    attending(monkeypatch, deadlines=False, held=held_used)
    slots, before = bulkhead("block", limit=1), HELD.current()
    with slots.acquire() as permit:
        assert slots.in_use == 1
    assert slots.free == 1
    permit.release()
    error = LookupError()
    with pytest.raises(LookupError) as caught, slots.acquire():
        raise error
    assert caught.value is error
    with slots.acquire() as permit:
        permit.success()
        assert slots.free == 1
    assert slots.free == 1
    assert HELD.current() == before


def test_a_permit_left_by_an_exit_stack_frees_the_place() -> None:
    """``ExitStack.push`` leaves without having entered, and ``callback`` works as well."""
    slots = bulkhead("stack", limit=2)
    with ExitStack() as stack:
        stack.push(slots.acquire())
        stack.callback(slots.acquire().release)
        assert slots.free == 0
    assert slots.free == 2


def test_a_block_entered_in_one_context_and_left_in_another_frees_the_place() -> None:
    """As a generator fixture does."""
    from contextvars import copy_context

    slots = bulkhead("contexts", limit=1)
    permit = slots.acquire()
    copy_context().run(permit.__enter__)
    copy_context().run(permit.__exit__, None, None, None)
    assert slots.free == 1


# -- events ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_listeners_hear_of_calls_let_in_and_refused(mode: str, heard: list[Event], still: StillTime) -> None:
    """One event per decision, under the bulkhead's own name."""
    slots = bulkhead("heard", limit=1, max_wait=1.0)
    call(mode, slots, lambda: None)
    with slots.acquire(), pytest.raises(BulkheadFullError):
        call(mode, slots, lambda: None)
    with deadline(0), pytest.raises(DeadlineExpiredError):
        call(mode, slots, lambda: None)
    admitted = CallAdmitted(policy="bulkhead", name=slots.name)
    assert heard == [
        admitted,
        admitted,
        CallRefused(policy="bulkhead", name=slots.name, kind="bulkhead_full"),
        CallRefused(policy="bulkhead", name=slots.name, kind="deadline_expired"),
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_listener_sees_the_line_without_the_refused_caller(mode: str, still: StillTime) -> None:
    """Listeners are slow: who is refused has left the line before they hear of it, outside every lock."""
    slots = bulkhead("slow-listener", limit=1, max_wait=1.0)
    seen: list[tuple[int, int, int]] = []
    stop = events.subscribe(lambda event: seen.append((slots.waiting, slots.rejected, slots._queue._lock.locked())))
    place = slots.acquire()
    try:
        with pytest.raises(BulkheadFullError):
            call(mode, slots, lambda: None)
    finally:
        stop()
        place.release()
    assert seen == [(0, 0, False), (0, 1, False)]


@pytest.mark.parametrize("mode", ["thread", "hand", "async", "async hand"])
def test_an_interrupt_in_a_listener_does_not_lose_the_place(mode: str) -> None:
    """Whatever comes out of a listener after the place was taken gives it back."""
    slots = bulkhead("interrupted-listener", limit=1)

    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    async def body() -> None: ...

    tries: dict[str, Callable[[], Any]] = {
        "thread": lambda: slots.call(lambda: None),
        "hand": slots.acquire,
        "async": lambda: slots.acall(body).send(None),  # type: ignore[attr-defined]
        "async hand": lambda: slots.aacquire().send(None),
    }
    stop = events.subscribe(interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            tries[mode]()
    finally:
        stop()
    assert slots.free == 1


# -- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"limit": 0}, "with no place no call could ever run; write limit=1 or more"),
        ({"limit": -1}, "write limit=1 or more"),
        ({"limit": 1.5}, "must be a whole number"),
        ({"limit": True}, "must be a whole number"),
        ({"limit": "3"}, "must be a whole number"),
        ({"limit": 1, "queue": -1}, "it is how many may wait; write queue=0 or more"),
        ({"limit": 1, "queue": 1.0}, "must be a whole number"),
        ({"limit": 1, "max_wait": -0.1}, "zero or more seconds"),
        ({"limit": 1, "max_wait": float("nan")}, "must be finite"),
        ({"limit": 1, "max_wait": float("inf")}, "must be finite"),
        ({"limit": 1, "max_wait": "1"}, "number of seconds or a timedelta"),
        ({"limit": 1, "max_wait": timedelta(seconds=-1)}, "zero or more seconds"),
        ({"limit": 1, "max_wiat": 1}, "did you mean max_wait"),
        ({}, 'write Bulkhead\\("quotes", limit=20\\)'),
    ],
    ids=str,
)
def test_nonsense_is_refused_where_it_is_written(options: dict[str, Any], says: str) -> None:
    """With what is wrong and what to write instead."""
    with pytest.raises(ConfigurationError, match=says):
        Bulkhead("bad", **options)


def test_a_bulkhead_without_a_name_says_what_to_write() -> None:
    """Put on a function without a name, or with an empty one."""
    with pytest.raises(ConfigurationError, match="put on price without"):

        @Bulkhead  # type: ignore[arg-type, call-arg]
        def price() -> None: ...

    with pytest.raises(ConfigurationError, match="needs a name"):
        Bulkhead("", limit=1)


def test_a_coroutine_function_is_not_called_without_await() -> None:
    """``call`` refuses it before a place is taken."""
    slots = bulkhead("sync-only", limit=1)

    async def body() -> None: ...

    with pytest.raises(ConfigurationError, match="acall"):
        slots.call(body)
    assert slots.free == 1

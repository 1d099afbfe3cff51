"""Woven calls under stress: interrupts at every moment, eight threads at once, forks."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.support.attention import attending
from tests.support.breaker import run_threads
from tests.support.bulkhead import bulkhead, hasty_threads
from tests.support.bulkhead_time import still_time
from tests.support.forks import forking
from tests.support.front import breaker
from tests.support.interrupts import everywhere

from resilix import Bulkhead, BulkheadFullError, CircuitOpenError, calls, deadline, events, fallback, pipeline, retry
from resilix.policies.weave import WEAVE

pytestmark = pytest.mark.sets_weaving

BOTH = pytest.mark.parametrize("woven", [True, False], ids=["woven", "plain"], indirect=True)


@pytest.fixture(autouse=True)
def woven(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Woven, unless the test asks for both."""
    on: bool = getattr(request, "param", True)
    monkeypatch.setattr(WEAVE, "on", on)
    return on


# -- interrupts ------------------------------------------------------------------------------------------------


@pytest.fixture(params=["quiet", "held", "listened to", "with a deadline"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """All the ways through a woven function."""
    still_time(monkeypatch)
    attending(monkeypatch, deadlines=False, held=request.param == "held")
    if request.param == "listened to":
        stop = events.subscribe(lambda event: None)
        yield
        stop()
    elif request.param == "with a deadline":
        with deadline(1000):
            yield
    else:
        yield


def work() -> int:
    """What is guarded: it calls something, so there is a moment inside it."""
    return len("work")


async def awork() -> int:
    return len("work")


def sync_work(guard: Any) -> Callable[[], Any]:
    return guard(work)


def async_work(guard: Any) -> Callable[[], Any]:
    guarded = guard(awork)

    def step() -> None:
        coroutine = guarded()
        try:
            with pytest.raises(StopIteration):
                coroutine.send(None)
        finally:
            coroutine.close()

    return step


def failing_work(guard: Any) -> Callable[[], Any]:
    """It fails first, and the retry succeeds."""
    turns: list[int] = []

    def fails() -> int:
        turns.append(1)
        if len(turns) % 2:
            raise ConnectionError
        return len("work")

    def step() -> Any:
        turns.clear()
        return guarded()

    guarded = guard(fails)
    return step


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("made", [sync_work, async_work, failing_work])
@pytest.mark.parametrize("inside", ["breaker", "bulkhead"])
def test_an_interrupted_call_gives_all_back_and_is_counted_once_at_most(made: Any, inside: str) -> None:
    """Every attempt that an interrupt ended is ignored, and every place is free."""
    slots, quotes = bulkhead("woven-interrupted", limit=1), breaker(failure_rate=None, consecutive=10**6)
    nouns = (slots, quotes) if inside == "breaker" else (quotes, slots)
    step = made(pipeline(fallback(0, on=OSError), retry(on=OSError, wait=0), *nouns))
    before = quotes.totals()

    def check(moment: int) -> None:
        nonlocal before
        now, counted = quotes.totals(), [b - a for a, b in zip(before, quotes.totals(), strict=True)]
        before = now
        assert (slots.free, slots.waiting) == (1, 0), f"a place was lost at moment {moment}"
        assert counted[:3] in _may_count(made), f"at moment {moment}: {counted}"
        assert quotes.snapshot().probes == 0

    everywhere(step, check, at_least=2)
    assert step() in (None, 4)


def _may_count(made: Any) -> list[list[int]]:
    """Success, failure, ignored: what one call may add, interrupted or not."""
    once = [[0, 0, 0], [0, 0, 1], [1, 0, 0]]
    return once if made is not failing_work else [*once, *([a, 1, c] for a, _, c in once)]


# -- threads ---------------------------------------------------------------------------------------------------

THREADS, TURNS = 8, 4000


@BOTH
def test_eight_threads_are_counted_exactly_whatever_happens_meanwhile() -> None:
    """Transitions, listeners, deadlines and new windows: each call is counted once, and the limit holds."""
    quotes = breaker(on=ConnectionError, consecutive=10**6, failure_rate=None, window=calls(50), open_for=0.001)
    slots = Bulkhead(f"woven-threads-{id(quotes)}", limit=4)
    ends: Counter[str] = Counter()
    inside: list[int] = []
    most = [0]
    over = threading.Event()

    @quotes
    @slots
    def price(number: int, *, bad: bool = False) -> int:
        inside.append(number)
        most[0] = max(most[0], len(inside))
        try:
            if bad:
                raise ConnectionError
            return len(str(number))
        finally:
            inside.pop()

    def call_on(first: int) -> None:
        mine: Counter[str] = Counter()
        for turn in range(TURNS):
            try:
                mine["good"] += price(7, bad=(turn + first) % 5 == 0)
            except (ConnectionError, BulkheadFullError, CircuitOpenError) as error:
                mine[type(error).__name__] += 1
        with lock:
            ends.update(mine)

    def meddle() -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            stop = events.subscribe(lambda event: None)
            quotes.reconfigure(window=30.0 if turn % 2 else calls(50))
            if turn % 3 == 0:
                quotes.open()
            stop()
            quotes.observe() if turn % 2 else quotes.close()
            with deadline(50.0):
                time.sleep(0)

    lock = threading.Lock()
    meddler = threading.Thread(target=meddle, daemon=True)
    with hasty_threads():
        meddler.start()
        run_threads([lambda first=first: call_on(first) for first in range(THREADS)])
        over.set()
        meddler.join(60)
    made = sum(ends.values())
    assert made == THREADS * TURNS
    totals, snapshot = quotes.totals(), quotes.snapshot()
    assert snapshot.rejected == ends["CircuitOpenError"]
    assert slots.rejected == ends["BulkheadFullError"]
    assert sum(totals) == made - ends["CircuitOpenError"]
    assert totals.failure <= ends["ConnectionError"] <= totals.failure + totals.late
    assert totals.success <= ends["good"] <= totals.success + totals.late
    assert (slots.free, slots.waiting, inside) == (4, 0, [])
    assert most[0] <= 4


# -- forks -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("woven", [True, False])
def test_a_child_has_all_places_and_its_own_counts(woven: bool) -> None:
    """A parent's thread is in the middle of a call; what it gives back afterwards goes to the parent alone."""
    script = f"""
    from resilix.policies.weave import WEAVE
    WEAVE.on = {woven}
    quotes, slots = CircuitBreaker("quotes", consecutive=2), Bulkhead("slots", limit=2)
    entered, leave = threading.Event(), threading.Event()

    @quotes
    @slots
    def price(number, *, wait=False, bad=False):
        if wait:
            entered.set()
            leave.wait()
        if bad:
            raise ValueError
        return number, slots.free

    async def aprice(number):
        return number, slots.free

    def driven(coroutine):
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value

    aguarded = slots(aprice)
    inner = threading.Thread(target=price, args=(1,), kwargs={{"wait": True}}, daemon=True)
    inner.start()
    entered.wait()

    def child():
        answers = [price(2), driven(aguarded(3)), slots.call(lambda: slots.free), slots.free]
        for _ in range(2):
            try:
                price(3, bad=True)
            except ValueError:
                pass
        try:
            price(4)
        except CircuitOpenError as error:
            answers.append(type(error).__name__)
        return answers, tuple(quotes.totals()), slots.free

    show(in_child(child))
    show(price(5), slots.free, quotes.state.value, tuple(quotes.totals()))
    leave.set()
    inner.join()
    show(slots.free, tuple(quotes.totals()))
    """
    assert forking(script) == [
        (([(2, 1), (3, 1), 1, 2, "CircuitOpenError"], (1, 2, 0, 0), 2),),
        ((5, 0), 1, "closed", (1, 0, 0, 0)),
        (2, (2, 0, 0, 0)),
    ]


def test_many_threads_may_decorate_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sources that are kept are forgotten by one of them while others add theirs."""
    monkeypatch.setattr("resilix.policies.weave.MOST_KEPT", 3)
    guard = retry(on=ValueError)

    def decorate(first: int) -> None:
        for number in range(60):
            many = ", ".join(f"p{one}" for one in range((first + number) % 12 + 1))
            namespace: dict[str, Any] = {}
            exec(f"def fn({many}): return ({many},)", namespace)
            wanted = tuple(range((first + number) % 12 + 1))
            assert guard(namespace["fn"])(*wanted) == wanted

    with hasty_threads():
        run_threads([partial(decorate, first) for first in range(6)])

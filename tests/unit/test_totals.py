"""What metrics read: counts that only grow, one for each call, whatever the breaker went through."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.breaker import FakeClock, a_breaker

from resilix import (
    Bulkhead,
    CircuitOpenError,
    CircuitState,
    DeadlineExpiredError,
    calls,
    deadline,
    events,
    fallback,
    retry,
    timeout,
)
from resilix.tally import MOST_LABELS, OTHER, TALLY, Tally
from resilix.testing import virtual_time

STEPS = st.lists(st.sampled_from(("good", "bad", "ignored", "wait", "open", "close", "late", "disable", "resize")))


def bad() -> None:
    """A dependency that is down."""
    raise ConnectionError


def ignored() -> None:
    """An error that nothing names."""
    raise KeyError


@given(STEPS)
@settings(deadline=None)
def test_every_call_is_counted_once(script: list[str]) -> None:
    """Success, failure, ignored or late; refused and disabled ones apart."""
    clock = FakeClock()
    breaker = a_breaker(clock=clock, on=ConnectionError, consecutive=3, open_for=10.0, window=30.0)
    made = {"success": 0, "failure": 0, "ignored": 0, "late": 0}
    disabled = False
    for step in script:
        if step == "wait":
            clock.now += 11.0
        elif step == "open":
            breaker.open()
            disabled = False
        elif step == "close":
            breaker.close()
            disabled = False
        elif step == "disable":
            breaker.disable()
            disabled = True
        elif step == "resize":
            breaker.reconfigure(window=calls(20) if clock.now % 2 else 30.0)
        elif step == "late":
            try:
                permit = breaker.acquire()
            except CircuitOpenError:
                continue
            breaker.close()
            disabled = False
            permit.success()
            made["late"] += 1
        else:
            outcome = {"good": "success", "bad": "failure", "ignored": "ignored"}[step]
            fn: Any = {"good": int, "bad": bad, "ignored": ignored}[step]
            try:
                breaker.call(fn)
            except CircuitOpenError:
                continue
            except (ConnectionError, KeyError):
                pass
            if not disabled:
                made[outcome] += 1
    assert breaker.totals()._asdict() == made


def test_probes_are_counted_as_what_they_came_to() -> None:
    """Good ones, bad ones and those whose lease ran out, beside what each closed era had counted."""
    clock = FakeClock()
    breaker = a_breaker(clock=clock, on=ConnectionError, consecutive=2, open_for=5.0, probes=2, probe_lease=1.0)
    seen: list[tuple[int, ...]] = []

    def call(fn: Any, *, after: float = 0.0) -> None:
        clock.now += after
        with suppress(ConnectionError):
            breaker.call(fn)
        seen.append(breaker.totals()[:3])

    for fn in (int, bad, bad):
        call(fn)
    call(int, after=6.0)  # a good probe
    call(bad)  # and a bad one: open again
    clock.now += 6.0
    breaker.acquire()  # one that never comes back
    clock.now += 7.0
    call(int)
    call(int)
    assert seen == [(1, 0, 0), (1, 1, 0), (1, 2, 0), (2, 2, 0), (2, 3, 0), (3, 4, 0), (4, 4, 0)]
    assert breaker.state is CircuitState.CLOSED
    call(bad)
    assert breaker.totals() == (4, 5, 0, 0)


def test_a_failed_probe_counts_while_others_are_awaited() -> None:
    """And so does what was counted before the window became one of another kind."""
    clock = FakeClock()
    breaker = a_breaker(clock=clock, on=ConnectionError, consecutive=2, open_for=5.0, probes=3, probe_failures=1)
    breaker.call(int)
    breaker.reconfigure(window=calls(20))
    breaker.call(int)
    assert breaker.totals() == (2, 0, 0, 0)
    for after in (0.0, 0.0, 6.0):
        clock.now += after
        with pytest.raises(ConnectionError):
            breaker.call(bad)
    assert breaker.state is CircuitState.HALF_OPEN
    assert breaker.totals() == (2, 3, 0, 0)


def test_calls_of_eight_threads_are_counted_exactly() -> None:
    """While it opens and closes all the time."""
    breaker = a_breaker(time.monotonic, on=ConnectionError, consecutive=2, open_for=0.0001, window=calls(50))
    done = {"good": 0, "bad": 0}
    lock = threading.Lock()

    def work(number: int) -> None:
        good = failed = 0
        for turn in range(2000):
            try:
                breaker.call(bad if (turn + number) % 7 == 0 else int)
                good += 1
            except ConnectionError:
                failed += 1
            except CircuitOpenError:
                pass
        with lock:
            done["good"] += good
            done["bad"] += failed

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = breaker.totals()
    assert sum(totals) == done["good"] + done["bad"]
    assert totals.failure <= done["bad"]


def test_transitions_are_counted_with_nobody_listening() -> None:
    """By where they came from and went to."""
    clock = FakeClock()
    breaker = a_breaker(clock=clock, on=ConnectionError, consecutive=1, open_for=5.0)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            breaker.call(bad)
        clock.now += 6.0
        breaker.call(int)
    assert breaker.transitions == {("closed", "open"): 2, ("open", "half_open"): 2, ("half_open", "closed"): 2}


def test_verbs_are_counted_with_nobody_listening() -> None:
    """Retries by what failed, giving up by its reason, timeouts, fallbacks, and refusals for want of time."""

    def of_totals() -> None:
        raise ConnectionError

    label = of_totals.__qualname__
    with virtual_time():
        fallback(None, on=ConnectionError)(retry(on=ConnectionError, attempts=3)(of_totals))()
        with deadline(0), pytest.raises(DeadlineExpiredError):
            retry(on=ConnectionError)(of_totals)()
        with pytest.raises(TimeoutError):
            timeout(1.0)(hang)()
    assert TALLY.counts() == {
        ("retries", label, "error"): 2,
        ("exhausted", label, "attempts"): 1,
        ("fallbacks", label, ""): 1,
        ("rejections", label, "deadline_expired"): 1,
        ("timeouts", hang.__qualname__, "abandoned"): 1,
    }


def hang() -> None:
    """Take longer than anybody waits."""
    from resilix.runtime import RUNTIME

    RUNTIME.driver.sleep(60.0)


def test_a_bulkhead_tells_the_late_from_those_without_a_place() -> None:
    """Both are refused; only some for want of a place."""
    slots = Bulkhead("totals", limit=1)
    with slots.acquire(), pytest.raises(Exception, match="is full"):
        slots.call(int)
    with deadline(0), pytest.raises(DeadlineExpiredError):
        slots.call(int)
    assert (slots.rejected, slots.late) == (2, 1)


def test_labels_are_bounded() -> None:
    """What comes after the last label that is told apart is counted together."""
    tally = Tally()
    for number in range(MOST_LABELS + 10):
        tally.add("retries", f"label {number}", "error")
    assert tally.counts()[("retries", OTHER, "error")] == 10
    assert len(tally.counts()) == MOST_LABELS + 1


def test_a_count_made_by_an_interrupt_inside_a_count_does_not_wait_for_itself() -> None:
    """A signal handler or a finalizer may run a failing guarded call in the middle of a count of its thread."""
    tally = Tally()

    class Interrupted(str):
        """A label whose hash, asked for inside the count, stands for the handler."""

        def __hash__(self) -> int:
            tally.add("timeouts", "handler")
            return super().__hash__()

    counting = threading.Thread(target=tally.add, args=("retries", Interrupted("price")), daemon=True)
    counting.start()
    counting.join(10)
    assert not counting.is_alive()
    assert tally.counts()[("retries", "price", "")] == 1
    assert tally.counts()[("timeouts", "handler", "")] > 0


def test_a_count_made_inside_a_count_of_the_same_thing_is_not_lost() -> None:
    """Wherever in it the signal handler strikes; the first count of all included."""
    for moment in range(1, 30):
        tally, passed = Tally(), 0

        def strike(frame: object, event: str, arg: object, tally: Tally = tally, moment: int = moment) -> None:
            nonlocal passed
            if event in ("call", "c_return"):
                passed += 1
                if passed == moment:
                    sys.setprofile(None)
                    tally.add("retries", "price")

        before = sys.getprofile()
        sys.setprofile(strike)
        try:
            tally.add("retries", "price")
        finally:
            sys.setprofile(before)
        if passed < moment:
            assert moment > 4, "it never struck inside"
            return
        assert tally.counts() == {("retries", "price", ""): 2}, f"lost at moment {moment}"
    raise AssertionError("a count has more steps than were tried")


@pytest.mark.parametrize("options", [{}, {"slow_after": 5.0}, {"on_result": lambda result: False}])
@pytest.mark.parametrize("listened", [False, True])
def test_a_call_that_goes_on_async_is_counted_once(options: dict[str, Any], listened: bool) -> None:
    """A sync function that hands back something to await is guarded as async from then on; nothing was ignored."""
    breaker = a_breaker(**options)

    async def later() -> int:
        return 7

    async def main() -> int:
        return await breaker(lambda: later())()

    stop = events.subscribe(lambda event: None) if listened else lambda: None
    try:
        assert asyncio.run(main()) == 7
    finally:
        stop()
    assert breaker.totals() == (1, 0, 0, 0)

# pyright: reportPrivateUsage=false
"""After a reset every policy is as it was made, whatever was done to it, and calls in flight take nothing with them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.breaker import FakeClock, a_breaker, admitted, boom, fail, half_open, hasty_threads, run_threads
from tests.support.bulkhead import bulkhead, eventually, started

from resilix import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    ResilixWarning,
    RetryBudget,
    calls,
    events,
    fallback,
    pipeline,
    retry,
)
from resilix.httpx import Client, standard
from resilix.tally import TALLY
from resilix.testing import faults, fresh_state, record_events, reset_policies, virtual_time

# -- breakers ------------------------------------------------------------------------------------------------------

DEEDS = ("success", "failure", "slow", "ignored", "probe", "settle", "expire", "open", "force", "disable", "observe")
SCRIPTS = st.lists(st.sampled_from(DEEDS), max_size=40)
OPTIONS: dict[str, dict[str, Any]] = {
    "in a row": {"consecutive": 3},
    "rate of calls": {"consecutive": None, "window": calls(6)},
    "rate of seconds": {"consecutive": None, "window": 6.0, "min_calls": 2},
    "slow": {"consecutive": None, "slow_rate": 0.5, "slow_after": 1.0, "min_calls": 2},
    "results": {"consecutive": 3, "on_result": lambda result: result == "bad", "probes": 2},
}


class Machine:
    """A breaker, the clock it reads, and the permits that are out."""

    def __init__(self, clock: FakeClock, **options: Any) -> None:
        self.clock = clock
        self.breaker = a_breaker(clock, open_for=5.0, probe_lease=4.0, **options)
        self.permits: list[Any] = []
        self.guarded = self.breaker(self._work)
        self.next = "success"

    def _work(self) -> str:
        if self.next == "failure":
            raise ConnectionError
        if self.next == "ignored":
            raise KeyboardInterrupt
        self.clock.advance(2.0 if self.next == "slow" else 0.0)
        return "good"

    def do(self, deed: str) -> Any:
        """Do one thing; what came of it."""
        by_hand: dict[str, Callable[[], object]] = {
            "open": self.breaker.open,
            "force": self.breaker.force_open,
            "disable": self.breaker.disable,
            "observe": self.breaker.observe,
        }
        if deed in by_hand:
            return by_hand[deed]()
        if deed == "probe":
            permit = admitted(self.breaker)
            self.permits.append(permit)
            return permit is not None
        if deed == "settle":
            permit = self.permits.pop() if self.permits else None
            return permit and permit.success()
        if deed == "expire":
            self.clock.advance(5.0)
            return None
        self.next = deed
        try:
            return self.guarded()
        except (ConnectionError, CircuitOpenError, KeyboardInterrupt) as error:
            return type(error), getattr(error, "retry_after", None), getattr(error, "reason", None)

    def seen(self) -> Any:
        """All that can be read."""
        snapshot = self.breaker.snapshot()
        facts = {field: getattr(snapshot, field) for field in snapshot.__slots__ if field != "name"}
        return facts, self.breaker.totals(), self.breaker.transitions


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@given(before=SCRIPTS, after=SCRIPTS)
def test_a_breaker_that_was_reset_goes_on_like_a_new_one(
    options: dict[str, Any], before: list[str], after: list[str]
) -> None:
    """Whatever it lived through, and with probes of its former life still out."""
    clock = FakeClock()
    old = Machine(clock, **options)
    for deed in before:
        old.do(deed)
    old.permits.clear()  # they are given back by nobody, or late
    reset_policies()
    new = Machine(clock, **options)
    assert old.seen() == new.seen()
    twin = Machine(new_clock := FakeClock(clock.now), **options)
    for deed in after:
        assert (old.do(deed), old.seen()) == (twin.do(deed), twin.seen())
        assert clock.now == new_clock.now


@pytest.mark.parametrize("ends", ["well", "badly"])
@pytest.mark.parametrize("attended", [False, True])
def test_what_a_call_from_before_the_reset_ends_with_is_an_echo(ends: str, attended: bool) -> None:
    """Woven or not, on the quiet path or with a listener: it moves neither the streak nor the window."""
    breaker = a_breaker(consecutive=1)

    @breaker
    def reset_within() -> None:
        reset_policies()
        if ends == "badly":
            raise ConnectionError

    stop = events.subscribe(lambda event: None) if attended else lambda: None
    with suppress(ConnectionError):
        reset_within()
    stop()
    assert (breaker.state, breaker.snapshot().calls, breaker.snapshot().consecutive) == ("closed", 0, 0)
    assert breaker.totals() == (0, 0, 0, 1)


def test_a_probe_from_before_the_reset_takes_no_place_and_decides_nothing() -> None:
    """Its failure does not reopen, and it is not among the probes of the next half-open time."""
    clock = FakeClock()
    breaker, probe = half_open(clock, open_for=1.0)
    reset_policies()
    assert (breaker.state, breaker.snapshot().probes) == ("closed", 0)
    probe.failure()
    assert breaker.state == "closed"
    breaker.open(for_=1.0)
    clock.advance(1.0)
    with breaker.acquire():
        assert breaker.snapshot().probes == 1
    assert breaker.state == "closed"


def test_options_that_were_changed_stay_changed() -> None:
    """They are what the policy is, not what happened to it."""
    breaker = a_breaker(consecutive=9)
    breaker.reconfigure(consecutive=2)
    fail(breaker, 2)
    reset_policies()
    fail(breaker)
    assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"


def test_a_reset_is_no_event() -> None:
    """Nothing happened to the dependency; and what was not announced yet is not announced later."""
    breaker = a_breaker()
    breaker.force_open()
    breaker._core.open(0.0, None, "another thread has yet to announce it")
    with record_events() as seen:
        reset_policies()
        breaker.call(int)
        breaker._announcer.flush()
    seen.only(name=breaker.name).assert_no_other()
    assert (breaker.state, breaker.transitions) == ("closed", {})


def test_a_clock_that_has_come_to_its_end_does_not_stop_the_reset() -> None:
    """A test's scripted clock may be used up, and its breaker still be alive."""
    moments = iter([5.0])
    breaker = CircuitBreaker("scripted clock", clock=lambda: next(moments))
    breaker._core.open(5.0, None, "by hand")
    reset_policies()
    assert (breaker.state, breaker._core.era.since, breaker._core.era.reason) == ("closed", 5.0, "new")


def test_a_policy_whose_name_went_to_a_newer_one_is_reset_too() -> None:
    """It lives, so it may still be called."""
    older = CircuitBreaker("taken twice")
    older.force_open()
    with pytest.warns(ResilixWarning, match="taken twice"):
        newer = CircuitBreaker("taken twice")
    newer.force_open()
    reset_policies()
    assert (older.state, newer.state) == ("closed", "closed")


# -- bulkheads -----------------------------------------------------------------------------------------------------


def test_a_place_that_nobody_gave_back_is_free_again() -> None:
    """For calls by hand and for decorated functions, which are woven with the queue."""
    slots = bulkhead("leaked", limit=1)

    @slots
    def guarded() -> int:
        return 0

    guarded()
    slots.acquire()
    with pytest.raises(BulkheadFullError):
        guarded()
    reset_policies()
    assert (slots.in_use, slots.free, slots.rejected, slots.late) == (0, 1, 0, 0)
    assert guarded() == 0
    with slots.acquire(), pytest.raises(BulkheadFullError):
        guarded()


def test_a_place_that_is_given_back_after_the_reset_is_not_there_twice() -> None:
    """It goes back to where it was taken; by hand, woven, and with a listener."""
    slots = bulkhead("late", limit=2)
    permit = slots.acquire()

    @slots
    def reset_within() -> int:
        reset_policies()
        return slots.free

    assert reset_within() == 2
    permit.release()
    assert (slots.in_use, slots.free) == (0, 2)
    with slots.acquire(), slots.acquire(), pytest.raises(BulkheadFullError):
        reset_within()  # those that came back late are nobody's
    with record_events():
        assert reset_within() == 2
        assert (slots.in_use, slots.free) == (0, 2)
    assert (slots.in_use, slots.free) == (0, 2)


def test_who_waits_for_a_place_of_before_the_reset_gets_it() -> None:
    """Nobody hangs because the line was replaced."""
    slots = Bulkhead("waited for", limit=1, max_wait=None)
    permit, got = slots.acquire(), threading.Event()

    def wait() -> None:
        with slots.acquire():
            got.set()

    thread = started(wait)
    eventually(lambda: slots.waiting == 1, "the wait")
    reset_policies()
    assert slots.waiting == 0
    assert not got.is_set()
    permit.release()
    thread.join(30.0)
    assert got.is_set()
    assert (slots.in_use, slots.free) == (0, 1)


def test_no_place_is_lost_or_won_by_resets_between_threads() -> None:
    """Woven functions on several threads, while the places are exchanged over and over."""
    slots = bulkhead("storm", limit=4)
    breaker = a_breaker(consecutive=2)
    done = threading.Event()

    @slots
    @breaker
    def work() -> None:
        if threading.get_ident() % 3 == 0:
            raise ConnectionError

    def call() -> None:
        while not done.is_set():
            with suppress(ConnectionError, CircuitOpenError, BulkheadFullError):
                work()

    def reset() -> None:
        try:
            for _ in range(150):
                reset_policies()
        finally:
            done.set()

    with hasty_threads():
        run_threads([call, call, reset])
    assert (slots.in_use, slots.free) == (0, 4)
    reset_policies()
    assert breaker.totals() == (0, 0, 0, 0)
    assert breaker.snapshot().calls == 0


# -- budgets, counts, HTTP -----------------------------------------------------------------------------------------


def test_a_budget_is_full_again() -> None:
    """And has denied nothing."""
    budget = RetryBudget("spent", tokens=14, cost=14)
    guarded = retry(on=ConnectionError, attempts=3, wait=0.0, budget=budget)(boom)
    with pytest.raises(ConnectionError):
        guarded()
    assert (budget.remaining, budget.denied) == (0, 1)
    reset_policies()
    assert (budget.remaining, budget.denied, budget.remaining_ratio) == (14, 0, 1.0)


def test_what_verbs_have_counted_and_broken_hooks_are_forgotten() -> None:
    """A test may say that nothing was retried; and the listeners stay."""
    heard: list[events.Event] = []

    def broken(event: events.Event) -> None:
        heard.append(event)
        raise ValueError

    stop = events.subscribe(broken)
    guarded = pipeline(fallback(None, on=ConnectionError), retry(on=ConnectionError, attempts=2, wait=0.0))(boom)
    assert guarded() is None
    assert TALLY.counts()
    assert events.hook_errors() > 0
    told = len(heard)
    reset_policies()
    assert TALLY.counts() == {}
    assert events.hook_errors() == 0
    assert guarded() is None
    stop()
    assert len(heard) == 2 * told
    assert events.hook_errors() == told


def test_an_http_policy_forgets_its_origins_and_its_counts() -> None:
    """The next request makes new state; one that is under way ends as it began."""
    policy = standard("reset", limit=1, breaker={"consecutive": 1}, attempts=1)
    answers = [503]
    transport = httpx.MockTransport(lambda request: httpx.Response(answers[-1], text="x"))
    with Client(policy=policy, transport=transport, base_url="https://a.example") as client:
        assert client.get("/").status_code == 503
        old = policy.states()["https://a.example"]
        assert old.breaker is not None
        assert old.breaker.state == "open"
        reset_policies()
        assert policy.states() == {}
        assert (policy.calls_total, policy.attempts_total, policy.rejected_total) == (0, 0, 0)
        answers.append(200)
        with client.stream("GET", "/") as response:
            assert response.status_code == 200
            reset_policies()
            assert client.get("/").status_code == 200  # the only place of a new state
        assert policy.states()["https://a.example"] is not old
        assert old.breaker.state == "closed"
        bulkhead = policy.states()["https://a.example"].bulkhead
        assert bulkhead is not None
        assert (bulkhead.in_use, bulkhead.free) == (0, 1)
        assert policy.calls_total == 1


def test_an_http_policy_with_one_state_for_all_keeps_it_as_made() -> None:
    """It is not made anew, for whoever holds it, but its breaker is closed."""
    policy = standard("one", per=None, breaker={"consecutive": 1}, attempts=1)
    with Client(policy=policy, transport=httpx.MockTransport(lambda request: httpx.Response(500))) as client:
        client.get("https://a.example/")
        breaker = policy.states()[""].breaker
        assert breaker is not None
        assert breaker.state == "open"
        reset_policies()
        assert policy.states()[""].breaker is breaker
        assert breaker.state == "closed"


def test_a_fault_plan_that_tests_share_begins_anew() -> None:
    """One in a pipeline of a module, or in a parametrization: sequence, chance and counts, of its parts too."""
    part = faults.sequence(ConnectionError)
    plan = part | faults.rate(0.5, seed=7, fault=KeyError)
    again = retry(on=Exception, attempts=3, wait=0)

    @pipeline(again, plan)
    def price() -> int:
        return 4217

    told: list[list[str]] = []
    with faults.enabled():
        for _ in range(2):
            reset_policies()
            assert (plan.counts.calls, part.counts.calls, plan.log) == (0, 0, ())
            assert price() == 4217
            told.append([one.what for one in plan.log])
    assert told[0] == told[1] == ["ConnectionError", *["KeyError"] * (len(plan.log) - 2), "passed"]


def test_a_call_that_hangs_goes_on_hanging_through_a_reset() -> None:
    """A call in flight goes on; and its plan can still let it go."""
    plan = faults.hang()

    async def main() -> None:
        task = asyncio.ensure_future(plan.acall(asyncio.sleep, 0))
        await asyncio.sleep(0)
        reset_policies()
        await asyncio.sleep(0)
        assert not task.done()
        plan.release()
        with pytest.raises(TimeoutError):
            await task

    with faults.enabled():
        asyncio.run(main())


def test_what_a_plan_did_can_be_read_when_the_block_is_over() -> None:
    """As what a record holds can be: it is what the test is about, and the next block empties it."""
    with fresh_state(), faults.enabled():
        plan = faults.error(KeyError)
        with pytest.raises(KeyError):
            plan.call(int)
    assert plan.counts.calls == 1
    with fresh_state():
        assert plan.counts.calls == 0


# -- the block -----------------------------------------------------------------------------------------------------


def test_the_block_begins_and_ends_with_policies_as_made() -> None:
    """Also when it is left by an error, and as a decorator."""
    breaker = a_breaker()
    breaker.force_open()

    def left_by_an_error() -> None:
        with fresh_state():
            assert breaker.state == "closed"
            breaker.force_open()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        left_by_an_error()
    assert breaker.state == "closed"

    @fresh_state()
    def test() -> None:
        assert breaker.state == "closed"
        breaker.disable()

    breaker.force_open()
    test()
    assert (breaker.state, breaker.snapshot().mode) == ("closed", "normal")


def test_a_breaker_that_counted_by_the_real_clock_counts_by_the_virtual_one_after_a_reset() -> None:
    """Its opening is measured by the clock of the block."""
    breaker = CircuitBreaker("two clocks", consecutive=1, open_for=10.0)
    fail(breaker)
    with virtual_time() as time, fresh_state():
        fail(breaker)
        assert breaker.snapshot().retry_after == 10.0
        time.advance(10.0)
        breaker.call(int)
        assert breaker.state == "closed"

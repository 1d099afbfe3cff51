"""The breaker against a model in plain lists, on random histories that hypothesis looks for and shrinks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.breaker import FakeClock, a_breaker, recorded
from tests.support.breaker_model import Model, ModelCall

from resilix import CircuitBreaker, CircuitOpenError, Permit, calls, events

WAITS = [0.0, 2.0**-20, 0.125, 0.5, 0.5, 1.0, 2.0, 4.5, 5.0, 9.5, 10.0, 11.0, 60.0]
VERDICTS = ["success", "success", "failure", "failure", "failure", "ignored"]

OFF: dict[str, Any] = {"failure_rate": None, "slow_rate": None, "slow_after": None, "consecutive": None}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "consecutive, one probe": {**OFF, "consecutive": 3, "seconds": 10.0, "min_calls": 4, "probes": 1},
    "rate over calls, three probes": {
        **OFF, "failure_rate": 0.5, "last": 5, "min_calls": 3, "probes": 3, "probe_failures": 1,
    },
    "rate over seconds": {**OFF, "failure_rate": 0.5, "seconds": 10.0, "min_calls": 4, "probes": 2},
    "slow calls": {
        **OFF, "slow_rate": 0.5, "slow_after": 1.0, "failure_rate": 0.75, "seconds": 20.0, "min_calls": 3, "probes": 2,
        "probe_failures": 1,
    },
    "all rules, growing openings": {
        **OFF, "failure_rate": 0.5, "slow_rate": 1.0, "slow_after": 0.5, "consecutive": 4, "last": 8, "min_calls": 5,
        "probes": 2, "open_for": lambda opening: 5.0 * opening,
    },
}  # fmt: skip


def build(options: dict[str, Any], clock: FakeClock) -> tuple[CircuitBreaker, Model]:
    known = {"probe_failures": 0, "open_for": 5.0, "probe_lease": 10.0, "last": None, "seconds": None, **options}
    last, seconds = known.pop("last"), known.pop("seconds")
    breaker = a_breaker(clock, window=calls(last) if last else seconds, **known)
    open_for = known.pop("open_for")
    known.update(
        open_for=open_for if callable(open_for) else lambda opening: open_for,
        probes_wanted=known.pop("probes"),
        lease=known.pop("probe_lease"),
    )
    return breaker, Model(clock.now, last=last, seconds=seconds, **known)


class BreakerMachine(RuleBasedStateMachine):
    """Every step is done to both; after every step all that can be seen of both is the same."""

    options: dict[str, Any]

    @initialize(listen=st.booleans())
    def start(self, listen: bool) -> None:
        self.clock = FakeClock(1000.0)
        self.breaker, self.model = build(self.options, self.clock)
        self.held: list[tuple[Permit, ModelCall]] = []
        self.recording = recorded(self.breaker) if listen else None
        self.seen = self.recording.__enter__() if self.recording else []

    def teardown(self) -> None:
        if self.recording:
            self.recording.__exit__(None, None, None)

    # -- calls

    def call(self, verdict: str, inside: Callable[[], object] = lambda: None) -> None:
        """One call from beginning to end on the decorated path; ``inside`` happens while it runs."""
        call = self.model.admit(self.clock.now)

        def body() -> str:
            inside()
            if verdict == "success":
                return "answer"
            raise ConnectionError if verdict == "failure" else asyncio.CancelledError

        try:
            assert self.breaker.call(body) == "answer"
            outcome = "success"
        except ConnectionError:
            outcome = "failure"
        except asyncio.CancelledError:
            outcome = "ignored"
        except CircuitOpenError as error:
            self.compare_refusal(call, error)
            return
        assert call is not None
        assert outcome == verdict
        self.model.settle(call, verdict, self.clock.now)

    def compare_refusal(self, call: ModelCall | None, error: CircuitOpenError) -> None:
        assert call is None
        assert (error.retry_after, error.reason) == (self.model.retry_after(self.clock.now), self.model.reason)

    @rule(verdict=st.sampled_from(VERDICTS), times=st.sampled_from([1, 1, 2, 4]))
    def calls_in_a_row(self, verdict: str, times: int) -> None:
        for _ in range(times):
            self.call(verdict)

    @rule(
        verdict=st.sampled_from(VERDICTS),
        between=st.sampled_from(["open", "close", "disable", "force_open", "fail", "wait", "end"]),
    )
    def something_happens_during_a_call(self, verdict: str, between: str) -> None:
        def inside() -> None:
            if between == "fail":
                self.call("failure")
            elif between == "wait":
                self.clock.advance(2.0)
            elif between == "end" and self.held:
                self.settle(0, "success")
            elif between != "end":
                self.control(between)

        self.call(verdict, inside)

    @rule()
    def begin(self) -> None:
        call = self.model.admit(self.clock.now)
        try:
            permit = self.breaker.acquire()
        except CircuitOpenError as error:
            self.compare_refusal(call, error)
        else:
            assert call is not None
            self.held.append((permit, call))

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 10), verdict=st.sampled_from(VERDICTS), again=st.booleans())
    def end(self, which: int, verdict: str, again: bool) -> None:
        self.settle(which % len(self.held), verdict, again=again)

    def settle(self, which: int, verdict: str, *, again: bool = False) -> None:
        permit, call = self.held.pop(which)
        for _ in range(1 + again):  # a second report changes nothing
            {"success": permit.success, "failure": permit.failure, "ignored": permit.release}[verdict]()
            self.model.settle(call, verdict, self.clock.now)

    @rule(seconds=st.sampled_from(WAITS))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # -- controls

    def control(self, what: str) -> None:
        now, model = self.clock.now, self.model
        getattr(self.breaker, what)()
        if what == "open":
            model.control("normal", now, "manual", model.open_for(model.opening + 1))
        elif what == "close":
            model.control("normal", now, "closed by hand")
        elif what == "force_open":
            model.control("forced_open", now, "forced open")
        elif what == "disable":
            model.control("disabled", now, "disabled")
        else:
            model.control("observing", now, "observing")

    @rule(what=st.sampled_from(["open", "close", "force_open", "disable", "observe"]))
    def take_over(self, what: str) -> None:
        self.control(what)

    @rule(for_=st.sampled_from([0.5, 3.0, 100.0]))
    def open_for_a_while(self, for_: float) -> None:
        self.breaker.open(for_=for_, reason="maintenance")
        self.model.control("normal", self.clock.now, "maintenance", for_)

    @rule(
        change=st.sampled_from(["consecutive", "min_calls", "probes", "open_for", "lease", "window", "failure_rate"]),
        size=st.integers(2, 6),
    )
    def reconfigure(self, change: str, size: int) -> None:
        model, now = self.model, self.clock.now
        if change == "window" and model.last is not None:
            wider = max(size, model.min_calls)
            self.breaker.reconfigure(window=calls(wider))
            model.reconfigure(now, last=wider)
        elif change == "window":
            self.breaker.reconfigure(window=5.0 * size)
            model.reconfigure(now, seconds=5.0 * size)
        elif change == "open_for":
            self.breaker.reconfigure(open_for=1.5 * size)
            model.reconfigure(now, open_for=lambda opening: 1.5 * size)
        elif change == "lease":
            self.breaker.reconfigure(probe_lease=1.0 * size)
            model.reconfigure(now, lease=1.0 * size)
        elif change == "probes":
            self.breaker.reconfigure(probes=size, probe_failures=size // 3)
            model.reconfigure(now, probes_wanted=size, probe_failures=size // 3)
        elif change == "failure_rate":
            self.breaker.reconfigure(failure_rate=1 / size)
            model.reconfigure(now, failure_rate=1 / size)
        else:
            value = min(size, model.last or size) if change == "min_calls" else size
            self.breaker.reconfigure(**{change: value})
            model.reconfigure(now, **{change: value})

    # -- comparing

    @invariant()
    def look_the_same(self) -> None:
        now, model = self.clock.now, self.model
        seen = self.breaker.snapshot()
        assert self.breaker.state == seen.state == model.state
        figures = (seen.calls, seen.failures, seen.slow, seen.ignored, seen.consecutive)
        assert (*figures, seen.failure_rate, seen.slow_rate) == (model.frozen or model.figures(now))
        assert (seen.mode, seen.reason, seen.since) == (model.mode, model.reason, model.since)
        assert (seen.rejected, seen.opening, seen.probes) == (model.rejected, model.opening, len(model.probes))
        assert seen.retry_after == model.retry_after(now)
        assert seen == self.breaker.snapshot(), "reading changed something"

    @invariant()
    def say_the_same(self) -> None:
        if self.recording:
            assert [told(one) for one in self.seen if told(one)] == self.model.events


def told(event: events.Event) -> tuple[Any, ...] | None:
    """An event in the model's words."""
    if isinstance(event, events.Transition):
        return ("transition", event.from_state, event.to_state, event.mode, event.reason)
    if isinstance(event, events.TripObserved):
        return ("observed", event.reason)
    if isinstance(event, events.CallRefused):
        return ("refused", event.retry_after)
    assert isinstance(event, (events.CallAdmitted, events.ProbeAdmitted))
    return None


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_history_tells_the_breaker_from_the_model(name: str) -> None:
    """State, figures, admissions, refusals and events agree after every step of any history."""
    machine = type("Machine", (BreakerMachine,), {"options": CONFIGURATIONS[name]})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=40, deadline=None, print_blob=True)
    )


def a_step(machine: BreakerMachine, dice: random.Random) -> None:
    """One step, mostly calls: what a person does is rare, and so a longer story can unfold."""
    verdict = dice.choice(VERDICTS)
    throw = dice.random()
    if throw < 0.55:
        machine.calls_in_a_row(verdict, dice.choice([1, 1, 2, 4]))
    elif throw < 0.65:
        machine.begin()
    elif throw < 0.75 and machine.held:
        machine.end(dice.randrange(10), verdict, dice.random() < 0.2)
    elif throw < 0.93:
        machine.wait(dice.choice(WAITS))
    elif throw < 0.95:
        machine.something_happens_during_a_call(verdict, dice.choice(["open", "close", "fail", "wait", "end"]))
    elif throw < 0.985:
        changes = ["consecutive", "min_calls", "probes", "open_for", "lease", "window", "failure_rate"]
        machine.reconfigure(dice.choice(changes), dice.randint(2, 6))
    else:
        machine.take_over(dice.choice(["open", "close", "close", "force_open", "disable", "observe", "observe"]))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_long_history_tells_the_breaker_from_the_model(name: str) -> None:
    """The same comparison on long seeded histories in which people rarely interfere."""
    for seed in range(80):
        dice = random.Random(seed)
        machine = type("Machine", (BreakerMachine,), {"options": CONFIGURATIONS[name]})()
        machine.start(listen=seed % 4 == 0)
        try:
            for _ in range(80):
                a_step(machine, dice)
                machine.look_the_same()
                machine.say_the_same()
        finally:
            machine.teardown()

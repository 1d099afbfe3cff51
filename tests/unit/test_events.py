"""Every event is sent in its situation with its facts, and listeners can do no harm."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.support.front import Script, breaker, fresh, heard

import resilix
import resilix.httpx
from resilix import (
    Bulkhead,
    BulkheadFullError,
    CircuitOpenError,
    ConfigurationError,
    DeadlineExpiredError,
    RejectedError,
    RetryBudget,
    TimeoutExceededError,
    deadline,
    events,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.events import (
    AttemptFailed,
    CallAdmitted,
    CallRefused,
    Event,
    FallbackServed,
    FaultInjected,
    FaultsSwitched,
    GivenUp,
    HookError,
    ProbeAdmitted,
    RetryScheduled,
    TimedOut,
    Transition,
    TripObserved,
)
from resilix.testing import faults, virtual_time

pytestmark = pytest.mark.filterwarnings("error")

KINDS = [
    AttemptFailed, CallAdmitted, CallRefused, FallbackServed, FaultInjected, FaultsSwitched, GivenUp, HookError,
    ProbeAdmitted, RetryScheduled, TimedOut, Transition, TripObserved,
]  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_logged_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests broke does not fill the memory of what was logged."""
    monkeypatch.setattr(events.HUB, "logged", set())


def down(*args: Any) -> Any:
    raise ConnectionError("down")


def facts(event: Any) -> dict[str, Any]:
    """The fields of an event, its error and the attributes of HTTP requests aside."""
    left_out = ("error", "policy", "name", "attributes")
    return {key: value for key, value in _fields(event).items() if key not in left_out}


def _fields(event: Any) -> dict[str, Any]:
    return {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}


def test_the_kinds_of_event_are_known() -> None:
    """A new kind of event needs a test here."""
    found = {value for value in vars(events).values() if isinstance(value, type) and issubclass(value, Event)}
    found -= {Event, events.ErrorEvent}
    assert sorted(found, key=lambda kind: kind.__name__) == KINDS


# -- each in its situation -------------------------------------------------------------------------------------


def test_a_retry_tells_its_story() -> None:
    """Failed, scheduled, failed, given up; with numbers, waits and the error itself."""
    error = ConnectionError("down")
    source = Script(error, error)
    with virtual_time(), heard() as seen, pytest.raises(ConnectionError):
        retry(on=ConnectionError, attempts=2, wait=1.5).call(source.next)
    assert [(type(one), facts(one)) for one in seen] == [
        (AttemptFailed, {"attempt": 1, "error_type": "ConnectionError"}),
        (RetryScheduled, {"attempt": 2, "wait": 1.5, "error_type": "ConnectionError"}),
        (AttemptFailed, {"attempt": 2, "error_type": "ConnectionError"}),
        (GivenUp, {"attempts": 2, "reason": "attempts", "error_type": "ConnectionError"}),
    ]
    assert all(one.error is error for one in seen)
    assert {one.policy for one in seen} == {"retry"}


def test_a_retry_that_judges_results_has_no_error_to_tell() -> None:
    """The type is "result", the error None."""
    with heard() as seen:
        retry(on=OSError, on_result=lambda result: result == "bad", attempts=1).call(lambda: "bad")
    assert [(type(one), one.error, one.error_type) for one in seen] == [
        (AttemptFailed, None, "result"),
        (GivenUp, None, "result"),
    ]


@pytest.mark.parametrize(
    ("reason", "make"),
    [
        ("attempts", lambda: retry(on=ConnectionError, attempts=1)),
        ("within", lambda: retry(on=ConnectionError, wait=5.0, within=1.0)),
        ("stop", lambda: retry(on=ConnectionError, stop=lambda state: True)),
        ("hook", lambda: retry(on=ConnectionError, wait=lambda attempt: "soon")),
        ("budget", lambda: retry(on=ConnectionError, budget=empty_budget())),
    ],
)
def test_giving_up_has_a_reason(reason: str, make: Callable[[], Any]) -> None:
    """So that an operator knows which knob it was."""
    with virtual_time(), heard(GivenUp) as seen, pytest.raises(ConnectionError):
        make().call(down)
    assert [one.reason for one in seen] == [reason]


def empty_budget() -> RetryBudget:
    budget = RetryBudget(fresh(), tokens=1, cost=1)
    assert budget.core.spend()
    return budget


def test_giving_up_for_the_deadline() -> None:
    """The deadline around it is a reason too."""
    with virtual_time(), heard(GivenUp) as seen, deadline(1.0), pytest.raises(ConnectionError):
        retry(on=ConnectionError, wait=5.0).call(down)
    assert [one.reason for one in seen] == ["deadline"]


def test_giving_up_because_the_task_is_cancelled() -> None:
    """A function that turns its cancellation into an error of its own is not called again."""

    async def stubborn() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise ConnectionError from None

    async def main() -> None:
        task = asyncio.ensure_future(retry(on=ConnectionError).acall(stubborn))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(ConnectionError):
            await task

    with heard(GivenUp) as seen:
        asyncio.run(main())
    assert [one.reason for one in seen] == ["cancelled"]


def test_the_docs_of_an_event_name_the_kinds_of_policy_that_send_any() -> None:
    """All of them, and no other: a reader filters by these words."""
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    with heard() as seen, deadline(0):
        for policy in (breaker(), Bulkhead(fresh(), limit=1), retry(on=OSError), timeout(1.0, cooperative=True)):
            with pytest.raises(DeadlineExpiredError):
                policy.call(len, "")
        assert fallback(0, on=ConnectionError).call(down) == 0
        with faults.enabled():
            pass
        with (
            resilix.httpx.Client(policy=pipeline(fallback(None, on=KeyError)), transport=transport) as client,
            pytest.raises(DeadlineExpiredError),
        ):
            client.get("http://quotes.test/")
    told = inspect.getdoc(Event) or ""
    named = re.findall(r'"(\w+)"', told.partition("policy:")[2].partition("name:")[0])
    assert sorted(named) == sorted({one.policy for one in seen})


def test_a_breaker_tells_its_story() -> None:
    """Admitted, opened, refused, half-open with a probe, closed."""
    now = [100.0]
    quotes = breaker(consecutive=1, open_for=30.0, probe_lease=9.0, clock=lambda: now[0])
    with heard() as seen:
        with pytest.raises(ConnectionError):
            quotes.call(down)
        now[0] += 10
        with pytest.raises(CircuitOpenError):
            quotes.call(down)
        now[0] += 20
        quotes.call(len, "")
    assert [(type(one), facts(one)) for one in seen] == [
        (CallAdmitted, {}),
        (Transition, transition("closed", "open", "consecutive failures", 1)),
        (CallRefused, {"kind": "circuit_open", "retry_after": 20.0}),
        (Transition, transition("open", "half_open", "open time over", 1)),
        (CallAdmitted, {}),
        (ProbeAdmitted, {"lease": 9.0}),
        (Transition, transition("half_open", "closed", "probes succeeded", 0)),
    ]
    assert {(one.policy, one.name) for one in seen} == {("breaker", quotes.name)}


def transition(old: str, new: str, reason: str, opening: int, mode: str = "normal") -> dict[str, Any]:
    return {"from_state": old, "to_state": new, "mode": mode, "reason": reason, "opening": opening}


def test_a_person_taking_over_is_told() -> None:
    """Each control is a transition with its mode and reason; one that changes nothing is none."""
    quotes = breaker()
    with heard(Transition) as seen:
        quotes.open(reason="maintenance")
        quotes.close()
        quotes.force_open()
        quotes.close()
        quotes.disable()
        quotes.observe()
        quotes.close()
    told = [(one.from_state, one.to_state, one.mode) for one in seen]
    assert told == [
        ("closed", "open", "normal"),
        ("open", "closed", "normal"),
        ("closed", "open", "forced_open"),
        ("open", "closed", "normal"),
        ("closed", "closed", "disabled"),
        ("closed", "closed", "observing"),
        ("closed", "closed", "normal"),
    ]
    assert seen[0].reason == "maintenance"


def test_a_breaker_that_only_observes_tells_what_it_would_have_done() -> None:
    """Once per trip, not once per call."""
    quotes = breaker(consecutive=2)
    quotes.observe()
    with heard(TripObserved, Transition, CallRefused) as seen:
        for _ in range(5):
            with pytest.raises(ConnectionError):
                quotes.call(down)
    assert [(type(one), one.reason) for one in seen] == [(TripObserved, "consecutive failures")]


def test_a_bulkhead_tells_who_got_in() -> None:
    """Admitted and refused, under its name."""
    slots = Bulkhead(fresh(), limit=1)
    with heard() as seen, slots.acquire(), pytest.raises(BulkheadFullError):
        slots.call(len, "")
    assert [(type(one), facts(one)) for one in seen] == [
        (CallAdmitted, {}),
        (CallRefused, {"kind": "bulkhead_full", "retry_after": None}),
    ]
    assert {(one.policy, one.name) for one in seen} == {("bulkhead", slots.name)}


def test_no_time_left_is_told() -> None:
    """By each policy under its kind, and under its name where it has one."""
    quotes, slots = breaker(), Bulkhead(fresh(), limit=1)
    policies = [retry(on=OSError), quotes, slots, timeout(1.0), timeout(1.0, cooperative=True)]
    with heard() as seen, deadline(0):
        for policy in policies:
            with pytest.raises(RejectedError):
                policy.call(down)
    assert [(type(one), one.policy, facts(one)) for one in seen] == [
        (CallRefused, kind, {"kind": "deadline_expired", "retry_after": None})
        for kind in ("retry", "breaker", "bulkhead", "timeout", "timeout")
    ]
    assert (seen[0].name, seen[2].name) == ("down", slots.name)


def test_a_timeout_tells() -> None:
    """Ended when async; abandoned when sync, because the thread goes on."""
    release = threading.Event()
    with virtual_time(), heard(TimedOut) as seen:
        with pytest.raises(TimeoutExceededError):
            asyncio.run(timeout(2.0).acall(asyncio.sleep, 10))
    assert [facts(one) for one in seen] == [{"seconds": 2.0, "abandoned": False}]
    with heard(TimedOut) as seen, pytest.raises(TimeoutExceededError):
        timeout(0.02).call(release.wait, 30)
    release.set()
    assert [facts(one) for one in seen] == [{"seconds": 0.02, "abandoned": True}]


def test_a_fallback_tells() -> None:
    """Which error it stood in for."""
    with heard() as seen:
        fallback(None, on=ConnectionError).call(down)
    assert [(type(one), one.policy, one.name, facts(one)) for one in seen] == [
        (FallbackServed, "fallback", "down", {"error_type": "ConnectionError"})
    ]


def broken(*args: Any) -> Any:
    raise LookupError("secret")


@pytest.mark.parametrize(
    ("policy", "hook", "make"),
    [
        ("retry", "on", lambda: retry(on=broken)),
        ("retry", "wait", lambda: retry(on=ConnectionError, wait=broken)),
        ("retry", "stop", lambda: retry(on=ConnectionError, stop=broken)),
        ("breaker", "on", lambda: breaker(on=broken)),
        ("breaker", "ignore", lambda: breaker(ignore=broken)),
        ("breaker", "open_for", lambda: breaker(consecutive=1, open_for=broken)),
        ("fallback", "on", lambda: fallback(None, on=broken)),
    ],
)
def test_broken_code_of_yours_is_told(
    policy: str, hook: str, make: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Which policy, which option, which error; the caller sees only the function's own error."""
    caplog.set_level(logging.CRITICAL, "resilix")
    before = events.hook_errors()
    with heard(HookError) as seen, pytest.raises(ConnectionError):
        make().call(down)
    assert [(one.policy, one.hook, one.error_type) for one in seen] == [(policy, hook, "LookupError")]
    assert isinstance(seen[0].error, LookupError)
    assert events.hook_errors() == before + 1


@pytest.mark.parametrize("make", [lambda: retry(on=OSError, on_result=broken), lambda: breaker(on_result=broken)])
def test_a_broken_result_predicate_is_told(make: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    """The result stands."""
    caplog.set_level(logging.CRITICAL, "resilix")
    with heard(HookError) as seen:
        assert make().call(len, "abc") == 3
    assert [one.hook for one in seen] == ["on_result"]


# -- subscribing -----------------------------------------------------------------------------------------------


def test_unsubscribing_ends_it() -> None:
    """And may be repeated."""
    seen: list[Event] = []
    stop = events.subscribe(seen.append)
    fallback(None, on=ConnectionError).call(down)
    assert len(seen) == 1
    stop()
    stop()
    fallback(None, on=ConnectionError).call(down)
    assert len(seen) == 1


def test_the_same_listener_twice_hears_twice() -> None:
    """Each subscription ends by itself."""
    seen: list[Event] = []
    first, second = events.subscribe(seen.append), events.subscribe(seen.append)
    fallback(None, on=ConnectionError).call(down)
    assert len(seen) == 2
    first()
    first()
    fallback(None, on=ConnectionError).call(down)
    assert len(seen) == 3
    second()
    fallback(None, on=ConnectionError).call(down)
    assert len(seen) == 3


@pytest.mark.parametrize("listener", [None, 3, "print"])
def test_a_listener_can_be_called(listener: Any) -> None:
    """Refused where it is subscribed."""
    with pytest.raises(ConfigurationError, match=r"a listener is called with each event; write subscribe\(print\)"):
        events.subscribe(listener)


def test_a_listener_is_not_async() -> None:
    """Nobody would await it."""

    async def listener(event: Event) -> None: ...

    class Listener:
        async def __call__(self, event: Event) -> None: ...

    for one in (listener, Listener()):
        with pytest.raises(ConfigurationError, match="it is async, and nobody awaits a listener; write a plain def"):
            events.subscribe(one)


def test_listeners_hear_in_the_callers_thread_and_context() -> None:
    """So that a listener can read the caller's context variables."""
    import contextvars

    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    request.set("r-1")
    seen: list[tuple[str, int]] = []
    stop = events.subscribe(lambda event: seen.append((request.get(), threading.get_ident())))
    try:
        fallback(None, on=ConnectionError).call(down)
    finally:
        stop()
    assert seen == [("r-1", threading.get_ident())]


# -- listeners that misbehave ----------------------------------------------------------------------------------


def test_a_broken_listener_is_counted_logged_once_and_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets their answer, the other listeners their events, the log one line without the error's text."""

    def listener(event: Event) -> None:
        raise LookupError("hunter2")

    before = events.hook_errors()
    stop = events.subscribe(listener)
    with caplog.at_level(logging.DEBUG, "resilix"), heard() as seen:
        for _ in range(5):
            assert fallback("instead", on=ConnectionError).call(down) == "instead"
    stop()
    assert len(seen) == 5
    assert events.hook_errors() == before + 5
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("resilix", logging.ERROR)
    assert "LookupError" in record.getMessage()
    assert "listener" in record.getMessage()
    assert "hunter2" not in caplog.text


def test_what_a_listener_is_called_shows_nothing_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the arguments of a partial nor the repr of an object is logged."""

    class Sink:
        def __repr__(self) -> str:
            return "Sink(token=hunter2)"

        def __call__(self, *args: Any) -> None:
            raise LookupError

    stops = [events.subscribe(Sink()), events.subscribe(functools.partial(broken, "hunter2"))]
    with caplog.at_level(logging.DEBUG, "resilix"):
        fallback(None, on=ConnectionError).call(down)
    for stop in stops:
        stop()
    assert len(caplog.records) == 2
    assert "hunter2" not in caplog.text


def test_a_new_subscription_is_logged_anew(caplog: pytest.LogCaptureFixture) -> None:
    """Once means once per subscription, not once per process."""
    with caplog.at_level(logging.DEBUG, "resilix"):
        for _ in range(3):
            stop = events.subscribe(broken)
            fallback(None, on=ConnectionError).call(down)
            fallback(None, on=ConnectionError).call(down)
            stop()
            assert events.HUB.logged == set()  # nothing is kept of a listener that is gone
    assert len(caplog.records) == 3


def test_the_memory_of_what_was_logged_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Ever new names do not fill it; they are still counted."""
    hub = events.Hub()
    with caplog.at_level(logging.DEBUG, "resilix"):
        for number in range(400):
            hub.hook_failed("retry", f"function {number}", "on", LookupError())
    assert hub.hook_errors == 400
    assert len(hub.logged) == len(caplog.records) <= 256


def test_an_interrupt_in_a_listener_is_not_swallowed() -> None:
    """Ctrl-C while a listener runs is Ctrl-C."""

    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    stop = events.subscribe(interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            fallback(None, on=ConnectionError).call(down)
    finally:
        stop()
    assert fallback(None, on=ConnectionError).call(down) is None


def test_a_listener_may_call_guarded_functions() -> None:
    """It hears nothing of what its calls cause, others do; nothing deadlocks, nothing runs for ever."""
    quotes, slots = breaker(consecutive=1), Bulkhead(fresh(), limit=5)
    inner = pipeline(fallback(0, on=Exception), retry(on=ConnectionError, attempts=2, wait=0), slots, quotes)
    mine: list[Event] = []

    def listener(event: Event) -> None:
        mine.append(event)
        inner.call(down)
        quotes.snapshot()

    stop = events.subscribe(listener)
    with heard() as others:
        with pytest.raises(ConnectionError):
            quotes.call(down)
    stop()
    assert [type(one) for one in mine] == [CallAdmitted]
    assert [type(one) for one in others].count(Transition) == 1
    assert [type(one) for one in others].count(FallbackServed) == 1
    assert slots.free == 5


def test_a_listener_may_take_over_the_breaker_it_is_told_about() -> None:
    """Its transition is announced after the one it is being told, in order, to everybody."""
    quotes = breaker(consecutive=1)

    def listener(event: Event) -> None:
        if isinstance(event, Transition) and event.reason == "consecutive failures":
            quotes.force_open()

    stop = events.subscribe(listener)
    with heard(Transition) as others, pytest.raises(ConnectionError):
        quotes.call(down)
    stop()
    assert [one.mode for one in others] == ["normal", "forced_open"]


def test_two_listeners_that_call_each_others_functions_come_to_an_end() -> None:
    """Each hears what the other causes, once."""
    heard_by: dict[str, int] = {"a": 0, "b": 0}

    def listener(name: str) -> Callable[[Event], None]:
        def listen(event: Event) -> None:
            heard_by[name] += 1
            fallback(None, on=ConnectionError).call(down)

        return listen

    stops = [events.subscribe(listener("a")), events.subscribe(listener("b"))]
    fallback(None, on=ConnectionError).call(down)
    for stop in stops:
        stop()
    assert heard_by == {"a": 2, "b": 2}


def test_a_listener_that_goes_through_a_worker_does_not_hear_itself_either() -> None:
    """A sync timeout runs its call in another thread: still the listener's own doing."""
    count: list[Event] = []

    def listener(event: Event) -> None:
        count.append(event)
        timeout(30.0).call(fallback(None, on=ConnectionError)(down))

    stop = events.subscribe(listener)
    fallback(None, on=ConnectionError).call(down)
    stop()
    assert len(count) == 1


def test_a_listener_may_unsubscribe_itself_and_others() -> None:
    """While it is being called."""
    seen: list[str] = []
    stops: list[Callable[[], None]] = []

    def listener(event: Event) -> None:
        seen.append("first")
        for stop in stops:
            stop()

    stops += [events.subscribe(listener), events.subscribe(lambda event: seen.append("second"))]
    for _ in range(2):
        fallback(None, on=ConnectionError).call(down)
    assert seen == ["first", "second"]  # the event under way is told to all who were there when it happened


def test_listeners_come_and_go_from_many_threads() -> None:
    """No subscription is lost, none is left."""
    before = events.HUB.listeners

    def churn() -> None:
        for _ in range(200):
            events.subscribe(lambda event: None)()

    threads = [threading.Thread(target=churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert events.HUB.listeners == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_can_subscribe() -> None:
    """Although another thread of the parent held the hub's lock at that moment."""
    code = """
import os, sys, threading
from resilix import events
held, done = threading.Event(), threading.Event()
def hold():
    with events.HUB._lock:
        held.set()
        done.wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    threading.Timer(20, lambda: os._exit(9)).start()
    events.subscribe(print)()
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# -- costs and secrets -----------------------------------------------------------------------------------------


def test_nobody_listens_and_no_event_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event class explodes when it is built; everything goes its way all the same."""

    def explode(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("an event was built for nobody")

    for kind in KINDS:
        monkeypatch.setattr(kind, "__init__", explode)
    assert events.HUB.listeners == ()
    now = [0.0]
    quotes = breaker(consecutive=1, open_for=1.0, clock=lambda: now[0])
    slots = Bulkhead(fresh(), limit=1)
    guard = pipeline(
        fallback("instead", on=(ConnectionError, RejectedError)),
        retry(on=ConnectionError, attempts=2, wait=0.0),
        quotes,
        slots,
    )
    for _ in range(3):
        assert guard.call(down) == "instead"
        assert asyncio.run(guard.acall(asyncio.sleep, 0, "fine")) in ("fine", "instead")
        now[0] += 1
    quotes.close()
    with slots.acquire():
        assert guard.call(len, "") == "instead"
    with deadline(0), pytest.raises(RejectedError):
        retry(on=OSError).call(down)
    with virtual_time(), pytest.raises(TimeoutExceededError):
        asyncio.run(timeout(1.0).acall(asyncio.sleep, 9))
    quotes.observe()
    with pytest.raises(ConnectionError):
        quotes.call(down)


def test_the_explosion_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above can fail: with a listener, events are built."""

    def explode(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("built")

    monkeypatch.setattr(FallbackServed, "__init__", explode)
    with heard(), pytest.raises(AssertionError, match="built"):
        fallback(None, on=ConnectionError).call(down)


@pytest.mark.parametrize("kind", KINDS)
def test_repr_hides_the_text_of_errors(kind: type[Any]) -> None:
    """The error is there for code to look at; printing an event shows its type alone."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        values[field.name] = ConnectionError("https://user:hunter2@host/?key=hunter2") if field.name == "error" else "x"
    event = kind(**values)
    assert "hunter2" not in repr(event)
    assert "hunter2" not in str(event)
    assert "hunter2" not in f"{event}"
    if "error" in values:
        assert "hunter2" in str(event.error)


@pytest.mark.parametrize("kind", KINDS)
def test_events_are_frozen(kind: type[Any]) -> None:
    """One listener cannot change what the next one hears."""
    event = kind(**{field.name: None for field in dataclasses.fields(kind)})
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.policy = "other"
    with pytest.raises((AttributeError, TypeError)):
        event.more = 1


def test_the_door_is_where_it_is_said_to_be() -> None:
    """From resilix import events."""
    assert resilix.events.subscribe is events.subscribe

"""``resilix.opentelemetry.trace_events``: what policies do is told to the current span, while it records."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.trace import INVALID_SPAN, use_span
from tests.support.front import breaker, fresh
from tests.support.otel_sdk import Spans, told

from resilix import (
    Bulkhead,
    ConfigurationError,
    RejectedError,
    TimeoutExceededError,
    events,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.opentelemetry import trace_events
from resilix.telemetry import logs_facts
from resilix.telemetry.otel_trace import TOLD
from resilix.testing import virtual_time

CANARY = "hunter2"
URL = f"https://user:{CANARY}@quotes.example/?token={CANARY}"


@pytest.fixture
def spans() -> Iterator[Spans]:
    """A tracer, and spans that are told what policies do."""
    stop = trace_events()
    yield Spans()
    stop()


def down(*args: Any, **kwargs: Any) -> Any:
    """Fail with something secret."""
    raise ConnectionError(URL)


def test_a_retry_is_told_to_the_span_around_it(spans: Spans) -> None:
    """When the next attempt comes and why, and that it was given up: units in the names."""
    with virtual_time(), pytest.raises(ConnectionError), spans.tracer.start_as_current_span("order"):
        pipeline(retry(on=ConnectionError, attempts=2, wait=1.5), name="quotes").call(down)
    who = {"resilix.policy": "retry", "resilix.name": "quotes", "error.type": "ConnectionError"}
    assert told(spans.only())[:2] == [
        ("resilix.retry_scheduled", {**who, "resilix.attempt": 2, "resilix.wait_s": 1.5}),
        ("resilix.given_up", {**who, "resilix.attempts": 2, "resilix.reason": "attempts"}),
    ]


def test_refusals_transitions_timeouts_and_fallbacks_are_told(spans: Spans) -> None:
    """Everything that is out of the ordinary in one trace."""
    quotes, slots = breaker(consecutive=1, open_for=30.0), Bulkhead(fresh(), limit=1)
    with virtual_time(), spans.tracer.start_as_current_span("order"):
        for _ in range(2):
            with pytest.raises((ConnectionError, RejectedError)):
                quotes.call(down)
        with slots.acquire(), pytest.raises(RejectedError):
            slots.call(len, "")
        with pytest.raises(TimeoutExceededError):
            asyncio.run(timeout(2.5).acall(asyncio.sleep, 9))
        assert fallback(None, on=ConnectionError).call(down) is None
    opened, refused, full, late, answered = told(spans.only())
    assert opened == (
        "resilix.transition",
        {
            "resilix.policy": "breaker",
            "resilix.name": quotes.name,
            "resilix.from_state": "closed",
            "resilix.to_state": "open",
            "resilix.mode": "normal",
            "resilix.reason": "consecutive failures",
            "resilix.opening": 1,
        },
    )
    assert (refused[0], refused[1]["resilix.kind"]) == ("resilix.call_refused", "circuit_open")
    assert refused[1]["resilix.retry_after_s"] == 30.0
    assert (full[0], full[1]["resilix.kind"]) == ("resilix.call_refused", "bulkhead_full")
    assert (late[0], late[1]["resilix.limit_s"], late[1]["resilix.abandoned"]) == ("resilix.timed_out", 2.5, False)
    assert (answered[0], answered[1]["error.type"]) == ("resilix.fallback_served", "ConnectionError")


def test_what_happens_every_time_is_not_told(spans: Spans) -> None:
    """A healthy call leaves no event, so that a span is not full of them."""
    quotes, slots = breaker(), Bulkhead(fresh(), limit=1)
    with spans.tracer.start_as_current_span("order"):
        pipeline(retry(on=OSError), quotes, slots).call(len, "")
    assert told(spans.only()) == []


def test_it_goes_to_the_innermost_span_of_the_caller(spans: Spans) -> None:
    """Spans of other threads are told nothing of it."""
    guard, started, go = fallback(None, on=ConnectionError), threading.Event(), threading.Event()

    def other() -> None:
        with spans.tracer.start_as_current_span("other"):
            started.set()
            go.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    started.wait(10)
    with spans.tracer.start_as_current_span("outer"), spans.tracer.start_as_current_span("inner"):
        guard.call(down)
    go.set()
    thread.join()
    assert {span.name: len(span.events) for span in spans.finished()} == {"inner": 1, "outer": 0, "other": 0}


def test_tasks_and_worker_threads_keep_the_span_of_their_caller(spans: Spans) -> None:
    """The context goes where the call goes."""

    async def order() -> None:
        with spans.tracer.start_as_current_span("task"):
            await asyncio.sleep(0)
            await asyncio.gather(*(fallback(None, on=OSError).acall(asyncio.to_thread, down) for _ in range(2)))

    asyncio.run(order())
    with spans.tracer.start_as_current_span("worker"):
        timeout(5.0).call(fallback(None, on=OSError).call, down)
    assert {span.name: len(span.events) for span in spans.finished()} == {"task": 2, "worker": 1}


def test_a_span_that_does_not_record_is_left_alone(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not sampled, ended, or none at all: no attributes are made."""

    def never(event: events.Event) -> dict[str, Any]:
        raise AssertionError("work for nothing")

    monkeypatch.setattr("resilix.telemetry.otel_trace._attributes_of", never)
    before, unsampled = events.hook_errors(), Spans(recording=False)
    with unsampled.tracer.start_as_current_span("unsampled"):
        fallback(None, on=ConnectionError).call(down)
    with use_span(INVALID_SPAN):
        fallback(None, on=ConnectionError).call(down)
    ended = spans.tracer.start_span("ended")
    ended.end()
    with use_span(ended):
        fallback(None, on=ConnectionError).call(down)
    assert events.hook_errors() == before
    assert told(spans.only()) == []


def test_nothing_secret_is_told(spans: Spans) -> None:
    """No exception text, no URL, no argument, no value: canaries in all of them, and none in any event of ours."""

    def predicate(error: Exception) -> bool:
        raise LookupError(URL)

    quotes = breaker(consecutive=1, on_result=lambda result: result["missing"])
    with spans.tracer.start_as_current_span("order"):
        guard = pipeline(fallback({"token": CANARY}, on=(ConnectionError, RejectedError)), retry(on=OSError, wait=0))
        guard.call(down, URL, key=CANARY)
        quotes.call(dict, token=CANARY)
        for _ in range(2):
            with pytest.raises((ConnectionError, RejectedError)):
                quotes.call(down, URL)
        with pytest.raises(ConnectionError):
            fallback(None, on=predicate).call(down, URL)
    seen = told(spans.only())
    assert {name for name, _ in seen} >= {"resilix.hook_error", "resilix.given_up", "resilix.call_refused"}
    assert CANARY not in repr(seen)


def test_every_fact_of_every_event_is_told_or_left_out_on_purpose() -> None:
    """A new field has to be given a name with its unit, or it stays inside."""
    inside = {"policy", "name", "error", "attributes"}
    for kind in logs_facts.KINDS:
        assert {field.name for field in dataclasses.fields(kind)} <= set(logs_facts.NAMES) | inside
    ordinary = {events.CallAdmitted, events.ProbeAdmitted, events.AttemptFailed}
    assert set(TOLD) == logs_facts.KINDS - ordinary


def test_a_failure_that_was_an_answer_has_no_exception_to_name(spans: Spans) -> None:
    """A result that was judged a failure is told as "result"."""
    with spans.tracer.start_as_current_span("order"):
        retry(on=OSError, on_result=lambda result: not result, attempts=2, wait=0).call(int)
    assert [facts["error.type"] for _, facts in told(spans.only())] == ["result", "result"]


def test_telling_twice_is_refused_and_ending_makes_room(spans: Spans) -> None:
    """Each event would be there twice; the function that ends it may be called twice."""
    with pytest.raises(ConfigurationError, match=r"spans are told already, .* call it once"):
        trace_events()


def test_after_the_end_nothing_is_told_and_nothing_is_spent() -> None:
    """The hub is as empty as before, and it may begin again."""
    before, spans = events.HUB.listeners, Spans()
    first = trace_events()
    first()
    first()
    assert events.HUB.listeners == before
    second = trace_events()
    first()  # of one that has ended: it does not end another
    with spans.tracer.start_as_current_span("order"):
        fallback(None, on=ConnectionError).call(down)
    second()
    with spans.tracer.start_as_current_span("later"):
        fallback(None, on=ConnectionError).call(down)
    assert {span.name: len(span.events) for span in spans.finished()} == {"order": 1, "later": 0}


def test_importing_it_subscribes_to_nothing() -> None:
    """The quiet path stays the quiet path until somebody asks for span events."""
    code = (
        "import resilix.opentelemetry as ours; from resilix.events import HUB; assert HUB.listeners == (); "
        "stop = ours.trace_events(); assert len(HUB.listeners) == 1; stop(); assert HUB.listeners == ()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

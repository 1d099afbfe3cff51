"""Beside the official instrumentations of httpx and httpx2: a span for each attempt, numbered; events on the parent."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from tests.support.http_lanes import Lane, unique
from tests.support.otel_sdk import Spans, told

import resilix.httpx
import resilix.httpx2
from resilix.opentelemetry import async_request_hook, request_hook, trace_events
from resilix.testing import FaultServer, steps

LANES = [
    Lane(door, library, backend)
    for door, library in ((resilix.httpx, httpx), (resilix.httpx2, httpx2))
    for backend in (None, "asyncio", "trio")
]
CANARY = "hunter2"
RESENT = "http.request.resend_count"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server for one test."""
    with FaultServer() as made:
        yield made


@pytest.fixture(params=LANES, ids=str)
def lane(request: pytest.FixtureRequest) -> Lane:
    """One way to send."""
    given: Lane = request.param
    return given


@pytest.fixture
def spans() -> Iterator[Spans]:
    """A tracer, and spans that are told what policies do."""
    stop = trace_events()
    yield Spans()
    stop()


@contextmanager
def instrumented(lane: Lane, spans: Spans, **hooks: Any) -> Iterator[None]:
    """The official instrumentation of the lane's library, on all its clients."""
    made: Any = HTTPXClientInstrumentor() if lane.library is httpx else HTTPX2ClientInstrumentor()
    made.instrument(tracer_provider=spans.provider, **hooks)
    try:
        yield
    finally:
        made.uninstrument()


OURS = {"request_hook": request_hook, "async_request_hook": async_request_hook}


def attempts(spans: Spans) -> list[ReadableSpan]:
    """The spans of the requests, in order."""
    return [span for span in spans.finished() if span.kind is SpanKind.CLIENT]


def counts(spans: Spans) -> list[Any]:
    """The resend count of each request's span."""
    return [(span.attributes or {}).get(RESENT) for span in attempts(spans)]


def order(spans: Spans) -> ReadableSpan:
    """The span around the call."""
    return next(span for span in spans.finished() if span.kind is not SpanKind.CLIENT)


def test_each_attempt_is_a_span_and_the_resent_ones_are_numbered(lane: Lane, spans: Spans, server: FaultServer) -> None:
    """503, 503, 200: three spans under one parent, without a number, with 1 and with 2."""
    server.script("/ACME", 503, 503, 200)
    policy = lane.door.standard(unique(lane), wait=0)
    with instrumented(lane, spans, **OURS), lane.guarded(policy, base_url=server.url) as session:
        with spans.tracer.start_as_current_span("order"):
            assert session.get("/ACME").status_code == 200
    parent = order(spans)
    assert counts(spans) == [None, 1, 2]
    assert [span.parent and span.parent.span_id for span in attempts(spans)] == [parent.context.span_id] * 3
    assert [name for name, _ in told(parent)] == ["resilix.retry_scheduled"] * 2
    assert all(not told(span) for span in attempts(spans))


def test_the_events_say_what_the_request_was(lane: Lane, spans: Spans, server: FaultServer) -> None:
    """Under the names of OpenTelemetry's conventions: method, status, host and port, and no URL."""
    server.script("/ACME", 503)
    policy = lane.door.standard(unique(lane), wait=0)
    with lane.guarded(policy, base_url=server.url) as session, spans.tracer.start_as_current_span("order"):
        session.get("/ACME", params={"token": CANARY}, headers={"authorization": CANARY})
    ((name, facts),) = told(spans.only())
    assert name == "resilix.retry_scheduled"
    assert {key: value for key, value in facts.items() if not key.startswith("resilix.")} == {
        "error.type": "result",
        "http.request.method": "GET",
        RESENT: 0,
        "http.response.status_code": 503,
        "server.address": "127.0.0.1",
        "server.port": server.port,
    }
    assert facts["resilix.attempt"] == 2
    assert CANARY not in repr(facts)
    assert "ACME" not in repr(facts)


def test_the_server_sees_another_parent_with_each_attempt(lane: Lane, spans: Spans, server: FaultServer) -> None:
    """The traceparent of an attempt names its own span, so a server's spans hang where they belong."""
    server.script("/ACME", 503, steps.reset("after_head"), 200)
    policy = lane.door.standard(unique(lane), wait=0)
    with instrumented(lane, spans, **OURS), lane.guarded(policy, base_url=server.url) as session:
        session.get("/ACME")
    sent = [span.context.span_id for span in attempts(spans)]
    assert counts(spans) == [None, 1, 2]
    assert [int(one.headers["traceparent"].split("-")[2], 16) for one in server.seen] == sent


def test_a_refusal_has_no_span_of_its_own(lane: Lane, spans: Spans, server: FaultServer) -> None:
    """Nothing was sent: the parent is told of it, and of the breaker that opened."""
    server.always("/ACME", 500)
    policy = lane.door.standard(unique(lane), attempts=1, breaker={"consecutive": 1})
    with instrumented(lane, spans, **OURS), lane.guarded(policy, base_url=server.url) as session:
        with spans.tracer.start_as_current_span("order"):
            session.get("/ACME")
            with pytest.raises(resilix.CircuitOpenError):
                session.get("/ACME")
    assert len(attempts(spans)) == 1
    assert [name for name, _ in told(order(spans))] == ["resilix.transition", "resilix.call_refused"]


def test_a_client_instrumented_by_itself_has_one_span_for_the_call(server: FaultServer, spans: Spans) -> None:
    """``instrument_client`` looks from outside our transport: it sees one call, which is told of the retries."""
    server.script("/ACME", 503, 503, 200)
    with resilix.httpx.Client(policy=resilix.httpx.standard("by-itself", wait=0), base_url=server.url) as client:
        HTTPXClientInstrumentor.instrument_client(client, tracer_provider=spans.provider, request_hook=request_hook)
        assert client.get("/ACME").status_code == 200
    assert counts(spans) == [None]
    assert [name for name, _ in told(spans.only())] == ["resilix.retry_scheduled"] * 2


def test_clients_that_are_not_ours_are_left_alone(lane: Lane, spans: Spans, server: FaultServer) -> None:
    """The hook sets nothing on a request that no policy of ours sent."""
    with instrumented(lane, spans, **OURS), lane.session(lambda: lane.plain_class(base_url=server.url)) as session:
        session.get("/ACME")
    assert counts(spans) == [None]


@pytest.mark.parametrize("extensions", [None, {}, {"resilix.attempt": 1}, {"resilix.attempt": "2"}])
def test_the_hook_sets_nothing_on_a_first_request(spans: Spans, extensions: dict[str, Any] | None) -> None:
    """Nor where there is no number, or something that is none."""
    with spans.tracer.start_as_current_span("request") as span:
        request_hook(span, SimpleNamespace(extensions=extensions))
    assert RESENT not in (spans.only().attributes or {})


def test_the_hook_may_be_called_by_a_hook_of_yours(spans: Spans) -> None:
    """It takes the span and anything with extensions; on a span that does not record it does nothing."""
    request = SimpleNamespace(extensions={"resilix.attempt": 3})
    with spans.tracer.start_as_current_span("request") as span:
        request_hook(span, request)
    assert (spans.only().attributes or {})[RESENT] == 2
    with Spans(recording=False).tracer.start_as_current_span("request") as span:
        request_hook(span, request)
    assert inspect.iscoroutinefunction(async_request_hook)  # the instrumentation tells them apart by it

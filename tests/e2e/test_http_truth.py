"""Random trouble, and the server's truth: its counters equal ours, and no promise about resending is broken."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.http_lanes import Lane, lanes, unique

from resilix import events
from resilix.telemetry.logs import log_events
from resilix.testing import FaultServer, steps

LEFT = r"Exception ignored in. <async_generator object (Byte|Multipart)Stream"
pytestmark = pytest.mark.filterwarnings(f"ignore:{LEFT}:pytest.PytestUnraisableExceptionWarning")

TROUBLE: list[Any] = [
    200, 200, 204, 404, 408, 429, 500, 501, 502, 503, 504,
    steps.reply(503, headers={"Retry-After": "0"}), steps.reply(503, headers={"Retry-After": "9999"}),
    steps.reply(200, b"x" * 5000, chunked=True), steps.reply(200, b"bye", keep_alive=False),
    steps.reset("request"), steps.reset("head"), steps.reset("after_head"), steps.reset("mid_body"),
    steps.close("request"), steps.close("head"), steps.close("mid_body"), steps.bad_chunk(), steps.garbage(),
    steps.endless(503), steps.drip(503, b"z" * 500, every=0.02), steps.gzip_bomb(500, 10**7),
]  # fmt: skip
CALLS = 40
ATTEMPTS = 3
MAY_BE_SENT_AGAIN = {"GET", "PUT", "DELETE", "POST with a key"}


@pytest.fixture(name="server")
def a_server() -> Iterator[FaultServer]:
    """A fault server for one test."""
    with FaultServer() as server:
        yield server


@lanes
def test_the_servers_truth_equals_our_counters(lane: Lane, server: FaultServer) -> None:
    """Whatever happens: as many requests as attempts, never more than allowed, the same bytes and key on each."""
    chance = random.Random(str(lane))
    # An endless answer is read until the deadline: a gigabyte in five seconds.
    policy = lane.door.standard(unique(lane), wait=0, attempts=ATTEMPTS, breaker=None, budget=None, within=1.0)
    bodies = {"GET": b"", "DELETE": b"", "PUT": b"p" * 3000, "POST": b"order", "POST with a key": b"order"}
    with lane.guarded(policy) as there:
        for number in range(CALLS):
            kind = chance.choice(list(bodies))
            server.script(f"/{number}", *chance.choices(TROUBLE, k=ATTEMPTS))
            headers = {"X-Request-Id": str(number)}
            if kind == "POST with a key":
                headers["Idempotency-Key"] = f"key-{number}"
            try:
                reply = there.request(
                    kind.partition(" ")[0], f"{server.url}/{number}", content=bodies[kind], headers=headers
                )
            except lane.library.TransportError:
                reply = None
            seen = server.attempts(str(number))
            assert 1 <= len(seen) <= (ATTEMPTS if kind in MAY_BE_SENT_AGAIN else 1), (kind, seen)
            assert len({(one.body_sha256, one.headers.get("idempotency-key")) for one in seen if one.complete}) <= 1
            if reply is not None:
                assert reply.extensions["resilix.attempts"] == len(seen)
    assert policy.calls_total == CALLS
    assert policy.attempts_total == len(server.seen)


CANARIES = ("canary-query", "canary-user", "canary-password", "canary-header", "canary-body", "canary-cookie")


@lanes
def test_nothing_secret_is_said(lane: Lane, server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    """Not in an event, a log line, a refusal or a note: no query, userinfo, header or body."""
    caplog.set_level(logging.DEBUG, logger="resilix")
    said: list[str] = []
    stop, quiet = events.subscribe(lambda event: said.append(repr(event))), log_events()
    policy = lane.door.standard(
        unique(lane), wait=0, within=0.5, attempt_timeout=0.1, breaker={"consecutive": 4}, idempotency_key="bare"
    )
    url = f"http://canary-user:canary-password@{server.host}:{server.port}/x?token=canary-query"
    request: dict[str, Any] = {
        "headers": {"Authorization": "Bearer canary-header", "Cookie": "canary-cookie"},
        "content": b"canary-body",
    }
    server.script("/x", 503, steps.reset("head"), steps.hang(), 503)
    try:
        with lane.guarded(policy) as there:
            for _ in range(4):
                try:
                    there.post(url, **request)
                except lane.library.TransportError as error:
                    said += [str(error), repr(error), *getattr(error, "__notes__", ())]
                    said += traceback.format_exception_only(error)
    finally:
        stop()
        quiet()
    said += [record.getMessage() + repr(vars(record)) for record in caplog.records if record.name.startswith("resilix")]
    assert any("CircuitOpenError" in one for one in said), "the story was told to its end"
    told = "\n".join(said)
    assert [canary for canary in CANARIES if canary in told] == []

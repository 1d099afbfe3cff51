"""A transport with a policy: what is sent again, what the caller sees, and who holds a permit for how long."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.http_lanes import Lane, Session, lanes, unique

import resilix
from resilix import Bulkhead, CircuitBreaker, CircuitState, pipeline, retry, timeout

URL = "http://quotes.test/ACME"


class Server:
    """Answers by script, and remembers what it was asked."""

    def __init__(self, lane: Lane, *script: Any) -> None:
        self.lane = lane
        self.script = list(script)
        self.seen: list[Any] = []

    def __call__(self, request: Any) -> Any:
        self.seen.append(request)
        step = self.script.pop(0) if self.script else 200
        if isinstance(step, type) and issubclass(step, Exception):
            raise step("scripted")
        if isinstance(step, Exception):
            raise step
        if isinstance(step, int):
            return self.lane.library.Response(step, text=f"status {step}")
        return step(request) if callable(step) else step


def serve(lane: Lane, *script: Any, **options: Any) -> tuple[Server, Any, Any]:
    """A scripted server, the policy, and a session of a client with that policy."""
    server = Server(lane, *script)
    settings: dict[str, Any] = {"wait": 0, **options}
    policy = lane.door.standard(unique(lane), **settings)
    return server, policy, lane.guarded(policy, transport=lane.mock(server))


def body(lane: Lane, chunks: list[bytes], end: Exception | None = None) -> Callable[[Any], Any]:
    """A step that answers 200 with a body in pieces, which may die at its end."""

    def pieces() -> Iterator[bytes]:
        yield from chunks
        if end is not None:
            raise end

    async def apieces() -> Any:
        for chunk in chunks:
            yield chunk
        if end is not None:
            raise end

    def step(request: Any) -> Any:
        return lane.library.Response(200, content=pieces() if lane.backend is None else apieces())

    return step


# -- what is sent again ----------------------------------------------------------------------------------------


@lanes
def test_a_get_is_sent_again_after_an_error_and_after_a_503(lane: Lane) -> None:
    """Two failures, one answer; the caller sees the answer."""
    server, policy, session = serve(lane, lane.library.ConnectError, 503, 200)
    with session as there:
        reply = there.get(URL)
    assert (reply.status_code, len(server.seen)) == (200, 3)
    assert (policy.calls_total, policy.attempts_total, policy.rejected_total) == (1, 3, 0)
    assert reply.extensions["resilix.attempts"] == 3


@lanes
def test_a_post_that_may_have_arrived_is_not_sent_again(lane: Lane) -> None:
    """A 503 comes back as it is, and so does a read error."""
    server, _, session = serve(lane, 503, lane.library.ReadError, lane.library.ConnectError, 200)
    with session as there:
        assert there.post(URL, content=b"order").status_code == 503
        with pytest.raises(lane.library.ReadError):
            there.post(URL, content=b"order")
        assert len(server.seen) == 2
        assert there.post(URL, content=b"order").status_code == 200, "a connect error proves that nothing was sent"
    assert len(server.seen) == 4


@lanes
def test_after_the_last_attempt_the_real_answer_is_returned(lane: Lane) -> None:
    """Not an exception: status, headers and body of the last answer."""
    server, _, session = serve(lane, 503, 503, 429, attempts=3)
    with session as there:
        reply = there.get(URL)
    assert (reply.status_code, reply.text, len(server.seen)) == (429, "status 429", 3)


@lanes
def test_the_last_error_comes_through_as_it_is(lane: Lane) -> None:
    """The same object, with its request, and a note how often it was tried."""
    last = lane.library.ReadTimeout("slow")
    _, _, session = serve(lane, lane.library.ConnectError, last, attempts=2)
    with session as there, pytest.raises(lane.library.ReadTimeout) as caught:
        there.get(URL)
    assert caught.value is last
    assert "2 attempts" in last.__notes__[0]


@lanes
def test_a_body_that_dies_is_an_attempt_that_failed(lane: Lane) -> None:
    """Unless it is streamed, when the caller has seen some of it already."""
    dying = body(lane, [b"half"], lane.library.ReadError("gone"))
    server, _, session = serve(lane, dying, body(lane, [b"who", b"le"]), dying)
    with session as there:
        assert there.get(URL).content == b"whole"
        assert len(server.seen) == 2
        response = there.open("GET", URL)
        with pytest.raises(lane.library.ReadError):
            there.read(response)
    assert len(server.seen) == 3


@lanes
def test_a_one_shot_body_gets_one_attempt_and_the_original_answer(lane: Lane) -> None:
    """A generator cannot be sent twice; it is known before the first attempt."""

    def pieces() -> Iterator[bytes]:
        yield b"one"

    async def apieces() -> Any:
        yield b"one"

    content = pieces() if lane.backend is None else apieces()
    server, _, session = serve(lane, 503, 200)
    with session as there:
        assert there.request("PUT", URL, content=content).status_code == 503
    assert len(server.seen) == 1


@lanes
def test_a_caller_may_say_that_a_request_is_safe_to_repeat(lane: Lane) -> None:
    """By an idempotency key of its own, or by an extension of the request."""
    server, _, session = serve(lane, 503, 200, 503, 200)
    with session as there:
        assert there.post(URL, headers={"Idempotency-Key": "k1"}).status_code == 200
        assert there.post(URL, extensions={"resilix.idempotent": True}).status_code == 200
    assert len(server.seen) == 4
    assert {request.headers.get("idempotency-key") for request in server.seen} == {"k1", None}


@lanes
def test_one_key_per_call_the_same_on_each_attempt(lane: Lane) -> None:
    """And another one for the next call; the caller's request is left alone."""
    server, _, session = serve(lane, 503, 200, 200, idempotency_key="quoted")
    with session as there:
        reply = there.post(URL)
        there.post(URL)
        there.get(URL)
    keys = [request.headers.get("idempotency-key") for request in server.seen]
    assert keys[0] == keys[1] != keys[2]
    assert keys[0].startswith('"')
    assert keys[3] is None, "GET is idempotent by itself"
    assert "idempotency-key" not in reply.request.headers


@lanes
def test_one_key_per_call_over_redirects_too(lane: Lane) -> None:
    """307 repeats the request elsewhere on the same host: it is the same call."""

    def redirect(request: Any) -> Any:
        return lane.library.Response(307, headers={"Location": "/other"})

    server, policy, session = serve(lane, redirect, 200, idempotency_key="bare")
    with session as there:
        assert there.post(URL, follow_redirects=True).status_code == 200
    assert len({request.headers["idempotency-key"] for request in server.seen}) == 1
    assert policy.calls_total == 2


@lanes
def test_users_rules_come_first(lane: Lane) -> None:
    """A classify function may retry what ours would not, and leave the rest to ours."""
    ruling = lane.door.Ruling(retry=True, verdict=resilix.Verdict.FAILURE, why="our gateway says so")

    def classify(exchange: Any) -> Any:
        return ruling if exchange.status == 520 else None

    server, _, session = serve(lane, 520, 503, 200, 503, classify=classify)
    with session as there:
        assert there.get(URL).status_code == 200
        assert there.post(URL).status_code == 503
    assert len(server.seen) == 4


# -- Retry-After -----------------------------------------------------------------------------------------------


@lanes
def test_a_wait_beyond_the_cap_returns_the_answer_at_once(lane: Lane) -> None:
    """The caller can do more with a 429 now than with silence for an hour."""

    def later(request: Any) -> Any:
        return lane.library.Response(429, headers={"Retry-After": "3600"})

    server, _, session = serve(lane, later)
    with session as there:
        assert there.get(URL).status_code == 429
    assert len(server.seen) == 1


def test_a_retry_after_is_never_undercut() -> None:
    """Seven seconds asked for, at least seven waited, little more."""
    from resilix.testing import virtual_time

    lane = next(one for one in _all() if str(one) == "httpx-sync")

    def later(request: Any) -> Any:
        return lane.library.Response(503, headers={"Retry-After": "7"})

    with virtual_time() as clock:
        server, _, session = serve(lane, later, 200)
        with session as there:
            assert there.get(URL).status_code == 200
    assert len(server.seen) == 2
    assert len(clock.sleeps) == 1
    assert 7.0 <= clock.sleeps[0] <= 7.7


def test_a_retry_after_of_nothing_does_not_undercut_the_schedule() -> None:
    """A server whose clock is late names a date that has passed; it is not hammered for it."""
    from resilix.testing import virtual_time

    lane = next(one for one in _all() if str(one) == "httpx-sync")

    def at_once(request: Any) -> Any:
        return lane.library.Response(503, headers={"Retry-After": "0"})

    with virtual_time() as clock:
        _, _, session = serve(lane, at_once, 200, wait=5.0)
        with session as there:
            assert there.get(URL).status_code == 200
    assert clock.sleeps == [5.0]


def _all() -> list[Lane]:
    from tests.support.http_lanes import LANES

    return LANES


# -- refusals --------------------------------------------------------------------------------------------------


@lanes
def test_a_refusal_is_an_error_of_the_library_too(lane: Lane) -> None:
    """Existing ``except httpx.TransportError`` holds; nothing was sent; it survives pickling."""
    server, policy, session = serve(lane)
    with session as there:
        there.get(URL)
        state = policy.states()["http://quotes.test"]
        state.breaker.force_open()
        with pytest.raises(lane.library.TransportError) as caught:
            there.get(URL)
    error = caught.value
    assert isinstance(error, resilix.CircuitOpenError)
    assert type(error) is lane.door.CircuitOpenError
    assert str(error.request.url) == URL
    assert len(server.seen) == 1
    assert policy.rejected_total == 1
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


@lanes
def test_a_refusal_may_be_a_response_that_sdks_understand(lane: Lane) -> None:
    """503 with Retry-After and x-should-retry: false."""
    _, policy, session = serve(lane, on_reject="response", breaker={"open_for": 12.0})
    with session as there:
        there.get(URL)
        policy.states()["http://quotes.test"].breaker.open()
        reply = there.get(URL)
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "12"
    assert reply.headers["x-should-retry"] == "false"
    assert reply.json()["error"]["type"] == "CircuitOpenError"


@lanes
def test_a_passed_deadline_is_a_timeout_of_the_library(lane: Lane) -> None:
    """Nothing is sent when no time is left."""
    server, _, session = serve(lane)

    def expired(there: Session) -> Any:
        if there.portal is None:
            with resilix.deadline(0):
                return there.client.get(URL)

        async def get() -> Any:
            with resilix.deadline(0):
                return await there.client.get(URL)

        return there.run(get)

    with session as there, pytest.raises(lane.library.TimeoutException) as caught:
        expired(there)
    assert isinstance(caught.value, resilix.DeadlineExpiredError)
    assert server.seen == []


# -- permits live as long as the body --------------------------------------------------------------------------


@lanes
def test_a_place_is_held_until_the_body_ends(lane: Lane) -> None:
    """Streamed: to its end or its closing. Read at once: until then."""
    long = body(lane, [b"a", b"b"])
    _, policy, session = serve(lane, long, long, 200, limit=1)
    with session as there:
        response = there.open("GET", URL)
        slots = policy.states()["http://quotes.test"].bulkhead
        assert slots.in_use == 1
        with pytest.raises(lane.door.BulkheadFullError):
            there.get(URL)
        assert there.read(response) == b"ab"
        assert slots.in_use == 0
        response = there.open("GET", URL)
        assert slots.in_use == 1
        there.close(response)
        assert slots.in_use == 0
        there.get(URL)
        assert slots.in_use == 0


@lanes
def test_a_place_of_a_forgotten_response_comes_back(lane: Lane) -> None:
    """A response that is dropped without being closed is garbage, and garbage holds nothing."""
    _, policy, session = serve(lane, body(lane, [b"a"]), limit=1)
    with session as there:
        response = there.open("GET", URL)
        slots = policy.states()["http://quotes.test"].bulkhead
        assert slots.in_use == 1
        del response
        gc.collect()
        assert slots.in_use == 0


@lanes
def test_a_streamed_body_that_dies_counts_as_a_failure(lane: Lane) -> None:
    """The head was fine, and the breaker still hears of it; a body left early is none."""
    dying = body(lane, [b"a"], lane.library.ReadError("gone"))
    _, policy, session = serve(lane, dying, body(lane, [b"a", b"b"]), breaker={"consecutive": 5})
    with session as there:
        response = there.open("GET", URL)
        breaker = policy.states()["http://quotes.test"].breaker
        assert breaker.snapshot().calls == 0, "it is not decided yet"
        with pytest.raises(lane.library.ReadError):
            there.read(response)
        assert breaker.snapshot().failures == 1
        there.close(there.open("GET", URL))
        assert (breaker.snapshot().failures, breaker.snapshot().calls) == (1, 2)


@lanes
def test_5xx_opens_the_breaker_and_4xx_does_not(lane: Lane) -> None:
    """4xx is an answer; 429 is honoured and counts as nothing."""
    server, policy, session = serve(lane, 404, 429, 404, 500, 500, attempts=1, breaker={"consecutive": 2})
    with session as there:
        for _ in range(3):
            there.get(URL)
        breaker = policy.states()["http://quotes.test"].breaker
        assert (breaker.snapshot().calls, breaker.snapshot().ignored) == (2, 1)
        there.get(URL)
        assert breaker.state is CircuitState.CLOSED
        there.get(URL)
        assert breaker.state is CircuitState.OPEN
    assert len(server.seen) == 5


# -- policies of one's own -------------------------------------------------------------------------------------


@lanes
def test_any_pipeline_serves(lane: Lane) -> None:
    """Its options say what is retried and what counts; unsafe requests are not repeated all the same."""
    breaker = CircuitBreaker(unique(lane), consecutive=3)
    slots = Bulkhead(unique(lane), limit=2)
    policy = pipeline(
        retry(on=lane.library.TransportError, on_result=lambda reply: reply.status_code == 404, wait=0),
        breaker, slots, timeout(5.0), name="mine",
    )  # fmt: skip
    server = Server(lane, lane.library.ReadError, 404, 200, lane.library.ReadError, 404)
    with lane.guarded(policy, transport=lane.mock(server)) as there:
        assert there.get(URL).status_code == 200
        assert len(server.seen) == 3
        with pytest.raises(lane.library.ReadError):
            there.post(URL)
        assert there.post(URL).status_code == 404
    assert len(server.seen) == 5
    assert (breaker.snapshot().failures, breaker.snapshot().calls) == (2, 5)
    assert slots.in_use == 0


@lanes
def test_listeners_are_told_the_attributes_of_a_request(lane: Lane) -> None:
    """Under OpenTelemetry's names, and nothing secret among them."""
    server, _, session = serve(lane, 503, lane.library.ConnectError, 200)
    seen: list[Any] = []
    stop = resilix_events(seen)
    try:
        with session as there:
            there.get("http://user:secret@quotes.test:8080/ACME?token=secret")
    finally:
        stop()
    facts = [dict(event.attributes) for event in seen if type(event).__name__ == "RetryScheduled"]
    common = {"http.request.method": "GET", "server.address": "quotes.test", "server.port": 8080}
    assert facts == [
        {**common, "http.request.resend_count": 0, "http.response.status_code": 503},
        {**common, "http.request.resend_count": 1},
    ]
    assert "secret" not in repr(seen)
    assert len(server.seen) == 3


def resilix_events(seen: list[Any]) -> Callable[[], None]:
    """Collect events until the returned function is called."""
    from resilix import events

    return events.subscribe(seen.append)


@lanes
def test_headers_tell_the_server_of_attempts_and_time_left(lane: Lane) -> None:
    """Opt in; the caller's request is not changed."""
    server, _, session = serve(lane, 503, 200, attempt_header="x-attempt", deadline_header="x-time-left-ms", within=8.0)
    with session as there:
        reply = there.get(URL)
    assert [request.headers["x-attempt"] for request in server.seen] == ["1", "2"]
    assert all(7000 < int(request.headers["x-time-left-ms"]) <= 8000 for request in server.seen)
    assert "x-attempt" not in reply.request.headers

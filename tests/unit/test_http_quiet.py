"""The quiet path of a request: when it is taken, that its two forms are one, and what it leaves behind."""

from __future__ import annotations

import gc
import inspect
import itertools
import weakref
from typing import Any

import httpx2
import pytest
from tests.support.attention import attending

import resilix
from resilix import Bulkhead, CircuitBreaker, RetryBudget, deadline, events, fallback, pipeline, retry, timeout
from resilix.attention import GIL
from resilix.http.transports import AsyncTransport, SyncTransport
from resilix.httpx2 import Client, Standard, Transport, standard
from resilix.policies.weave import WEAVE

pytestmark = [
    pytest.mark.sets_weaving,  # what they look at is there only where functions are woven
    pytest.mark.skipif(not GIL, reason="without a GIL every request goes through the shells"),
]

URL = "http://quotes.test/ACME"


_numbers = itertools.count(1)


def named(**options: Any) -> Standard:
    """A policy under a name of its own: two live ones of one name are warned of."""
    return standard(f"quiet {next(_numbers)}", **options)


class Inner(httpx2.HTTPTransport):
    """A real kind of transport that answers by itself."""

    def __init__(self, status: int = 200) -> None:
        super().__init__(verify=False)
        self.status = status

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(self.status, content=b"4217")


def quiet_share(policy: Any, requests: int = 4, *, inner: Any = None, **options: Any) -> int:
    """How many of some requests took the quiet path."""
    transport = Transport(policy, inner=Inner() if inner is None else inner)
    for _ in range(requests):
        transport.handle_request(httpx2.Request("GET", URL, **options))
    counters = transport.policy.counters
    assert (counters.calls, counters.attempts) == (requests, requests)
    return counters.quiet


def test_the_sync_and_the_async_form_are_the_same_line_by_line() -> None:
    """But for what makes them sync and async."""
    for sync, awaited in (
        (SyncTransport.handle_request, AsyncTransport.handle_async_request),
        (SyncTransport._shells, AsyncTransport._shells),
        (SyncTransport._go_on, AsyncTransport._go_on),
    ):
        text = inspect.getsource(awaited).replace("async def", "def").replace("await ", "").replace("_async_", "_")
        for name in ("async_held_stream", "aread_whole", "ashell"):
            text = text.replace(name, name.removeprefix("async_") if "async_" in name else name[1:])
        assert text == inspect.getsource(sync)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limit": 3},
        {"per": None},
        {"per": lambda request: "mine"},
        {"attempts": 1, "breaker": None, "budget": None},
        {"attempt_timeout": None, "within": None},
        {"breaker": {"window": resilix.calls(10)}},
        {"limit": 3, "max_wait": 1.0},
        {"on_reject": "response"},
    ],
    ids=lambda options: " ".join(options) or "none",
)
def test_a_request_under_the_usual_policies_is_quiet(options: dict[str, Any]) -> None:
    """Each of them, on the second request to an origin at the latest."""
    assert quiet_share(named(**options)) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"classify": lambda exchange: None},
        {"idempotency_key": "bare"},
        {"attempt_header": "x-attempt"},
        {"deadline_header": "x-left"},
        {"breaker": {"slow_after": 1.0, "slow_rate": 0.5}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_look_at_every_request_leave_none_quiet(options: dict[str, Any]) -> None:
    """A header of its own, a user's rules, a stop watch."""
    assert quiet_share(named(**options)) == 0


def test_pipelines_in_the_usual_order_are_quiet_and_others_are_not() -> None:
    """Retry, breaker, bulkhead, each at most once; whatever else is inside looks at each call."""
    tries, breaker = retry(on=httpx2.TransportError), CircuitBreaker("ordered")
    slots, budget = Bulkhead("ordered", limit=2), RetryBudget("ordered")
    paid = retry(on=httpx2.TransportError, budget=budget)
    for usual in (tries, breaker, slots, pipeline(paid, breaker, slots), pipeline(breaker, slots)):
        assert quiet_share(usual) == 4, usual
    judging = retry(on=httpx2.TransportError, on_result=lambda reply: reply.status_code == 404)
    for other in (
        pipeline(slots, breaker),
        pipeline(tries, slots, breaker),
        pipeline(timeout(5.0), breaker),
        pipeline(fallback(None, on=OSError), breaker),
        judging,
    ):
        assert quiet_share(other) == 0, other


def test_nobody_is_quiet_while_somebody_listens() -> None:
    """And all are again afterwards."""
    policy = named(limit=2)
    stop = events.subscribe(lambda event: None)
    try:
        assert quiet_share(policy) == 0
    finally:
        stop()
    transport = Transport(policy, inner=Inner())
    transport.handle_request(httpx2.Request("GET", URL))
    assert policy.counters.quiet == 1


def test_a_deadline_is_looked_at_only_where_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that set deadlines elsewhere keep the quiet path for requests without one."""
    attending(monkeypatch, deadlines=False)
    with deadline(5.0):
        assert quiet_share(named(limit=2)) == 0
    assert quiet_share(named(limit=2)) == 4


def test_a_failed_request_does_not_end_the_quiet_time_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its retry is held to the deadline of its call, and no other call has to look for one."""
    attending(monkeypatch, deadlines=False)
    inner = Inner(503)
    policy = named(wait=0)
    Transport(policy, inner=inner).handle_request(httpx2.Request("GET", URL))
    assert policy.attempts_total == 3
    assert not resilix.core.deadline.DEADLINE.used


def test_bodies_that_cannot_be_sent_again_go_through_the_shells() -> None:
    """Whether they can is known before the first attempt, so that is looked at first."""
    assert quiet_share(named(), 1, content=iter([b"once"])) == 0
    assert quiet_share(named(), 1, content=b"twice") == 1


def test_transports_that_hold_no_moment_go_through_the_shells() -> None:
    """Their time is watched from outside."""
    mock = httpx2.MockTransport(lambda request: httpx2.Response(200))
    assert quiet_share(named(), inner=mock) == 0


def test_the_switch_turns_it_off_for_what_is_made_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same one that turns off woven functions."""
    monkeypatch.setattr(WEAVE, "on", False)
    assert quiet_share(named()) == 0


def test_one_host_with_several_origins_keeps_them_apart() -> None:
    """Ports and schemes; each finds its own breaker, however they alternate."""
    policy = named(limit=2)
    transport = Transport(policy, inner=Inner())
    origins = ["http://quotes.test", "https://quotes.test", "http://quotes.test:8080"]
    for origin in origins * 3:
        transport.handle_request(httpx2.Request("GET", f"{origin}/ACME"))
    assert {
        key: state.breaker.snapshot().calls for key, state in policy.states().items() if state.breaker
    } == dict.fromkeys(origins, 3)
    assert policy.counters.quiet == 9


def test_an_origin_that_was_forgotten_starts_anew() -> None:
    """The quiet path does not keep the breaker of a key that has left the map."""
    policy = named(most_keys=1)
    transport = Transport(policy, inner=Inner())
    for host in ("one", "one", "two", "one"):
        transport.handle_request(httpx2.Request("GET", f"http://{host}.test/"))
    (state,) = policy.states().values()
    assert state.breaker is not None
    assert (state.key, state.breaker.snapshot().calls) == ("http://one.test", 1)


def test_the_origin_used_last_on_the_quiet_path_is_forgotten_last() -> None:
    """Its use counts, although no key was made for it."""
    policy = named(most_keys=2)
    transport = Transport(policy, inner=Inner())
    for host in ("one", "two", "one", "three"):
        transport.handle_request(httpx2.Request("GET", f"http://{host}.test/"))
    assert set(policy.states()) == {"http://one.test", "http://three.test"}


def test_policies_go_when_nobody_holds_them() -> None:
    """At once, not when the collector comes: nothing on the way refers back."""
    policy = named(limit=2)
    quiet_share(policy)
    gone = weakref.ref(policy)
    gc.disable()
    try:
        del policy
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", [httpx2.ReadError, KeyboardInterrupt])
def test_an_error_leaves_no_cycle_behind(kind: type[BaseException]) -> None:
    """It went through the quiet path and the shells, and its traceback holds neither it nor the request."""

    class Failing(Inner):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            raise kind("scripted")

    transport = Transport(named(attempts=1, limit=1), inner=Failing())
    request = httpx2.Request("GET", URL)
    gone = weakref.ref(request)
    gc.disable()
    try:
        try:
            transport.handle_request(request)
        except kind:
            del request
        assert gone() is None
    finally:
        gc.enable()
    (state,) = transport.policy.states().values()  # that of a standard
    assert state.bulkhead.free == 1


def test_a_client_reads_the_body_within_the_attempt() -> None:
    """And closes the stream of the transport, on the quiet path too."""
    closed: list[bool] = []

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Any:
            yield b"42"
            yield b"17"

        def close(self) -> None:
            closed.append(True)

    class Streaming(Inner):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, stream=Body())

    policy = named(limit=1)
    with Client(policy=policy, transport=Streaming()) as client:
        assert client.get(URL).content == b"4217"
    assert (closed[:1], policy.counters.quiet) == ([True], 1)


def test_an_sdk_that_retries_too_is_noticed_on_the_next_request() -> None:
    """That one is looked at, because the one before took several attempts."""
    inner = Inner(503)
    transport = Transport(named(wait=0), inner=inner)
    transport.handle_request(httpx2.Request("GET", URL))
    inner.status = 200
    with pytest.warns(resilix.ResilixWarning, match="an SDK retries"):
        transport.handle_request(httpx2.Request("GET", URL, headers={"x-stainless-retry-count": "1"}))
    transport.handle_request(httpx2.Request("GET", URL))
    assert transport.policy.counters.quiet == 2, "the first, whose answer was no good one, and the last"

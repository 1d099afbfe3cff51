"""Fault plans under real clients of httpx and httpx2, real transports and a real server: sync, asyncio, trio."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import anyio.to_thread
import httpx
import httpx2
import pytest
from tests.support.http_lanes import Lane, Session, lanes, unique

import resilix.httpx
import resilix.httpx2
from resilix import Bulkhead, CircuitBreaker, ConfigurationError, ResilixWarning, pipeline, retry, timeout
from resilix.injection import INJECTION
from resilix.testing import FaultServer, faults
from resilix.testing.faults import Plan
from resilix.testing.switch import SWITCH

SOON = 5.0
"""Seconds by which what was to end at once has ended, on any machine."""


@pytest.fixture(autouse=True)
def switched_on() -> Iterator[None]:
    """Nothing is injected without it; and nothing is left when a test ends."""
    with faults.enabled():
        yield
    assert INJECTION.door is None


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """It answers 200 to everything."""
    with FaultServer() as running:
        yield running


def transport_of(lane: Lane, plan: Plan, **options: Any) -> Any:
    """The fault transport for a lane; its client closes it."""
    return (lane.door.FaultTransport if lane.backend is None else lane.door.AsyncFaultTransport)(plan, **options)


def policy_of(lane: Lane, **options: Any) -> Any:
    """A standard policy without waits."""
    return lane.door.standard(unique(lane), wait=0, per=None, **options)


def over(lane: Lane, plan: Plan, policy: Any = None, **options: Any) -> Any:
    """A session of a client over a plan: ours with a policy, else the library's own."""
    if policy is None:
        return lane.session(lambda: lane.plain_class(transport=transport_of(lane, plan), **options))
    return lane.session(lambda: lane.client_class(policy=policy, transport=transport_of(lane, plan), **options))


def quick(there: Session, method: str, url: str, **options: Any) -> Any:
    """Ask, and be sure that no injected wait was waited for."""
    began = time.monotonic()
    try:
        return there.request(method, url, **options)
    finally:
        assert time.monotonic() - began < SOON


# -- as a transport --------------------------------------------------------------------------------------------------


@lanes
def test_policies_treat_injected_faults_as_real_ones(lane: Lane, server: FaultServer) -> None:
    """Retried, counted by the breaker, and only what passes is sent."""
    plan = faults.sequence(ConnectionError, 503, TimeoutError, faults.ok)
    policy = policy_of(lane, attempts=4, limit=2)
    with over(lane, plan, policy) as there:
        assert there.get(server.url).status_code == 200
        assert there.get(server.url).status_code == 200
    assert len(server.seen) == 2
    assert plan.counts.faults == {"ConnectionError": 1, "503": 1, "TimeoutError": 1}
    (state,) = policy.states().values()
    assert state.breaker.totals().failure == 3
    assert state.breaker.totals().success == 2
    assert state.bulkhead.free == 2


@lanes
def test_a_status_is_a_real_response_of_the_library(lane: Lane, server: FaultServer) -> None:
    """With its request, its Retry-After and an empty body; a plain client of theirs will do."""
    with over(lane, faults.status(429, retry_after=1.2)) as there:
        response = there.get(server.url)
        assert type(response) is lane.library.Response
        assert (response.status_code, response.headers["Retry-After"], response.content) == (429, "2", b"")
        assert response.extensions["resilix.fault"] == "429"
        with pytest.raises(lane.library.HTTPStatusError):
            response.raise_for_status()
        streamed = there.open("GET", server.url)
        assert there.read(streamed) == b""
        there.close(streamed)
    assert not server.seen


FAMILIES = [
    (ConnectionError, "ConnectError"), (ConnectionRefusedError, "ConnectError"), (ConnectionResetError, "ReadError"),
    (BrokenPipeError, "WriteError"), (TimeoutError, "ReadTimeout"), (httpx.PoolTimeout, "PoolTimeout"),
    (httpx2.ConnectTimeout, "ConnectTimeout"), (httpx2.RemoteProtocolError, "RemoteProtocolError"),
    (httpx.ReadError("mine"), "ReadError"),
]  # fmt: skip


@lanes
def test_errors_are_the_librarys_own(lane: Lane, server: FaultServer) -> None:
    """By family, or by name where they are those of the other library; each carries its request."""
    plan = faults.sequence(*(error for error, _ in FAMILIES), then=KeyError)
    with over(lane, plan) as there:
        for error, name in FAMILIES:
            with pytest.raises(lane.library.TransportError) as raised:
                there.get(server.url)
            assert type(raised.value) is getattr(lane.library, name), error
            assert str(raised.value.request.url).startswith(server.url)
        with pytest.raises(KeyError):
            there.get(server.url)


@lanes
def test_what_may_be_sent_again_is_decided_as_ever(lane: Lane, server: FaultServer) -> None:
    """A POST that was not sent is; one that may have arrived is not."""
    with over(lane, faults.sequence(ConnectionError, ConnectionResetError), policy_of(lane)) as there:
        with pytest.raises(lane.library.ReadError):
            there.post(server.url, content=b"x")
    plan = faults.sequence(ConnectionError)
    with over(lane, plan, policy_of(lane)) as there:
        assert there.post(server.url, content=b"x").status_code == 200
    assert plan.counts.calls == 2


@lanes
@pytest.mark.parametrize("plan", [faults.latency(3600), faults.hang()], ids=repr)
def test_a_wait_ends_with_the_read_timeout_of_the_request(lane: Lane, server: FaultServer, plan: Plan) -> None:
    """Of a plain client; the attempts of a policy; the whole call; and a deadline around it."""
    plan.reset()
    with over(lane, plan, timeout=0.02) as there, pytest.raises(lane.library.ReadTimeout):
        quick(there, "GET", server.url)
    with over(lane, plan, policy_of(lane, attempt_timeout=0.02, attempts=3)) as there:
        with pytest.raises(lane.library.ReadTimeout):
            quick(there, "GET", server.url)
    with (
        over(lane, plan, policy_of(lane, within=0.05, attempts=1)) as there,
        pytest.raises(lane.library.TimeoutException),
    ):
        quick(there, "GET", server.url)
    assert plan.counts.calls == 5
    assert plan.counts.delayed < SOON
    assert not server.seen


@lanes
def test_a_wait_that_is_shorter_is_only_a_slow_answer(lane: Lane, server: FaultServer) -> None:
    """The request is sent afterwards."""
    with over(lane, faults.latency(0.01), policy_of(lane)) as there:
        assert there.get(server.url).status_code == 200
    assert len(server.seen) == 1


@lanes
def test_a_plan_over_a_mock_is_held_to_deadlines_too(lane: Lane) -> None:
    """A transport in memory needs no pool."""
    inner = lane.mock(lambda request: lane.library.Response(200, text=request.url.path))
    plan = faults.sequence(503, faults.latency(3600)).when(lambda call: call.request.url.path == "/a")
    policy = policy_of(lane, attempts=2, attempt_timeout=0.02)
    with lane.session(
        lambda: lane.client_class(policy=policy, transport=transport_of(lane, plan, inner=inner))
    ) as there:
        assert there.get("http://quotes.test/b").text == "/b"
        with pytest.raises(lane.library.ReadTimeout):
            quick(there, "GET", "http://quotes.test/a")


@lanes
def test_with_the_switch_off_a_client_is_an_ordinary_one(lane: Lane, server: FaultServer) -> None:
    """It warns once, and counts what it let pass."""
    plan = faults.status(503)
    SWITCH.leave()
    try:
        with over(lane, plan) as there, pytest.warns(ResilixWarning, match="switched off"):
            assert there.get(server.url).status_code == 200
    finally:
        SWITCH.enter()
    assert (plan.counts.calls, plan.counts.skipped) == (0, 1)


# -- in a pipeline ---------------------------------------------------------------------------------------------------


@lanes
def test_a_plan_may_stand_in_the_pipeline_of_a_client(lane: Lane, server: FaultServer) -> None:
    """Innermost, as around a function; a status is an answer there."""
    plan = faults.sequence(503, ConnectionError, faults.ok)
    breaker = CircuitBreaker(unique(lane))
    policy = pipeline(
        retry(on=lane.library.TransportError, on_result=lambda response: response.status_code == 503, wait=0),
        breaker,
        plan,
    )
    with lane.guarded(policy) as there:
        assert there.get(server.url).status_code == 200
    assert len(server.seen) == 1
    assert plan.counts.calls == 3
    assert breaker.totals().failure == 2


@lanes
def test_a_timeout_in_that_pipeline_bounds_an_injected_wait(lane: Lane, server: FaultServer) -> None:
    """As it bounds a real one."""
    for plan in (faults.latency(3600), faults.hang()):
        policy = pipeline(retry(on=lane.library.ReadTimeout, attempts=2, wait=0), timeout(0.02), plan)
        with lane.guarded(policy, timeout=None) as there, pytest.raises(lane.library.ReadTimeout):
            quick(there, "GET", server.url)
        assert plan.counts.calls == 2


# -- by name ---------------------------------------------------------------------------------------------------------


@lanes
@pytest.mark.parametrize("per", ["origin", None])
def test_requests_of_a_standard_policy_are_befallen_by_its_name(lane: Lane, server: FaultServer, per: Any) -> None:
    """Every attempt once, though the client was made long before; afterwards it is what it was."""
    name = unique(lane)
    policy = lane.door.standard(name, wait=0, per=per)
    with lane.guarded(policy) as there:
        assert there.get(server.url).status_code == 200
        with faults.inject(name, faults.sequence(ConnectionError, 503, faults.ok)) as plan:
            assert there.get(server.url).extensions["resilix.attempts"] == 3
        assert there.get(server.url).status_code == 200
    assert plan.counts.calls == 3, plan
    assert len(server.seen) == 3
    (state,) = policy.states().values()
    assert state.breaker.totals().failure == 2


@lanes
def test_requests_are_befallen_by_the_names_of_their_policies_too(lane: Lane, server: FaultServer) -> None:
    """A breaker, a bulkhead, a pipeline; and a streamed answer alike."""
    name = unique(lane)
    inner = pipeline(Bulkhead(f"{name} s", limit=2), name=f"{name} i")
    guard = pipeline(CircuitBreaker(f"{name} b"), inner, name=f"{name} p")
    with lane.guarded(guard) as there:
        for ending in "bsip":
            with faults.inject(f"{name} {ending}", faults.status(503)) as plan:
                assert there.get(server.url).status_code == 503
                streamed = there.open("GET", server.url)
                assert there.read(streamed) == b""
                there.close(streamed)
            assert plan.counts.calls == 2
            assert {entry.label for entry in plan.log} == {f"{name} p"}
    assert not server.seen


@lanes
def test_a_transport_of_ours_inside_another_is_befallen_once(lane: Lane, server: FaultServer) -> None:
    """Innermost, by the name of either."""
    outer, inner = unique(lane), unique(lane)

    def make() -> Any:
        within = lane.transport_class(lane.door.standard(inner, wait=0, attempts=1, attempt_timeout=None, within=None))
        policy = lane.door.standard(outer, wait=0, attempts=2, attempt_timeout=None, within=None)
        return lane.client_class(policy=policy, transport=within)

    with lane.session(make) as there:
        for name in (outer, inner):
            with faults.inject(name, faults.sequence(ConnectionError, faults.ok)) as plan:
                assert there.get(server.url).status_code == 200
            assert plan.counts.calls == 2, plan


@lanes
def test_a_hang_by_name_ends_with_its_block(lane: Lane, server: FaultServer) -> None:
    """Requests under way are let go, with the library's own timeout."""
    name = unique(lane)
    policy = lane.door.standard(name, attempts=1, attempt_timeout=None, within=None, limit=5)
    with lane.guarded(policy, timeout=None) as there:
        block = faults.inject(name, faults.hang())
        plan = block.__enter__()

        def ask(index: int) -> Any:
            if index == 4:
                return end() if lane.backend is None else aend()
            return there.client.get(server.url)

        def end() -> None:
            while len(plan._parked) < 4:
                time.sleep(0.001)
            block.__exit__(None, None, None)

        async def aend() -> None:
            await anyio.to_thread.run_sync(end)

        ends = there.gather(5, ask)
        assert [type(one) for one in ends[:4]] == [lane.library.ReadTimeout] * 4
        assert there.get(server.url).status_code == 200
        (state,) = policy.states().values()
        assert state.bulkhead.free == 5


# -- wrong input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", [resilix.httpx, resilix.httpx2], ids=["httpx", "httpx2"])
def test_what_cannot_be_meant_is_refused(door: Any) -> None:
    """A policy that is no plan; a transport for the other kind of client."""
    library = httpx if door is resilix.httpx else httpx2
    for wrong in (None, 503, ConnectionError, retry(on=OSError)):
        with pytest.raises(ConfigurationError, match="it is no fault plan"):
            door.FaultTransport(wrong)
    with library.HTTPTransport() as sync, pytest.raises(ConfigurationError, match="AsyncFaultTransport for an async"):
        door.AsyncFaultTransport(faults.ok, inner=sync)
    with pytest.raises(ConfigurationError, match="it is no transport"):
        door.FaultTransport(faults.ok, inner=17)
    with door.FaultTransport(faults.status(503)) as made:
        assert repr(made) == "FaultTransport(faults.status(503), inner=HTTPTransport)"

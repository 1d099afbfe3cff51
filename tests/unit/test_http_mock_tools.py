"""The tools people mock httpx and httpx2 with: which of them our policies run above, and which bypass them."""

from __future__ import annotations

from typing import Any

import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import respx
from tests.support.http_lanes import LANES, Lane, Session, lanes, unique

URL = "https://quotes.example.com/ACME"
PATCHED = [
    (library.ConnectionPool, "handle_request", library.AsyncConnectionPool, "handle_async_request")
    for library in (httpcore, httpcore2)
]

httpx_lanes = pytest.mark.parametrize("lane", [lane for lane in LANES if lane.library is httpx], ids=str)
httpx2_lanes = pytest.mark.parametrize("lane", [lane for lane in LANES if lane.library is httpx2], ids=str)


def patched() -> list[Any]:
    """The methods that respx and pytest-httpx2 replace, as they are now."""
    return [
        found
        for pool, method, async_pool, async_method in PATCHED
        for found in (vars(pool)[method], vars(async_pool)[async_method])
    ]


BEFORE = patched()


def bad_days(lane: Lane) -> list[Any]:
    """No connection, no service, an answer."""
    return [lane.library.ConnectError("no route"), httpx.Response(503), httpx.Response(200, text="4217")]


def price(session: Session) -> str:
    """Ask once."""
    return str(session.get(URL).text)


def streamed_price(session: Session) -> bytes:
    """Ask once, and read the answer as a stream."""
    response = session.open("GET", URL)
    try:
        return session.read(response)
    finally:
        session.close(response)


def quick(lane: Lane, **options: Any) -> Any:
    """A policy that does not wait between its attempts."""
    return lane.door.standard(unique(lane), wait=0, limit=1, **options)


# -- respx -----------------------------------------------------------------------------------------------------------


@httpx_lanes
def test_respx_sees_every_attempt(lane: Lane) -> None:
    """In its default mode it patches httpcore, below us."""
    policy = quick(lane)
    with respx.mock() as router, lane.guarded(policy) as session:
        route = router.get(URL).mock(side_effect=bad_days(lane))
        assert price(session) == "4217"
        assert (route.call_count, policy.attempts_total, policy.calls_total) == (3, 3, 1)


@httpx_lanes
def test_respx_raises_what_we_retry_when_it_is_given_a_class(lane: Lane) -> None:
    """The usual way to write it: respx makes the error of httpx itself."""
    policy = quick(lane, attempts=2)
    with respx.mock() as router, lane.guarded(policy) as session:
        route = router.get(URL).mock(side_effect=httpx.ConnectTimeout)
        with pytest.raises(httpx.ConnectTimeout):
            price(session)
        assert (route.call_count, policy.attempts_total) == (2, 2)


@httpx_lanes
def test_a_stream_of_respx_gives_its_place_back(lane: Lane) -> None:
    """What it answers ends like any other body."""
    policy = quick(lane)
    with respx.mock() as router, lane.guarded(policy) as session:
        router.get(URL).mock(side_effect=bad_days(lane) + bad_days(lane)[1:])
        assert streamed_price(session) == b"4217"
        assert streamed_price(session) == b"4217"
        assert policy.attempts_total == 5
        assert policy.states()["https://quotes.example.com"].bulkhead.in_use == 0


@httpx_lanes
def test_respx_using_httpx_bypasses_the_policies(lane: Lane) -> None:
    """It puts a transport of its own in place of ours: a limitation that the documents name."""
    policy = quick(lane)
    with respx.mock(using="httpx") as router, lane.guarded(policy) as session:
        route = router.get(URL).mock(side_effect=[httpx.Response(503), httpx.Response(200)])
        assert session.get(URL).status_code == 503
        assert (route.call_count, policy.attempts_total, policy.calls_total) == (1, 0, 0)


def test_the_fixture_of_respx_works_with_a_client_of_ours(respx_mock: respx.MockRouter) -> None:
    """Its plugin for pytest is the same default mode."""
    lane = LANES[0]
    policy = quick(lane)
    route = respx_mock.post(URL).mock(side_effect=[httpx.Response(503), httpx.Response(201)])
    with lane.guarded(policy) as session:
        assert session.post(URL, json={"amount": 1}).status_code == 503  # a POST, and no key
        assert session.post(URL, json={"amount": 1}).status_code == 201
    assert [call.request.content for call in route.calls] == [b'{"amount":1}'] * 2
    assert policy.attempts_total == 2


# -- pytest-httpx2 ---------------------------------------------------------------------------------------------------


@httpx2_lanes
def test_pytest_httpx2_sees_every_attempt(lane: Lane, httpx2_mock: respx.Router) -> None:
    """It is respx for httpcore2: answers are responses of httpx or made by ``respond``, errors those of httpx2."""
    policy = quick(lane)
    route = httpx2_mock.get(URL).mock(side_effect=bad_days(lane))
    with lane.guarded(policy) as session:
        assert price(session) == "4217"
    assert (route.call_count, policy.attempts_total, policy.calls_total) == (3, 3, 1)


@httpx2_lanes
def test_pytest_httpx2_takes_the_errors_of_httpcore2_as_classes(lane: Lane, httpx2_mock: respx.Router) -> None:
    """A class of httpx2 cannot be made by respx, which knows only those of httpx."""
    policy = quick(lane, attempts=2)
    route = httpx2_mock.get(URL).mock(side_effect=httpcore2.ConnectError)
    with lane.guarded(policy) as session, pytest.raises(httpx2.ConnectError):
        price(session)
    assert (route.call_count, policy.attempts_total) == (2, 2)


@httpx2_lanes
def test_an_error_of_httpx_means_nothing_to_httpx2(lane: Lane, httpx2_mock: respx.Router) -> None:
    """The mistake that is easily made: it is no error of this transport, so nothing is retried."""
    policy = quick(lane)
    route = httpx2_mock.get(URL).mock(side_effect=httpx.ConnectError)
    with lane.guarded(policy) as session, pytest.raises(httpx.ConnectError):
        price(session)
    assert (route.call_count, policy.attempts_total) == (1, 1)


@httpx2_lanes
def test_a_stream_of_pytest_httpx2_gives_its_place_back(lane: Lane, httpx2_mock: respx.Router) -> None:
    """As with respx."""
    policy = quick(lane)
    httpx2_mock.get(URL).mock(side_effect=bad_days(lane) + bad_days(lane)[1:])
    with lane.guarded(policy) as session:
        assert streamed_price(session) == b"4217"
        assert streamed_price(session) == b"4217"
    assert policy.attempts_total == 5
    assert policy.states()["https://quotes.example.com"].bulkhead.in_use == 0


@httpx2_lanes
def test_respx_alone_can_do_the_same_for_httpx2(lane: Lane) -> None:
    """Where the options of ``respx.mock`` are needed: version 1.0 of the plugin forgets to declare its own marker."""
    policy = quick(lane)
    with (
        respx.mock(using="httpcore2", base_url="https://quotes.example.com") as router,
        lane.guarded(policy) as session,
    ):
        route = router.get("/ACME")
        route.side_effect = bad_days(lane)
        assert price(session) == "4217"
        assert (route.call_count, policy.attempts_total) == (3, 3)


# -- MockTransport ---------------------------------------------------------------------------------------------------


@lanes
def test_a_mock_transport_goes_inside(lane: Lane) -> None:
    """``Client(transport=…)`` is wrapped like the transport a client makes for itself."""
    script: list[Any] = [lane.library.ConnectError("no route"), 503, 200]
    seen: list[str] = []

    def handler(request: Any) -> Any:
        seen.append(request.method)
        step = script.pop(0)
        if isinstance(step, Exception):
            raise step
        return lane.library.Response(step, text="4217")

    policy = quick(lane)
    with lane.guarded(policy, transport=lane.mock(handler)) as session:
        assert price(session) == "4217"
    assert seen == ["GET"] * 3
    assert policy.attempts_total == 3


@lanes
def test_a_mock_transport_of_a_mount_goes_inside_too(lane: Lane) -> None:
    """Mounts are wrapped one by one."""
    answers = [503, 200]
    policy = quick(lane)
    mount = {"https://quotes.example.com": lane.mock(lambda _: lane.library.Response(answers.pop(0)))}
    with lane.guarded(policy, mounts=mount) as session:
        assert session.get(URL).status_code == 200
    assert (answers, policy.attempts_total) == ([], 2)


# -- the plugins -----------------------------------------------------------------------------------------------------


def test_the_plugins_patch_nothing_until_they_are_asked() -> None:
    """Both are loaded by pytest itself for every test; the others here, on real sockets, must not notice."""
    assert patched() == BEFORE
    with respx.mock(), respx.mock(using="httpcore2"):
        assert not set(patched()) & set(BEFORE)
    assert patched() == BEFORE
    assert {method.__module__.partition(".")[0] for method in BEFORE} == {"httpcore", "httpcore2"}

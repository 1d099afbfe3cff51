"""A transport of ours inside another, and one request sent by several at once: whose timeouts hold."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tests.support.http_lanes import LANES, Lane, lanes, unique

from resilix.clock import SYSTEM
from resilix.http.until import Until

URL = "http://quotes.test/ACME"
pytestmark = pytest.mark.filterwarnings("ignore:the transport inside retries too")


def inner_of(lane: Lane, seen: list[dict[str, Any]], *, wait: anyio.Event | None = None) -> Any:
    """A real kind of transport that answers at once and keeps what it was sent with."""
    library = lane.library
    if lane.backend is None:

        class Inner(library.HTTPTransport):
            def handle_request(self, request: Any) -> Any:
                seen.append(dict(request.extensions["timeout"]))
                return library.Response(200, content=b"4217")

        return Inner(verify=False)

    class AsyncInner(library.AsyncHTTPTransport):
        async def handle_async_request(self, request: Any) -> Any:
            seen.append(dict(request.extensions["timeout"]))
            if wait is not None:
                await wait.wait()
            return library.Response(200, content=b"4217")

    return AsyncInner(verify=False)


def around(lane: Lane, inside: Any, **options: Any) -> Any:
    """A transport of ours around one, through somebody else's between the two; copies the extensions if asked to."""
    base = lane.library.BaseTransport if lane.backend is None else lane.library.AsyncBaseTransport
    copies = options.pop("copies", False)

    def passed(request: Any) -> Any:
        if copies:
            request.extensions = {**request.extensions, "sni_hostname": "quotes.test"}
        return request

    class Between(base):
        async def handle_async_request(self, request: Any) -> Any:
            return await inside.handle_async_request(passed(request))

    # A sync transport that does no I/O of its own may be given time limits: a mock that asks a transport of ours.
    between = lane.mock(lambda request: inside.handle_request(passed(request))) if lane.backend is None else Between()
    return lane.transport_class(lane.door.standard(unique(lane), **options), inner=between)


def guarded(lane: Lane, inner: Any, **options: Any) -> Any:
    """A transport of ours around a real kind of one."""
    return lane.transport_class(lane.door.standard(unique(lane), **options), inner=inner)


@lanes
@pytest.mark.parametrize("copies", [False, True], ids=["passed on", "copied"])
def test_a_transport_inside_starts_from_what_the_attempt_around_it_has_left(lane: Lane, copies: bool) -> None:
    """The user's sixty seconds became two outside; inside they are not sixty again, nor do they end later."""
    seen: list[dict[str, Any]] = []
    inside = guarded(lane, inner_of(lane, seen), attempt_timeout=30.0)
    outside = around(lane, inside, attempt_timeout=2.0, copies=copies)
    with lane.session(lambda: lane.plain_class(transport=outside)) as there:
        assert there.get(URL, timeout=60.0).text == "4217"
    assert len(seen) == 1
    for phase in ("connect", "write", "pool"):
        assert isinstance(seen[0][phase], Until)
        assert 1.5 < seen[0][phase] <= 2.0, phase


@lanes
def test_what_is_further_inside_starts_from_the_shortest(lane: Lane) -> None:
    """Three of ours: the one in the middle has the least, and the innermost starts from that."""
    seen: list[dict[str, Any]] = []
    innermost = guarded(lane, inner_of(lane, seen), attempt_timeout=30.0)
    middle = around(lane, innermost, attempt_timeout=1.0)
    outside = around(lane, middle, attempt_timeout=5.0)
    with lane.session(lambda: lane.plain_class(transport=outside)) as there:
        there.get(URL, timeout=60.0)
    assert [0.5 < one["connect"] <= 1.0 for one in seen] == [True]


@lanes
def test_the_extensions_of_the_user_are_back_afterwards(lane: Lane) -> None:
    """However many transports of ours were inside one another."""
    seen: list[dict[str, Any]] = []
    outside = around(lane, guarded(lane, inner_of(lane, seen)), attempt_timeout=2.0)
    with lane.session(lambda: lane.plain_class(transport=outside)) as there:
        request = there.client.build_request("GET", URL, timeout=60.0)
        given = dict(request.extensions)
        there.run(there.client.send, request)
    assert request.extensions == given


@pytest.mark.parametrize("lane", [one for one in LANES if one.backend is not None], ids=str)
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "nested"])
def test_tasks_that_send_one_request_at_once_each_start_from_the_users_timeouts(
    lane: Lane, nested: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second does not start from what the first has made of them, wherever that one is."""
    seen: list[dict[str, Any]] = []
    waits: list[anyio.Event] = []
    time = [100.0]
    monkeypatch.setattr(SYSTEM, "now", lambda: time[0])

    def make() -> Any:
        waits.append(anyio.Event())
        inside = guarded(lane, inner_of(lane, seen, wait=waits[0]), attempt_timeout=30.0)
        outside = around(lane, inside, attempt_timeout=20.0) if nested else inside
        return lane.plain_class(transport=outside)

    with lane.session(make) as there:
        request = there.client.build_request("GET", URL, timeout=60.0)

        async def two() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(there.client.send, request)
                await anyio.wait_all_tasks_blocked()
                time[0] += 5.0
                group.start_soon(there.client.send, request)
                await anyio.wait_all_tasks_blocked()
                waits[0].set()

        there.run(two)
    limit = 20.0 if nested else 30.0
    assert [(one["connect"], one["connect"].moment) for one in seen] == [(limit, 100.0 + limit), (limit, 105.0 + limit)]

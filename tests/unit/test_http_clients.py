"""Clients with a policy: everything a plain client can do still works, and one call has one deadline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.http_lanes import LANES, Lane, lanes, unique

from resilix import ConfigurationError, ResilixWarning, deadline, retry
from resilix.testing import virtual_time

URL = "http://quotes.test/ACME"
SOURCE = Path(__file__).parents[2] / "src" / "resilix"


def policy(lane: Lane, **options: Any) -> Any:
    """A standard policy for tests: no waits."""
    settings: dict[str, Any] = {"wait": 0, **options}
    return lane.door.standard(unique(lane), **settings)


def inner_of(transport: Any) -> Any:
    """What a transport of ours sends through."""
    return transport._port.inner


@lanes
def test_limits_proxies_and_mounts_are_kept(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """``transport=`` would lose them; a client of ours does not."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    seen: list[str] = []

    def handler(request: Any) -> Any:
        seen.append(str(request.url))
        return lane.library.Response(503 if len(seen) == 1 else 200)

    options: dict[str, Any] = {
        "limits": lane.library.Limits(max_connections=7),
        "mounts": {"http://mounted.test": lane.mock(handler), "all://off.test": None},
    }
    with lane.guarded(policy(lane), **options) as there:
        client = there.client
        assert isinstance(client._transport, lane.transport_class)
        assert inner_of(client._transport)._pool._max_connections == 7
        proxied = client._transport_for_url(lane.library.URL("https://x.test"))
        assert isinstance(proxied, lane.transport_class)
        assert "Proxy" in type(inner_of(proxied)._pool).__name__
        assert there.get("http://mounted.test/a").status_code == 200
    assert len(seen) == 2


@lanes
def test_a_client_of_ours_is_one_of_the_library(lane: Lane) -> None:
    """SDKs check."""
    with lane.guarded(policy(lane), transport=lane.mock(lambda request: lane.library.Response(200))) as there:
        assert isinstance(there.client, lane.plain_class)


@lanes
def test_hooks_auth_and_elapsed_work(lane: Lane) -> None:
    """Event hooks see the final answer once, digest auth makes its round trip, elapsed is known."""
    hooked: list[int] = []
    answers = [401, 503, 200]

    def handler(request: Any) -> Any:
        status = answers.pop(0)
        assert ("authorization" in request.headers) is (status != 401)
        challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
        headers = {"WWW-Authenticate": challenge} if status == 401 else {}
        return lane.library.Response(status, headers=headers, stream=lane.stream(b"body"))

    def hook(response: Any) -> None:
        hooked.append(response.status_code)

    async def ahook(response: Any) -> None:
        hooked.append(response.status_code)

    options: dict[str, Any] = {
        "transport": lane.mock(handler),
        "auth": lane.library.DigestAuth("user", "pass"),
        "event_hooks": {"response": [hook if lane.backend is None else ahook]},
    }
    made = policy(lane)
    with lane.guarded(made, **options) as there:
        reply = there.get(URL)
        assert reply.status_code == 200
        assert reply.elapsed.total_seconds() >= 0
    assert hooked == [401, 200]
    assert (made.calls_total, made.attempts_total) == (2, 3)


def test_one_call_has_one_deadline_over_redirects() -> None:
    """Ten hops of four seconds do not fit into thirty; the caller waits no longer than that."""
    for lane in (one for one in LANES if one.backend is None):
        with virtual_time() as clock:

            def hop(request: Any) -> Any:
                clock.advance(4.0)
                return lane.library.Response(307, headers={"Location": "/again"})  # noqa: B023

            made = lane.door.standard(unique(lane), within=30.0, attempts=1)
            with lane.door.Client(policy=made, transport=lane.mock(hop)) as client:
                with pytest.raises(lane.library.TimeoutException):
                    client.get(URL, follow_redirects=True)
            assert clock.now() == 32.0
            assert made.attempts_total == 8


def test_an_outer_deadline_narrows() -> None:
    """``with deadline(2.0)`` around a call bounds its attempts and waits."""
    for lane in (one for one in LANES if one.backend is None):
        with virtual_time() as clock:

            def slow(request: Any) -> Any:
                clock.advance(1.5)
                return lane.library.Response(503)  # noqa: B023

            made = lane.door.standard(unique(lane), wait=1.0)
            with lane.door.Client(policy=made, transport=lane.mock(slow)) as client, deadline(2.0):
                assert client.get(URL).status_code == 503
            assert made.attempts_total == 1, "a second attempt could not begin in time"


# -- install ---------------------------------------------------------------------------------------------------


@lanes
def test_install_changes_a_client_in_place(lane: Lane) -> None:
    """Retries begin to work, bodies included, and the client is handed back."""
    answers = [503, 200]

    def handler(request: Any) -> Any:
        return lane.library.Response(answers.pop(0))

    def make() -> Any:
        client = lane.plain_class(transport=lane.mock(handler))
        assert lane.door.install(client, policy(lane)) is client
        return client

    with lane.session(make) as there:
        assert there.get(URL).status_code == 200
        with pytest.raises(ConfigurationError, match="it has a policy already"):
            lane.door.install(there.client, policy(lane, per=None))


@lanes
def test_install_looks_into_an_sdk(lane: Lane) -> None:
    """The SDK's own retries are named, for they multiply ours."""

    class Sdk:
        max_retries = 2

        def __init__(self, client: Any) -> None:
            self._client = client

    def make() -> Any:
        client = lane.plain_class(transport=lane.mock(lambda request: lane.library.Response(200)))
        with pytest.warns(ResilixWarning, match=r"Sdk retries too \(max_retries=2\).* up to 9 per call"):
            lane.door.install(Sdk(client), policy(lane))
        return client

    with lane.session(make) as there:
        assert there.get(URL).status_code == 200
        assert isinstance(there.client._transport, lane.transport_class)


def test_a_client_of_the_other_library_is_named() -> None:
    """The door next to it is the right one, and the message says so."""
    import httpx
    import httpx2

    import resilix.httpx
    import resilix.httpx2

    with httpx.Client() as client, pytest.raises(ConfigurationError, match=r"from resilix\.httpx import install"):
        resilix.httpx2.install(client, resilix.httpx2.standard("other-1"))
    with httpx2.Client() as other, pytest.raises(ConfigurationError, match=r"from resilix\.httpx2 import install"):
        resilix.httpx.install(other, resilix.httpx.standard("other-2"))
    with pytest.raises(ConfigurationError, match="it is no client of httpx"):
        resilix.httpx.install(object(), resilix.httpx.standard("other-3"))


# -- mistakes --------------------------------------------------------------------------------------------------


@lanes
def test_what_is_no_policy_is_refused(lane: Lane) -> None:
    """With what to write instead."""
    for wrong in (None, 3, "quotes", retry):
        with pytest.raises(ConfigurationError, match=r"standard\(\"quotes\"\)"):
            lane.transport_class(wrong)


@lanes
def test_an_inner_transport_of_another_kind_is_refused(lane: Lane) -> None:
    """A sync one in an async transport, an async one in a sync one, and things that are none."""
    kinds = {True: lane.library.HTTPTransport, False: lane.library.AsyncHTTPTransport}
    wrong = kinds[lane.backend is not None]
    with pytest.raises(ConfigurationError, match="the other kind of client"):
        lane.transport_class(policy(lane), inner=wrong())
    with pytest.raises(ConfigurationError, match="it is no transport of"):
        lane.transport_class(policy(lane), inner=object())


@lanes
def test_a_sync_transport_that_cannot_be_held_to_a_deadline_is_refused(lane: Lane) -> None:
    """Rather than accepted and ignored; without time limits it is welcome."""
    if lane.backend is not None:
        return

    class Own(lane.library.BaseTransport):  # type: ignore[misc, name-defined]  # a class of either library
        def handle_request(self, request: Any) -> Any:
            return lane.library.Response(200)

    with pytest.raises(ConfigurationError, match="cannot be held to a deadline"):
        lane.transport_class(policy(lane), inner=Own())
    lane.transport_class(policy(lane, attempt_timeout=None, within=None), inner=Own())


@lanes
def test_retries_inside_are_named(lane: Lane) -> None:
    """``HTTPTransport(retries=2)`` multiplies ours."""
    kind = lane.library.HTTPTransport if lane.backend is None else lane.library.AsyncHTTPTransport
    with pytest.warns(ResilixWarning, match=r"attempts multiply, up to 9 per call"):
        lane.transport_class(policy(lane), inner=kind(retries=2))


# -- the doors -------------------------------------------------------------------------------------------------


def test_both_doors_say_the_same() -> None:
    """One source: the doors differ in the name of the library alone."""
    first, second = (SOURCE / f"{name}.py" for name in ("httpx", "httpx2"))
    swapped = first.read_text().replace("httpx2", "\0").replace("httpx", "httpx2").replace("\0", "httpx")
    assert swapped == second.read_text()


def test_a_door_imports_its_own_library_alone() -> None:
    """And resilix neither."""
    for modules, absent in (
        ("resilix", ["httpx", "httpx2"]),
        ("resilix.httpx", ["httpx2"]),
        ("resilix.httpx2", ["httpx"]),
    ):
        code = f"import sys, {modules}; sys.exit(str([n for n in {absent} if n in sys.modules] or 0))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stderr.strip() in ("", "0"), (modules, done.stderr)


def test_a_missing_library_is_named_with_what_to_install() -> None:
    """Not a bare ModuleNotFoundError."""
    for name in ("httpx", "httpx2"):
        code = f"import sys; sys.modules[{name!r}] = None; import resilix.{name}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"pip install 'resilix-toolkit[{name}]'" in done.stderr

"""Every read, write and connect of both libraries ends at its moment, and the client goes on working."""

from __future__ import annotations

import gc
import importlib
import math
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from tests.support.http_pool_calls import (
    BRIEF,
    LATE,
    LIBRARIES,
    SECONDS,
    WAYS,
    Noted,
    asend,
    closed_quietly,
    fetch,
    in_time,
    on_the_dot,
    send,
    soon,
    timeouts,
    transport_of,
)
from tests.support.http_pool_peer import Authority, Peer, by_path, dripping_hello, late_tunnel, listening, silent

from resilix.clock import SYSTEM
from resilix.http.backend import AsyncBackend, AsyncStream, SyncBackend, SyncStream, hold
from resilix.http.until import Until

EXPECTED = {"headers": "ReadTimeout", "body": "ReadTimeout", "stopped": "WriteTimeout", "slow": "WriteTimeout"}
either = pytest.mark.parametrize("library", LIBRARIES, ids=["httpx", "httpx2"])
every_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Certificates are slow to make."""
    return Authority()


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    """A server over TCP that does what the path says."""
    with listening(by_path) as one:
        yield one


@pytest.fixture(scope="module")
def tls_peer(authority: Authority) -> Iterator[Peer]:
    """The same over TLS."""
    with listening(by_path, tls=authority.server) as one:
        yield one


# -- the promise ---------------------------------------------------------------------------------------------


@either
@every_way
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.filterwarnings("ignore:Async generator 'httpx:ResourceWarning")  # httpx leaves that of an upload to trio
def test_whatever_the_server_does_a_request_ends_at_its_moment(
    library: Any, way: str, scheme: str, peer: Peer, tls_peer: Peer, authority: Authority
) -> None:
    """Dripping heads and bodies, readers that stop or crawl; and the client is as good as before."""
    port = peer.port if scheme == "http" else tls_peer.port
    urls = [f"{scheme}://127.0.0.1:{port}/{kind}" for kind in (*EXPECTED, "ok")]
    *ended, usable = in_time(library, way, urls, seconds=SECONDS, verify=authority.client)
    assert [one.error for one in ended] == list(EXPECTED.values())
    assert all(on_the_dot(one, SECONDS) for one in ended), ended
    assert usable.status == 200


@either
def test_a_timeout_of_the_library_alone_is_outlasted(library: Any, peer: Peer) -> None:
    """The control: each byte begins the time anew, and so does each piece of an upload."""
    urls = [f"http://127.0.0.1:{peer.port}/{kind}" for kind in ("headers", "slow")]
    ended = fetch(library, "sync", transport_of(library, "sync"), urls, lambda: SECONDS)
    assert [one.status for one in ended] == [200, 0]
    assert all(one.seconds > 2 * SECONDS for one in ended), ended


@either
@every_way
@pytest.mark.parametrize("talk", [silent, dripping_hello])
def test_a_handshake_ends_at_its_moment(library: Any, way: str, talk: Any, authority: Authority) -> None:
    """A server that accepts and never shakes hands, or does so byte by byte."""
    with listening(talk) as one:
        (ended,) = in_time(library, way, [f"https://127.0.0.1:{one.port}/ok"], verify=authority.client)
    assert ended.error == "ConnectTimeout"
    assert on_the_dot(ended), ended


@either
def test_sync_deadlines_need_no_thread(library: Any, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sockets keep the time themselves."""
    started: list[str] = []
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        started.append(threading.current_thread().name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", noted)
    in_time(library, "sync", [f"http://127.0.0.1:{peer.port}/{kind}" for kind in ("headers", "slow")])
    assert threading.current_thread().name not in started


@either
@every_way
def test_a_moment_that_moves_takes_the_rest_of_the_body_with_it(library: Any, way: str, peer: Peer) -> None:
    """Once the head is there the body has the time of the whole call."""
    url = f"http://127.0.0.1:{peer.port}/body"
    transport = transport_of(library, way)
    assert hold(transport)
    until = Until(5.0, SYSTEM.now() + 0.1)

    def sync() -> int:
        with library.Client(transport=transport) as client:
            with client.stream("GET", url, extensions=timeouts(until)) as response:
                until.moment += 10.0
                return len(response.read())

    async def concurrent() -> int:
        async with library.AsyncClient(transport=transport) as client:
            async with client.stream("GET", url, extensions=timeouts(until)) as response:
                until.moment += 10.0
                return len(await response.aread())

    assert (sync() if way == "sync" else anyio.run(concurrent, backend=way)) == 45


# -- what cannot start does not ------------------------------------------------------------------------------


@either
@every_way
def test_with_no_time_left_nothing_is_sent(library: Any, way: str, peer: Peer) -> None:
    """No connect, and on a connection that is open no write: the library's own error at once."""
    url = f"http://127.0.0.1:{peer.port}/ok"
    over = Until(5.0, SYSTEM.now() - 1.0)
    transport = transport_of(library, way)
    assert hold(transport)
    before = peer.connections
    if way == "sync":
        with library.Client(transport=transport) as client:
            ended = [send(client, url, timeout) for timeout in (over, 5.0, over)]
    else:

        async def main() -> list[Any]:
            async with library.AsyncClient(transport=transport) as client:
                return [await asend(client, url, timeout) for timeout in (over, 5.0, over)]

        ended = anyio.run(main, backend=way)
    assert [one.error for one in ended] == ["ConnectTimeout", "", "WriteTimeout"]
    assert ended[1].status == 200
    assert peer.connections == before + 1


@either
@pytest.mark.parametrize("kind", [SyncStream, AsyncStream])
def test_other_timeouts_go_through_untouched(library: Any, kind: Any) -> None:
    """No timeout, a number, and an ``Until`` without a moment are what they were."""
    core = importlib.import_module("httpcore" if library is httpx else "httpcore2")
    inner = Noted()
    stream = kind(inner, core)
    for timeout in (None, 1.5, Until(2.5, math.inf), Until(math.inf, math.inf)):
        stream.read(10, timeout)
        stream.write(b"x", timeout)
    assert inner.timeouts == [None, None, 1.5, 1.5, 2.5, 2.5, None, None]
    with pytest.raises(core.ReadTimeout):
        stream.read(10, Until(1.0, 0.0))


# -- connecting ----------------------------------------------------------------------------------------------


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose backlog is full: connects to it hang."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(3)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    yield listener.getsockname()[1]
    closed_quietly(*fillers, listener)


@either
@every_way
def test_a_name_with_many_addresses_does_not_get_the_time_many_times(
    library: Any, way: str, black_hole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``socket.create_connection`` gives each address the whole timeout."""
    real = socket.getaddrinfo

    def thrice(host: Any, *args: Any, **kwargs: Any) -> list[Any]:
        return real("127.0.0.1", *args, **kwargs) * 3 if "many.test" in str(host) else real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", thrice)
    (ended,) = in_time(library, way, [f"http://many.test:{black_hole}/ok"])
    assert ended.error == "ConnectTimeout"
    assert on_the_dot(ended), ended


@either
def test_the_next_address_is_tried_when_one_refuses(library: Any, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the library does it, and with its errors."""
    real = socket.getaddrinfo

    def two(host: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if host == "none.test":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        if host == "two.test":
            return real("127.0.0.77", *args, **kwargs) + real("127.0.0.1", *args, **kwargs)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", two)
    found, unknown = in_time(library, "sync", [f"http://two.test:{peer.port}/ok", "http://none.test:9/ok"])
    assert found.status == 200
    assert unknown.error == "ConnectError"


@either
@every_way
def test_connects_the_library_repeats_end_at_the_moment_too(library: Any, way: str) -> None:
    """Its waits between them have no timeout of their own: with nine retries, minutes."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    (ended,) = in_time(library, way, [f"http://127.0.0.1:{port}/ok"], retries=9)
    assert ended.error in ("ConnectTimeout", "ConnectError")
    assert ended.seconds < BRIEF + LATE


@either
@every_way
@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # httpx2 leaves the socket after a failed greeting
def test_a_proxy_that_says_nothing_is_held_too(library: Any, way: str, scheme: str) -> None:
    """The greeting of a SOCKS proxy is read without any timeout by the library."""
    with listening(silent) as one:
        (ended,) = in_time(library, way, ["http://example.test/ok"], proxy=f"{scheme}://127.0.0.1:{one.port}")
        gc.collect()
    assert ended.error == "ReadTimeout"
    assert on_the_dot(ended), ended


@either
@every_way
def test_a_handshake_gets_what_the_tunnel_has_left_of_the_time(library: Any, way: str) -> None:
    """Connecting has several steps, each of which the library gives the whole connect timeout."""
    with listening(late_tunnel) as one:
        (ended,) = in_time(library, way, ["https://example.test/ok"], proxy=f"http://127.0.0.1:{one.port}")
    assert ended.error == "ConnectTimeout"
    assert on_the_dot(ended), ended


@either
@every_way
def test_a_socket_in_the_file_system_is_held_too(library: Any, way: str, tmp_path: Path) -> None:
    """``uds=`` makes its connections another way."""
    path = str(tmp_path / "s")
    with listening(by_path, path=path) as one:
        slow, usable = in_time(library, way, ["http://local/headers", "http://local/ok"], uds=path)
        assert one.connections >= 2
    assert slow.error == "ReadTimeout"
    assert on_the_dot(slow), slow
    assert usable.status == 200


# -- taking hold ---------------------------------------------------------------------------------------------


@either
@every_way
def test_connections_that_were_open_before_obey_as_well(library: Any, way: str, peer: Peer) -> None:
    """A client somebody else has used already."""
    ok, drip = (f"http://127.0.0.1:{peer.port}/{kind}" for kind in ("ok", "headers"))
    transport = transport_of(library, way)
    before = peer.connections
    if way == "sync":
        with library.Client(transport=transport) as client:
            first = send(client, ok, 5.0)
            assert hold(transport)
            second = send(client, drip, soon(BRIEF))
    else:

        async def main() -> list[Any]:
            async with library.AsyncClient(transport=transport) as client:
                first = await asend(client, ok, 5.0)
                assert hold(transport)
                return [first, await asend(client, drip, soon(BRIEF))]

        first, second = anyio.run(main, backend=way)
    assert (first.status, second.error) == (200, "ReadTimeout")
    assert second.seconds < 0.6  # the drip lasts 0.9 s, and without a hold it would have been waited for
    assert peer.connections == before + 1


@either
def test_taking_hold_twice_changes_nothing(library: Any) -> None:
    """One wrapper, whoever asks; subclasses and both kinds of transport are known."""

    class Own(library.HTTPTransport):  # type: ignore[misc, name-defined]  # a class of either library
        """Somebody's subclass."""

    for transport, kind in ((Own(), SyncBackend), (library.AsyncHTTPTransport(), AsyncBackend)):
        assert hold(transport)
        held = transport._pool._network_backend
        assert type(held) is kind
        assert hold(transport)
        assert transport._pool._network_backend is held
        assert not isinstance(held.inner, kind)


def test_what_is_not_of_that_make_is_left_as_it_was() -> None:
    """Mocks, applications, transports of one's own, and a future version with other names."""

    class Newer:
        """A pool whose backend has moved elsewhere."""

        def __init__(self) -> None:
            self._pool = httpx.HTTPTransport()._pool
            del self._pool._network_backend

    def answer(request: Any) -> Any:
        return httpx.Response(200)

    for transport in (
        httpx.MockTransport(answer), httpx2.MockTransport(answer), httpx.WSGITransport(lambda *_: [b""]),
        httpx.ASGITransport(lambda *_: None), httpx2.BaseTransport(), Newer(), object(), None,
    ):  # fmt: skip
        before = dict(getattr(transport, "__dict__", {}))
        assert not hold(transport)
        assert getattr(transport, "__dict__", {}) == before

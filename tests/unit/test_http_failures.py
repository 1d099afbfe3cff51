"""Where a request failed, by what the libraries really raise when a peer misbehaves; over a network that is made up."""

from __future__ import annotations

import struct
from typing import Any

import httpcore
import httpcore2
import httpx
import httpx2
import pytest

from resilix.http.rules import Failure, failure_of

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda one: one.__name__)


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    """A frame of HTTP/2, RFC 9113 section 4.1."""
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


SETTINGS = frame(4, 0, 0, b"")
NONSENSE = {
    "headers of stream 0": frame(1, 4, 0, b"\x88"),
    "data of a stream nobody opened": frame(0, 0, 7, b"abc"),
    "headers that cannot be decoded": frame(1, 4, 1, b"\xff" * 6),
}


CORES = {httpx: httpcore, httpx2: httpcore2}


def error_of(library: Any, answer: list[bytes], *, http2: bool, **headers: str) -> Exception:
    """What a request ends with when the peer answers with these bytes, over HTTP/2 or 1.1; no socket is opened."""
    core = CORES[library]
    transport = library.HTTPTransport()
    backend = core.MockBackend(answer, http2=http2)
    transport._pool = core.ConnectionPool(http1=not http2, http2=http2, network_backend=backend)
    with library.Client(transport=transport) as client, pytest.raises(library.TransportError) as caught:
        client.get("http://quotes.test/", headers=headers)
    error: Exception = caught.value
    return error


@LIBRARIES
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_a_server_that_talks_nonsense_over_http2_has_failed(library: Any, nonsense: str) -> None:
    """Both libraries call it a local error; it is the server's, and counts as one."""
    error = error_of(library, [SETTINGS, NONSENSE[nonsense]], http2=True)
    assert type(error) is library.LocalProtocolError
    assert failure_of(error, library) is Failure.SEND


@LIBRARIES
def test_a_header_that_http2_forbids_is_the_callers_mistake(library: Any) -> None:
    """The same class, from the same place of the library, and nothing the server could help."""
    error = error_of(library, [SETTINGS], http2=True, te="gzip")
    assert type(error) is library.LocalProtocolError
    assert failure_of(error, library) is Failure.CALLER


@LIBRARIES
def test_a_header_that_no_version_allows_is_the_callers_mistake(library: Any) -> None:
    """HTTP/1.1 too."""
    error = error_of(library, [], http2=False, **{"bad name": "x"})
    assert type(error) is library.LocalProtocolError
    assert failure_of(error, library) is Failure.CALLER


@LIBRARIES
@pytest.mark.parametrize("answer", [[], [b"nonsense\r\n\r\n"], [b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]])
def test_a_server_that_hangs_up_or_talks_nonsense_over_http1_has_failed(library: Any, answer: list[bytes]) -> None:
    """And the request may have arrived: a kept-alive connection that was closed is no proof of the contrary."""
    error = error_of(library, answer, http2=False)
    assert type(error) is library.RemoteProtocolError
    assert failure_of(error, library) is Failure.SEND


@LIBRARIES
@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Who are you\r\n\r\n", b"HTTP/1.1 502 No\r\n\r\n"])
def test_a_proxy_that_refuses_a_tunnel_has_sent_nothing_on(library: Any, answer: bytes) -> None:
    """A ProxyError comes from the asking for a tunnel only, before the request."""
    core = CORES[library]
    transport = library.HTTPTransport()
    backend = core.MockBackend([answer])
    transport._pool = core.HTTPProxy("http://proxy.test:3128", network_backend=backend)
    with library.Client(transport=transport) as client, pytest.raises(library.ProxyError) as caught:
        client.post("https://quotes.test/", content=b"order")
    assert failure_of(caught.value, library) is Failure.CONNECT

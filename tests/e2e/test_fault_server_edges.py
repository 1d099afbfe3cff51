"""A ``FaultServer`` where a test's client or script goes wrong, goes away, or does what nobody expected."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.fault_client import RawClient, eventually

from resilix.testing import FaultServer, Seen, steps
from resilix.testing.fault_steps import Wire


@pytest.fixture(name="server")
def a_server() -> Iterator[FaultServer]:
    """A server for one test, whose scripts had no bug; no thread is left of it."""
    before = threading.active_count()
    with FaultServer() as server:
        yield server
        assert server.errors == ()
    assert threading.active_count() <= before


# -- what clients send ------------------------------------------------------------------------------------------------

HOST = b"Host: faults\r\n"
POST = b"POST /a HTTP/1.1\r\n" + HOST
BAD = {
    "no request line": b"hello\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET /a HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /a HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "space in a name": b"GET /a HTTP/1.1\r\n" + HOST + b"X : 1\r\n\r\n",
    "folded line": b"GET /a HTTP/1.1\r\n" + HOST + b"X: 1\r\n 2\r\n\r\n",
    "control character": b"GET /a HTTP/1.1\r\n" + HOST + b"X: 1\r2\r\n\r\n",
    "lines without CR": b"GET /a HTTP/1.1\nHost: faults\n\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a long head": b"GET /a HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
    "a head without end": b"GET /a HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 70_000,
    "length and coding": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no length": POST + b"Content-Length: three\r\n\r\n",
    "empty length": POST + b"Content-Length:\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "huge length": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
}
BAD_BODY = {
    "no chunk length": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "long chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD.keys())
def test_what_is_no_http_is_answered_with_400_at_once_and_not_counted(server: FaultServer, sent: bytes) -> None:
    """The body says what was wrong; then FIN, though some of it may not have been read."""
    with RawClient(server) as client:
        client.send(sent)
        reply, end = client.rest()
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Connection: close" in head
    assert len(body) > 5
    assert end == "FIN"
    assert server.seen == ()


def test_a_client_that_sends_on_after_its_mistake_reads_what_it_was(server: FaultServer) -> None:
    """Closing at once would be a reset, which throws the 400 away."""
    with RawClient(server) as client:
        client.send(b"hello\r\n\r\n")
        for _ in range(20):
            client.send(b"x" * 100_000)
        reply, end = client.rest()
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert end == "FIN"


@pytest.mark.parametrize("sent", BAD_BODY.values(), ids=BAD_BODY.keys())
def test_a_bad_body_is_answered_with_400_and_counted_as_incomplete(server: FaultServer, sent: bytes) -> None:
    """Its head was right, so it is a request that was seen."""
    with RawClient(server) as client:
        client.send(sent)
        assert client.rest()[0].startswith(b"HTTP/1.1 400 ")
    [seen] = server.seen
    assert not seen.complete
    assert seen.step.startswith("400")


def test_names_of_headers_have_no_case_and_values_keep_theirs(server: FaultServer) -> None:
    """By name in lower case, several lines joined; as they were sent besides."""
    with RawClient(server) as client:
        client.send(
            b"POST /a?b=C HTTP/1.1\r\nhOsT: x\r\nCONTENT-length: 2\r\nX-Request-ID:  R1 \r\nx-t: A\r\nX-T: b\r\n\r\nok"
        )
        client.reply()
    [seen] = server.attempts("R1")
    assert (seen.headers["x-t"], seen.headers["host"], seen.body) == ("A, b", "x", b"ok")
    assert seen.raw_headers[3:] == (("x-t", "A"), ("X-T", "b"))
    assert (seen.path, seen.query, seen.target) == ("/a", "b=C", "/a?b=C")


def test_the_whole_url_of_a_proxys_client_is_understood(server: FaultServer) -> None:
    """The script of its path answers (RFC 9112, section 3.2.2)."""
    server.script("/a", 418)
    with RawClient(server) as client:
        client.ask("http://quotes.example.com/a?x=1")
        assert client.reply()[0].startswith(b"HTTP/1.1 418 ")


def test_a_client_that_expects_100_gets_it_before_it_sends(server: FaultServer) -> None:
    """And then its answer; a reset at "request" comes instead of the 100."""
    server.script("/a", 200, steps.reset("request"))
    with RawClient(server) as client:
        client.ask("/a", "Content-Length: 2", "Expect: 100-continue", method="PUT")
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ok")
        assert client.reply()[0].startswith(b"HTTP/1.1 200 ")
        client.ask("/a", "Content-Length: 2", "Expect: 100-continue", method="PUT")
        assert client.rest() == (b"", "RST")
    assert [one.complete for one in server.seen] == [True, False]


def test_http_1_0_is_closed_after_the_answer(server: FaultServer) -> None:
    """Unless it asks for more."""
    with RawClient(server) as client:
        client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        client.reply()
        client.send(b"GET /a HTTP/1.0\r\n\r\n")
        assert client.rest() == (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "FIN")


def test_a_request_that_is_sent_early_waits_for_its_turn(server: FaultServer) -> None:
    """While an answer is delayed, what comes is kept."""
    server.script("/a", steps.reply(200, b"one", delay=0.05), steps.reply(200, b"two"))
    with RawClient(server) as client:
        client.ask("/a")
        client.ask("/a")
        assert [client.reply()[1], client.reply()[1]] == [b"one", b"two"]


def test_a_client_that_ends_its_own_side_gets_its_answer(server: FaultServer) -> None:
    """Half-closed is not gone: what needs no waiting is sent; a hang ends, since nobody would notice it."""
    server.default = steps.reply(200, b"x" * 300_000)
    with RawClient(server) as client:
        client.ask("/a", method="POST", body=b"ok")
        client._socket.shutdown(socket.SHUT_WR)
        answer, end = client.rest()
    assert answer.endswith(b"x" * 1000)
    assert (len(answer) > 300_000, end) == (True, "FIN")
    server.default = steps.hang()
    with RawClient(server) as client:
        client.ask("/a")
        client._socket.shutdown(socket.SHUT_WR)
        assert client.rest() == (b"", "FIN")


def test_a_body_that_ends_too_soon_is_incomplete(server: FaultServer) -> None:
    """The client went; what had come is counted."""
    with RawClient(server) as client:
        client.send(POST + b"Content-Length: 10\r\n\r\nabc")
        assert eventually(lambda: server.seen and server.seen[0].body_length == 3)
    assert eventually(lambda: server.open_connections == 0)
    [seen] = server.seen
    assert (seen.body, seen.complete, seen.finished) == (b"abc", False, False)


def test_what_is_never_read_stops_the_client(server: FaultServer) -> None:
    """A hang before anything is read makes the client's own buffers fill, as with a server that is stuck."""
    server.next_connections(steps.hang())
    with RawClient(server) as client:
        client._socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.send(b"x" * 50_000_000)


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_have_no_length(server: FaultServer, status: int) -> None:
    """RFC 9110, section 8.6; the connection is kept."""
    server.script("/a", status)
    with RawClient(server) as client:
        client.ask("/a")
        assert b"ength" not in client.until(b"\r\n\r\n")
        client.ask("/a")
        client.reply()


def test_head_gets_no_chunks(server: FaultServer) -> None:
    """Neither of a chunked answer nor of events."""
    server.script("/a", steps.reply(200, b"abc", chunked=True), steps.sse(["one"]))
    with RawClient(server) as client:
        for _ in range(2):
            client.ask("/a", method="HEAD")
            assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        client.ask("/a")
        assert client.reply()[0].startswith(b"HTTP/1.1 200 ")


# -- what scripts do --------------------------------------------------------------------------------------------------


class Fault(BaseException):
    """What ``pytest.fail`` raises is no Exception either."""


@pytest.mark.parametrize("error", [ValueError("no"), Fault("no"), SystemExit(3)], ids=repr)
def test_whatever_a_function_raises_is_kept_and_answered_with_500(error: BaseException) -> None:
    """The connection and the server go on."""

    def broken(seen: Seen) -> int:
        raise error

    with FaultServer() as server:
        server.script("/a", broken)
        with RawClient(server) as client:
            client.ask("/a")
            assert client.reply()[0].startswith(b"HTTP/1.1 500 ")
            client.ask("/a")
            assert client.reply()[0].startswith(b"HTTP/1.1 200 ")
        assert server.errors == (error,)
        server.forget()
        assert server.errors == ()


def test_a_function_that_gives_no_step_is_told_so() -> None:
    """In ``errors``, and with a 500."""
    with FaultServer() as server:

        def nothing(seen: Any) -> Any:
            """Forgot its step."""

        server.always("/a", nothing)
        with RawClient(server) as client:
            client.ask("/a")
            assert client.reply()[0].startswith(b"HTTP/1.1 500 ")
        [error] = server.errors
        assert "neither a status nor a step" in str(error)


class Broken:
    """A step of a user's own, with a bug."""

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Raise in the middle."""
        await wire.send(b"HTTP/1.1 200 OK\r\n")
        raise ZeroDivisionError


def test_a_step_that_raises_ends_its_connection_and_is_kept() -> None:
    """No warning appears in a log that nobody reads."""
    with FaultServer() as server:
        server.script("/a", Broken())
        with RawClient(server) as client:
            client.ask("/a")
            assert client.rest() == (b"HTTP/1.1 200 OK\r\n", "FIN")
        assert [type(error) for error in server.errors] == [ZeroDivisionError]


def test_a_function_may_have_the_server_die_and_come_back(server: FaultServer) -> None:
    """It happens when the function has returned: the request that decided it gets no answer."""

    def die(seen: Seen) -> int:
        server.refuse()
        return 200

    server.script("/a", die)
    with RawClient(server) as client:
        client.ask("/a")
        assert client.rest()[0] == b""
    with pytest.raises(ConnectionRefusedError):
        RawClient(server)
    server.listen()
    with RawClient(server) as client:
        client.ask("/a")
        client.reply()

"""Each step of a ``FaultServer``, byte by byte, as a client on the socket sees it."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import anyio
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fault_client import RawClient

from resilix import ConfigurationError
from resilix.testing import FaultServer, steps
from resilix.testing.fault_steps import At, Step


def gone(server: FaultServer) -> bool:
    """Whether every connection is closed within a second."""
    end = time.monotonic() + 1.0
    while server.open_connections and time.monotonic() < end:
        time.sleep(0.001)
    return server.open_connections == 0


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that runs, and whose scripts had no bug."""
    with FaultServer() as server:
        yield server
        assert list(server.errors) == []


@pytest.fixture(scope="module")
def shared() -> Iterator[FaultServer]:
    """One server for all the examples of a property."""
    with FaultServer() as server:
        yield server


def test_a_reply_has_its_status_headers_and_body(server: FaultServer) -> None:
    """Two headers of one name stand on two lines, in the order given."""
    server.script("/a", steps.reply(429, b"slow down", headers=[("X-A", "1"), ("Retry-After", "2"), ("X-A", "3")]))
    with RawClient(server) as client:
        client.ask("/a")
        head, body = client.reply()
    assert head == (
        b"HTTP/1.1 429 Too Many Requests\r\nX-A: 1\r\nRetry-After: 2\r\nX-A: 3\r\nContent-Length: 9\r\n\r\n"
    )
    assert body == b"slow down"


def test_a_script_is_used_up_and_then_the_default_answers(server: FaultServer) -> None:
    """One step for each request of the path; other paths, and what comes after, get the default."""
    server.default = steps.reply(200, b"ok")
    server.script("/a", 503, 429)
    server.always("/b", 404)
    with RawClient(server) as client:
        statuses = []
        for path in ("/a?x=1", "/b", "/a", "/c", "/a", "/b"):
            client.ask(path)
            statuses.append(int(client.reply()[0].split()[1]))
    assert statuses == [503, 404, 429, 200, 200, 404]
    assert server.connections == 1


def test_a_function_in_a_script_sees_the_request(server: FaultServer) -> None:
    """It gets what is known when the head has been read, and gives a status or a step."""
    server.always("/a", lambda seen: steps.reply(418, f"{seen.method} {seen.query}".encode()))
    with RawClient(server) as client:
        client.ask("/a?tea=1", method="PUT", body=b"x")
        assert client.reply()[1] == b"PUT tea=1"


@pytest.mark.parametrize(
    ("step", "body"),
    [
        (steps.reply(200, b"abc", chunked=True), b"3\r\nabc\r\n0\r\n\r\n"),
        (steps.sse(["one", "two\nlines"]), b"b\r\ndata: one\n\n\r\n17\r\ndata: two\ndata: lines\n\n\r\n0\r\n\r\n"),
    ],
)
def test_chunked_bodies_end_with_the_last_chunk(server: FaultServer, step: Step, body: bytes) -> None:
    """The connection is kept: another request is answered on it."""
    server.script("/a", step)
    with RawClient(server) as client:
        client.ask("/a")
        head = client.until(b"\r\n\r\n")
        assert b"\r\nTransfer-Encoding: chunked\r\n" in head
        assert b"Content-Length" not in head
        assert client.until(b"\r\n0\r\n\r\n") == body
        client.ask("/b")
        assert client.reply()[0].startswith(b"HTTP/1.1 200 ")


def test_a_delay_comes_before_the_head(server: FaultServer) -> None:
    """Nothing arrives until it is over."""
    server.script("/a", steps.reply(200, b"x", delay=0.15))
    with RawClient(server) as client:
        began = time.monotonic()
        client.ask("/a")
        assert client.silent_for(0.1)
        assert client.reply()[1] == b"x"
        assert time.monotonic() - began >= 0.15


def test_a_drip_comes_in_pieces(server: FaultServer) -> None:
    """Head at once, then so many bytes at a time with a pause before each."""
    server.script("/a", steps.drip(200, b"abcdef", every=0.03, size=2))
    with RawClient(server) as client:
        client.ask("/a")
        client.until(b"\r\n\r\n")
        began = time.monotonic()
        assert [client.piece() for _ in range(3)] == [b"ab", b"cd", b"ef"]
        assert time.monotonic() - began >= 0.05


def test_a_dripped_head_comes_byte_by_byte(server: FaultServer) -> None:
    """The status line is dripped too, and the reply is whole in the end."""
    server.script("/a", steps.drip_head(204, every=0.005))
    with RawClient(server) as client:
        client.ask("/a")
        began = time.monotonic()
        assert client.piece() == b"H"
        assert client.until(b"\r\n\r\n") == b"TTP/1.1 204 No Content\r\n\r\n"
        assert time.monotonic() - began >= 0.005 * 20


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n"
CUTS: list[tuple[At, bytes]] = [
    ("request", b""),
    ("head", WHOLE[: len(WHOLE) // 2]),
    ("after_head", WHOLE),
    ("mid_body", WHOLE + b"x" * 32),
]


@pytest.mark.parametrize(("at", "sent"), CUTS)
def test_a_reset_is_an_rst_after_what_was_sent(server: FaultServer, at: At, sent: bytes) -> None:
    """The part before it arrives, and the next request is answered on a new connection."""
    server.script("/a", steps.reset(at), 204)
    with RawClient(server) as client:
        client.ask("/a")
        assert client.rest() == (sent, "RST")
    assert len(server.seen) == 1
    with RawClient(server) as client:
        client.ask("/a")
        assert client.reply()[0].startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize(("at", "sent"), CUTS)
def test_a_close_is_a_fin_after_what_was_sent(server: FaultServer, at: At, sent: bytes) -> None:
    """The same with FIN, even when the request has not been read to its end."""
    server.script("/a", steps.close(at))
    with RawClient(server) as client:
        client.ask("/a", method="POST", body=b"x" * 100_000)
        assert client.rest() == (sent, "FIN")
    assert [one.finished for one in server.seen] == [False]


def test_a_chunked_body_can_be_cut_before_its_end(server: FaultServer) -> None:
    """Half of the body comes, in a chunk of its own, and no last chunk."""
    server.script("/a", steps.close("mid_body", body=b"abcd", chunked=True))
    with RawClient(server) as client:
        client.ask("/a")
        assert client.rest() == (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "FIN")


def first_end(server: FaultServer) -> str:
    """How a new connection ends; a reset may be there before connect() has returned."""
    try:
        with RawClient(server) as client:
            return client.rest()[1]
    except ConnectionResetError:
        return "RST"


def test_next_connections_are_cut_before_anything_is_read(server: FaultServer) -> None:
    """As many as were asked for, whatever they would have asked; then all is well."""
    server.next_connections(steps.reset("connect"), steps.close("connect"))
    ends = [first_end(server), first_end(server)]
    with RawClient(server) as client:
        client.ask("/a")
        assert client.reply()[0].startswith(b"HTTP/1.1 200 ")
    assert ends == ["RST", "FIN"]
    assert (server.connections, len(server.seen)) == (3, 1)


def test_what_is_no_http_ends_with_fin(server: FaultServer) -> None:
    """Bytes as they are."""
    server.script("/a", steps.garbage(), steps.bad_chunk(206))
    for sent in (
        b"\x16\x03\x01 this is not HTTP\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\nnonsense\r\nmore\r\n",
    ):
        with RawClient(server) as client:
            client.ask("/a")
            assert client.rest() == (sent, "FIN")


def test_an_endless_body_goes_on_until_the_client_goes(server: FaultServer) -> None:
    """Megabytes come, the server waits for the reader, and it is over when the client is."""
    server.script("/a", steps.endless(503, chunk=1000))
    with RawClient(server) as client:
        client.ask("/a")
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 503 ")
        assert client.until(b"\r\n") == b"3e8\r\n"
        got = 0
        while got < 3_000_000:
            got += len(client.piece())
        assert server.open_connections == 1
    assert gone(server)
    assert not server.seen[0].finished


@pytest.mark.parametrize("size", [1, (1 << 20) - 1, 1 << 20, 5_000_001])
def test_a_gzip_bomb_is_valid_and_of_the_size_it_was_asked_for(server: FaultServer, size: int) -> None:
    """Small on the wire, and checksum and length are right."""
    server.script("/a", steps.gzip_bomb(200, size))
    with RawClient(server) as client:
        client.ask("/a")
        head, body = client.reply()
    assert b"\r\nContent-Encoding: gzip\r\n" in head
    assert len(body) < 100 + size // 500
    assert gzip.decompress(body) == bytes(size)


def test_a_hang_reads_the_request_and_says_nothing(server: FaultServer) -> None:
    """The body is recorded though no answer ever comes."""
    server.script("/a", steps.hang())
    with RawClient(server) as client:
        client.ask("/a", method="POST", body=b"hello")
        assert client.silent_for(0.1)
        [seen] = server.seen
        assert (seen.body, seen.complete, seen.finished) == (b"hello", True, False)
        assert server.open_connections == 1
    assert gone(server)


def test_a_kept_connection_can_be_closed_without_a_word(server: FaultServer) -> None:
    """The reply promises to keep it; a request within the time is answered, and then the clock starts anew."""
    server.script("/a", steps.reply(silent_close=0.15), steps.reply(silent_close=0))
    with RawClient(server) as client:
        client.ask("/a")
        assert b"close" not in client.reply()[0]
        assert client.silent_for(0.05)
        client.ask("/a")
        assert b"close" not in client.reply()[0]
        assert client.rest() == (b"", "FIN")
    server.script("/b", steps.reply(silent_close=0.05))
    with RawClient(server) as client:
        client.ask("/b")
        client.reply()
        assert client.rest() == (b"", "FIN")


def test_a_connection_that_is_not_kept_says_so(server: FaultServer) -> None:
    """Connection: close, and FIN after the body; a client may ask for it too."""
    server.script("/a", steps.reply(200, b"x", keep_alive=False), 200)
    for lines, said in (((), True), (("Connection: close",), False)):
        with RawClient(server) as client:
            client.ask("/a", *lines)
            assert (b"\r\nConnection: close\r\n" in client.reply()[0]) is said
            assert client.rest() == (b"", "FIN")


def test_a_head_request_gets_the_length_and_no_body(server: FaultServer) -> None:
    """And the connection is good for the next one."""
    server.default = steps.reply(200, b"abc")
    with RawClient(server) as client:
        client.ask("/a", method="HEAD")
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
        client.ask("/a")
        assert client.reply()[1] == b"abc"


def test_a_script_may_lie_about_the_length(server: FaultServer) -> None:
    """A Content-Length of the script's own stands alone and is sent as it is."""
    server.script("/a", steps.reply(200, b"abc", headers={"content-length": "99"}, keep_alive=False))
    with RawClient(server) as client:
        client.ask("/a")
        sent, end = client.rest()
    assert sent == b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\nConnection: close\r\n\r\nabc"
    assert end == "FIN"


# -- the server as a whole -----------------------------------------------------------------------------------------


def test_fifty_clients_at_once_are_counted_exactly(server: FaultServer) -> None:
    """Each with its own connection and body; every hash is that of what was sent."""
    bodies = [f"body {number}".encode() * number for number in range(50)]

    def ask(number: int) -> None:
        with RawClient(server) as client:
            client.ask("/many", f"X-Request-Id: {number}", method="POST", body=bodies[number])
            client.reply()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(server.seen), server.connections) == (50, 50)
    for number, body in enumerate(bodies):
        [seen] = server.attempts(str(number))
        assert (seen.body_length, seen.body_sha256) == (len(body), hashlib.sha256(body).hexdigest())
        assert (seen.complete, seen.finished) == (True, True)


def test_refused_connects_come_back_on_the_same_port(server: FaultServer) -> None:
    """What was open is ended, and connects are refused until it listens again."""
    port = server.port
    with RawClient(server) as client:
        client.ask("/a")
        client.reply()
        server.refuse()
        assert client.rest()[0] == b""
    with pytest.raises(ConnectionRefusedError):
        RawClient(server)
    server.listen()
    assert server.port == port
    with RawClient(server) as client:
        client.ask("/a")
        client.reply()


def test_a_stall_holds_answers_back_until_it_ends(server: FaultServer) -> None:
    """The request is read and recorded meanwhile."""
    server.stall()
    with RawClient(server) as client:
        client.ask("/a", method="POST", body=b"x")
        assert client.silent_for(0.1)
        assert server.seen[0].complete
        server.resume()
        client.reply()
    server.stall(0.1)
    began = time.monotonic()
    with RawClient(server) as client:
        client.ask("/a")
        client.reply()
    assert time.monotonic() - began >= 0.09


def test_a_black_hole_neither_accepts_nor_refuses(server: FaultServer) -> None:
    """A connect waits."""
    host, port = server.blackhole_url.removeprefix("http://").split(":")
    with pytest.raises(TimeoutError):
        socket.create_connection((host, int(port)), 0.2)


def test_a_function_in_a_script_decides_by_the_request() -> None:
    """One that raises answers 500 and is kept."""
    with FaultServer() as server:
        server.always("/a", lambda seen: 201 if seen.method == "POST" else 1 // 0)
        with RawClient(server) as client:
            client.ask("/a", method="POST", body=b"x")
            assert client.reply()[0].startswith(b"HTTP/1.1 201 ")
            client.ask("/a")
            assert client.reply()[0].startswith(b"HTTP/1.1 500 ")
        assert [type(error) for error in server.errors] == [ZeroDivisionError]


def test_it_stops_at_once_whatever_hangs() -> None:
    """Fifty clients wait; no thread, socket or warning is left; it can be started again."""
    before = threading.active_count()
    server = FaultServer()
    server.always("/hang", steps.hang())
    with server:
        clients = [RawClient(server) for _ in range(50)]
        for client in clients:
            client.ask("/hang")
        while len(server.seen) < 50:
            time.sleep(0.001)
        began = time.monotonic()
    assert time.monotonic() - began < 1.0
    assert threading.active_count() <= before
    for client in clients:
        client.__exit__(None, None, None)
    with server, RawClient(server) as client:
        client.ask("/a")
        client.reply()


def test_it_can_be_used_from_async_code() -> None:
    """It runs in a thread of its own, so the loop is free."""

    async def use() -> int:
        async with FaultServer() as server, httpx2.AsyncClient() as client:
            return (await client.get(server.url)).status_code

    for backend in ("asyncio", "trio"):
        assert anyio.run(use, backend=backend) == 200


def test_mistakes_are_named_where_they_are_written() -> None:
    """With what to write instead."""
    server = FaultServer()
    with pytest.raises(RuntimeError, match="with FaultServer"):
        server.url  # noqa: B018 - reading it is what must raise
    wrong: list[Callable[[], object]] = [
        lambda: steps.reset("nowhere"),  # type: ignore[arg-type]  # nonsense is the test
        lambda: steps.reply(99),
        lambda: steps.reply(200, "text"),  # type: ignore[arg-type]  # nonsense is the test
        lambda: steps.reply(delay=-1),
        lambda: server.script("quotes", 503),
        lambda: server.script("/quotes", "503"),  # type: ignore[arg-type]  # nonsense is the test
        lambda: FaultServer(port=-1),
    ]
    for mistake in wrong:
        with pytest.raises(ConfigurationError, match="write"):
            mistake()


@given(st.binary(max_size=2000), st.lists(st.integers(1, 500), max_size=8), st.booleans())
@settings(deadline=None, max_examples=40)
def test_any_body_is_recorded_byte_for_byte(shared: FaultServer, body: bytes, cuts: list[int], chunked: bool) -> None:
    """However it is framed, and wherever the bytes are split on the wire."""
    if chunked:
        parts, rest = [], body
        for cut in cuts:
            if rest:
                parts.append(rest[:cut])
                rest = rest[cut:]
        framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, rest] if part) + b"0\r\n\r\n"
        head = b"POST /any HTTP/1.1\r\nHost: faults\r\nTransfer-Encoding: chunked\r\n\r\n"
    else:
        framed, head = body, b"POST /any HTTP/1.1\r\nHost: faults\r\nContent-Length: %d\r\n\r\n" % len(body)
    message = head + framed
    shared.forget()
    with RawClient(shared) as client:
        for cut in cuts:
            client.send(message[:cut])
            message = message[cut:]
        client.send(message)
        client.reply()
    [seen] = shared.seen
    assert (seen.body, seen.body_sha256, seen.complete) == (body, hashlib.sha256(body).hexdigest(), True)

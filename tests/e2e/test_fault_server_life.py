"""How a ``FaultServer`` starts, stalls, dies, comes back and stops, and what other threads see meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import anyio
import pytest
from tests.support.fault_client import RawClient, can_connect, eventually

from resilix import ConfigurationError
from resilix.testing import FaultServer, Seen, steps


@pytest.fixture(name="server")
def a_server() -> Iterator[FaultServer]:
    """A server for one test, whose scripts had no bug; no thread is left of it."""
    before = threading.active_count()
    with FaultServer() as server:
        yield server
        assert server.errors == ()
    assert threading.active_count() <= before


# -- start and stop ---------------------------------------------------------------------------------------------------


def test_a_second_start_is_refused_and_the_first_goes_on(server: FaultServer) -> None:
    """One object is one server."""
    with pytest.raises(RuntimeError, match="runs already"):
        server.start()
    with RawClient(server) as client:
        client.ask()
        client.reply()


def test_a_port_that_is_taken_is_reported_where_it_was_asked_for(server: FaultServer) -> None:
    """And leaves nothing behind: it can be tried again."""
    before = threading.active_count()
    other = FaultServer(port=server.port)
    for _ in range(2):
        with pytest.raises(OSError, match="in use"):
            other.start()
    assert threading.active_count() <= before
    server.stop()
    with other:
        assert can_connect(other)


def test_what_needs_a_running_server_says_so() -> None:
    """Before and after; what was seen stays, and stopping twice is fine."""
    server = FaultServer()
    server.stop()
    for _ in range(2):
        for use in (lambda: server.url, lambda: server.port, lambda: server.blackhole_url, server.refuse, server.stall):
            with pytest.raises(RuntimeError, match=r"with FaultServer\(\) as server"):
                use()
        with server, RawClient(server) as client:
            client.ask()
            client.reply()
        server.stop()
    assert [one.number for one in server.seen] == [1, 2]
    assert server.open_connections == 0


@pytest.mark.parametrize("late", [False, True], ids=["before it listens", "when it listens"])
def test_an_interrupted_start_leaves_no_thread(monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    """Ctrl-C while it waits for its thread: that ends too, and the server can be started again."""
    before = threading.active_count()
    real = Future.result

    def interrupted(self: Future[Any], timeout: float | None = None) -> Any:
        if late:
            real(self, timeout)
        raise KeyboardInterrupt

    server = FaultServer()
    with monkeypatch.context() as patch:
        patch.setattr(Future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.start()
    assert threading.active_count() <= before
    with server:
        assert can_connect(server)


SCRIPT = """
import gc, socket, sys, threading, time
from resilix.testing import FaultServer, steps

def ask(server, path):
    one = socket.create_connection((server.host, server.port), 5)
    one.sendall(f"GET {path} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n".encode())
    return one

server = FaultServer()
server.always("/hang", steps.hang())
server.always("/drip", steps.drip(200, b"x" * 1000))
server.always("/endless", steps.endless())
server.always("/slow", steps.reply(200, delay=60))
for how in ("plain", "stalled", "refusing"):
    with server:
        server.forget()
        server.blackhole_url
        clients = [ask(server, path) for path in ("/hang", "/drip", "/endless", "/slow", "/") * 10]
        clients += [socket.create_connection((server.host, server.port), 5) for _ in range(5)]
        while len(server.seen) < 50:
            time.sleep(0.001)
        if how == "stalled":
            server.stall(60)
            clients += [ask(server, "/") for _ in range(5)]
            while len(server.seen) < 55:
                time.sleep(0.001)
            for client in clients:
                client.close()
        if how == "refusing":
            server.refuse()
        began = time.monotonic()
    took = time.monotonic() - began
    assert took < 1.0, (how, took)
    for client in clients:
        client.close()
    gc.collect()
    assert threading.active_count() == 1
print("clean")
"""


def test_a_stop_leaves_nothing_whatever_goes_on() -> None:
    """Fifty clients hang, drip, drown, wait or have gone during a stall: within a second, and not one warning."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", SCRIPT], capture_output=True, text=True, timeout=30
    )
    assert (ran.stdout, ran.stderr) == ("clean\n", "")


def test_a_function_that_never_returns_is_named_when_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the only thing that can keep the thread."""
    monkeypatch.setattr("resilix.testing.fault_engine.PATIENCE", 0.05)
    free, before = threading.Event(), threading.active_count()

    def slow(seen: Seen) -> int:
        free.wait(5.0)
        return 200

    server = FaultServer().start()
    server.always("/", slow)
    with RawClient(server) as client:
        client.ask()
        assert eventually(lambda: len(server.seen) == 1)
        with pytest.raises(RuntimeError, match="a function in a script blocks"):
            server.resume()
        with pytest.raises(RuntimeError, match="a function in a script blocks"):
            server.stop()
        free.set()
        assert client.rest()[1] in ("FIN", "RST")
    assert eventually(lambda: threading.active_count() <= before)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_with_is_the_same(backend: str) -> None:
    """On both backends, the loop of the test being free while the server answers."""

    async def use() -> bytes:
        async with FaultServer() as server, await anyio.connect_tcp(server.host, server.port) as stream:
            await stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return await stream.receive()

    assert anyio.run(use, backend=backend).startswith(b"HTTP/1.1 200 OK\r\n")


def test_it_does_not_touch_the_event_loop_of_its_caller() -> None:
    """A loop that runs keeps running, and none is made where there was none."""

    async def use() -> asyncio.AbstractEventLoop:
        with FaultServer():
            return asyncio.get_running_loop()

    with asyncio.Runner() as runner:
        assert runner.run(use()) is runner.get_loop()


def test_it_listens_on_ipv6_too() -> None:
    """Its URL has the brackets that RFC 3986 asks for."""
    with FaultServer("::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        with RawClient(server) as client:
            client.ask()
            client.reply()
        with pytest.raises(TimeoutError):
            socket.create_connection(("::1", int(server.blackhole_url.rpartition(":")[2])), 0.1)


# -- trouble ----------------------------------------------------------------------------------------------------------


def test_while_it_refuses_its_port_is_nobody_elses(server: FaultServer) -> None:
    """Refusing and listening may be said twice; nobody can take the port in between."""
    with RawClient(server) as client:
        client.ask()
        client.reply()
        server.refuse()
        server.refuse()
        assert client.rest()[0] == b""
        with socket.socket() as thief, pytest.raises(OSError, match="in use"):
            thief.bind((server.host, server.port))
        server.listen()
        server.listen()
    with RawClient(server) as client:
        client.ask()
        client.reply()
    assert server.connections == 2


def test_a_client_that_goes_during_a_stall_is_gone(server: FaultServer) -> None:
    """It is not counted as open, and its request stays unanswered."""
    server.stall()
    with RawClient(server) as client:
        client.ask()
        assert eventually(lambda: len(server.seen) == 1)
    assert eventually(lambda: server.open_connections == 0)
    server.resume()
    assert [one.finished for one in server.seen] == [False]


def test_a_stall_that_ends_by_itself_does_not_end_the_next_one(server: FaultServer) -> None:
    """Its alarm is gone with it."""
    server.stall(0.05)
    server.resume()
    server.stall()
    with RawClient(server) as client:
        client.ask()
        assert client.silent_for(0.1)
        server.resume()
        client.reply()


def test_a_stall_takes_hold_before_the_answer_when_a_function_calls_it(server: FaultServer) -> None:
    """The request that decides it is the first to wait."""

    def stall(seen: Seen) -> int:
        server.stall(0.1)
        return 200

    server.script("/", stall)
    with RawClient(server) as client:
        began = time.monotonic()
        client.ask()
        client.reply()
        assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "1"])
def test_a_stall_lasts_more_than_nothing(server: FaultServer, seconds: Any) -> None:
    """And not for ever by a number: that is what no argument says."""
    with pytest.raises(ConfigurationError, match=r"FaultServer\.stall\(seconds="):
        server.stall(seconds)


# -- other threads ----------------------------------------------------------------------------------------------------


def test_what_a_client_has_received_is_finished_when_it_looks(server: FaultServer) -> None:
    """Every time, however large the answer, and the counters with it."""
    for size in (0, 10, 3_000_000):
        server.forget()
        server.default = steps.reply(200, b"x" * size)
        with RawClient(server) as client:
            for number in range(1, 31 if size < 1000 else 4):
                client.ask()
                client.reply()
                seen = server.seen
                assert [(one.number, one.complete, one.finished) for one in seen] == [
                    (n, True, True) for n in range(1, number + 1)
                ]


def test_a_request_that_grows_is_never_seen_torn(server: FaultServer) -> None:
    """Length, bytes and hash belong together in every look at it."""
    body = bytes(range(256)) * 8192
    looks: list[Seen] = []

    def send() -> None:
        with RawClient(server) as client:
            client.ask(method="POST", body=body)
            client.reply()

    sender = threading.Thread(target=send)
    sender.start()
    while sender.is_alive():
        looks.extend(server.seen)
    sender.join()
    looks.extend(server.seen)
    lengths = {one.body_length: one for one in looks}
    assert lengths[len(body)].complete
    for length, one in lengths.items():
        assert one.body == body[: min(length, 1 << 20)]
        assert one.body_sha256 == hashlib.sha256(body[:length]).hexdigest()


def test_looking_and_forgetting_never_disturb_fifty_clients(server: FaultServer) -> None:
    """Threads switch as often as they can; every request is answered, and the counters are right at the end."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def look() -> None:
        try:
            while not stop.is_set():
                assert len(server.attempts("7")) <= 4
                assert server.open_connections <= 50
                server.script("/other", 503)
                numbers = [one.number for one in server.seen]
                assert numbers == list(range(1, len(numbers) + 1))
        except BaseException as error:
            failures.append(error)

    def ask(name: int) -> None:
        try:
            with RawClient(server) as client:
                for _ in range(4):
                    client.ask("/", f"X-Request-Id: {name}", method="POST", body=b"x" * name)
                    client.reply()
        except BaseException as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        looker = threading.Thread(target=look)
        clients = [threading.Thread(target=ask, args=(name,)) for name in range(50)]
        for one in [looker, *clients]:
            one.start()
        for one in clients:
            one.join()
        stop.set()
        looker.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    assert (len(server.seen), server.connections) == (200, 50)
    assert {len(server.attempts(str(name))) for name in range(50)} == {4}
    server.forget()
    assert (server.seen, server.attempts("7"), server.connections) == ((), (), 50)

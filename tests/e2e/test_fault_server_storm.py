"""A ``FaultServer`` among many connections: what is being accepted when it stops, and counters that are exact."""

from __future__ import annotations

import gc
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from tests.support.fault_client import RawClient

from resilix.testing import FaultServer, steps


@contextmanager
def storm(port: int) -> Iterator[None]:
    """Four threads connect, ask and go, as fast as they can."""
    over = threading.Event()

    def connect() -> None:
        while not over.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1) as one:
                one.sendall(b"GET /storm HTTP/1.1\r\nHost: faults\r\n\r\n")

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("again", [False, True])
def test_connections_that_are_being_accepted_are_closed_too(monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    """Stopped and refused in a storm of connects, it leaves no socket behind for the garbage collector."""
    left: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: left.append(str(found.exc_value)))
    for _ in range(4):
        server = FaultServer().start()
        server.always("/storm", steps.hang())
        with storm(server.port):
            time.sleep(0.05)
            if again:
                server.refuse()
                server.listen()
                time.sleep(0.02)
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 1.0
        assert server.open_connections == 0
    gc.collect()
    assert left == []


def test_six_hundred_connections_are_open_at_once() -> None:
    """Each is answered, and gone when its client is."""
    with FaultServer() as server, ExitStack() as clients:
        everyone = [clients.enter_context(RawClient(server)) for _ in range(600)]
        end = time.monotonic() + 10.0
        while server.connections < 600 and time.monotonic() < end:
            time.sleep(0.01)  # on a busy machine accepting them takes a while
        assert (server.connections, server.open_connections) == (600, 600)
        for client in everyone:
            client.ask("/a")
        for client in everyone:
            client.reply()
        assert len({seen.connection for seen in server.seen}) == len(server.seen) == 600
        clients.close()
        assert server.open_connections == 0


def test_what_was_sent_or_closed_before_is_counted_when_one_asks() -> None:
    """No waiting for the server's thread to notice: neither connects, nor requests, nor ends."""
    with FaultServer() as server:
        server.default = steps.hang()
        for number in range(1, 31):
            with RawClient(server) as client:
                assert (server.connections, server.open_connections) == (number, 1)
                client.ask("/a", method="POST", body=b"hello")
                assert len(server.seen) == number
                assert server.seen[-1].complete
            assert server.open_connections == 0


def test_a_big_answer_that_was_read_is_finished() -> None:
    """Also when the last of it went out after the rest had waited in the server for the reader."""
    with FaultServer() as server:
        server.default = steps.reply(200, b"x" * 5_000_000)
        for number in range(20):
            with RawClient(server) as client:
                client.ask("/a")
                time.sleep(0.01)  # the system's buffers are full now
                assert not server.seen[number].finished
                client.reply()
                assert server.seen[number].finished


def test_the_port_is_held_while_connects_are_refused() -> None:
    """Nobody else can take it, so that listening again succeeds; and stop() gives it free."""
    with FaultServer() as server:
        port = server.port
        server.refuse()
        server.refuse()
        with pytest.raises(ConnectionRefusedError):
            RawClient(server)
        with socket.socket() as thief, pytest.raises(OSError, match="in use"):
            thief.bind((server.host, port))
        server.listen()
        server.listen()
        RawClient(server).__exit__(None, None, None)
        server.refuse()
    with FaultServer(port=port) as server:
        assert server.port == port


def test_one_can_ask_while_a_function_in_a_script_blocks() -> None:
    """The answer is what is known then, after half a second at most."""
    go_on = threading.Event()
    with FaultServer() as server:
        server.script("/a", lambda seen: 200 if go_on.wait(5) else 500)
        with RawClient(server) as client:
            client.ask("/a")
            deadline = time.monotonic() + 5
            while not server.seen and time.monotonic() < deadline:
                pass
            assert [seen.path for seen in server.seen] == ["/a"]
            go_on.set()
            assert client.reply()[0].startswith(b"HTTP/1.1 200 ")

"""A client that sees every byte: what a ``FaultServer`` does is observed with nothing in between."""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Self

from resilix.testing import FaultServer

PATIENCE = 5.0
"""Seconds after which a read that gets nothing fails the test."""


class RawClient:
    """One TCP connection to a server.

    Args:
        server: Where to.
    """

    def __init__(self, server: FaultServer) -> None:
        self._socket = socket.create_connection((server.host, server.port), PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def ask(self, path: str = "/", *lines: str, method: str = "GET", body: bytes = b"") -> None:
        """Send a request; the lines are further headers."""
        length = [f"Content-Length: {len(body)}"] if body else []
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: faults", *length, *lines, "", ""])
        self.send(head.encode() + body)

    def piece(self) -> bytes:
        """What one read gives; empty for FIN."""
        return self._socket.recv(65536)

    def until(self, end: bytes) -> bytes:
        """Read, byte by byte, until the mark has come."""
        data = b""
        while not data.endswith(end):
            byte = self._socket.recv(1)
            assert byte, f"FIN after {data!r}"
            data += byte
        return data

    def reply(self) -> tuple[bytes, bytes]:
        """Read a whole reply with a Content-Length: head and body."""
        head = self.until(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        body = b""
        while len(body) < length:
            piece = self._socket.recv(length - len(body))
            assert piece, f"FIN after {head + body!r}"
            body += piece
        return head, body

    def rest(self) -> tuple[bytes, str]:
        """Read to the end: the bytes, and how it ended ("FIN" or "RST")."""
        data = b""
        while True:
            try:
                piece = self._socket.recv(65536)
            except ConnectionResetError:
                return data, "RST"
            if not piece:
                return data, "FIN"
            data += piece

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing comes, not even an end."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(1, socket.MSG_PEEK) is None
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(PATIENCE)


def can_connect(server: FaultServer) -> bool:
    """Whether a connect succeeds; refused otherwise."""
    try:
        RawClient(server)._socket.close()
    except ConnectionRefusedError:
        return False
    return True


def refused(host: str, port: int) -> bool:
    """Whether this port refuses."""
    with socket.socket() as one:
        return one.connect_ex((host, port)) != 0


def eventually(holds: object, *, seconds: float = PATIENCE) -> bool:
    """Wait until a function returns something true."""
    assert callable(holds)
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True

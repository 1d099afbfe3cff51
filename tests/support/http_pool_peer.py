"""A server of raw sockets that misbehaves as the path says, over TCP, TLS or a socket in the file system."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import trustme

STEP = 0.01
"""Seconds between two bytes of a drip."""

Talk = Callable[[socket.socket, "Peer"], None]


class Authority:
    """A certificate authority for one run of the tests, a server it vouches for, and a client that believes it."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


class Peer:
    """One listening socket; a thread for each connection.

    Attributes:
        port: Where it listens; 0 for a socket in the file system.
        connections: How many it has accepted.
        received: Bytes that came after the first request head.
    """

    def __init__(self, talk: Talk, *, tls: ssl.SSLContext | None = None, path: str | None = None) -> None:
        self.talk = talk
        self.tls = tls
        self.connections = 0
        self.received = 0
        self.closing = threading.Event()
        if path is None:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port: int = self.listener.getsockname()[1]
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
            self.port = 0
        # Small, and set before accept, so that a reader that stops is noticed soon.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            sock, _ = self.listener.accept()
            if self.closing.is_set():
                sock.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock,))
            self.threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(5.0)
        with suppress(OSError), sock:
            if self.tls is None:
                self.talk(sock, self)
            else:
                with self.tls.wrap_socket(sock, server_side=True) as wrapped:
                    self.talk(wrapped, self)

    def close(self) -> None:
        """Stop, and wait for all threads."""
        self.closing.set()
        with suppress(OSError), socket.socket(self.listener.family) as last:
            last.connect(self.listener.getsockname())
        for thread in self.threads:
            thread.join(6.0)
        self.listener.close()


@contextmanager
def listening(talk: Talk, *, tls: ssl.SSLContext | None = None, path: str | None = None) -> Iterator[Peer]:
    """A peer for the length of a block."""
    peer = Peer(talk, tls=tls, path=path)
    try:
        yield peer
    finally:
        peer.close()


def head_of(sock: socket.socket) -> bytes:
    """Read a request head, byte by byte; empty at the end of the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        got = sock.recv(1)
        if not got:
            return b""
        head += got
    return head


def drip(sock: socket.socket, data: bytes, peer: Peer) -> None:
    """Send byte by byte."""
    for byte in data:
        if peer.closing.is_set():
            return
        sock.sendall(bytes([byte]))
        time.sleep(STEP)


def by_path(sock: socket.socket, peer: Peer) -> None:
    """HTTP: what is wrong with the answer is the last part of the path."""
    while head := head_of(sock):
        kind = head.split()[1].rpartition(b"/")[2]
        answer = b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 20 + b"\r\ncontent-length: 45\r\n\r\n"
        if kind == b"headers":
            drip(sock, answer + b"y" * 45, peer)
        elif kind == b"body":
            sock.sendall(answer)
            drip(sock, b"y" * 45, peer)
        elif kind == b"stopped":
            peer.closing.wait(5.0)
            return
        elif kind == b"slow":
            while not peer.closing.is_set():
                peer.received += len(sock.recv(4096))
                time.sleep(STEP)
        else:
            sock.sendall(answer + b"y" * 45)


def silent(sock: socket.socket, peer: Peer) -> None:
    """Accept, and never say a word."""
    peer.closing.wait(5.0)


def late_tunnel(sock: socket.socket, peer: Peer) -> None:
    """A proxy that takes its time to connect, to a server that never shakes hands."""
    head_of(sock)
    time.sleep(0.08)
    sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
    peer.closing.wait(5.0)


def dripping_hello(sock: socket.socket, peer: Peer) -> None:
    """Begin a TLS record as long as a handshake may be, and send it byte by byte."""
    sock.recv(4096)
    drip(sock, b"\x16\x03\x03\x10\x00\x02\x00\x0f\xfc" + b"\x03" * 200, peer)

"""A place where a connect neither succeeds nor fails, as behind a firewall that drops packets."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

from resilix.locks import Lock

FULL: Final = 8
"""Connections that fill the backlog; more than systems add to a backlog of zero."""


class BlackHole:
    """A listener whose backlog is full, made when it is first asked for."""

    def __init__(self, host: str, family: socket.AddressFamily) -> None:
        self._host, self._family = host, family
        self._lock = Lock()
        self._sockets: list[socket.socket] = []

    @property
    def port(self) -> int:
        """Where it is."""
        with self._lock:
            if not self._sockets:
                self._open()
            return int(self._sockets[0].getsockname()[1])

    def _open(self) -> None:
        hole = socket.socket(self._family)
        self._sockets.append(hole)
        hole.bind((self._host, 0))
        hole.listen(0)
        for _ in range(FULL):
            one = socket.socket(self._family)
            self._sockets.append(one)
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(hole.getsockname())

    def close(self) -> None:
        """End it."""
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()

"""The listening socket of a ``FaultServer``.

asyncio's own server is not used: one that is closed while connections are being accepted leaves them behind, unclosed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

BACKLOG: Final = 1024
AT_ONCE: Final = 64
"""Connections accepted in one turn of the loop; the open ones have their turn in between."""
RELIEF: Final = 0.05
"""Seconds without accepting after the process had no file descriptor left for a connection."""


class Door:
    """Accepts connections while it is open. To be used in the thread of its loop.

    Attributes:
        port: Where it listens, or will again.
    """

    def __init__(self, host: str, port: int, enter: Callable[[socket.socket], None]) -> None:
        self.port = port
        self._host, self._enter = host, enter
        self._listening: socket.socket | None = None
        self._reserved: socket.socket | None = None

    @property
    def open(self) -> bool:
        """Whether connections are accepted."""
        return self._listening is not None

    def listen(self) -> None:
        """Accept from now on.

        Raises:
            OSError: The port is taken, or the address is not this machine's.
        """
        if self._listening is not None:
            return
        bound, self._reserved = self._reserved or self._bound(), None
        try:
            bound.listen(BACKLOG)
        except BaseException:
            bound.close()
            raise
        self.port = int(bound.getsockname()[1])
        self._listening = bound
        self._attend(bound)

    def shut(self, *, reserve: bool) -> None:
        """Have connects refused from now on; perhaps hold the port, so that nobody takes it meanwhile."""
        listening, self._listening = self._listening, None
        if listening is not None:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        if self._reserved is not None and not reserve:
            self._reserved.close()
            self._reserved = None
        elif self._reserved is None and reserve:
            self._reserved = self._bound()

    def _bound(self) -> socket.socket:
        bound = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setblocking(False)
            bound.bind((self._host, self.port))
        except BaseException:
            bound.close()
            raise
        return bound

    def _attend(self, listening: socket.socket) -> None:
        if listening is self._listening:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening)
                loop.call_later(RELIEF, self._attend, listening)
                return
            accepted.setblocking(False)
            self._enter(accepted)

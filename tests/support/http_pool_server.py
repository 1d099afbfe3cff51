"""A server on a thread of its own for many clients at once; ``/<what>/<milliseconds>`` says what it does and when."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

WHATS = ("ok", "ok", "ok", "busy", "drip", "cut", "reset")
"""What a storm asks for, as often as each is listed."""

_ABORT = struct.pack("ii", 1, 0)
_BODY = 20


class Server:
    """Listens on 127.0.0.1.

    Attributes:
        url: Its address, without a slash at the end.
    """

    def __init__(self) -> None:
        self.url = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        self._ready.wait()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=500)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._closing.wait()
        server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is to end."""
        head = await reader.readuntil(b"\r\n\r\n")
        _, what, milliseconds = head.split()[1].decode().split("/")
        await asyncio.sleep(int(milliseconds) / 1000)
        if what == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            return False
        status = b"503 Busy" if what == "busy" else b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (status, _BODY))
        for _ in range(_BODY if what == "drip" else 0):
            writer.write(b"x")
            await writer.drain()  # ends with an error when the client has gone
            await asyncio.sleep(0.002)
        if what == "cut":
            writer.write(b"x")
        elif what != "drip":
            writer.write(b"x" * _BODY)
        await writer.drain()
        return what != "cut"

    def close(self) -> None:
        """Stop, and wait for the thread."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(5.0)


@contextmanager
def serving(count: int) -> Iterator[list[str]]:
    """The addresses of some servers for the length of a block."""
    servers = [Server() for _ in range(count)]
    try:
        yield [one.url for one in servers]
    finally:
        for one in servers:
            one.close()

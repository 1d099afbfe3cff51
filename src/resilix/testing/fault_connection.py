"""One connection of a ``FaultServer``: reads requests strictly and has a step answer each."""

from __future__ import annotations

import asyncio
import math
import re
import socket
import struct
import time
from typing import Protocol

from resilix.testing.fault_record import Record
from resilix.testing.fault_steps import Cut, Step, head_of

LONGEST_HEAD = 65536
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.[01]")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,12})(?:;.*)?")


class GoneError(Exception):
    """The client closed the connection."""


class BadRequestError(Exception):
    """The client sent what is not HTTP/1.1."""


class Host(Protocol):
    """The server, as a connection sees it."""

    def opened(self, connection: Connection) -> Step | None:
        """A connection came; perhaps something happens before anything is read."""
        ...

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        ...

    def arrived(self, record: Record) -> Step:
        """A head has been read: count it and say what answers it."""
        ...

    def next_number(self) -> int:
        """The number of the next request."""
        ...

    async def flowing(self) -> None:
        """Wait while the server is stalled."""
        ...


class Connection(asyncio.Protocol):
    """One accepted connection.

    Attributes:
        number: From 1, in order.
    """

    def __init__(self, host: Host) -> None:
        self.number = 0
        self.task: asyncio.Task[None] | None = None
        self._host = host
        self._buffer = bytearray()
        self._gone = asyncio.Event()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport

    # -- asyncio calls these -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        first = self._host.opened(self)
        self.task = asyncio.get_running_loop().create_task(self._serve(first))

    def data_received(self, data: bytes) -> None:
        """The client has sent something."""
        self._buffer += data
        self._news.set()

    def eof_received(self) -> bool:
        """The client will send no more."""
        self._gone.set()
        self._news.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._gone.set()
        self._news.set()
        self._writable.set()
        self._host.closed(self)

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()

    # -- steps call these ----------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Send, and wait until most of it is on its way."""
        if self._gone.is_set():
            raise GoneError
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    async def pause(self, seconds: float) -> None:
        """Wait; raises when the client goes."""
        if seconds == 0:
            await asyncio.sleep(0)
        elif not self._gone.is_set():
            try:
                async with asyncio.timeout(None if seconds == math.inf else seconds):
                    await self._gone.wait()
            except TimeoutError:
                return
        if self._gone.is_set():
            raise GoneError

    def end(self, *, reset: bool) -> None:
        """Close, with RST or with FIN."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        else:
            self._transport.close()

    def drop(self) -> None:
        """Close at once, whatever is still to be sent."""
        self._transport.abort()

    # -- requests ------------------------------------------------------------------------------------------

    async def _serve(self, first: Step | None) -> None:
        try:
            if first is not None:
                await first.play(self, head_only=False)
            else:
                while await self._request():
                    pass
        except BadRequestError as error:
            body = f"{error}\n".encode()
            headers = (("Content-Length", str(len(body))), ("Connection", "close"))
            self._transport.write(head_of(400, headers) + body)
        except GoneError:
            pass
        finally:
            self._transport.close()

    async def _request(self) -> bool:
        """Read one request and have it answered. Whether another may follow."""
        line, headers = await self._head()
        record = Record(
            self._host.next_number(), line[0], line[1], headers, connection=self.number, at=time.monotonic()
        )
        step = self._host.arrived(record)
        record.step = repr(step)
        if not (isinstance(step, Cut) and step.at in ("connect", "request")):
            if record.header("expect").lower() == "100-continue":
                await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self._body(record)
            record.complete = True
        await self._host.flowing()
        kept = await step.play(self, head_only=record.method == "HEAD")
        record.finished = True
        return kept and record.header("connection").lower() != "close"

    async def _head(self) -> tuple[tuple[str, str], tuple[tuple[str, str], ...]]:
        text = await self._until(b"\r\n\r\n", LONGEST_HEAD)
        first, *lines = text.split(b"\r\n")
        line = REQUEST_LINE.fullmatch(first)
        if line is None:
            raise BadRequestError(f"no request line: {first[:80]!r}")
        headers = []
        for one in lines:
            header = HEADER.fullmatch(one)
            if header is None:
                raise BadRequestError(f"no header: {one[:80]!r}")
            headers.append((header[1].decode("ascii"), header[2].decode("latin-1")))
        return (line[1].decode("ascii"), line[2].decode("ascii")), tuple(headers)

    async def _body(self, record: Record) -> None:
        if record.header("transfer-encoding").lower() == "chunked":
            while True:
                size = CHUNK.fullmatch(await self._until(b"\r\n", 1024))
                if size is None:
                    raise BadRequestError("no length of a chunk")
                left = int(size[1], 16)
                if not left:
                    break
                await self._take(record, left)
                if await self._until(b"\r\n", 2):
                    raise BadRequestError("a chunk is longer than it said")
            while await self._until(b"\r\n", LONGEST_HEAD):
                pass  # trailers
            return
        length = record.header("content-length") or "0"
        if not length.isdecimal():
            raise BadRequestError(f"no length: {length!r}")
        await self._take(record, int(length))

    async def _take(self, record: Record, left: int) -> None:
        while left:
            while not self._buffer:
                await self._more()
            data = bytes(self._buffer[:left])
            del self._buffer[: len(data)]
            record.took(data)
            left -= len(data)

    async def _until(self, mark: bytes, most: int) -> bytes:
        while (index := self._buffer.find(mark)) < 0:
            if len(self._buffer) > most:
                raise BadRequestError(f"more than {most} bytes without an end")
            await self._more()
        data = bytes(self._buffer[:index])
        del self._buffer[: index + len(mark)]
        return data

    async def _more(self) -> None:
        if self._gone.is_set():
            raise GoneError
        self._news.clear()
        await self._news.wait()

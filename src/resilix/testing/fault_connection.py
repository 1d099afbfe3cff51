"""One connection of a ``FaultServer``: reads requests strictly and has a step answer each."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import time
from typing import Final, Protocol

from resilix.testing.fault_http import (
    LONGEST_HEAD,
    LONGEST_LINE,
    BadRequestError,
    Head,
    check_start,
    head_of,
    read_chunk_length,
    read_head,
)
from resilix.testing.fault_record import Record
from resilix.testing.fault_steps import Cut, Step

LINGER: Final = 0.5
"""Seconds a connection that was ended with FIN is still read: the system turns an unread rest into RST."""
HEAD_END: Final = b"\r\n\r\n"
AHEAD: Final = 1 << 20
"""Bytes that are read before somebody wants them; then the client has to wait, as with any server that is stuck."""


class GoneError(Exception):
    """The client closed the connection."""


class Host(Protocol):
    """The server, as a connection sees it."""

    def opened(self, connection: Connection) -> bool:
        """A connection came. Whether it may stay."""
        ...

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        ...

    def first_step(self) -> Step | None:
        """What happens on a new connection before anything is read."""
        ...

    def arrived(self, head: Head, connection: int, at: float) -> tuple[Record, Step]:
        """A head has been read: count it and say what answers it."""
        ...

    def failed(self, error: Exception) -> None:
        """A step raised."""
        ...

    async def flowing(self) -> None:
        """Wait while the server is stalled."""
        ...


class Connection(asyncio.Protocol):
    """One accepted connection.

    Attributes:
        number: From 1, in order.
        task: Serves it.
    """

    def __init__(self, host: Host) -> None:
        self.number = 0
        self.task: asyncio.Task[None] | None = None
        self._host = host
        self._buffer = bytearray()
        self._gone, self._news, self._writable = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._writable.set()
        self._deaf = False
        self._patience: float | None = None
        self._record: Record | None = None
        self._transport: asyncio.Transport

    # -- asyncio calls these -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # so that what was sent is with the operating system
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._host.opened(self):
            self.task = asyncio.get_running_loop().create_task(self._serve())
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """The client has sent something."""
        if not self._deaf:
            self._buffer += data
            self._news.set()
            if len(self._buffer) > AHEAD:
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client will send no more: it counts as gone."""
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
        if self._record is not None and self._record.finishing:
            with self._record.lock:
                self._record.finish()
        self._writable.set()

    # -- steps call these ----------------------------------------------------------------------------------

    async def send(self, data: bytes, *, last: bool = False) -> None:
        """Send, and wait until it is on its way. ``last``: with it the whole answer is sent."""
        if self._gone.is_set():
            raise GoneError
        if last and self._record is not None:
            with self._record.lock:  # who has read the answer and asks now sees that it is finished
                self._transport.write(data)
                self._record.finishing = not self._writable.is_set()
                if not self._record.finishing and not self._transport.is_closing():
                    self._record.finish()
        else:
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

    async def end(self, *, reset: bool) -> None:
        """End the connection, with RST or with FIN."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
            return
        self._transport.write_eof()
        self._deaf = True
        self._transport.resume_reading()
        await self.pause(LINGER)

    def close_when_idle(self, seconds: float) -> None:
        """Close the connection without a word unless another request has begun to arrive by then."""
        self._patience = seconds

    def drop(self) -> None:
        """Close at once, whatever is still to be sent."""
        self._transport.abort()

    # -- requests ------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            first = self._host.first_step()
            if first is not None:
                await first.play(self, head_only=False)
                return
            while await self._request():
                pass
        except BadRequestError as error:
            await self._refuse(str(error))
        except GoneError:
            pass
        except Exception as error:  # a step of the user's own has a bug
            self._host.failed(error)
        finally:
            self._transport.close()

    async def _request(self) -> bool:
        """Read one request and have it answered. Whether another may follow."""
        if not await self._begins():
            return False
        self._record = None
        while HEAD_END not in self._buffer and len(self._buffer) <= LONGEST_HEAD:
            check_start(self._buffer)
            await self._more()
        head = read_head(await self._until(HEAD_END, LONGEST_HEAD))
        record, step = self._host.arrived(head, self.number, time.monotonic())
        self._record = record
        if not (isinstance(step, Cut) and step.at == "request"):
            if head.expects_continue:
                await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self._body(head, record)
            record.complete()
        await self._host.flowing()
        kept = await step.play(self, head_only=head.method == "HEAD")
        return kept and head.persistent

    async def _refuse(self, why: str) -> None:
        body = f"{why}\n".encode()
        if self._record is not None:
            self._record.answered_by(f"400: {why}")
        await self._host.flowing()
        headers = (("Content-Length", str(len(body))), ("Connection", "close"))
        try:
            await self.send(head_of(400, headers) + body, last=True)
            await self.end(reset=False)
        except GoneError:
            pass

    async def _begins(self) -> bool:
        """Wait for the first byte of a request, no longer than the last step allowed."""
        patience, self._patience = self._patience, None
        if patience is None or self._buffer:
            return True
        try:
            async with asyncio.timeout(patience):
                await self._more()
        except TimeoutError:
            return False
        return True

    async def _body(self, head: Head, record: Record) -> None:
        if head.length is not None:
            await self._take(record, head.length)
            return
        while left := read_chunk_length(await self._until(b"\r\n", LONGEST_LINE)):
            await self._take(record, left)
            if await self._until(b"\r\n", 2):
                raise BadRequestError("a chunk is longer than it said")
        while await self._until(b"\r\n", LONGEST_HEAD):
            pass  # trailers

    async def _take(self, record: Record, left: int) -> None:
        while left:
            while not self._buffer:
                await self._more()
            data = bytes(self._buffer[:left])
            del self._buffer[: len(data)]
            record.took(data)
            left -= len(data)

    async def _until(self, mark: bytes, most: int) -> bytes:
        while (index := self._buffer.find(mark)) < 0 and len(self._buffer) <= most:
            await self._more()
        if not 0 <= index <= most:
            raise BadRequestError(f"more than {most} bytes without an end")
        data = bytes(self._buffer[:index])
        del self._buffer[: index + len(mark)]
        return data

    async def _more(self) -> None:
        if self._gone.is_set():
            raise GoneError
        self._news.clear()
        self._transport.resume_reading()
        await self._news.wait()

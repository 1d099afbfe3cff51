"""A response nobody will see, because another attempt replaces it.

A little of it is read, so that its connection lives on, and then it is closed. Closing alone throws a connection away
for each retry; not closing leaves the pool without one.
"""

from __future__ import annotations

from typing import Any

from resilix.clock import SYSTEM
from resilix.http.call import Call
from resilix.http.extensions import INFINITE
from resilix.runtime import RUNTIME, Expiry, in_trio

MOST_BYTES = 65536
"""How much of a dropped body is read. The bytes are never decoded."""
MOST_SECONDS = 0.05
"""How long that may take."""


class Drain:
    """What is read of one dropped body; it stays readable, should the other attempt not be made after all."""

    __slots__ = ("call", "chunks", "end", "moment", "size")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.chunks: list[bytes] = []
        self.size = 0
        self.moment = SYSTEM.now() + MOST_SECONDS
        self.end: Exception | None = call.too_late()
        call.move(self.moment)

    def took(self, chunk: bytes) -> bool:
        """One more chunk; True to stop here."""
        self.chunks.append(chunk)
        self.size += len(chunk)
        if self.size < MOST_BYTES and SYSTEM.now() < self.moment:
            return False
        if not self.call.port.obeys:
            return True
        # The next read fails at once, and ends what the library has under way better than leaving it would: on trio
        # generators that nobody finishes are warned of.
        self.call.move(-INFINITE)
        return self.size >= 2 * MOST_BYTES

    def worthwhile(self, response: Any) -> bool:
        """Whether the rest is known to be too long to read to its end."""
        length = response.headers.get("content-length", "")
        return not (length.isdecimal() and int(length[:20]) > MOST_BYTES)

    def put_back(self, response: Any) -> None:
        """Let the response hold what was read."""
        response.stream = self.call.port.library.read_stream(self.chunks, self.end)


def drop(call: Call, response: Any) -> None:
    """Read a little of a response and close it, sync."""
    body = call.body
    if body is None or response.is_closed:
        return
    drain = Drain(call)
    try:
        if drain.worthwhile(response):
            for chunk in body.inner:
                if drain.took(chunk):
                    break
            else:
                drain.end = None
    except Exception as error:
        drain.end = error
    finally:
        response.stream.close()
    drain.put_back(response)


async def adrop(call: Call, response: Any) -> None:
    """Read a little of a response and close it, async."""
    body = call.body
    if body is None or response.is_closed:
        return
    drain = Drain(call)
    try:
        if drain.worthwhile(response):
            await _aread(drain, body.inner, obeys=call.port.obeys)
    except Exception as error:
        drain.end = error
    finally:
        await response.stream.aclose()
    drain.put_back(response)


async def _aread(drain: Drain, stream: Any, *, obeys: bool) -> None:
    if obeys:
        await _aread_on(drain, stream)
    elif in_trio():
        with RUNTIME.driver.scope(MOST_SECONDS):
            await _aread_on(drain, stream)
    else:
        expiry = Expiry(MOST_SECONDS)
        try:
            await _aread_on(drain, stream)
        except BaseException as error:
            if not expiry.end(error):
                raise
        else:
            expiry.end(None)


async def _aread_on(drain: Drain, stream: Any) -> None:
    async for chunk in stream:
        if drain.took(chunk):
            return
    drain.end = None

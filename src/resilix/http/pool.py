"""The guard in front of the connection pool of httpx 0.28, which loses its slots for good.

httpcore 1.x gives a request a connection and forgets to take it back when the request ends before it has used it: a
cancellation or a timeout that comes while the request waits for the pool, for a lock, or for the handshake behind a
proxy leaves a connection nobody will ever use and nothing will ever remove. So does a second cancellation that cuts
the cleaning up short: it is shielded against scopes of anyio and trio, but not against ``Task.cancel``. The reports:
encode/httpcore#658, #830, #1093. httpx2 does not lose any.

Two remedies, and both are needed. Callers wait for a place before the pool, so that no request waits inside, where
its end would lose a slot. And after every abnormal end the pool is mended: what no request has is taken out.

What cannot be given back at once: a socket that was in a local variable of the library when the request was cancelled
(between the connect and the handshake of TLS or of a SOCKS proxy). It costs no slot; ``backend.py`` closes it if it
has hold of the transport, else the garbage collector does.
"""

from __future__ import annotations

import math
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any

from resilix.attention import GIL
from resilix.clock import SYSTEM
from resilix.core.permits import Hold, PermitQueue
from resilix.http.until import Until
from resilix.runtime import ThreadParker, async_parker

_NEEDED = (
    "_assign_requests_to_connections", "_close_connections", "_connections", "_http2", "_max_connections",
    "_optional_thread_lock", "_requests",
)  # fmt: skip
_KEPT = "_resilix_guard"
_AWAITED = "a place in front of a connection pool"
_DOUBT = 1.0
"""Seconds for which a pool is looked at again at each entrance after an abnormal end; it is a matter of one or two
turns of the event loop."""


def guard_of(transport: Any) -> PoolGuard | None:
    """The guard of the pool of a transport, the same one for all who share the pool.

    Example::

        guard = guard_of(httpx.HTTPTransport())

    Args:
        transport: Anything a client can have for a transport.

    Returns:
        ``None`` where none is needed (httpx2) or the pool is not known.
    """
    pool: Any = getattr(transport, "_pool", None)
    library = _library_of(transport)
    if library is None or not any(kind.__module__.partition(".")[0] == "httpcore" for kind in type(pool).__mro__):
        return None
    if not all(hasattr(pool, name) for name in _NEEDED):
        return None
    # One step, so that two threads get the same. On the pool, because a table of pools would keep them alive.
    guard: PoolGuard = vars(pool).setdefault(_KEPT, PoolGuard(pool, library.PoolTimeout))
    return guard


def _library_of(transport: Any) -> ModuleType | None:
    """The library a transport's class comes from."""
    for kind in type(transport).__mro__:
        library = sys.modules.get(kind.__module__.partition(".")[0])
        if library is not None and hasattr(library, "PoolTimeout") and hasattr(library, "HTTPTransport"):
            return library
    return None


class PoolGuard:
    """Lets as many calls into a pool as it has connections, first come first served, and mends it.

    Works from threads, any number of asyncio loops, and trio.

    Example::

        await guard.aenter(5.0)
        try:
            response = await transport.handle_async_request(request)
        except BaseException:
            guard.leave()
            await guard.amend()
            raise
        ...
        guard.leave(response.stream)  # once the body is closed

    Args:
        pool: A pool of httpcore 1.x.
        late: The error for a caller that got no place in time.

    Attributes:
        places: How many may be in at once; ``None`` for any number, as for a pool without a bound, and for HTTP/2,
            where one connection serves many.
    """

    __slots__ = ("_doubt_ends", "_late", "_pool", "_queue", "_unclosed", "places")

    def __init__(self, pool: Any, late: type[Exception]) -> None:
        self._pool = pool
        self._late = late
        most: int = pool._max_connections
        self.places = None if pool._http2 or most >= sys.maxsize else most
        self._queue = None if self.places is None else PermitQueue(self.places, None)
        self._doubt_ends = 0.0
        self._unclosed: list[Any] = []

    # -- places --------------------------------------------------------------------------------------------

    @property
    def free(self) -> int | None:
        """Places nobody has; ``None`` without a bound."""
        return None if self._queue is None else self._queue.idle

    def enter_free(self) -> bool:
        """Take a place that is free now, if nothing else has to be done; whoever gets none calls :meth:`enter`."""
        if self._doubt_ends:
            return False
        queue = self._queue
        if queue is None:
            return True
        if GIL and queue.free:
            queue.free -= 1
            return True
        return False

    def enter(self, seconds: float | None = None) -> None:
        """Take a place, waiting for one if need be.

        Args:
            seconds: How long to wait at most; zero for not at all, ``None`` without a bound. An ``Until`` ends with
                its moment.

        Raises:
            PoolTimeout: The library's own; no place came free in time.
        """
        if self._doubt_ends:
            self._close(self._looked_again())
        if self._queue is None:
            return
        hold = Hold(self._queue)
        try:
            if hold.take():
                return
            parker = ThreadParker(_AWAITED)
            longest = self._line_up(hold, parker.wake, seconds)
            if not hold.needed:
                parker.park(longest)
                self._end_of_wait(hold)
        except BaseException:
            hold.drop()
            raise

    async def aenter(self, seconds: float | None = None) -> None:
        """Take a place for an async call, as :meth:`enter` does."""
        if self._doubt_ends:
            await self._aclose(self._looked_again())
        if self._queue is None:
            return
        hold = Hold(self._queue)
        try:
            if hold.take():
                return
            parker = async_parker(_AWAITED)
            longest = self._line_up(hold, parker.wake, seconds)
            if not hold.needed:
                await parker.park(longest)
                self._end_of_wait(hold)
        except BaseException:
            hold.drop()
            raise

    def leave(self, body: Any = None) -> None:
        """Give a place back; once for each that was taken.

        Args:
            body: The stream of the response this was about, once it has been closed or closing it has failed. Only
                with it can a request be found whose end was cut short while its body was being closed.
        """
        if body is not None and self._forget(body):
            self._doubt_ends = SYSTEM.now() + _DOUBT  # its connection goes at the next entrance
        if self._queue is not None:
            self._queue.give_back()

    def _line_up(self, hold: Hold, wake: Any, seconds: float | None) -> float | None:
        """Join the queue. Seconds to wait at most, ``None`` without a bound."""
        if type(seconds) is Until:
            seconds = seconds.allowed()
        if seconds is not None and seconds <= 0:
            raise self._no_place()
        hold.enqueue(wake)
        return None if seconds == math.inf else seconds

    def _end_of_wait(self, hold: Hold) -> None:
        if not hold.needed:
            raise self._no_place()

    def _no_place(self) -> Exception:
        return self._late(f"no connection of the pool came free in time; it has {self.places}")

    # -- mending -------------------------------------------------------------------------------------------

    def mend(self) -> None:
        """Take every connection out of the pool that nobody will ever use, and close it.

        To be called after every abnormal end: of the request, of reading its body, of closing it. Cheap, and harmless
        when nothing is wrong. For an async pool this is the part that needs no await: the slots are back, and the
        sockets are closed by whoever enters next.
        """
        self._close(self._mended())

    async def amend(self) -> None:
        """Do the same for an async pool; all slots are back before anything is awaited."""
        await self._aclose(self._mended())

    def _mended(self) -> list[Any]:
        # A connection can be promised to a second request while the first is using it, and is not seen to be lost
        # before that one has turned away from it: one look is not enough.
        self._doubt_ends = SYSTEM.now() + _DOUBT
        return self._taken_out()

    def _looked_again(self) -> list[Any]:
        if SYSTEM.now() >= self._doubt_ends:
            self._doubt_ends = 0.0
        return self._taken_out()

    def _taken_out(self) -> list[Any]:
        """Take lost connections out of the pool and let others have their slots. The connections to close."""
        pool = self._pool
        with pool._optional_thread_lock:
            used = {id(request.connection) for request in pool._requests}
            lost = [
                connection
                for connection in pool._connections
                if id(connection) not in used and not connection.is_idle() and not connection.is_closed()
            ]
            for connection in lost:
                pool._connections.remove(connection)
            if lost:
                lost.extend(pool._assign_requests_to_connections())
        unclosed, self._unclosed = self._unclosed, []
        return unclosed + lost

    def _close(self, connections: list[Any]) -> None:
        if hasattr(self._pool, "handle_async_request"):
            self._unclosed = connections
            return
        for connection in connections:
            with suppress(Exception):  # nobody waits for it, and the others have to be closed too
                self._pool._close_connections([connection])

    async def _aclose(self, connections: list[Any]) -> None:
        interrupt: BaseException | None = None
        for connection in connections:
            try:
                with suppress(Exception):  # as above
                    await self._pool._close_connections([connection])
            except BaseException as error:
                # The library shields this against scopes only. The socket is closed before the first place where
                # a cancellation could strike; the other connections must not be left open because of it.
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _forget(self, body: Any) -> bool:
        """Take the request of a body that is over out of the pool; False if it has gone already, as it should."""
        stream = getattr(body, "_httpcore_stream", None)
        request = getattr(stream, "_pool_request", None)
        if request is None:
            return False
        with self._pool._optional_thread_lock:
            if request not in self._pool._requests:
                return False
            stream._closed = True  # type: ignore[union-attr]  # or closing it later would look for the request
            self._pool._requests.remove(request)
            return True

"""The network backend that holds every read, write and connect of an HTTP pool to one moment.

httpx and httpx2 hand the timeouts of a request down to the network streams of httpcore and httpcore2, which apply them
to each operation by itself. The wrappers here look whether such a timeout is an ``Until``, and if so give the operation
what is left of it. That is the only way to a total deadline in sync code that needs no thread, and in async code the
only one that does not cancel into the pool. Nothing here imports either library: they are the same by structure.

What cannot be held: the look-up of a name in sync code (``getaddrinfo`` takes no timeout), the handshake and the
records of TLS inside TLS in sync code (an HTTPS proxy in front of an HTTPS server: each piece has the whole time), and
the locks HTTP/2 streams of one connection wait for each other with.
"""

from __future__ import annotations

import math
import socket
import ssl
import sys
from collections.abc import Coroutine
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from resilix.http.until import Until

_CONNECTING: ContextVar[Until | None] = ContextVar("resilix_connecting", default=None)
"""What the last connect of this context was held to: the library sleeps between its connects without a timeout."""

ERRORS = ("ConnectTimeout", "ConnectError", "ReadTimeout", "WriteTimeout", "WriteError")


def hold(transport: Any) -> bool:
    """Make a transport of httpx or httpx2 obey every ``Until`` among its timeouts.

    Connections that are open already obey too. One that is being made at this very moment obeys from the next call of
    this function on. Calling it again changes nothing else.

    Example::

        hold(client._transport)

    Args:
        transport: Anything a client can have for a transport.

    Returns:
        Whether it obeys now. False for what is not built on a pool of httpcore or httpcore2; it is left as it was.
    """
    pool: Any = getattr(transport, "_pool", None)
    errors = errors_of(pool)
    backend = getattr(pool, "_network_backend", None)
    connections = getattr(pool, "_connections", None)
    if errors is None or backend is None or not isinstance(connections, list):
        return False
    if not isinstance(backend, (SyncBackend, AsyncBackend)):
        if not all(hasattr(backend, name) for name in ("connect_tcp", "connect_unix_socket", "sleep")):
            return False
        made = AsyncBackend if hasattr(pool, "handle_async_request") else SyncBackend
        backend = pool._network_backend = made(backend, errors)
    for connection in list(connections):
        _hold_connection(connection, backend, errors)
    return True


def errors_of(pool: Any) -> ModuleType | None:
    """The library a pool comes from, which has the exceptions by their usual names; ``None`` for any other object."""
    for kind in type(pool).__mro__:
        library = sys.modules.get(kind.__module__.partition(".")[0])
        if library is not None and all(hasattr(library, name) for name in ERRORS):
            return library
    return None


def _hold_connection(connection: Any, backend: SyncBackend | AsyncBackend, errors: ModuleType) -> None:
    """Wrap what a connection opens sockets with and what it talks through; through proxies they are nested."""
    make = AsyncStream if isinstance(backend, AsyncBackend) else SyncStream
    while connection is not None:
        if hasattr(connection, "_network_backend"):
            connection._network_backend = backend
        stream = getattr(connection, "_network_stream", None)
        if stream is not None and not isinstance(stream, (SyncStream, AsyncStream)):
            connection._network_stream = make(stream, errors)
        connection = getattr(connection, "_connection", None)


def _allowed(until: Until, late: type[Exception]) -> float | None:
    """What an operation that starts now may take, ``None`` for as long as it likes; raises when it may not start."""
    seconds = until.allowed()
    if seconds <= 0.0:
        raise late("the deadline has passed")
    return None if seconds == math.inf else seconds


class _Wrapper:
    """What a wrapper of either kind has; anything it does not know is the wrapped object's own.

    Attributes:
        inner: What does the work.
        errors: The library, for its exceptions.
    """

    __slots__ = ("errors", "inner")

    def __init__(self, inner: Any, errors: Any) -> None:
        self.inner = inner
        self.errors = errors

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "inner"), name)


class _Stream(_Wrapper):
    """A stream and the time it was connected under, which bounds the greeting.

    The library talks to a SOCKS proxy without any timeout between the connect and the first operation that has one,
    and closes nothing when that fails.

    Attributes:
        connected: What the connect was held to; ``None`` after the greeting.
    """

    __slots__ = ("connected",)

    def __init__(self, inner: Any, errors: Any, connected: Until | None = None) -> None:
        self.inner = inner
        self.errors = errors
        self.connected = connected

    def get_extra_info(self, info: str) -> Any:
        """What the stream knows about itself."""
        return self.inner.get_extra_info(info)


class SyncStream(_Stream):
    """A connected socket whose reads and writes obey an ``Until``."""

    __slots__ = ("_plain",)

    def __init__(self, inner: Any, errors: Any, connected: Until | None = None) -> None:
        super().__init__(inner, errors, connected)
        self._plain = _is_plain(inner)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Receive some bytes; none at the end."""
        if timeout is None and self.connected is not None:
            greeting: bytes = self._greet(self.inner.read, max_bytes, self.errors.ReadTimeout)
            return greeting
        self.connected = None
        if type(timeout) is Until:
            timeout = _allowed(timeout, self.errors.ReadTimeout)
        data: bytes = self.inner.read(max_bytes, timeout)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all bytes."""
        if timeout is None and self.connected is not None:
            self._greet(self.inner.write, buffer, self.errors.WriteTimeout)
            return
        self.connected = None
        if not buffer:
            return
        if type(timeout) is not Until:
            self.inner.write(buffer, timeout)
            return
        if not self._plain:
            self.inner.write(buffer, _allowed(timeout, self.errors.WriteTimeout))
            return
        # The library would give each of the sends the whole timeout.
        sock: socket.socket = self.inner.get_extra_info("socket")
        view = memoryview(buffer)
        try:
            while view:
                sock.settimeout(_allowed(timeout, self.errors.WriteTimeout))
                view = view[sock.send(view) :]
        except TimeoutError as error:
            raise self.errors.WriteTimeout(error) from error
        except OSError as error:
            raise self.errors.WriteError(error) from error

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> SyncStream:
        """Shake hands; the stream to talk through from then on."""
        try:
            if type(timeout) is Until:
                timeout = _allowed(timeout, self.errors.ConnectTimeout)
            return SyncStream(self.inner.start_tls(ssl_context, server_hostname, timeout), self.errors)
        except BaseException:
            self.close()  # nobody else has the socket, and the library closes it after an Exception only
            raise

    def _greet(self, operate: Any, argument: Any, late: type[Exception]) -> Any:
        """Read or write before any timeout is known."""
        assert self.connected is not None
        try:
            return operate(argument, _allowed(self.connected, late))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the socket."""
        self.inner.close()


class AsyncStream(_Stream):
    """The same, async."""

    __slots__ = ()

    # Functions that hand back the coroutine of the wrapped stream: one frame less for each read.

    def read(self, max_bytes: int, timeout: float | None = None) -> Coroutine[Any, Any, bytes]:
        """Receive some bytes; none at the end."""
        if timeout is None and self.connected is not None:
            return self._greet(self.inner.read, max_bytes, self.errors.ReadTimeout)
        self.connected = None
        if type(timeout) is Until:
            timeout = _allowed(timeout, self.errors.ReadTimeout)
        reading: Coroutine[Any, Any, bytes] = self.inner.read(max_bytes, timeout)
        return reading

    def write(self, buffer: bytes, timeout: float | None = None) -> Coroutine[Any, Any, None]:
        """Send all bytes."""
        if timeout is None and self.connected is not None:
            return self._greet(self.inner.write, buffer, self.errors.WriteTimeout)
        self.connected = None
        if type(timeout) is Until:
            timeout = _allowed(timeout, self.errors.WriteTimeout)
        writing: Coroutine[Any, Any, None] = self.inner.write(buffer, timeout)
        return writing

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncStream:
        """Shake hands; the stream to talk through from then on."""
        try:
            if type(timeout) is Until:
                timeout = _allowed(timeout, self.errors.ConnectTimeout)
            return AsyncStream(await self.inner.start_tls(ssl_context, server_hostname, timeout), self.errors)
        except BaseException:
            await self.aclose()  # as above
            raise

    async def _greet(self, operate: Any, argument: Any, late: type[Exception]) -> Any:
        """Read or write before any timeout is known."""
        assert self.connected is not None
        try:
            return await operate(argument, _allowed(self.connected, late))
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the socket."""
        await self.inner.aclose()


class _Backend(_Wrapper):
    """A backend; it remembers what the connect in progress is held to."""

    __slots__ = ()

    def _connect_time(self, timeout: float | None) -> tuple[float | None, Until | None]:
        """What a connect that starts now may take, and the ``Until`` that says so."""
        if type(timeout) is Until:
            _CONNECTING.set(timeout)
            return _allowed(timeout, self.errors.ConnectTimeout), timeout
        _CONNECTING.set(None)
        return timeout, None

    def _nap(self, seconds: float) -> float:
        """How long to wait before the next connect: not beyond the moment, which that one will then refuse."""
        until = _CONNECTING.get()
        return seconds if until is None else min(seconds, until.left())


class SyncBackend(_Backend):
    """Opens sockets whose reads and writes obey an ``Until``, and obeys it while it connects."""

    __slots__ = ()

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> SyncStream:
        """Connect to a host by name or address."""
        seconds, until = self._connect_time(timeout)
        if until is None or type(self.inner) is not self.errors.SyncBackend:  # somebody's own may know other names
            inner = self.inner.connect_tcp(host, port, timeout=seconds, **options)
        else:
            inner = self._connect_to_any(host, port, until, options)
        return SyncStream(inner, self.errors, until)

    def _connect_to_any(self, host: str, port: int, until: Until, options: dict[str, Any]) -> Any:
        """Try the addresses of a name in turn, each with what is left: the library gives each the whole timeout."""
        late, refused = self.errors.ConnectTimeout, self.errors.ConnectError
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise refused(error) from error
        failure: Exception | None = None
        for *_, address in found:
            try:
                seconds = _allowed(until, late)
                return self.inner.connect_tcp(str(address[0]), port, timeout=seconds, **options)
            except (late, refused) as error:
                failure = error
        try:
            raise failure or refused("the name has no address")
        finally:
            failure = None  # the error would hold this frame, and this frame the error

    def connect_unix_socket(self, path: str, timeout: float | None = None, **options: Any) -> SyncStream:
        """Connect to a socket in the file system."""
        seconds, until = self._connect_time(timeout)
        return SyncStream(self.inner.connect_unix_socket(path, timeout=seconds, **options), self.errors, until)

    def sleep(self, seconds: float) -> None:
        """Wait between two connects."""
        self.inner.sleep(self._nap(seconds))


class AsyncBackend(_Backend):
    """The same, async."""

    __slots__ = ()

    async def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> AsyncStream:
        """Connect to a host by name or address."""
        seconds, until = self._connect_time(timeout)
        return AsyncStream(await self.inner.connect_tcp(host, port, timeout=seconds, **options), self.errors, until)

    async def connect_unix_socket(self, path: str, timeout: float | None = None, **options: Any) -> AsyncStream:
        """Connect to a socket in the file system."""
        seconds, until = self._connect_time(timeout)
        return AsyncStream(await self.inner.connect_unix_socket(path, timeout=seconds, **options), self.errors, until)

    async def sleep(self, seconds: float) -> None:
        """Wait between two connects."""
        await self.inner.sleep(self._nap(seconds))


def _is_plain(stream: Any) -> bool:
    """Whether a sync stream is the library's own over one socket; TLS inside TLS is not."""
    kind = type(stream)
    return kind.__name__ == "SyncStream" and kind.__module__.endswith("._backends.sync")

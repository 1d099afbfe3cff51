# pyright: reportPrivateUsage=false
# What plans, fates and doors say to each other is no business of a user's.
"""Fault plans over HTTP: statuses become answers of the library, and errors become its own.

One source for httpx and httpx2; the doors (``resilix.httpx``, ``resilix.httpx2``) add the base classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from resilix.clock import SYSTEM
from resilix.core.deadline import DEADLINE
from resilix.core.options import refuse
from resilix.errors import ConfigurationError
from resilix.http.call import Call
from resilix.http.conduct import LABEL
from resilix.http.extensions import INFINITE
from resilix.http.library import Library
from resilix.http.until import Until
from resilix.injection import NAMES, Door, Plan
from resilix.policies.fates import HANG, Fate, Fault
from resilix.policies.hazards import kind_of

KIND: Final = "faults"
FAMILIES: Final[Sequence[tuple[type[Exception], str]]] = (
    (ConnectionResetError, "ReadError"),
    (BrokenPipeError, "WriteError"),
    (ConnectionError, "ConnectError"),
    (TimeoutError, "ReadTimeout"),
)
"""What the library calls what a socket would have raised; the first that fits."""
LIBRARIES: Final = ("httpx", "httpx2")
FAULT: Final = "resilix.fault"
"""The extension of an injected answer that says so."""


# -- what befalls a request ------------------------------------------------------------------------------------------


def befall(fate: Fate, library: Library, request: Any, most: float = INFINITE) -> Any:
    """The answer that is injected, or ``None`` when the request may be sent.

    Args:
        fate: What befalls it.
        library: Whose request it is.
        request: It.
        most: Seconds it has, where its timeouts do not say so.

    Raises:
        Exception: What is injected instead of an answer, as an error of the library.
    """
    if fate.delay > 0 and not fate.wait(_patience(request, most)):
        raise _timed_out(library, request)
    fault = fate.fault
    if fault is None:
        return None
    if fault.kind == HANG:
        fate.hang(_patience(request, most))
        raise _timed_out(library, request)
    return _outcome(fault, library, request)


async def abefall(fate: Fate, library: Library, request: Any, most: float = INFINITE) -> Any:
    """The same, async."""
    if fate.delay > 0 and not await fate.await_(_patience(request, most)):
        raise _timed_out(library, request)
    fault = fate.fault
    if fault is None:
        return None
    if fault.kind == HANG:
        await fate.ahang(_patience(request, most))
        raise _timed_out(library, request)
    return _outcome(fault, library, request)


def _patience(request: Any, most: float) -> float:
    """Seconds for which a transport would wait for the answer."""
    read = (request.extensions.get("timeout") or {}).get("read")
    seconds = INFINITE if read is None else read.allowed() if isinstance(read, Until) else float(read)
    return max(0.0, min(seconds, most, DEADLINE.remaining(SYSTEM.now())))


def _timed_out(library: Library, request: Any) -> Exception:
    error: Exception = library.module.ReadTimeout("injected by a fault plan: no answer in time", request=request)
    return error


def _outcome(fault: Fault, library: Library, request: Any) -> Any:
    if fault.make is not None:
        raise _native(fault.make(), library, request)
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return library.module.Response(
        fault.status, headers=headers, content=b"", extensions={FAULT: fault.text}, request=request
    )


def _native(error: BaseException, library: Library, request: Any) -> Any:
    """The error as this library would raise it; one that is no transport's stays what it is."""
    module = library.module
    if isinstance(error, module.RequestError):
        own: Any = error
        own.request = request
        return own
    name = next((name for family, name in FAMILIES if isinstance(error, family)), None)
    if type(error).__module__.partition(".")[0] in LIBRARIES:  # of the other one
        name = type(error).__name__
    kind = getattr(module, name, None) if name is not None else None
    if not (isinstance(kind, type) and issubclass(kind, module.RequestError)):
        return error
    made: Any = kind(str(error), request=request)
    made.__cause__ = error
    return made


# -- by name -----------------------------------------------------------------------------------------------------------


def injected(door: Door, call: Call, request: Any) -> Any:
    """Send one attempt while something is injected by name, sync."""
    for fate in _fates(door, call, request):
        response = befall(fate, call.port.library, request)
        if response is not None:
            return response
    token = NAMES.set(_further(call))
    try:
        return call.port.inner.handle_request(request)
    finally:
        NAMES.reset(token)


async def ainjected(door: Door, call: Call, request: Any) -> Any:
    """The same, async."""
    for fate in _fates(door, call, request):
        response = await abefall(fate, call.port.library, request)
        if response is not None:
            return response
    token = NAMES.set(_further(call))
    try:
        return await call.port.inner.handle_async_request(request)
    finally:
        NAMES.reset(token)


def _names(call: Call) -> tuple[str, ...]:
    return (*NAMES.get(), *call.names, call.label)


def _holds_ours(call: Call) -> bool:
    """Whether the attempt goes through another transport of ours, which is further in."""
    return hasattr(innermost(call.port.inner), "_port")


def _further(call: Call) -> tuple[str, ...]:
    """The names that are still around what is inside."""
    return _names(call) if _holds_ours(call) else ()


def _fates(door: Door, call: Call, request: Any) -> Iterator[Fate]:
    """What befalls the attempt, one by one: what the newest plan lets pass is for the next."""
    for name, plan in () if _holds_ours(call) else door.plans(_names(call)):
        fate = plan._meet(name, call.label, request=request)
        if fate is not None:
            yield fate


# -- as a policy of a pipeline over HTTP -----------------------------------------------------------------------------


def around(plan: Plan, fn: Any, label: str) -> Any:
    """A plan around the attempts of an HTTP policy, sync."""

    def befallen(call: Call) -> Any:
        request = call.request
        fate = plan._meet(label, label, request=request)
        response = None if fate is None else befall(fate, call.port.library, request, _left(call))
        return fn(call) if response is None else response

    return befallen


def around_async(plan: Plan, fn: Any, label: str) -> Any:
    """The same, async."""

    async def befallen(call: Call) -> Any:
        request = call.request
        fate = plan._meet(label, label, request=request)
        response = None if fate is None else await abefall(fate, call.port.library, request, _left(call))
        return await fn(call) if response is None else response

    return befallen


def _left(call: Call) -> float:
    """Seconds until the attempt must be over: it is not prepared yet, so its timeouts do not say so."""
    return min(call.limit, call.total) - SYSTEM.now()


# -- as a transport ----------------------------------------------------------------------------------------------------


class BaseFaults:
    """What the sync and the async transport share."""

    LIBRARY: ClassVar[Library]

    def __init__(self, plan: Any, *, inner: Any = None) -> None:
        owner = type(self).__name__
        if kind_of(plan) != KIND:
            raise refuse(
                owner, "plan", plan, "it is no fault plan", "write faults.sequence(ConnectionError, 503, faults.ok)"
            )
        inner = self._own() if inner is None else inner
        if not callable(getattr(inner, self._handler(), None)):
            raise ConfigurationError(
                f"{owner}(inner={inner!r}): it is no transport of {self.LIBRARY.name} for this kind of client; "
                "leave it out, or write FaultTransport for a sync one and AsyncFaultTransport for an async one"
            )
        self.plan: Plan = plan
        self.inner = inner
        # Whatever holds a transport to its deadlines looks at its pool.
        pool = getattr(inner, "_pool", None)
        if pool is not None:
            self._pool = pool

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.plan!r}, inner={type(self.inner).__name__})"

    def _own(self) -> Any:
        raise NotImplementedError

    def _handler(self) -> str:
        raise NotImplementedError


class SyncFaults(BaseFaults):
    """The sync transport; see the doors."""

    def _own(self) -> Any:
        return self.LIBRARY.module.HTTPTransport()

    def _handler(self) -> str:
        return "handle_request"

    def handle_request(self, request: Any) -> Any:
        """Send a request, unless something befalls it."""
        fate = self.plan._meet(LABEL, LABEL, request=request)
        response = None if fate is None else befall(fate, self.LIBRARY, request)
        return self.inner.handle_request(request) if response is None else response

    def close(self) -> None:
        """Close the inner transport."""
        self.inner.close()

    def __enter__(self) -> Self:
        self.inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.inner.__exit__(kind, error, traceback)


class AsyncFaults(BaseFaults):
    """The async transport; see the doors."""

    def _own(self) -> Any:
        return self.LIBRARY.module.AsyncHTTPTransport()

    def _handler(self) -> str:
        return "handle_async_request"

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request, unless something befalls it."""
        fate = self.plan._meet(LABEL, LABEL, request=request)
        response = None if fate is None else await abefall(fate, self.LIBRARY, request)
        return await self.inner.handle_async_request(request) if response is None else response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self.inner.aclose()

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.inner.__aexit__(kind, error, traceback)


def innermost(transport: Any) -> Any:
    """What a transport comes down to without the fault plans around it."""
    while isinstance(transport, BaseFaults):
        transport = transport.inner
    return transport

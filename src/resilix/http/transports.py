"""Transports with policies around them, for httpx and httpx2 alike; the doors add the library's own base class."""

from __future__ import annotations

import warnings
from types import TracebackType
from typing import Any, ClassVar, Self

from resilix.attention import GIL
from resilix.errors import ConfigurationError, RejectedError, ResilixWarning
from resilix.http.backend import hold
from resilix.http.call import CLIENT_CALL, Call, Port
from resilix.http.library import Library
from resilix.http.pool import guard_of
from resilix.http.refusals import response_for
from resilix.http.source import Route, Source, source_of

SDK_TRIES = "x-stainless-retry-count"
"""How often an LLM SDK has tried before; the SDKs of OpenAI, Anthropic and others made with the same generator."""


class BaseTransport:
    """What the sync and the async transport share."""

    LIBRARY: ClassVar[Library]
    _source: Source
    _port: Port
    _retried = False
    """The last call took several attempts, so the next one may be a retry of it by an SDK."""
    _told_of_sdk = False

    @property
    def policy(self) -> Source:
        """The policies around it."""
        return self._source

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._source!r}, inner={type(self._port.inner).__name__})"

    def _set_up(self, policy: Any, inner: Any, *, handler: str, is_async: bool) -> None:
        owner = type(self).__name__
        self._source = source_of(owner, policy)
        library = self.LIBRARY
        if not callable(getattr(inner, handler, None)):
            raise ConfigurationError(_wrong_inner(owner, inner, handler, library.name))
        obeys = hold(inner)
        if self._source.conduct.timed and not (is_async or obeys or isinstance(inner, library.in_memory)):
            raise ConfigurationError(
                f"{owner}(inner={type(inner).__name__}): a sync transport of this kind cannot be held to a deadline, "
                f"and the policy sets one; put ours inside it ({type(inner).__name__} around {owner}), or leave the "
                "time limits out (attempt_timeout=None, within=None) and let it use its own"
            )
        self._port = Port(library=library, inner=inner, guard=guard_of(inner), obeys=obeys)
        warn_of_retries(self._source, inner)

    def _call(self, request: Any) -> tuple[Call, Route]:
        source = self._source
        counters = source.counters
        if GIL:
            counters.calls += 1
        else:
            counters.count("calls")
        outer = CLIENT_CALL.get()
        if outer is not None and outer.source is not source:
            outer = None
        if self._retried:
            self._look_outside(request)
        route = source.route(request)
        return Call(self._port, source.conduct, counters, route.label, request, outer), route

    def _look_outside(self, request: Any) -> None:
        """Say so once when an SDK retries what was retried here: nobody can see that before it happens."""
        self._retried = False
        if not self._told_of_sdk and request.headers.get(SDK_TRIES, "0") != "0":
            self._told_of_sdk = True
            retries = self._source.retries
            warnings.warn(
                f"an SDK retries what was tried up to {retries:g} times here already: attempts multiply; "
                "make its client with max_retries=0, or use attempts=1 here",
                ResilixWarning,
                stacklevel=2,
            )

    def told_of_sdk(self) -> None:
        """Somebody has said so already."""
        self._told_of_sdk = True

    def _refused(self, error: RejectedError, request: Any) -> Any:
        counters = self._source.counters
        if GIL:
            counters.rejected += 1
        else:
            counters.count("rejected")
        if self._source.conduct.on_reject == "response":
            return response_for(error, request, self.LIBRARY)
        refused = self.LIBRARY.refused(error, request)
        raise refused from error.__cause__


class SyncTransport(BaseTransport):
    """The sync transport; see the doors."""

    def __init__(self, policy: Any, *, inner: Any = None) -> None:
        if inner is None:
            inner = self.LIBRARY.module.HTTPTransport()
        self._set_up(policy, inner, handler="handle_request", is_async=False)

    def handle_request(self, request: Any) -> Any:
        """Send a request under the policy."""
        call, route = self._call(request)
        try:
            response = route.shell(call)
        except RejectedError as error:
            return self._refused(error, request)
        finally:
            call.done()
            if call.attempts > 1:
                self._retried = True
        response.extensions["resilix.attempts"] = call.attempts
        return response

    def close(self) -> None:
        """Close the inner transport."""
        self._port.inner.close()

    def __enter__(self) -> Self:
        self._port.inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._port.inner.__exit__(kind, error, traceback)


class AsyncTransport(BaseTransport):
    """The async transport; see the doors."""

    def __init__(self, policy: Any, *, inner: Any = None) -> None:
        if inner is None:
            inner = self.LIBRARY.module.AsyncHTTPTransport()
        self._set_up(policy, inner, handler="handle_async_request", is_async=True)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request under the policy."""
        call, route = self._call(request)
        try:
            response = await route.ashell(call)
        except RejectedError as error:
            return self._refused(error, request)
        finally:
            call.done()
            if call.attempts > 1:
                self._retried = True
        response.extensions["resilix.attempts"] = call.attempts
        return response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._port.inner.aclose()

    async def __aenter__(self) -> Self:
        await self._port.inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._port.inner.__aexit__(kind, error, traceback)


def _wrong_inner(owner: str, inner: Any, handler: str, library: str) -> str:
    other = "handle_request" if handler == "handle_async_request" else "handle_async_request"
    if callable(getattr(inner, other, None)):
        right = "Transport" if owner == "AsyncTransport" else "AsyncTransport"
        return f"{owner}(inner={type(inner).__name__}): it is made for the other kind of client; write {right}(…)"
    return (
        f"{owner}(inner={inner!r}): it is no transport of {library}; "
        f"write inner={library}.{'Async' if 'async' in handler else ''}HTTPTransport(), or leave it out"
    )


def warn_of_retries(source: Source, inner: Any) -> None:
    """Say so when a layer inside retries too: attempts multiply."""
    within = _retries_of(inner)
    if source.retries > 1 and within > 0:
        warnings.warn(
            f"the transport inside retries too ({within:g} times): attempts multiply, up to "
            f"{source.retries * (within + 1):g} per call; leave retries=0 there and retry in one place",
            ResilixWarning,
            stacklevel=5,
        )


def _retries_of(inner: Any) -> float:
    if isinstance(inner, BaseTransport):
        return inner.policy.retries - 1
    return float(getattr(getattr(inner, "_pool", None), "_retries", 0) or 0)

"""What the sync and the async transport share: how they are set up, and how a call of the shells begins and ends."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Final

from resilix.attention import GIL
from resilix.clock import SYSTEM
from resilix.errors import ConfigurationError, RejectedError, ResilixWarning
from resilix.http.backend import hold
from resilix.http.call import CLIENT_CALL, Call, ClientCall, Port
from resilix.http.extensions import ATTEMPTS, callers
from resilix.http.faults import innermost
from resilix.http.library import Library
from resilix.http.pool import guard_of
from resilix.http.quiet import First, hold_body, let_go
from resilix.http.refusals import response_for
from resilix.http.routes import Route
from resilix.http.source import Source, source_of
from resilix.policies.weave import WEAVE

TICK: Final = 1e-6
"""Seconds; a bound below it may be over the moment it begins, and the shells refuse such a call."""
SDK_TRIES = "x-stainless-retry-count"
"""How often an LLM SDK has tried before; the SDKs of OpenAI, Anthropic and others made with the same generator."""


class BaseTransport:
    """What the sync and the async transport share."""

    LIBRARY: ClassVar[Library]
    _source: Source
    _port: Port
    _watchful: bool
    """Nothing may be quiet: what is inside does not hold an ``Until``, say, so its time is watched from outside."""
    _retried = False
    """The last call took several attempts, so the next one may be a retry of it by an SDK: that has to be looked at."""
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
        if self._source.conduct.timed and not (is_async or obeys or isinstance(innermost(inner), library.in_memory)):
            raise ConfigurationError(
                f"{owner}(inner={type(inner).__name__}): a sync transport of this kind cannot be held to a deadline, "
                f"and the policy sets one; put ours inside it ({type(inner).__name__} around {owner}), or leave the "
                "time limits out (attempt_timeout=None, within=None) and let it use its own"
            )
        self._port = Port(library=library, inner=inner, guard=guard_of(inner), obeys=obeys)
        self._inner = inner
        self._guard = self._port.guard
        self._byte_stream = library.byte_stream
        self._counters = self._source.counters
        routes, conduct = self._source.routes, self._source.conduct
        self._only, self._known = routes.only, routes.known
        self._keyed: Any = routes.keyed  # there is one wherever something is known
        self._attempt_timeout, self._within = conduct.attempt_timeout, conduct.within
        self._shortest = min(conduct.attempt_timeout, conduct.within)
        may_be_quiet = WEAVE.on and GIL and obeys and library.parts_at_hand
        self._always_watchful = self._watchful = not may_be_quiet or self._shortest < TICK
        warn_of_retries(self._source, inner)

    def _route(self, request: Any) -> Route:
        """The route of a request that was not found by its origin."""
        try:
            return self._source.route(request)
        except BaseException:
            self._counters.call()
            raise

    def _call(self, request: Any, route: Route) -> Call:
        """A call that is the shells' from the beginning."""
        self._counters.call()
        if self._retried:
            self._look_outside(request)
        outer = CLIENT_CALL.get()
        if outer is not None and outer.source is not self._source:
            outer = None
        total = SYSTEM.now() + self._within if outer is None else outer.moment
        conduct = self._source.conduct
        call = Call(self._port, conduct, self._counters, route.label, request, callers(request), outer, total)
        call.names = route.names
        return call

    def _sent(
        self,
        request: Any,
        route: Route,
        original: dict[str, Any],
        outer: ClientCall | None,
        began: float,
        timeouts: dict[str, Any],
        first: First,
    ) -> Call:
        """A call whose first attempt was made on the quiet path."""
        if outer is not None and outer.source is not self._source:
            outer = None
        total = began + self._within if outer is None else outer.moment
        conduct = self._source.conduct
        call = Call(self._port, conduct, self._counters, route.label, request, original, outer, total)
        call.attempts, call.timeouts, call.first, call.names = 1, timeouts, first, route.names
        return call

    def _held(self, call: Call, route: Route, make: Any) -> Any:
        """The answer to a call whose first attempt went well so far: its body is still open."""
        try:
            response = hold_body(call, route, make)
        finally:
            self._over(call, route)
        response.extensions[ATTEMPTS] = 1
        return response

    def _over(self, call: Call, route: Route) -> None:
        """A call of the shells is over."""
        if call.first is not None:
            let_go(call, route)
        call.done()
        if call.attempts > 1:
            self._retried = self._watchful = True

    def _look_outside(self, request: Any) -> None:
        """Say so once when an SDK retries what was retried here: nobody can see that before it happens."""
        self._retried = False
        self._watchful = self._always_watchful
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
        self._counters.reject()
        if self._source.conduct.on_reject == "response":
            return response_for(error, request, self.LIBRARY)
        refused = self.LIBRARY.refused(error, request)
        raise refused from error.__cause__


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

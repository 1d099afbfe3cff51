"""The transports of ours: the quiet path of a request, and the way to the shells for every other.

The two classes are twins, line by line; a test holds them equal. What is quiet is told in ``quiet.py``.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

from resilix.clock import SYSTEM
from resilix.core.verdict import Verdict
from resilix.errors import RejectedError
from resilix.http.base import BaseTransport
from resilix.http.call import CLIENT_CALL, Call
from resilix.http.extensions import ATTEMPT, ATTEMPTS, ORIGINAL, bounded
from resilix.http.quiet import First, calm
from resilix.http.routes import UNKNOWN, Route
from resilix.http.sending import ANSWERED, aread_whole, read_whole
from resilix.http.until import Until

SECONDS: Final = float.__new__
"""Makes an ``Until`` without a frame of Python."""


class SyncTransport(BaseTransport):
    """The sync transport; see the doors."""

    def __init__(self, policy: Any, *, inner: Any = None) -> None:
        if inner is None:
            inner = self.LIBRARY.module.HTTPTransport()
        self._set_up(policy, inner, handler="handle_request", is_async=False)

    def handle_request(self, request: Any) -> Any:
        """Send a request under the policy."""
        if self._watchful:
            return self._shells(request, self._route(request))
        # The route, and until when: the attempt, and the whole call.
        route = self._only
        if route is None:
            origin = request.url._uri_reference
            scheme, port, route, entry = self._known.get(origin.host, UNKNOWN)
            if origin.port != port or origin.scheme != scheme:
                route = self._route(request)
            elif entry is not self._keyed.latest:
                self._keyed.use(entry)
        now = SYSTEM.now()
        outer = CLIENT_CALL.get()
        if outer is not None and outer.source is self._source:
            whole, moment = outer.whole, now + self._attempt_timeout
            if outer.moment < moment:
                moment = outer.moment
                if moment <= now:
                    return self._shells(request, route)
        else:
            whole, moment = False, now + self._shortest
        # Whatever has to be looked at is for the shells.
        era, guard, original = route.core.quiet, self._guard, request.extensions
        if (
            (era is None and (era := calm(route.core)) is None)
            or ORIGINAL in original
            or type(request.stream) is not self._byte_stream
        ):
            return self._shells(request, route)
        # What the attempt carries.
        try:
            given = original["timeout"]
            own = given["connect"]
            if own <= moment - now and given["read"] is own and given["write"] is own and given["pool"] is own:
                until = SECONDS(Until, own)
                until.moment = moment
                timeouts = {"connect": until, "read": until, "write": until, "pool": until}
            else:
                timeouts = bounded(given, moment - now, moment, obeys=True)
        except (KeyError, TypeError):
            timeouts = bounded(original.get("timeout"), moment - now, moment, obeys=True)
        extensions = original.copy()
        extensions[ATTEMPT] = 1
        extensions[ORIGINAL] = original
        extensions["timeout"] = timeouts
        # Once all of them have let it in, nothing may come between that and the attempt.
        if guard is not None and not guard.enter_free():
            return self._shells(request, route)
        place = route.bulkhead
        if place is not None:
            place = place._queue
            free = place.free
            if not free and not (free := route.bulkhead._lend()):
                if guard is not None:
                    guard.leave()
                return self._shells(request, route)
            place.free = free - 1
        response: Any = None
        first: First | None = None
        try:
            self._counters.quiet += 1
            request.extensions = extensions
            response = self._inner.handle_request(request)
            if response.status_code >= ANSWERED:
                first = First(era, place, response, None)
            elif not response.is_closed:
                if whole:
                    read_whole(response, self._port.library)
                else:
                    first = First(era, place, response, None, streams=True)
        except BaseException as error:
            first = First(era, place, response, error)
        if first is not None:
            call = self._sent(request, route, original, outer, now, timeouts, first)
            if first.streams:
                return self._held(call, route, self._port.library.held_stream)
            return self._go_on(call, route)
        # It went well: give back, count.
        request.extensions = original
        if place is not None:
            if not place.busy:
                place.free += 1
            elif not place.waiting:
                place.kept += 1
            else:
                place.give_back()
        if guard is not None:
            guard.leave()
        now = route.clock.now()
        counter = era.counter
        if counter is None or now >= counter.edge:
            route.breaker._report(era, Verdict.SUCCESS)
        else:
            counter.n += 1.0
        budget = route.budget
        if budget is not None and budget.level < budget.tokens:
            budget.give(1)
        response.extensions[ATTEMPTS] = 1
        return response

    def _shells(self, request: Any, route: Route) -> Any:
        """Send it through the shells, which look at everything."""
        return self._go_on(self._call(request, route), route)

    def _go_on(self, call: Call, route: Route) -> Any:
        """Go on with a call in the shells, whether or not its first attempt was made already."""
        try:
            response = route.shell(call)
        except RejectedError as error:
            return self._refused(error, call.request)
        finally:
            self._over(call, route)
        response.extensions[ATTEMPTS] = call.attempts
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
        if self._watchful:
            return await self._shells(request, self._route(request))
        # The route, and until when: the attempt, and the whole call.
        route = self._only
        if route is None:
            origin = request.url._uri_reference
            scheme, port, route, entry = self._known.get(origin.host, UNKNOWN)
            if origin.port != port or origin.scheme != scheme:
                route = self._route(request)
            elif entry is not self._keyed.latest:
                self._keyed.use(entry)
        now = SYSTEM.now()
        outer = CLIENT_CALL.get()
        if outer is not None and outer.source is self._source:
            whole, moment = outer.whole, now + self._attempt_timeout
            if outer.moment < moment:
                moment = outer.moment
                if moment <= now:
                    return await self._shells(request, route)
        else:
            whole, moment = False, now + self._shortest
        # Whatever has to be looked at is for the shells.
        era, guard, original = route.core.quiet, self._guard, request.extensions
        if (
            (era is None and (era := calm(route.core)) is None)
            or ORIGINAL in original
            or type(request.stream) is not self._byte_stream
        ):
            return await self._shells(request, route)
        # What the attempt carries.
        try:
            given = original["timeout"]
            own = given["connect"]
            if own <= moment - now and given["read"] is own and given["write"] is own and given["pool"] is own:
                until = SECONDS(Until, own)
                until.moment = moment
                timeouts = {"connect": until, "read": until, "write": until, "pool": until}
            else:
                timeouts = bounded(given, moment - now, moment, obeys=True)
        except (KeyError, TypeError):
            timeouts = bounded(original.get("timeout"), moment - now, moment, obeys=True)
        extensions = original.copy()
        extensions[ATTEMPT] = 1
        extensions[ORIGINAL] = original
        extensions["timeout"] = timeouts
        # Once all of them have let it in, nothing may come between that and the attempt.
        if guard is not None and not guard.enter_free():
            return await self._shells(request, route)
        place = route.bulkhead
        if place is not None:
            place = place._queue
            free = place.free
            if not free and not (free := route.bulkhead._lend()):
                if guard is not None:
                    guard.leave()
                return await self._shells(request, route)
            place.free = free - 1
        response: Any = None
        first: First | None = None
        try:
            self._counters.quiet += 1
            request.extensions = extensions
            response = await self._inner.handle_async_request(request)
            if response.status_code >= ANSWERED:
                first = First(era, place, response, None)
            elif not response.is_closed:
                if whole:
                    await aread_whole(response, self._port.library)
                else:
                    first = First(era, place, response, None, streams=True)
        except BaseException as error:
            first = First(era, place, response, error)
        if first is not None:
            call = self._sent(request, route, original, outer, now, timeouts, first)
            if first.streams:
                return self._held(call, route, self._port.library.async_held_stream)
            return await self._go_on(call, route)
        # It went well: give back, count.
        request.extensions = original
        if place is not None:
            if not place.busy:
                place.free += 1
            elif not place.waiting:
                place.kept += 1
            else:
                place.give_back()
        if guard is not None:
            guard.leave()
        now = route.clock.now()
        counter = era.counter
        if counter is None or now >= counter.edge:
            route.breaker._report(era, Verdict.SUCCESS)
        else:
            counter.n += 1.0
        budget = route.budget
        if budget is not None and budget.level < budget.tokens:
            budget.give(1)
        response.extensions[ATTEMPTS] = 1
        return response

    async def _shells(self, request: Any, route: Route) -> Any:
        """Send it through the shells, which look at everything."""
        return await self._go_on(self._call(request, route), route)

    async def _go_on(self, call: Call, route: Route) -> Any:
        """Go on with a call in the shells, whether or not its first attempt was made already."""
        try:
            response = await route.ashell(call)
        except RejectedError as error:
            return self._refused(error, call.request)
        finally:
            self._over(call, route)
        response.extensions[ATTEMPTS] = call.attempts
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

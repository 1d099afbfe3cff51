"""One attempt: hand the request to the inner transport and take care of what comes back.

Sync and async have the same shape. This is the innermost part of every pipeline over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from resilix.clock import SYSTEM
from resilix.http.call import Call
from resilix.http.extensions import INFINITE
from resilix.http.faults import ainjected, injected
from resilix.http.library import Library
from resilix.http.pool import PoolGuard
from resilix.injection import INJECTION
from resilix.runtime import RUNTIME, Expiry, in_trio

ANSWERED = 400
"""Statuses from here on may be dropped for another attempt, so their bodies are not read within the attempt."""


def send(call: Call) -> Any:
    """Make one attempt, sync."""
    first, port = call.first, call.port
    guard, request = port.guard, None
    if first is None:
        request = call.prepared()
        if guard is not None:
            guard.enter(_pool_wait(request))
    response: Any = None
    try:
        if first is None:
            door = INJECTION.door
            response = port.inner.handle_request(request) if door is None else injected(door, call, request)
        else:
            call.first, response = None, first.response
            first.outcome()
        if not response.is_closed:
            if not call.whole or response.status_code >= ANSWERED:
                return hold(call, response, port.library.held_stream)
            _read_whole(call, response)
    except BaseException:
        if guard is not None:
            guard.leave(None if response is None else response.stream)
            guard.mend()
        raise
    if guard is not None:
        guard.leave()
    return response


async def asend(call: Call) -> Any:
    """Make one attempt, async."""
    first, port = call.first, call.port
    guard, request = port.guard, None
    if first is None:
        request = call.prepared()
        if guard is not None:
            await guard.aenter(_pool_wait(request))
    response: Any = None
    try:
        if first is not None:
            call.first, response = None, first.response
            first.outcome()
        elif port.obeys or call.left == INFINITE:
            response = await _asent(call, request)
        else:
            response = await _within(call, partial(_asent, call), request)
        if not response.is_closed:
            if not call.whole or response.status_code >= ANSWERED:
                return hold(call, response, port.library.async_held_stream)
            await _aread_whole(call, response)
    except BaseException:
        if guard is not None:
            guard.leave(None if response is None else response.stream)
            await guard.amend()
        raise
    if guard is not None:
        guard.leave()
    return response


def _asent(call: Call, request: Any) -> Any:
    door = INJECTION.door
    return call.port.inner.handle_async_request(request) if door is None else ainjected(door, call, request)


def _pool_wait(request: Any) -> float | None:
    seconds: float | None = (request.extensions.get("timeout") or {}).get("pool")
    return seconds


def hold(call: Call, response: Any, make: Callable[..., Any]) -> Any:
    """Put our stream in front of the body, so that we see its end."""
    inner, guard = response.stream, call.port.guard
    moment = call.head_arrived()
    # A transport that obeys ends the body itself, in the middle of a pause too.
    body = call.body = response.stream = make(inner, INFINITE if call.port.obeys else moment, call.too_late)
    if guard is not None:
        body.closed = partial(_leave, guard, inner)
    return response


def _leave(guard: PoolGuard, inner: Any, error: BaseException | None) -> None:
    guard.leave(inner)
    if error is not None:
        guard.mend()


async def _within(call: Call, work: Callable[[Any], Any], argument: Any) -> Any:
    """Bound a part of an attempt by cancelling it: only where no pool inside could suffer from that."""
    assert call.timeouts is not None, "asked only for attempts that are bounded"
    left = call.timeouts["connect"].left()
    if in_trio():
        with RUNTIME.driver.scope(left):
            return await work(argument)
        raise call.too_late()
    expiry = Expiry(left)
    try:
        result = await work(argument)
    except BaseException as error:
        if expiry.end(error):
            raise call.too_late() from error
        raise
    expiry.end(None)
    return result


# -- a body that is read within the attempt ----------------------------------------------------------------------


def _read_whole(call: Call, response: Any) -> None:
    if call.port.obeys:
        read_whole(response, call.port.library)
        return
    chunks: list[bytes] = []
    try:
        for chunk in response.stream:
            chunks.append(chunk)
            if SYSTEM.now() >= call.moment:
                raise call.too_late()
    finally:
        response.stream.close()
    response.stream = call.port.library.read_stream(chunks)


def read_whole(response: Any, library: Library) -> None:
    """Read the body of a response from a transport that bounds that itself."""
    try:
        chunks = list(response.stream)
    finally:
        response.stream.close()
    response.stream = library.read_stream(chunks)


async def _aread_whole(call: Call, response: Any) -> None:
    if call.port.obeys:
        await aread_whole(response, call.port.library)
        return
    chunks: list[bytes] = []

    async def read(stream: Any) -> None:
        async for chunk in stream:
            chunks.append(chunk)
            if SYSTEM.now() >= call.moment:
                raise call.too_late()

    try:
        if call.left == INFINITE:
            await read(response.stream)
        else:
            await _within(call, read, response.stream)
    finally:
        await response.stream.aclose()
    response.stream = call.port.library.read_stream(chunks)


async def aread_whole(response: Any, library: Library) -> None:
    """The same, async."""
    try:
        chunks = [chunk async for chunk in response.stream]
    finally:
        await response.stream.aclose()
    response.stream = library.read_stream(chunks)

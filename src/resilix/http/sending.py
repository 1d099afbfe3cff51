"""One attempt: hand the request to the inner transport and take care of what comes back.

Sync and async have the same shape. This is the innermost part of every pipeline over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from resilix.clock import SYSTEM
from resilix.http.call import INFINITE, Call
from resilix.http.pool import PoolGuard
from resilix.runtime import RUNTIME, Expiry, in_trio

ANSWERED = 400
"""Statuses from here on may be dropped for another attempt, so their bodies are not read within the attempt."""


def send(call: Call) -> Any:
    """Make one attempt, sync."""
    request, port = call.prepared(), call.port
    guard = port.guard
    if guard is not None:
        guard.enter(_pool_wait(request))
    response: Any = None
    try:
        response = port.inner.handle_request(request)
        if not response.is_closed:
            if not call.whole or response.status_code >= ANSWERED:
                return _held(call, response, port.library.held_stream)
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
    request, port = call.prepared(), call.port
    guard = port.guard
    if guard is not None:
        await guard.aenter(_pool_wait(request))
    response: Any = None
    try:
        if port.obeys or call.left == INFINITE:
            response = await port.inner.handle_async_request(request)
        else:
            response = await _within(call, port.inner.handle_async_request, request)
        if not response.is_closed:
            if not call.whole or response.status_code >= ANSWERED:
                return _held(call, response, port.library.async_held_stream)
            await _aread_whole(call, response)
    except BaseException:
        if guard is not None:
            guard.leave(None if response is None else response.stream)
            await guard.amend()
        raise
    if guard is not None:
        guard.leave()
    return response


def _pool_wait(request: Any) -> float | None:
    seconds: float | None = (request.extensions.get("timeout") or {}).get("pool")
    return seconds


def _held(call: Call, response: Any, make: Callable[..., Any]) -> Any:
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
    chunks: list[bytes] = []
    try:
        for chunk in response.stream:
            chunks.append(chunk)
            _check(call)
    finally:
        response.stream.close()
    response.stream = call.port.library.read_stream(chunks)


async def _aread_whole(call: Call, response: Any) -> None:
    chunks: list[bytes] = []

    async def read(stream: Any) -> None:
        async for chunk in stream:
            chunks.append(chunk)
            _check(call)

    try:
        if call.port.obeys or call.left == INFINITE:
            await read(response.stream)
        else:
            await _within(call, read, response.stream)
    finally:
        await response.stream.aclose()
    response.stream = call.port.library.read_stream(chunks)


def _check(call: Call) -> None:
    if not call.port.obeys and SYSTEM.now() >= call.moment:
        raise call.too_late()

"""The pool of httpx 0.28 keeps its slots whatever happens to the requests, and without the guard it does not."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from tests.support.http_pool_guarded import LIMITS, PLACES, AsyncGuarded, Guarded, Lost, guard_around
from tests.support.http_pool_server import serving
from tests.support.http_pool_storm import (
    WHOLE,
    Aftermath,
    aftermath,
    native_storm,
    scope_storm,
    ten_at_once,
    ten_threads,
    thread_storm,
)

# The libraries leave sockets and generators to the collector when they are cancelled.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore:Async generator:ResourceWarning")


@pytest.fixture(scope="module")
def urls() -> Iterator[list[str]]:
    """Two servers, the first twice as popular: idle connections of one make room for the other."""
    with serving(2) as (one, other):
        yield [one, one, other]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a test leaves to the collector is collected while its warnings are still expected."""
    yield
    gc.collect()


# -- storms --------------------------------------------------------------------------------------------------


async def guarded_storm(storm: Any, urls: list[str], *, http2: bool = False) -> Aftermath:
    """A storm against a guarded pool, and what is left of it."""
    inner = httpx.AsyncHTTPTransport(limits=LIMITS, http2=http2)
    async with httpx.AsyncClient(transport=AsyncGuarded(inner)) as client:
        await storm(httpx, client, urls, 1, 2.0)
        return aftermath(inner, await ten_at_once(client, urls))


def test_cancelled_tasks_lose_no_slot(urls: list[str]) -> None:
    """``Task.cancel`` once, twice and three times, ``asyncio.timeout``, scopes, and phase timeouts, all together."""
    assert asyncio.run(guarded_storm(native_storm, urls)) == WHOLE


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_scopes_lose_no_slot(urls: list[str], backend: str) -> None:
    """The scopes of anyio and trio."""
    assert anyio.run(guarded_storm, scope_storm, urls, backend=backend) == WHOLE


def test_a_pool_for_http2_has_no_gate_and_is_mended(urls: list[str]) -> None:
    """Callers wait inside the pool there, and lose slots by it; every one comes back."""
    after = asyncio.run(guarded_storm(lambda *args: native_storm(*args), urls, http2=True))
    assert after == Aftermath(served=PLACES, stuck=0, requests=0, free=None)


def test_threads_with_short_timeouts_lose_no_slot(urls: list[str]) -> None:
    """In sync code connect, read and pool timeouts are all there is."""
    inner = httpx.HTTPTransport(limits=LIMITS)
    with httpx.Client(transport=Guarded(inner)) as client:
        thread_storm(client, urls, 1, 2.0)
        assert aftermath(inner, ten_threads(client, urls)) == WHOLE


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_without_the_guard_httpx_loses_slots_for_good_and_httpx2_does_not(library: Any, urls: list[str]) -> None:
    """The control: the reason for all this, and for none of it on httpx2."""

    async def storm() -> Aftermath:
        inner = library.AsyncHTTPTransport(limits=library.Limits(max_connections=PLACES))
        async with library.AsyncClient(transport=inner) as client:
            end = time.monotonic() + 1.5

            async def caller() -> None:
                while time.monotonic() < end:
                    with suppress(TimeoutError, library.HTTPError):
                        async with asyncio.timeout(0.005):
                            await client.get(f"{urls[0]}/ok/3")

            await asyncio.gather(*(caller() for _ in range(40)))
            return aftermath(inner, await ten_at_once(client, urls))

    after = asyncio.run(storm())
    if library is httpx:
        assert after.stuck > 0
        assert after.served < PLACES
    else:
        assert after == Aftermath(served=PLACES, stuck=0, requests=0, free=PLACES)


def test_a_cancellation_at_any_step_of_a_request_loses_nothing(urls: list[str]) -> None:
    """One after each turn of the loop, and a second one some turns later; a body is read on the way."""

    async def main() -> Aftermath:
        inner = httpx.AsyncHTTPTransport(limits=LIMITS)
        async with httpx.AsyncClient(transport=AsyncGuarded(inner)) as client:
            for first in range(30):
                for second in range(5):
                    for what in ("ok", "drip"):
                        await cancelled_twice(client.get(f"{urls[0]}/{what}/0"), first, second)
            return aftermath(inner, await ten_at_once(client, urls))

    async def cancelled_twice(call: Any, first: int, second: int) -> None:
        task = asyncio.ensure_future(call)
        for turns in (first, second):
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert asyncio.run(main()) == WHOLE


# -- bodies --------------------------------------------------------------------------------------------------


def test_a_body_whose_closing_is_cut_short_gives_its_slot_back(urls: list[str]) -> None:
    """The library marks it closed first and forgets the request last: only the body can tell that it is over."""

    async def main(*, tell: bool) -> int:
        inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
        guard = guard_around(inner)
        async with httpx.AsyncClient(transport=inner) as client:
            await guard.aenter()
            response = await client.send(client.build_request("GET", f"{urls[0]}/drip/0"), stream=True)
            body: Any = response.stream
            closing = asyncio.ensure_future(body.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
            guard.leave(inner_body(body) if tell else None)
            await guard.amend()
            await guard.aenter()
            with suppress(httpx.PoolTimeout):
                return (await client.get(f"{urls[0]}/ok/0", timeout=(1.0, 1.0, 1.0, 0.1))).status_code
            return 0

    assert asyncio.run(main(tell=False)) == 0
    assert asyncio.run(main(tell=True)) == 200


def inner_body(body: Any) -> Any:
    """The body of the transport inside the one the client made."""
    return body._stream


def test_a_body_nobody_closed_gives_its_slot_back(urls: list[str]) -> None:
    """Once somebody says that it is over, as a collected response does."""
    inner = httpx.HTTPTransport(limits=httpx.Limits(max_connections=1))
    guard = guard_around(inner)
    with httpx.Client(transport=inner) as client:
        guard.enter()
        response = client.send(client.build_request("GET", f"{urls[0]}/drip/0"), stream=True)
        guard.leave(inner_body(response.stream))
        guard.enter()
        assert client.get(f"{urls[0]}/ok/0", timeout=(1.0, 1.0, 1.0, 0.1)).status_code == 200
        response.close()  # too late to hurt anybody
        assert not inner._pool._requests  # type: ignore[attr-defined]  # private, and named nowhere else


def test_who_waits_inside_the_pool_gets_the_slot_at_once(urls: list[str]) -> None:
    """Callers nobody guards, and those of a pool without a gate."""

    async def main() -> int:
        inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
        pool: Any = inner._pool
        async with httpx.AsyncClient(transport=inner) as client:
            pool._connections = [Lost()]
            waiting = asyncio.ensure_future(client.get(f"{urls[0]}/ok/0", timeout=(1.0, 1.0, 1.0, 5.0)))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            await guard_around(inner).amend()
            return (await asyncio.wait_for(waiting, 1.0)).status_code

    assert asyncio.run(main()) == 200

"""A scenario for ``explore``: HTTP bodies are read, left, cancelled, and die, under policies that hold on to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
from tests.support.explored import MOMENTS, Callers, at_peace

import resilix.httpx
import resilix.httpx2
from resilix import Bulkhead, CircuitBreaker, RejectedError, deadline, pipeline, retry, timeout
from resilix.testing import Schedule


class Server:
    """A transport that answers as chance has it, after a while, with bodies that come in pieces.

    Attributes:
        open: Bodies that have been handed out and not closed.
        busy: Those of them that have not come to their end either.
    """

    def __init__(self, schedule: Schedule, library: ModuleType) -> None:
        self.open = self.busy = 0
        self._chance, self._library = schedule.chance, library

    def transport(self) -> Any:
        """As the library wants it."""
        server, library, chance = self, self._library, self._chance

        # The library is chosen when this runs, so its classes are no types here.
        class Stream(library.AsyncByteStream):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                server.open += 1
                server.busy += 1
                self._closed = self._over = False

            def _end(self) -> None:
                server.busy -= not self._over
                self._over = True

            async def __aiter__(self) -> AsyncIterator[bytes]:
                for _ in range(3):
                    await asyncio.sleep(chance.choice(MOMENTS[:3]))
                    if chance.random() < 0.1:
                        self._end()
                        raise library.ReadError("the body died")
                    yield b"piece"
                self._end()

            async def aclose(self) -> None:
                self._end()
                server.open -= not self._closed
                self._closed = True  # first: the libraries' own streams shield their closing from cancellation
                await asyncio.sleep(0)

        # As above.
        class Inner(library.AsyncBaseTransport):  # type: ignore[misc, name-defined]
            async def handle_async_request(self, request: Any) -> Any:
                await asyncio.sleep(chance.choice(MOMENTS))
                if chance.random() < 0.2:
                    raise library.ConnectError("refused")
                return library.Response(chance.choice((200, 200, 503)), stream=Stream(), request=request)

        return Inner()


async def bodies(schedule: Schedule, library: ModuleType, door: Any) -> None:
    """Places and probes last as long as the body, and every body is closed, whoever is cancelled when."""
    chance = schedule.chance
    wait = chance.choice((0.0, 0.5))
    ready_made = chance.random() < 0.5
    if ready_made:
        guard = door.standard(
            "quotes", limit=2, max_wait=chance.choice((0.0, 1.0)), wait=wait, attempt_timeout=2.0, within=5.0,
            breaker={"consecutive": 3, "open_for": 0.5},
        )  # fmt: skip
    else:
        slots = Bulkhead("quotes", limit=2, max_wait=chance.choice((0.0, 1.0, None)))
        breaker = CircuitBreaker("quotes", consecutive=3, open_for=0.5)
        guard = pipeline(retry(on=library.TransportError, attempts=3, wait=wait), breaker, slots, timeout(2.0))
    server, callers = Server(schedule, library), Callers(schedule)
    client = library.AsyncClient(transport=door.AsyncTransport(guard, inner=server.transport()))

    def states() -> list[tuple[Bulkhead, CircuitBreaker]]:
        return [(one.bulkhead, one.breaker) for one in guard.states().values()] if ready_made else [(slots, breaker)]

    schedule.always(lambda: all(one.in_use <= 2 and other.snapshot().probes <= 1 for one, other in states()))
    schedule.always(lambda: server.busy <= sum(one.in_use for one, _ in states()))

    async def call(how: str) -> None:
        try:
            with deadline(chance.choice((1.0, 3.0, 60.0))):
                if how == "read":
                    await client.get("http://quotes.test/")
                    return
                async with client.stream("GET", "http://quotes.test/") as response:
                    if how == "leave":
                        return
                    async for _ in response.aiter_raw():
                        if how == "leave soon":
                            break
        except (library.TransportError, RejectedError):
            return

    async with client:
        for _ in range(5):
            how = chance.choice(("read", "stream", "leave", "leave soon"))

            async def caller(how: str = how) -> None:
                await call(how)

            callers.come(caller)
        callers.cancel_some(0.3)
        await callers.end()
    for one, other in states():
        at_peace(one)
        assert other.snapshot().probes == 0
    assert server.open == 0, f"{server.open} bodies are still open"


async def with_httpx(schedule: Schedule) -> None:
    """Places and probes last as long as the body, and every body is closed: under httpx."""
    await bodies(schedule, httpx, resilix.httpx)


async def with_httpx2(schedule: Schedule) -> None:
    """Places and probes last as long as the body, and every body is closed: under httpx2."""
    await bodies(schedule, httpx2, resilix.httpx2)

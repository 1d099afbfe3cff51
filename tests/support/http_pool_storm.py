"""Storms against a connection pool: many callers, every kind of timeout and cancellation, a bad server."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
from tests.support.http_pool_guarded import PLACES
from tests.support.http_pool_server import WHATS

from resilix.http.pool import guard_of

CALLERS = 40
PROMPT = (5.0, 5.0, 5.0, 0.15)
BITE = 0.03
"""Seconds within which cancellations strike."""


@dataclass
class Aftermath:
    """A pool once everybody has gone, and ten calls at once have been made.

    Attributes:
        served: How many of the ten got their answer.
        stuck: Connections that are neither idle nor closed.
        requests: Requests the pool still believes in.
        free: Places free in front of it; all of them for a pool that needs no guard.
    """

    served: int
    stuck: int
    requests: int
    free: int | None


WHOLE = Aftermath(served=PLACES, stuck=0, requests=0, free=PLACES)


def aftermath(transport: Any, served: int) -> Aftermath:
    """Look at the pool of an inner transport."""
    pool, guard = transport._pool, guard_of(transport)
    stuck = [one for one in pool._connections if not one.is_idle() and not one.is_closed()]
    return Aftermath(served, len(stuck), len(pool._requests), PLACES if guard is None else guard.free)


class Chance:
    """What one caller does next; the same for the same seed."""

    def __init__(self, seed: object, urls: Sequence[str]) -> None:
        self.random = random.Random(repr(seed))
        self.urls = urls

    def url(self) -> str:
        """Where to, and what to ask for."""
        return f"{self.random.choice(self.urls)}/{self.random.choice(WHATS)}/{self.random.choice((0, 0, 1, 3, 8, 15))}"

    def timeout(self, library: Any) -> Any:
        """Phase timeouts between one and twenty milliseconds, or none to speak of."""
        phases = {name: self.random.choice((1.0, 0.001, 0.005, 0.02)) for name in ("connect", "read", "pool")}
        return library.Timeout(write=1.0, **phases)

    def reading(self) -> str:
        """How much of a body is read before it is closed."""
        return self.random.choice(("all", "all", "some", "none"))


async def one_call(library: Any, client: Any, chance: Chance) -> None:
    """Ask for something, and read it or not."""
    async with client.stream("GET", chance.url(), timeout=chance.timeout(library)) as response:
        reading = chance.reading()
        if reading == "all":
            await response.aread()
        elif reading == "some":
            async for _ in response.aiter_raw():
                break


async def bitten_call(library: Any, client: Any, chance: Chance) -> None:
    """The same, at times under a scope or an ``asyncio.timeout`` of the caller's own."""
    bite = chance.random.choice((None, None, anyio.move_on_after, asyncio.timeout))
    if bite is asyncio.timeout and not _in_asyncio():
        bite = anyio.move_on_after
    with suppress(library.HTTPError, TimeoutError):
        if bite is None:
            await one_call(library, client, chance)
        elif bite is asyncio.timeout:
            async with asyncio.timeout(chance.random.uniform(0.0, BITE)):
                await one_call(library, client, chance)
        else:
            with anyio.move_on_after(chance.random.uniform(0.0, BITE)):
                await one_call(library, client, chance)


def _in_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def ten_at_once(client: Any, urls: Sequence[str]) -> int:
    """How many of ten calls find a connection at once: an answer takes longer than a call may wait for the pool."""
    served: list[int] = []

    async def call() -> None:
        with suppress(Exception):
            served.append((await client.get(f"{urls[0]}/ok/300", timeout=PROMPT)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(PLACES):
            group.start_soon(call)
    return served.count(200)


async def native_storm(library: Any, client: Any, urls: Sequence[str], seed: int, seconds: float) -> None:
    """Callers of asyncio, and somebody who cancels their tasks, often before they are done with the last time."""
    end = time.monotonic() + seconds
    chance = Chance((seed, "bites"), urls).random

    async def caller(number: int) -> None:
        mine = Chance((seed, number), urls)
        while time.monotonic() < end:
            with suppress(asyncio.CancelledError):
                await bitten_call(library, client, mine)

    tasks = [asyncio.ensure_future(caller(number)) for number in range(CALLERS)]
    while time.monotonic() < end:
        await asyncio.sleep(chance.uniform(0.0, 0.004))
        task = chance.choice(tasks)
        for _ in range(chance.choice((1, 1, 2, 3))):
            task.cancel()
            for _ in range(chance.choice((1, 1, 2, 3))):
                await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)


async def scope_storm(library: Any, client: Any, urls: Sequence[str], seed: int, seconds: float) -> None:
    """Callers of any event loop, and somebody who cancels the scopes they run in."""
    end = time.monotonic() + seconds
    chance = Chance((seed, "bites"), urls).random
    scopes = [anyio.CancelScope() for _ in range(CALLERS)]

    async def caller(number: int) -> None:
        mine = Chance((seed, number), urls)
        while time.monotonic() < end:
            with anyio.CancelScope() as scopes[number]:
                await bitten_call(library, client, mine)

    async with anyio.create_task_group() as group:
        for number in range(CALLERS):
            group.start_soon(caller, number)
        while time.monotonic() < end:
            await anyio.sleep(chance.uniform(0.0, 0.004))
            chance.choice(scopes).cancel()


def thread_storm(client: httpx.Client, urls: Sequence[str], seed: int, seconds: float) -> None:
    """Callers in threads, whom only the phase timeouts bite."""
    end = time.monotonic() + seconds

    def caller(number: int) -> None:
        mine = Chance((seed, number), urls)
        while time.monotonic() < end:
            with suppress(httpx.HTTPError):
                with client.stream("GET", mine.url(), timeout=mine.timeout(httpx)) as response:
                    reading = mine.reading()
                    if reading == "all":
                        response.read()
                    elif reading == "some":
                        next(response.iter_raw(), None)

    in_threads([lambda number=number: caller(number) for number in range(CALLERS)])  # type: ignore[misc]


def ten_threads(client: httpx.Client, urls: Sequence[str]) -> int:
    """How many of ten calls at once are served."""
    served: list[int] = []

    def call() -> None:
        with suppress(Exception):
            served.append(client.get(f"{urls[0]}/ok/300", timeout=PROMPT).status_code)

    in_threads([call] * PLACES)
    return served.count(200)


def in_threads(functions: Sequence[Any]) -> None:
    """Run functions at once, each in a thread."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

"""One scenario, every way to send: httpx and httpx2, sync, asyncio and trio. The scenario reads like sync code."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio.from_thread
import httpx
import httpx2
import pytest

import resilix.httpx
import resilix.httpx2


@dataclass(frozen=True)
class Lane:
    """One way to send.

    Attributes:
        door: ``resilix.httpx`` or ``resilix.httpx2``.
        library: ``httpx`` or ``httpx2``.
        backend: ``None`` for sync code, else "asyncio" or "trio".
    """

    door: Any
    library: Any
    backend: str | None

    def __str__(self) -> str:
        return f"{self.library.__name__}-{self.backend or 'sync'}"

    @property
    def client_class(self) -> Any:
        """The client of ours for this lane."""
        return self.door.Client if self.backend is None else self.door.AsyncClient

    @property
    def plain_class(self) -> Any:
        """The library's own client."""
        return self.library.Client if self.backend is None else self.library.AsyncClient

    @property
    def transport_class(self) -> Any:
        """The transport of ours."""
        return self.door.Transport if self.backend is None else self.door.AsyncTransport

    @contextmanager
    def session(self, make: Callable[[], Any]) -> Generator[Session]:
        """Make a client where it belongs and close it in the end."""
        if self.backend is None:
            with make() as client:
                yield Session(self, client, None)
            return
        with anyio.from_thread.start_blocking_portal(self.backend) as portal:

            async def make_there() -> Any:
                return make()

            client = portal.call(make_there)
            try:
                yield Session(self, client, portal)
            finally:
                portal.call(client.aclose)

    def guarded(self, policy: Any, **options: Any) -> Any:
        """A session of a client of ours."""
        return self.session(lambda: self.client_class(policy=policy, **options))

    def stream(self, *chunks: bytes) -> Any:
        """A body that has yet to be read."""
        base = self.library.SyncByteStream if self.backend is None else self.library.AsyncByteStream

        class Stream(base):  # type: ignore[misc, valid-type]
            def __iter__(self) -> Any:
                yield from chunks

            async def __aiter__(self) -> Any:
                for chunk in chunks:
                    yield chunk

        return Stream()

    def mock(self, handler: Callable[[Any], Any]) -> Any:
        """A transport that asks a function."""
        return self.library.MockTransport(handler)


_numbers = itertools.count(1)


def unique(lane: Lane) -> str:
    """A name no other policy has: two live ones of one name are warned of."""
    return f"{lane}-{next(_numbers)}"


class Session:
    """A client that is used as if it were sync."""

    def __init__(self, lane: Lane, client: Any, portal: Any) -> None:
        self.lane = lane
        self.client = client
        self.portal = portal

    def run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client, or any function that is sync in sync lanes and async in the others."""
        if self.portal is None:
            return fn(*args, **kwargs)
        return self.portal.call(partial(fn, *args, **kwargs))

    def get(self, url: str, **kwargs: Any) -> Any:
        """GET."""
        return self.run(self.client.get, url, **kwargs)

    def post(self, url: str, **kwargs: Any) -> Any:
        """POST."""
        return self.run(self.client.post, url, **kwargs)

    def request(self, method: str, url: str, **kwargs: Any) -> Any:
        """Any method."""
        return self.run(self.client.request, method, url, **kwargs)

    def open(self, method: str, url: str, **kwargs: Any) -> Any:
        """The head of a streamed response."""
        request = self.client.build_request(method, url, **kwargs)
        return self.run(self.client.send, request, stream=True)

    def read(self, response: Any) -> bytes:
        """The rest of a streamed response."""
        body: bytes = self.run(response.read if self.portal is None else response.aread)
        return body

    def close(self, response: Any) -> None:
        """Close a streamed response."""
        self.run(response.close if self.portal is None else response.aclose)

    def gather(self, count: int, fn: Callable[[int], Any]) -> list[Any]:
        """Make that many calls at once; results and errors in their order. ``fn`` gives an awaitable in async lanes."""
        results: list[Any] = [None] * count
        if self.portal is None:
            import threading

            def work(index: int) -> None:
                try:
                    results[index] = fn(index)
                except Exception as error:
                    results[index] = error

            threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return results

        async def one(index: int) -> None:
            try:
                results[index] = await fn(index)
            except Exception as error:
                results[index] = error

        async def every() -> None:
            async with anyio.create_task_group() as group:
                for index in range(count):
                    group.start_soon(one, index)

        self.portal.call(every)
        return results


LANES = [
    Lane(door, library, backend)
    for door, library in ((resilix.httpx, httpx), (resilix.httpx2, httpx2))
    for backend in (None, "asyncio", "trio")
]

lanes = pytest.mark.parametrize("lane", LANES, ids=str)
"""Run a test once for each way to send."""

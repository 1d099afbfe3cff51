"""One request held to a moment, made with either library in a thread, under asyncio or under trio."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import httpx2

from resilix.clock import SYSTEM
from resilix.http.backend import hold
from resilix.http.until import Until

LIBRARIES = [httpx, httpx2]
WAYS = ["sync", "asyncio", "trio"]
SECONDS = 0.3
BRIEF = 0.12
LATE = 0.05
"""How much later than its moment a request may end."""

UPLOAD = b"z" * 400_000
SMALL_BUFFER = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)]


@dataclass
class Ended:
    """How a request ended.

    Attributes:
        error: The class of its error by name, empty for none.
        seconds: How long it took.
        status: What the server said, 0 for nothing.
    """

    error: str
    seconds: float
    status: int


def timeouts(timeout: float) -> dict[str, Any]:
    """The extensions of a request with the same timeout for every phase."""
    return {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout)}


def transport_of(library: Any, way: str, **options: Any) -> Any:
    """A transport of the library with a small send buffer, so that an upload waits for its reader."""
    kind = library.HTTPTransport if way == "sync" else library.AsyncHTTPTransport
    options.setdefault("verify", False)  # certificates take longer to load than a request
    return kind(socket_options=SMALL_BUFFER, **options)


def content_of(path: str) -> bytes | None:
    """Paths about uploads get one."""
    return UPLOAD if path.endswith(("stopped", "slow")) else None


def asked(client: Any, url: str, timeout: float) -> Any:
    """The request; the time of one whose timeout is a plain number begins now, and ends for each phase by itself."""
    content = content_of(url)
    return client.build_request(
        "GET" if content is None else "POST", url, content=content, extensions=timeouts(timeout)
    )


def send(client: Any, url: str, timeout: float) -> Ended:
    """Make one request and read its answer."""
    started = SYSTEM.now()
    error, status = "", 0
    try:
        status = client.send(asked(client, url, timeout)).status_code
    except Exception as caught:
        error = type(caught).__name__
    return Ended(error, SYSTEM.now() - started, status)


async def asend(client: Any, url: str, timeout: float) -> Ended:
    """The same, async."""
    started = SYSTEM.now()
    error, status = "", 0
    try:
        status = (await client.send(asked(client, url, timeout))).status_code
    except Exception as caught:
        error = type(caught).__name__
    return Ended(error, SYSTEM.now() - started, status)


def fetch(library: Any, way: str, transport: Any, urls: Sequence[str], timeout: Callable[[], float]) -> list[Ended]:
    """Make requests with one client, and close it: one after the other, async the last after all others at once."""
    if way == "sync":
        with library.Client(transport=transport) as client:
            return [send(client, url, timeout()) for url in urls]
    ended: dict[str, Ended] = {}

    async def one(client: Any, url: str) -> None:
        ended[url] = await asend(client, url, timeout())

    async def main() -> None:
        async with library.AsyncClient(transport=transport) as client:
            async with anyio.create_task_group() as group:
                for url in urls[:-1]:
                    group.start_soon(one, client, url)
            await one(client, urls[-1])

    anyio.run(main, backend=way)
    return [ended[url] for url in urls]


def soon(seconds: float) -> Until:
    """A moment from now."""
    return Until(seconds, SYSTEM.now() + seconds)


def in_time(library: Any, way: str, urls: Sequence[str], *, seconds: float = BRIEF, **options: Any) -> list[Ended]:
    """Make the requests with a transport that obeys; up to three times while the machine is too busy to be judged."""
    ended: list[Ended] = []
    for _ in range(3):
        transport = transport_of(library, way, **options)
        assert hold(transport)
        ended = fetch(library, way, transport, urls, lambda: soon(seconds))
        if all(one.seconds < seconds + LATE for one in ended):
            break
    return ended


def on_the_dot(ended: Ended, seconds: float = BRIEF) -> bool:
    """Whether it ended at its moment, neither before nor much later."""
    return seconds - 0.01 < ended.seconds < seconds + LATE


def closed_quietly(*sockets: socket.socket) -> None:
    """Close some sockets whatever state they are in."""
    for sock in sockets:
        with suppress(OSError):
            sock.close()


class Noted:
    """A network stream or backend that writes down with which timeout it was called."""

    def __init__(self) -> None:
        self.timeouts: list[Any] = []

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.timeouts.append(timeout)
        return b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.timeouts.append(timeout)

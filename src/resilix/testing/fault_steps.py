"""The kinds of step a ``FaultServer`` plays; ``steps.py`` makes them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal, Protocol, TypeAlias

At: TypeAlias = Literal["connect", "request", "head", "after_head", "mid_body"]
PLACES: Final = ("connect", "request", "head", "after_head", "mid_body")
"""Where a connection can be cut."""


class Wire(Protocol):
    """The server's end of a connection, as a step sees it."""

    async def send(self, data: bytes) -> None:
        """Send, and wait until most of it is on its way."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait; ends early when the client goes."""
        ...

    def end(self, *, reset: bool) -> None:
        """Close the connection, with RST or with FIN."""
        ...


class Step(Protocol):
    """What the server does with one request."""

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Do it.

        Args:
            wire: Where to.
            head_only: The request was HEAD: no body is sent.

        Returns:
            Whether the connection is kept for another request.
        """
        ...


def head_of(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The status line and the headers, with the empty line."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Scripted"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Reply:
    """Made by :func:`reply`, :func:`drip` and :func:`drip_head`."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    chunked: bool = False
    keep_alive: bool = True
    silent_close: float | None = None
    piece: int | None = None
    every: float = 0.0
    head_every: float | None = None

    def head(self) -> bytes:
        """The head as it goes out."""
        length = [("Transfer-Encoding", "chunked")] if self.chunked else [("Content-Length", str(len(self.body)))]
        if self.status in (204, 304) or self.status < 200:
            length = []
        closing = [] if self.keep_alive else [("Connection", "close")]
        return head_of(self.status, (*self.headers, *length, *closing))

    def pieces(self) -> list[bytes]:
        """The body as it goes out."""
        size = self.piece or max(1, len(self.body))
        parts = [self.body[start : start + size] for start in range(0, len(self.body), size)]
        return [chunk_of(part) for part in parts] + [chunk_of(b"")] if self.chunked else parts

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Answer."""
        if self.delay:
            await wire.pause(self.delay)
        pieces = [] if head_only else self.pieces()
        head = self.head()
        if self.head_every is not None:
            for index in range(len(head)):
                await wire.send(head[index : index + 1])
                await wire.pause(self.head_every)
        elif not self.every:
            await wire.send(b"".join((head, *pieces)))
            pieces = []
        else:
            await wire.send(head)
        for piece in pieces:
            if self.every:
                await wire.pause(self.every)
            await wire.send(piece)
        if self.silent_close is not None:
            await wire.pause(self.silent_close)
            return False
        return self.keep_alive


@dataclass(frozen=True, slots=True)
class Cut:
    """Made by :func:`reset` and :func:`close`."""

    at: At
    hard: bool
    status: int = 200
    body: bytes = b"x" * 64

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Answer a part and end the connection."""
        head = head_of(self.status, (("Content-Length", str(len(self.body))),))
        parts = {
            "head": head[: len(head) // 2],
            "after_head": head,
            "mid_body": head + self.body[: len(self.body) // 2],
        }
        part = parts.get(self.at)
        if part:
            await wire.send(part)
            if self.hard:
                await wire.pause(0.01)  # or the reset overtakes what was sent
        wire.end(reset=self.hard)
        return False


@dataclass(frozen=True, slots=True)
class Raw:
    """Made by :func:`garbage` and :func:`bad_chunk`: bytes as they are, then the end."""

    data: bytes

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Send the bytes."""
        await wire.send(self.data)
        return False


@dataclass(frozen=True, slots=True)
class Endless:
    """Made by :func:`endless`."""

    status: int
    chunk: int

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Send until the client goes."""
        await wire.send(head_of(self.status, (("Transfer-Encoding", "chunked"),)))
        piece = chunk_of(b"x" * self.chunk)
        while not head_only:
            await wire.send(piece)
            await wire.pause(0.0)
        return False


@dataclass(frozen=True, slots=True)
class Hang:
    """Made by :func:`hang`."""

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Wait until the client goes or the server stops."""
        await wire.pause(math.inf)
        return False


@dataclass(frozen=True, slots=True)
class Events:
    """Made by :func:`sse`."""

    frames: tuple[bytes, ...]
    every: float

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Send the events."""
        headers = (("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"))
        await wire.send(head_of(200, headers))
        for frame in self.frames:
            await wire.pause(self.every)
            await wire.send(chunk_of(frame))
        await wire.send(chunk_of(b""))
        return True


def chunk_of(data: bytes) -> bytes:
    """A chunk of a chunked body; the last one for no bytes."""
    return b"%x\r\n%s\r\n" % (len(data), data)

"""The kinds of step a ``FaultServer`` plays; ``steps.py`` makes them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from resilix.testing.fault_http import Pairs, bodiless, chunk_of, head_of

At: TypeAlias = Literal["connect", "request", "head", "after_head", "mid_body"]
PLACES: Final = ("connect", "request", "head", "after_head", "mid_body")
"""Where a connection can be cut."""

SETTLE: Final = 0.01
"""Seconds between what is sent and a reset: on some systems the reset would overtake it."""

CHUNKED: Final = (("Transfer-Encoding", "chunked"),)


class Wire(Protocol):
    """The server's end of a connection, as a step sees it."""

    async def send(self, data: bytes, *, last: bool = False) -> None:
        """Send, and wait until it is on its way. ``last``: with it the whole answer is sent."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait; ends early when the client goes."""
        ...

    async def end(self, *, reset: bool) -> None:
        """End the connection, with RST or with FIN."""
        ...

    def close_when_idle(self, seconds: float) -> None:
        """Close the connection without a word unless another request has begun to arrive by then."""
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


Part: TypeAlias = tuple[float | None, bytes]
"""Seconds to wait before it (``None`` for none), and what is sent then."""


async def send_parts(wire: Wire, parts: list[Part]) -> None:
    """Send a whole answer, part by part."""
    last = len(parts) - 1
    for index, (wait, data) in enumerate(parts):
        if wait is not None:
            await wire.pause(wait)
        await wire.send(data, last=index == last)


@dataclass(frozen=True, repr=False)
class Shown:
    """A step that is shown as it was written."""

    shown: str = field(default="a step", compare=False, kw_only=True)

    def __repr__(self) -> str:
        return self.shown


@dataclass(frozen=True, repr=False)
class Reply(Shown):
    """Made by :func:`reply`, :func:`drip`, :func:`drip_head` and :func:`gzip_bomb`.

    ``piece`` is the number of bytes sent at once; ``every`` the seconds before each piece, ``head_every`` those
    between the bytes of the head; ``early`` are the informational answers.
    """

    status: int
    body: bytes
    headers: Pairs = ()
    delay: float = 0.0
    chunked: bool = False
    keep_alive: bool = True
    silent_close: float | None = None
    piece: int | None = None
    every: float = 0.0
    head_every: float | None = None
    early: bytes = b""

    def head(self) -> bytes:
        """The head as it goes out. A length that the script gives stands, right or wrong."""
        given = {name.lower() for name, _ in self.headers}
        framing: Pairs = CHUNKED if self.chunked else (("Content-Length", str(len(self.body))),)
        if bodiless(self.status) or given & {"content-length", "transfer-encoding"}:
            framing = ()
        closing: Pairs = () if self.keep_alive or "connection" in given else (("Connection", "close"),)
        return head_of(self.status, (*self.headers, *framing, *closing))

    def pieces(self) -> list[bytes]:
        """The body as it goes out."""
        if bodiless(self.status):
            return []
        size = self.piece or max(1, len(self.body))
        parts = [self.body[start : start + size] for start in range(0, len(self.body), size)]
        return [chunk_of(part) for part in parts] + [chunk_of(b"")] if self.chunked else parts

    def parts(self, *, head_only: bool) -> list[Part]:
        """All of it, in the order it goes out."""
        head, pieces = self.head(), [] if head_only else self.pieces()
        if self.head_every is not None:
            single = [head[index : index + 1] for index in range(len(head))]
            return [
                (None, single[0]),
                *((self.head_every, one) for one in single[1:]),
                *((None, one) for one in pieces),
            ]
        if self.piece is None:
            early: list[Part] = [(None, self.early)] if self.early else []
            return [*early, (self.delay or None, b"".join((head, *pieces)))]
        return [(None, head), *((self.every, one) for one in pieces)]

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Answer."""
        await send_parts(wire, self.parts(head_only=head_only))
        if self.silent_close is not None:
            wire.close_when_idle(self.silent_close)
        return self.keep_alive


@dataclass(frozen=True, repr=False)
class Cut(Shown):
    """Made by :func:`reset` and :func:`close`."""

    at: At
    hard: bool
    status: int = 200
    body: bytes = b"x" * 64
    chunked: bool = False

    def part(self) -> bytes:
        """What is sent before the cut."""
        head = head_of(self.status, CHUNKED if self.chunked else (("Content-Length", str(len(self.body))),))
        half = self.body[: len(self.body) // 2]
        if self.at == "head":
            return head[: len(head) // 2]
        if self.at == "mid_body":
            return head + (chunk_of(half) if self.chunked else half)
        return head if self.at == "after_head" else b""

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Answer a part and end the connection."""
        part = self.part()
        if part:
            await wire.send(part)
            if self.hard:
                await wire.pause(SETTLE)
        await wire.end(reset=self.hard)
        return False


@dataclass(frozen=True, repr=False)
class Raw(Shown):
    """Made by :func:`garbage`, :func:`bad_chunk` and :func:`raw`: bytes as they are, then perhaps the end."""

    data: bytes
    keep_alive: bool = False

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Send the bytes."""
        await wire.send(self.data, last=True)
        return self.keep_alive


@dataclass(frozen=True, repr=False)
class Endless(Shown):
    """Made by :func:`endless`."""

    status: int
    chunk: int

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Send until the client goes."""
        await wire.send(head_of(self.status, CHUNKED), last=head_only)
        piece = chunk_of(b"x" * self.chunk)
        while not head_only:
            await wire.send(piece)
            await wire.pause(0.0)
        return True


@dataclass(frozen=True, repr=False)
class Hang(Shown):
    """Made by :func:`hang`."""

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Wait until the client goes or the server stops."""
        await wire.pause(math.inf)
        return False


@dataclass(frozen=True, repr=False)
class Events(Shown):
    """Made by :func:`sse`."""

    frames: tuple[bytes, ...]
    every: float

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Send the events."""
        head = head_of(200, (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"), *CHUNKED))
        frames: Iterable[bytes] = () if head_only else self.frames
        end: list[Part] = [] if head_only else [(None, chunk_of(b""))]
        await send_parts(wire, [(None, head), *((self.every or None, chunk_of(one)) for one in frames), *end])
        return True

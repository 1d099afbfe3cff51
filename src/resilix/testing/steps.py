"""What a ``FaultServer`` does with one request: answer well, badly, slowly, or not at all.

Example::

    server.script("/quotes", 503, steps.reset("after_head"), steps.reply(200, b"4217", delay=0.2))

Each function makes one step; a whole number among the steps of a script is ``reply(number)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from resilix.core import options
from resilix.core.options import refuse
from resilix.testing.fault_http import bodiless, chunk_of, head_of
from resilix.testing.fault_steps import CHUNKED, PLACES, At, Cut, Endless, Events, Hang, Raw, Reply, Step
from resilix.testing.fault_write import Headers, Informational, as_heads, as_pairs, bomb, written

__all__ = [
    "bad_chunk", "close", "drip", "drip_head", "endless", "garbage", "gzip_bomb", "hang", "raw", "reply", "reset",
    "sse",
]  # fmt: skip


def reply(
    status: int = 200,
    body: bytes = b"",
    *,
    headers: Headers | None = None,
    delay: float = 0.0,
    chunked: bool = False,
    keep_alive: bool = True,
    silent_close: float | None = None,
    informational: Informational | None = None,
) -> Step:
    """A whole answer.

    Example::

        steps.reply(429, headers={"Retry-After": "2"}, delay=0.1)

    Args:
        status: 100 to 999.
        body: Sent as it is.
        headers: A mapping, or pairs where one name stands twice. A Content-Length among them stands, even a wrong one.
        delay: Seconds before the head; 0 answers at once.
        chunked: Send the body chunked, without a length.
        keep_alive: Keep the connection; otherwise it says so and closes.
        silent_close: Seconds without another request after which the connection, though kept, is closed without a
            word; 0 closes it right after the reply, ``None`` never.
        informational: Answers before the answer and its delay: statuses (``[102]``), or with headers
            (``[(103, {"Link": "</a.css>"})]``).

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    _answer("reply", status, body)
    wait = options.duration("steps.reply", "delay", delay, zero="at once")
    options.flag("steps.reply", "chunked", chunked)
    options.flag("steps.reply", "keep_alive", keep_alive)
    if silent_close is not None:
        silent_close = options.duration("steps.reply", "silent_close", silent_close, zero="right after the reply")
        if not keep_alive:
            raise refuse("steps.reply", "silent_close", silent_close, "keep_alive=False closes aloud", "leave one out")
    early = as_heads("reply", informational)
    shown = written(
        reply, status, body=body, headers=headers, delay=wait, chunked=chunked, keep_alive=keep_alive,
        silent_close=silent_close, informational=informational,
    )  # fmt: skip
    pairs = as_pairs("reply", headers)
    return Reply(status, body, pairs, wait, chunked, keep_alive, silent_close, early=early, shown=shown)


def drip(
    status: int = 200, body: bytes = b"x" * 20, *, every: float = 0.05, size: int = 1, headers: Headers | None = None
) -> Step:
    """An answer whose body comes in pieces.

    Example::

        steps.drip(200, b"slowly", every=0.1)

    Args:
        status: 100 to 999.
        body: What comes in pieces.
        every: Seconds before each piece; 0 sends them one after the other.
        size: Bytes of a piece.
        headers: As of :func:`reply`.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    _answer("drip", status, body)
    _count("drip", "size", size)
    wait = options.duration("steps.drip", "every", every, zero="pieces without pauses")
    shown = written(drip, status, body=body, every=wait, size=size, headers=headers)
    return Reply(status, body, as_pairs("drip", headers), piece=size, every=wait, shown=shown)


def drip_head(status: int = 200, body: bytes = b"", *, every: float = 0.05, headers: Headers | None = None) -> Step:
    """An answer whose status line and headers come byte by byte; the body follows in one piece.

    Example::

        steps.drip_head(200, every=0.02)

    Args:
        status: 100 to 999.
        body: Sent at the end.
        every: Seconds between two bytes; 0 sends them one after the other.
        headers: As of :func:`reply`.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    _answer("drip_head", status, body)
    wait = options.duration("steps.drip_head", "every", every, zero="bytes without pauses")
    shown = written(drip_head, status, body=body, every=wait, headers=headers)
    return Reply(status, body, as_pairs("drip_head", headers), head_every=wait, shown=shown)


def reset(at: At = "request", *, status: int = 200, body: bytes = b"x" * 64, chunked: bool = False) -> Step:
    """Reset the connection (RST) at some point, as a crashed process or a firewall does.

    Example::

        steps.reset("mid_body")

    Args:
        at: "connect" (for ``FaultServer.next_connections`` only: before anything is read), "request" (after the head
            of the request was read), "head" (in the middle of the head of the answer), "after_head", or "mid_body".
        status: Of the answer that is cut.
        body: Of the answer that is cut.
        chunked: Whether that answer is chunked.

    Raises:
        ConfigurationError: There is no such point.
    """
    return _cut("reset", True, at, status, body, chunked)


def close(at: At = "request", *, status: int = 200, body: bytes = b"x" * 64, chunked: bool = False) -> Step:
    """End the connection (FIN) at some point, as :func:`reset` does with RST: truncated heads and bodies.

    Example::

        steps.close("mid_body", chunked=True)

    Args:
        at: As of :func:`reset`.
        status: Of the answer that is cut.
        body: Of the answer that is cut.
        chunked: Whether that answer is chunked; what is missing then is its last chunk.

    Raises:
        ConfigurationError: There is no such point.
    """
    return _cut("close", False, at, status, body, chunked)


def bad_chunk(status: int = 200) -> Step:
    """A chunked body whose second chunk has no legal length; then the connection is closed.

    Example::

        steps.bad_chunk()
    """
    _answer("bad_chunk", status, b"body")
    data = head_of(status, CHUNKED) + chunk_of(b"fine") + b"nonsense\r\nmore\r\n"
    return Raw(data, shown=written(bad_chunk, status))


def garbage() -> Step:
    """Something that is not HTTP; then the connection is closed.

    Example::

        steps.garbage()
    """
    return Raw(b"\x16\x03\x01 this is not HTTP\r\n\r\n", shown=written(garbage))


def raw(data: bytes, *, keep_alive: bool = False) -> Step:
    r"""Bytes as they are: any answer the other steps cannot give.

    Example::

        steps.raw(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok")

    Args:
        data: What is sent.
        keep_alive: Keep the connection for another request.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    _bytes("raw", "data", data)
    options.flag("steps.raw", "keep_alive", keep_alive)
    return Raw(data, keep_alive, shown=written(raw, data=data, keep_alive=keep_alive))


def endless(status: int = 200, *, chunk: int = 65536) -> Step:
    """A chunked body without an end, until the client goes.

    Example::

        steps.endless(503)

    Args:
        status: 200 to 999.
        chunk: Bytes of each chunk.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    _answer("endless", status, b"body")
    _count("endless", "chunk", chunk)
    return Endless(status, chunk, shown=written(endless, status, chunk=chunk))


def gzip_bomb(status: int = 200, size: int = 10**9) -> Step:
    """A body that is small on the wire (a thousandth) and ``size`` zero bytes when it is decoded.

    Example::

        steps.gzip_bomb(503, 10**9)

    Args:
        status: 200 to 999.
        size: Bytes after decoding.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    _answer("gzip_bomb", status, b"body")
    _count("gzip_bomb", "size", size)
    shown = written(gzip_bomb, status, size=size)
    return Reply(status, bomb(size), (("Content-Encoding", "gzip"),), shown=shown)


def hang() -> Step:
    """Read the request and never answer.

    Example::

        steps.hang()
    """
    return Hang(shown=written(hang))


def sse(events: Iterable[str], *, every: float = 0.0) -> Step:
    """Server-sent events, chunked: one ``data:`` field for each line of each event.

    Example::

        steps.sse(["one", "two", "[DONE]"], every=0.05)

    Args:
        events: What each event says.
        every: Seconds before each event; 0 sends them one after the other.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    if isinstance(events, str):
        raise refuse("steps.sse", "events", events, "it is one text, not several", 'write events=["one", "[DONE]"]')
    said = list(events)
    for event in said:
        if not isinstance(event, str):
            raise refuse("steps.sse", "events", event, "what an event says is text", 'write events=["one", "[DONE]"]')
    wait = options.duration("steps.sse", "every", every, zero="events without pauses")
    frames = ["".join(f"data: {line}\n" for line in event.split("\n")) + "\n" for event in said]
    return Events(tuple(frame.encode() for frame in frames), wait, shown=written(sse, events=said, every=wait))


def _cut(owner: str, hard: bool, at: At, status: int, body: bytes, chunked: bool) -> Step:
    if at not in PLACES:
        raise refuse(f"steps.{owner}", "at", at, f"there are {', '.join(PLACES)}", f'write {owner}("mid_body"), say')
    _answer(owner, status, body)
    options.flag(f"steps.{owner}", "chunked", chunked)
    if at == "mid_body" and len(body) < 2:
        raise refuse(f"steps.{owner}", "body", body, "it has no middle to cut it at", 'write body=b"x" * 64')
    shown = written(reset if hard else close, at=at, status=status, body=body, chunked=chunked)
    return Cut(at, hard, status, body, chunked, shown=shown)


def _answer(owner: str, status: Any, body: Any) -> None:
    why = "a status is a number of three digits"
    options.whole(f"steps.{owner}", "status", status, least=100, most=999, why=why)
    _bytes(owner, "body", body)
    if body and bodiless(status):
        raise refuse(f"steps.{owner}", "body", body, f"an answer of {status} has none", "leave it out, or use raw(…)")


def _bytes(owner: str, option: str, value: Any) -> None:
    if not isinstance(value, bytes):
        raise refuse(f"steps.{owner}", option, value, "it is sent as it is, so it is bytes", f'write {option}=b"…"')


def _count(owner: str, option: str, value: int) -> None:
    options.whole(f"steps.{owner}", option, value, least=1, why="it is a number of bytes")

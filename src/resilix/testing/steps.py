"""What a ``FaultServer`` does with one request: answer well, badly, slowly, or not at all.

Example::

    server.script("/quotes", 503, steps.reset("after_head"), steps.reply(200, b"4217", delay=0.2))

Each function makes one step; a whole number among the steps of a script is ``reply(number)``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

from resilix.core.options import refuse
from resilix.errors import ConfigurationError
from resilix.testing.fault_steps import PLACES, At, Cut, Endless, Events, Hang, Raw, Reply, Step, chunk_of, head_of

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
ZEROS: Final = 1 << 20


# -- what a script is written with ------------------------------------------------------------------------------------


def reply(
    status: int = 200,
    body: bytes = b"",
    *,
    headers: Headers | None = None,
    delay: float = 0.0,
    chunked: bool = False,
    keep_alive: bool = True,
    silent_close: float | None = None,
) -> Step:
    """A whole answer.

    Example::

        steps.reply(429, headers={"Retry-After": "2"}, delay=0.1)

    Args:
        status: 100 to 999.
        body: Sent as it is.
        headers: A mapping, or pairs where one name stands twice.
        delay: Seconds before the head.
        chunked: Send the body chunked, without a length.
        keep_alive: Keep the connection; otherwise it says so and closes.
        silent_close: Seconds after which the connection, though kept, is closed without a word; 0 at once.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.
    """
    options = _checked("reply", status=status, body=body, delay=delay, silent_close=silent_close)
    return Reply(**options, headers=_pairs(headers), chunked=chunked, keep_alive=keep_alive)


def drip(
    status: int = 200, body: bytes = b"x" * 20, *, every: float = 0.05, size: int = 1, headers: Headers | None = None
) -> Step:
    """An answer whose body comes in pieces of ``size`` bytes, ``every`` so many seconds.

    Example::

        steps.drip(200, b"slowly", every=0.1)
    """
    _positive("drip", "size", size)
    options = _checked("drip", status=status, body=body, every=every)
    return Reply(**options, headers=_pairs(headers), piece=size)


def drip_head(status: int = 200, body: bytes = b"", *, every: float = 0.05, headers: Headers | None = None) -> Step:
    """An answer whose status line and headers come byte by byte, ``every`` so many seconds.

    Example::

        steps.drip_head(200, every=0.02)
    """
    checked = _checked("drip_head", status=status, body=body, every=every)
    return Reply(checked["status"], checked["body"], headers=_pairs(headers), head_every=checked["every"])


def reset(at: At = "request", *, status: int = 200, body: bytes = b"x" * 64) -> Step:
    """Reset the connection (RST) at some point.

    Example::

        steps.reset("mid_body")

    Args:
        at: "connect" (for ``FaultServer.next_connections``: before anything is read), "request" (after the head of the
            request was read), "head" (in the middle of the head of the answer), "after_head", or "mid_body".
        status: Of the answer that is cut.
        body: Of the answer that is cut.
    """
    return Cut(_place("reset", at), True, status, body)


def close(at: At = "request", *, status: int = 200, body: bytes = b"x" * 64) -> Step:
    """End the connection (FIN) at some point, as :func:`reset` does with RST: truncated heads and bodies.

    Example::

        steps.close("mid_body")
    """
    return Cut(_place("close", at), False, status, body)


def bad_chunk(status: int = 200) -> Step:
    """A chunked body whose second chunk has no legal length.

    Example::

        steps.bad_chunk()
    """
    head = head_of(status, (("Transfer-Encoding", "chunked"),))
    return Raw(head + chunk_of(b"fine") + b"nonsense\r\nmore\r\n")


def garbage() -> Step:
    """Something that is not HTTP.

    Example::

        steps.garbage()
    """
    return Raw(b"\x16\x03\x01 this is not HTTP\r\n\r\n")


def endless(status: int = 200, *, chunk: int = 65536) -> Step:
    """A chunked body without an end, until the client goes.

    Example::

        steps.endless(503)
    """
    _positive("endless", "chunk", chunk)
    return Endless(status, chunk)


def gzip_bomb(status: int = 200, size: int = 10**9) -> Step:
    """A body that is small on the wire and ``size`` bytes when it is decoded.

    Example::

        steps.gzip_bomb(503, 10**9)
    """
    _positive("gzip_bomb", "size", size)
    return Reply(status, _bomb(size), headers=(("Content-Encoding", "gzip"),))


def hang() -> Step:
    """Read the request and never answer.

    Example::

        steps.hang()
    """
    return Hang()


def sse(events: Iterable[str], *, every: float = 0.0) -> Step:
    """Server-sent events, chunked: one ``data:`` field each.

    Example::

        steps.sse(["one", "two", "[DONE]"], every=0.05)
    """
    frames = [b"".join(b"data: " + line.encode() + b"\n" for line in event.split("\n")) + b"\n" for event in events]
    return Events(tuple(frames), _seconds("sse", "every", every))


def as_step(value: object) -> Step:
    """Read one entry of a script.

    Raises:
        ConfigurationError: It is neither a status nor a step.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return reply(value)
    if hasattr(value, "play"):
        return cast("Step", value)
    raise ConfigurationError(
        f"script(…, {value!r}): it is no step; write a status (503), steps.reply(…), steps.reset(…), …"
    )


# -- checks and small parts ----------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(bytes(min(ZEROS, size - start))) for start in range(0, size, ZEROS)]
    return b"".join((*parts, packer.flush()))


def _pairs(headers: Headers | None) -> tuple[tuple[str, str], ...]:
    if headers is None:
        return ()
    if isinstance(headers, Mapping):
        return tuple(cast("Mapping[str, str]", headers).items())
    return tuple(headers)


def _place(owner: str, at: At) -> At:
    if at not in PLACES:
        raise refuse(f"steps.{owner}", "at", at, f"there are {', '.join(PLACES)}", f'write {owner}("mid_body"), say')
    return at


def _positive(owner: str, option: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise refuse(f"steps.{owner}", option, value, "it must be a whole number, 1 or more", f"write {option}=1")


def _seconds(owner: str, option: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise refuse(f"steps.{owner}", option, value, "it must be zero or more seconds", f"write {option}=0.1")
    return float(value)


def _checked(owner: str, *, status: int, body: bytes, **seconds: float | None) -> dict[str, Any]:
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 999:
        raise refuse(f"steps.{owner}", "status", status, "it is a number of three digits", "write status=503")
    if not isinstance(body, bytes):
        raise refuse(f"steps.{owner}", "body", body, "it is sent as it is, so it must be bytes", 'write body=b"…"')
    times = {name: value if value is None else _seconds(owner, name, value) for name, value in seconds.items()}
    return {"status": status, "body": body, **times}

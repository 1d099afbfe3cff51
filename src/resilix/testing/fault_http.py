"""HTTP/1.1 as a ``FaultServer`` reads and writes it: strict, small, and without any I/O.

RFC 9110 and RFC 9112. What they leave to the server's leniency is refused, so that a client's mistake is seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

LONGEST_HEAD: Final = 65536
LONGEST_LINE: Final = 1024
"""Of a chunk's length, with its extensions."""

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.([01])")
NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
LENGTH = re.compile(r"[0-9]{1,15}")
START = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?")

Pairs = tuple[tuple[str, str], ...]


class BadRequestError(Exception):
    """The client sent what is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request.

    Attributes:
        method: As it was sent.
        target: As it was sent.
        minor: 1 for HTTP/1.1, 0 for HTTP/1.0.
        pairs: The header lines as they were sent, in order.
        headers: By name in lower case; several lines of one name are joined by a comma.
        length: Bytes of the body; ``None`` for a chunked one.
    """

    method: str
    target: str
    minor: int
    pairs: Pairs
    headers: Mapping[str, str]
    length: int | None

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a 100 before it sends the body."""
        return self.minor == 1 and self.headers.get("expect", "").lower() == "100-continue"

    @property
    def persistent(self) -> bool:
        """Whether the client would send another request on the connection."""
        options = {option.strip() for option in self.headers.get("connection", "").lower().split(",")}
        return "close" not in options and (self.minor == 1 or "keep-alive" in options)


def read_head(text: bytes) -> Head:
    """Read a request line and header lines, without the empty line after them.

    Raises:
        BadRequestError: It breaks a rule of RFC 9112.
    """
    first, *lines = text.split(b"\r\n")
    line = REQUEST_LINE.fullmatch(first)
    if line is None:
        raise BadRequestError(f"no request line of HTTP/1.1: {first[:80]!r}")
    pairs = tuple(_pair(one) for one in lines)
    headers: dict[str, str] = {}
    for name, value in pairs:
        known = name.lower()
        headers[known] = f"{headers[known]}, {value}" if known in headers else value
    minor = int(line[3])
    if minor == 1 and sum(name.lower() == "host" for name, _ in pairs) != 1:
        raise BadRequestError("a request of HTTP/1.1 has exactly one Host (RFC 9112, section 3.2)")
    return Head(line[1].decode(), line[2].decode(), minor, pairs, headers, _length(headers, minor))


def check_start(data: bytes | bytearray) -> None:
    """Look at a head of which the end has not come: there are mistakes whose end will never come.

    Raises:
        BadRequestError: It is TLS or another protocol, or its lines do not end with CR and LF.
    """
    if data and not START.match(data):
        raise BadRequestError(f"no HTTP: {bytes(data[:8])!r}; this server speaks http://, without TLS")
    if b"\n\n" in data:
        raise BadRequestError("lines of a head end with CR and LF (RFC 9112, section 2.2)")


def _pair(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not NAME.fullmatch(name) or CONTROL.search(value):
        raise BadRequestError(f"no header line: {line[:80]!r}")
    return name.decode(), value.strip(b" \t").decode("latin-1")


def _length(headers: Mapping[str, str], minor: int) -> int | None:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or minor == 0:
            raise BadRequestError(f"no transfer coding of a request here: {coding[:80]!r}")
        if length is not None:
            raise BadRequestError("Transfer-Encoding beside Content-Length (RFC 9112, section 6.1)")
        return None
    if length is not None and not LENGTH.fullmatch(length):
        raise BadRequestError(f"no length: {length[:80]!r}")
    return int(length or 0)


def read_chunk_length(line: bytes) -> int:
    """Read the line before a chunk.

    Raises:
        BadRequestError: It is no hexadecimal number.
    """
    size = CHUNK.fullmatch(line)
    if size is None:
        raise BadRequestError(f"no length of a chunk: {line[:80]!r}")
    return int(size[1], 16)


def path_of(target: str) -> str:
    """The path of a target as it was sent, without its query; a proxy's client sends the whole URL."""
    path = target.partition("?")[0]
    if path.lower().startswith(("http://", "https://")):
        _, slash, rest = path.partition("://")[2].partition("/")
        return f"/{rest}" if slash else "/"
    return path


def head_of(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The status line and the headers of an answer, with the empty line."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Scripted"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunk_of(data: bytes) -> bytes:
    """A chunk of a chunked body; the last one for no bytes."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def bodiless(status: int) -> bool:
    """Whether an answer of this status never has a body (RFC 9110, section 6.4.1)."""
    return status < 200 or status in (204, 304)

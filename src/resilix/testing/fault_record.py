"""What a ``FaultServer`` remembers of each request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

KEPT: Final = 1 << 20
"""Bytes of each body that are kept; all of it is counted and hashed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the server saw it.

    Attributes:
        number: From 1, in order of arrival.
        method: As it was sent.
        path: Without the query.
        query: Without the question mark.
        headers: By name in lower case; several lines of one name are joined by a comma.
        raw_headers: As they were sent, in order.
        body: The first 1 MiB of it.
        body_length: Bytes of all of it, as far as it has come.
        body_sha256: Of all of it.
        connection: The number of the TCP connection, from 1.
        at: When its head had been read, in seconds of ``time.monotonic()``.
        request_id: The header X-Request-Id; empty without one.
        step: What answered it.
        finished: The whole answer was handed to the operating system.
        complete: The whole request, body included, arrived.
    """

    number: int
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    raw_headers: tuple[tuple[str, str], ...]
    body: bytes
    body_length: int
    body_sha256: str
    connection: int
    at: float
    request_id: str
    step: str
    finished: bool
    complete: bool


@dataclass(slots=True)
class Record:
    """The same while it grows; :meth:`seen` takes a copy."""

    number: int
    method: str
    target: str
    raw_headers: tuple[tuple[str, str], ...]
    connection: int
    at: float
    body: bytearray = field(default_factory=bytearray)
    body_length: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    step: str = ""
    finished: bool = False
    complete: bool = False

    def took(self, data: bytes) -> None:
        """Some more of the body."""
        self.body_length += len(data)
        self.digest.update(data)
        if len(self.body) < KEPT:
            self.body += data[: KEPT - len(self.body)]

    def header(self, name: str) -> str:
        """The value of a header, empty without one."""
        return ", ".join(value for known, value in self.raw_headers if known.lower() == name)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def seen(self) -> Seen:
        """What is known by now."""
        names = dict.fromkeys(name.lower() for name, _ in self.raw_headers)
        return Seen(
            number=self.number,
            method=self.method,
            path=self.path,
            query=self.target.partition("?")[2],
            headers={name: self.header(name) for name in names},
            raw_headers=self.raw_headers,
            body=bytes(self.body),
            body_length=self.body_length,
            body_sha256=str(self.digest.hexdigest()),
            connection=self.connection,
            at=self.at,
            request_id=self.header("x-request-id"),
            step=self.step,
            finished=self.finished,
            complete=self.complete,
        )

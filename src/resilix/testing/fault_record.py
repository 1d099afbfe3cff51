"""What a ``FaultServer`` remembers of each request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from resilix.locks import Lock
from resilix.testing.fault_http import Head, path_of

KEPT: Final = 1 << 20
"""Bytes of each body that are kept; all of it is counted and hashed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the server saw it.

    Attributes:
        number: From 1, in order of arrival.
        method: As it was sent.
        path: Without the query, percent signs as they were sent.
        query: Without the question mark.
        target: Path and query as they were sent.
        headers: By name in lower case; several lines of one name are joined by a comma.
        raw_headers: As they were sent, in order.
        body: The first 1 MiB of it.
        body_length: Bytes of all of it, as far as it has come.
        body_sha256: Of all of it, in hexadecimal.
        connection: The number of the TCP connection, from 1.
        at: When its head had been read, in seconds of ``time.monotonic()``.
        request_id: The header X-Request-Id; empty without one.
        step: What answered it.
        finished: The whole answer was handed to the operating system. Never true for an answer that is cut.
        complete: The whole request, body included, arrived.
    """

    number: int
    method: str
    path: str
    query: str
    target: str
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


class Record:
    """The same while it grows; :meth:`seen` takes a copy. The server's thread writes, any thread reads.

    Attributes:
        head: The head of the request.
        path: Without the query.
        lock: Held while anything here changes.
        finishing: The last bytes of the answer wait in the server's own buffer.
    """

    def __init__(self, number: int, head: Head, connection: int, at: float, lock: Lock) -> None:
        self.head = head
        self.path = path_of(head.target)
        self.lock = lock
        self.finishing = False
        self._number, self._connection, self._at = number, connection, at
        self._body = bytearray()
        self._length = 0
        self._digest = hashlib.sha256()
        self._step = ""
        self._finished = self._complete = False
        self._copy: Seen | None = None

    @property
    def request_id(self) -> str:
        """The header X-Request-Id; empty without one."""
        return self.head.headers.get("x-request-id", "")

    def took(self, data: bytes) -> None:
        """Some more of the body has come."""
        with self.lock:
            self._copy = None
            self._length += len(data)
            self._digest.update(data)
            if len(self._body) < KEPT:
                self._body += data[: KEPT - len(self._body)]

    def complete(self) -> None:
        """All of the request has come."""
        with self.lock:
            self._complete, self._copy = True, None

    def answered_by(self, step: str) -> None:
        """What answers is known."""
        with self.lock:
            self._step, self._copy = step, None

    def finish(self) -> None:
        """All of the answer was handed over. Called with the lock held."""
        self.finishing, self._finished, self._copy = False, True, None

    def seen(self) -> Seen:
        """What is known by now."""
        with self.lock:
            if self._copy is None:
                self._copy = self._now()
            return self._copy

    def _now(self) -> Seen:
        return Seen(
            number=self._number,
            method=self.head.method,
            path=self.path,
            query=self.head.target.partition("?")[2],
            target=self.head.target,
            headers=MappingProxyType(self.head.headers),
            raw_headers=self.head.pairs,
            body=bytes(self._body),
            body_length=self._length,
            body_sha256=self._digest.hexdigest(),
            connection=self._connection,
            at=self._at,
            request_id=self.request_id,
            step=self._step,
            finished=self._finished,
            complete=self._complete,
        )


class Records:
    """All of them, in order of arrival."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._all: list[Record] = []
        self._by_request_id: dict[str, list[Record]] = {}

    def add(self, head: Head, connection: int, at: float) -> Record:
        """A head has been read."""
        with self._lock:
            record = Record(len(self._all) + 1, head, connection, at, self._lock)
            self._all.append(record)
            self._by_request_id.setdefault(record.request_id, []).append(record)
        return record

    def forget(self) -> None:
        """Begin anew, with number 1."""
        with self._lock:
            self._all, self._by_request_id = [], {}

    def some(self, request_id: str | None = None) -> list[Record]:
        """All of them, or those with one X-Request-Id."""
        with self._lock:
            return list(self._all if request_id is None else self._by_request_id.get(request_id, ()))

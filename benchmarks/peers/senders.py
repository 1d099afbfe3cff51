"""Transports of httpx that answer without a network, and the bare ones that they are compared with."""

from __future__ import annotations

from typing import Any

import httpx

from benchmarks.peers.peer import Function


class SendAlways(httpx.HTTPTransport):
    """Answers 200; of the make of a real transport, so that it is treated like one."""

    sent = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.sent += 1
        return httpx.Response(200, content=b"4217")


class SendThird(httpx.HTTPTransport):
    """Answers 503, 503 and 200; over and over."""

    sent = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.sent += 1
        return httpx.Response(503 if self.sent % 3 else 200, content=b"4217")


class ASendAlways(httpx.AsyncHTTPTransport):
    """Answers 200, async."""

    sent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.sent += 1
        return httpx.Response(200, content=b"4217")


class ASendThird(httpx.AsyncHTTPTransport):
    """Answers 503, 503 and 200, async."""

    sent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.sent += 1
        return httpx.Response(503 if self.sent % 3 else 200, content=b"4217")


def _request() -> httpx.Request:
    timeouts = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}
    return httpx.Request("GET", "http://quotes.test/ACME", extensions={"timeout": timeouts})


def sender(send: Function) -> Function:
    """A function of one argument that sends one and the same request."""
    request = _request()
    return lambda _: send(request)


def bare_sender(inner: Any, attempts: int = 1) -> Function:
    """The yardstick: hands the request on, and again while it is answered 503."""

    def send(request: httpx.Request) -> httpx.Response:
        for _ in range(attempts - 1):
            response: httpx.Response = inner.handle_request(request)
            if response.status_code != 503:
                return response
            response.close()
        answer: httpx.Response = inner.handle_request(request)
        return answer

    return sender(send)


def a_bare_sender(inner: Any, attempts: int = 1) -> Function:
    """The same, async."""

    async def send(request: httpx.Request) -> httpx.Response:
        for _ in range(attempts - 1):
            response: httpx.Response = await inner.handle_async_request(request)
            if response.status_code != 503:
                return response
            await response.aclose()
        answer: httpx.Response = await inner.handle_async_request(request)
        return answer

    return sender(send)

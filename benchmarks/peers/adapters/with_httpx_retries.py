"""httpx-retries: a transport of httpx that retries."""

from __future__ import annotations

from typing import Any

from httpx_retries import Retry, RetryTransport

from benchmarks.peers.peer import Function, Peer


def sending(inner: Any) -> Function:
    """Three attempts around a transport."""
    return RetryTransport(transport=inner, retry=Retry(total=2)).handle_request


def asending(inner: Any) -> Function:
    """The same, async."""
    return RetryTransport(transport=inner, retry=Retry(total=2)).handle_async_request


PEERS = [Peer("httpx-retries", ("httpx-retries",), "import httpx_retries", http=sending, ahttp=asending)]

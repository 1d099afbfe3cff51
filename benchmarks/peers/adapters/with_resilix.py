"""resilix: a breaker of failures in a row, as most peers have, and the default one with a failure rate over time."""

from __future__ import annotations

from typing import Any

from benchmarks.parts import Names
from benchmarks.peers.peer import Decorator, Function, Peer
from resilix import Bulkhead, CircuitBreaker, CircuitOpenError, calls, pipeline, retry, timeout
from resilix.httpx import AsyncTransport, Transport, standard


def in_a_row(threshold: int, recovery: float) -> CircuitBreaker:
    """Opens after so many failures in a row."""
    return CircuitBreaker(
        Names.new(), on=ValueError, window=calls(100), consecutive=threshold, failure_rate=None, open_for=recovery
    )


def over_time(threshold: int, recovery: float) -> CircuitBreaker:
    """Opens after so many failures in a row, or when half of so many calls within 30 s failed."""
    return CircuitBreaker(
        Names.new(), on=ValueError, window=30.0, consecutive=threshold, min_calls=threshold, open_for=recovery
    )


def retrying() -> Decorator:
    """Three attempts."""
    return retry(on=ValueError, attempts=3, wait=0)


def all_four(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """Retry, the default breaker, bulkhead and timeout."""
    bulkhead = Bulkhead(Names.new(), limit=limit)
    if seconds is None:
        return pipeline(retrying(), over_time(threshold, 60.0), bulkhead)
    return pipeline(retrying(), over_time(threshold, 60.0), bulkhead, timeout(seconds))


def _plan() -> Any:
    # The retry alone, for that is the job.
    return standard(Names.new(), wait=0, attempt_timeout=None, within=None, budget=None, breaker=None)


def sending(inner: Any) -> Function:
    """Three attempts around a transport."""
    return Transport(_plan(), inner=inner).handle_request


def asending(inner: Any) -> Function:
    """The same, async."""
    return AsyncTransport(_plan(), inner=inner).handle_async_request


OURS = ("resilix-toolkit",)
PEERS = [
    Peer(
        "resilix",
        OURS,
        "import resilix",
        breaker=over_time,
        abreaker=over_time,
        refused=CircuitOpenError,
        retry=retrying,
        aretry=retrying,
        pipeline=all_four,
        apipeline=all_four,
        idle=lambda: CircuitBreaker(Names.new()),
        http=sending,
        ahttp=asending,
    ),
    Peer("resilix, failures in a row", OURS, "", breaker=in_a_row, abreaker=in_a_row, refused=CircuitOpenError),
]

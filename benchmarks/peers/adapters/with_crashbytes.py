"""crashbytes-resilience: small decorators for sync and async code."""

from __future__ import annotations

from crashbytes_resilience import CircuitBreaker, CircuitOpenError, bulkhead, circuit_breaker, pipeline, retry, timeout

from benchmarks.peers.peer import Decorator, Peer


def guarding(threshold: int, recovery: float) -> Decorator:
    """Opens after so many failures in a row."""
    return circuit_breaker(threshold, recovery, exceptions=(ValueError,))


def retrying() -> Decorator:
    """Three attempts."""
    return retry(max_attempts=3, delay=0, exceptions=(ValueError,))


def all_four(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """Retry, breaker, bulkhead and timeout; its pipeline takes the innermost first."""
    outer = (bulkhead(limit), guarding(threshold, 60.0), retrying())
    return pipeline(*outer) if seconds is None else pipeline(timeout(seconds), *outer)


PEERS = [
    Peer(
        "crashbytes-resilience",
        ("crashbytes-resilience",),
        "import crashbytes_resilience",
        breaker=guarding,
        abreaker=guarding,
        refused=CircuitOpenError,
        retry=retrying,
        aretry=retrying,
        pipeline=all_four,
        apipeline=all_four,
        idle=CircuitBreaker,
    )
]

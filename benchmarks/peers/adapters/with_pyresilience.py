"""pyresilience: everything in one decorator."""

from __future__ import annotations

from typing import Any

from pyresilience import (
    BulkheadConfig,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    RetryConfig,
    TimeoutConfig,
    resilient,
)

from benchmarks.peers.peer import Decorator, Peer


def _breaker(threshold: int, recovery: float) -> CircuitBreakerConfig:
    return CircuitBreakerConfig(
        failure_threshold=threshold, recovery_timeout=recovery, success_threshold=1, error_types=(ValueError,)
    )


def _retry() -> RetryConfig:
    return RetryConfig(max_attempts=3, delay=0, jitter=False, retry_on=(ValueError,))


def guarding(threshold: int, recovery: float) -> Decorator:
    """Opens after so many failures in a row."""
    return resilient(circuit_breaker=_breaker(threshold, recovery))


def retrying() -> Decorator:
    """Three attempts."""
    return resilient(retry=_retry())


def all_four(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """Retry, breaker, bulkhead and timeout, in its own order."""
    options: dict[str, Any] = {} if seconds is None else {"timeout": TimeoutConfig(seconds=seconds)}
    return resilient(
        retry=_retry(),
        circuit_breaker=_breaker(threshold, 60.0),
        bulkhead=BulkheadConfig(max_concurrent=limit),
        **options,
    )


PEERS = [
    Peer(
        "pyresilience",
        ("pyresilience",),
        "import pyresilience",
        breaker=guarding,
        abreaker=guarding,
        refused=CircuitOpenError,
        retry=retrying,
        aretry=retrying,
        pipeline=all_four,
        apipeline=all_four,
        idle=lambda: CircuitBreaker(CircuitBreakerConfig()),
    )
]

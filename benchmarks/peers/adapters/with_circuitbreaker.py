"""circuitbreaker: a breaker for sync and async code, without a lock."""

from __future__ import annotations

import circuitbreaker

from benchmarks.parts import Names
from benchmarks.peers.peer import Decorator, Peer


def guarding(threshold: int, recovery: float) -> Decorator:
    """Opens after so many failures in a row."""
    return circuitbreaker.CircuitBreaker(
        failure_threshold=threshold, recovery_timeout=recovery, expected_exception=ValueError, name=Names.new()
    )


PEERS = [
    Peer(
        "circuitbreaker",
        ("circuitbreaker",),
        "import circuitbreaker",
        breaker=guarding,
        abreaker=guarding,
        refused=circuitbreaker.CircuitBreakerError,
        idle=lambda: circuitbreaker.CircuitBreaker(name=Names.new()),
    )
]

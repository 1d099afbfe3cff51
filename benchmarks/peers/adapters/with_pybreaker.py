"""pybreaker: a breaker for sync code."""

from __future__ import annotations

import pybreaker

from benchmarks.peers.peer import Decorator, Peer


def guarding(threshold: int, recovery: float) -> Decorator:
    """Opens after so many failures in a row."""
    return pybreaker.CircuitBreaker(fail_max=threshold, reset_timeout=recovery)


PEERS = [
    Peer(
        "pybreaker",
        ("pybreaker",),
        "import pybreaker",
        breaker=guarding,
        refused=pybreaker.CircuitBreakerError,
        idle=pybreaker.CircuitBreaker,
    )
]

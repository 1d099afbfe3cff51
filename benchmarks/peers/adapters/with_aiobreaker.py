"""aiobreaker: a fork of pybreaker for asyncio."""

from __future__ import annotations

from datetime import timedelta

import aiobreaker

from benchmarks.peers.peer import Decorator, Peer


def guarding(threshold: int, recovery: float) -> Decorator:
    """Opens after so many failures in a row."""
    return aiobreaker.CircuitBreaker(fail_max=threshold, timeout_duration=timedelta(seconds=recovery))


PEERS = [
    Peer(
        "aiobreaker",
        ("aiobreaker",),
        "import aiobreaker",
        breaker=guarding,
        abreaker=guarding,
        refused=aiobreaker.CircuitBreakerError,
        idle=aiobreaker.CircuitBreaker,
    )
]

"""purgatory: breakers by name out of a factory, one for sync and one for async code."""

from __future__ import annotations

from typing import Any

from purgatory import AsyncCircuitBreakerFactory, SyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from benchmarks.parts import Names
from benchmarks.peers.peer import Decorator, Peer

FACTORY = SyncCircuitBreakerFactory()


def guarding(threshold: int, recovery: float) -> Decorator:
    """Opens after so many failures in a row."""
    return SyncCircuitBreakerFactory()(Names.new(), threshold=threshold, ttl=recovery)


def aguarding(threshold: int, recovery: float) -> Decorator:
    """The same, async."""
    return AsyncCircuitBreakerFactory()(Names.new(), threshold=threshold, ttl=recovery)


def idle() -> Any:
    """One more breaker of one factory."""
    return FACTORY.get_breaker(Names.new())


PEERS = [
    Peer(
        "purgatory",
        ("purgatory",),
        "import purgatory",
        breaker=guarding,
        abreaker=aguarding,
        refused=OpenedState,
        idle=idle,
    )
]

"""interlock-cb: breaker, pipeline, bulkhead, timeout; its retry is tenacity's."""

from __future__ import annotations

import tenacity
from interlock import CircuitBreaker, CircuitOpenError, Config, Pipeline

from benchmarks.parts import Names
from benchmarks.peers.peer import Decorator, Peer


def guarding(threshold: int, recovery: float) -> CircuitBreaker:
    """Opens when so many calls, or more, of the last hundred all failed; it does not count failures in a row."""
    config = Config(
        failure_rate_threshold=1.0, minimum_number_of_calls=threshold, window_size=100, wait_duration_in_open=recovery
    )
    return CircuitBreaker(name=Names.new(), config=config)


def retrying() -> Decorator:
    """Three attempts."""
    return Pipeline.builder().retry(attempts=3, retry=FAILURES, wait=tenacity.wait_none()).build()


def all_four(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """Retry, breaker, bulkhead and timeout."""
    built = Pipeline.builder().retry(attempts=3, retry=FAILURES, wait=tenacity.wait_none())
    built = built.circuit_breaker(guarding(threshold, 60.0)).bulkhead(limit)
    return (built if seconds is None else built.timeout(seconds)).build()


FAILURES = tenacity.retry_if_exception_type(ValueError)
PEERS = [
    Peer(
        "interlock-cb",
        ("interlock-cb",),
        "import interlock",
        breaker=guarding,
        abreaker=guarding,
        refused=CircuitOpenError,
        retry=retrying,
        aretry=retrying,
        pipeline=all_four,
        apipeline=all_four,
        idle=lambda: CircuitBreaker(name=Names.new()),
    )
]

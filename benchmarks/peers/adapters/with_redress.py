"""redress: retry by class of error, with a breaker around it; no bulkhead."""

from __future__ import annotations

from typing import Any

from redress import AsyncPolicy, AsyncRetry, CircuitBreaker, CircuitOpenError, ErrorClass, Policy, Retry

from benchmarks.peers.peer import Decorator, Function, Peer


def _classify(error: BaseException) -> ErrorClass:
    return ErrorClass.TRANSIENT if isinstance(error, ValueError) else ErrorClass.PERMANENT


def _at_once(attempt: int, klass: ErrorClass, before: float | None) -> float:
    return 0.0


def _breaker(threshold: int, recovery: float) -> CircuitBreaker:
    return CircuitBreaker(
        failure_threshold=threshold,
        recovery_timeout_s=recovery,
        trip_on={ErrorClass.TRANSIENT, ErrorClass.SERVER_ERROR, ErrorClass.UNKNOWN, ErrorClass.PERMANENT},
    )


def _attempts(timeout: float | None = None) -> dict[str, Any]:
    return {"classifier": _classify, "strategy": _at_once, "max_attempts": 3, "attempt_timeout_s": timeout}


def _around(policy: Policy) -> Decorator:
    def decorator(fn: Function) -> Function:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return policy.call(lambda: fn(*args, **kwargs))

        return wrapper

    return decorator


def _aaround(policy: AsyncPolicy) -> Decorator:
    def decorator(fn: Function) -> Function:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await policy.call(lambda: fn(*args, **kwargs))

        return wrapper

    return decorator


def guarding(threshold: int, recovery: float) -> Decorator:
    """Opens after so many failures within a minute."""
    return _around(Policy(circuit_breaker=_breaker(threshold, recovery)))


def aguarding(threshold: int, recovery: float) -> Decorator:
    """The same, async."""
    return _aaround(AsyncPolicy(circuit_breaker=_breaker(threshold, recovery)))


def retrying() -> Decorator:
    """Three attempts."""
    return _around(Policy(retry=Retry(**_attempts())))


def aretrying() -> Decorator:
    """The same, async."""
    return _aaround(AsyncPolicy(retry=AsyncRetry(**_attempts())))


def three(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """Retry with a timeout for each attempt, in a breaker."""
    return _around(Policy(retry=Retry(**_attempts(seconds)), circuit_breaker=_breaker(threshold, 60.0)))


def athree(threshold: int, limit: int, seconds: float | None) -> Decorator:
    """The same, async."""
    return _aaround(AsyncPolicy(retry=AsyncRetry(**_attempts(seconds)), circuit_breaker=_breaker(threshold, 60.0)))


PEERS = [
    Peer(
        "redress",
        ("redress",),
        "import redress",
        breaker=guarding,
        abreaker=aguarding,
        refused=CircuitOpenError,
        retry=retrying,
        aretry=aretrying,
        pipeline=three,
        apipeline=athree,
        parts=("retry", "breaker", "timeout"),
        idle=CircuitBreaker,
    )
]

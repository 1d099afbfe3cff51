"""``health``: every live policy at one moment, as data that is ready for JSON."""

from __future__ import annotations

from typing import Any, Final

from resilix.core.era import CircuitState
from resilix.events import hook_errors
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.budget import RetryBudget
from resilix.policies.bulkhead import Bulkhead
from resilix.policies.registry import REGISTRY
from resilix.telemetry.readings import MOST_NAMES

NEARLY_EMPTY: Final = 0.1
"""A retry budget with less than this share left is a sign of trouble."""


def health(*, most_names: int = MOST_NAMES) -> dict[str, Any]:
    """Describe every live policy: what is open and since when, what is full, what is left.

    Example::

        @app.get("/health")
        def show() -> dict[str, Any]:
            return resilix.health()

    ``status`` is "degraded" while a breaker is not closed, a bulkhead is full and callers wait, or a retry budget is
    nearly empty; else "ok". It tells of what this service depends on, so it is no liveness probe: restarting a service
    whose dependency is down makes matters worse.

    Args:
        most_names: How many policies of one kind are described; ``left_out`` says how many were not.

    Returns:
        A dict of lists, dicts, texts, numbers and ``None``; durations in seconds, under names that end in ``_s``.
    """
    live = REGISTRY.live()
    breakers = [_of_breaker(one) for one in live if isinstance(one, CircuitBreaker)]
    bulkheads = [_of_bulkhead(one) for one in live if isinstance(one, Bulkhead)]
    budgets = [_of_budget(one) for one in live if isinstance(one, RetryBudget)]
    clients = [_of_http(one) for one in REGISTRY.counted()]
    degraded = (
        any(one["state"] != CircuitState.CLOSED.value for one in breakers)
        or any(one["in_use"] >= one["limit"] and one["waiting"] for one in bulkheads)
        or any(one["remaining_ratio"] < NEARLY_EMPTY for one in budgets)
    )
    kinds = {"breakers": breakers, "bulkheads": bulkheads, "budgets": budgets, "http": clients}
    return {
        "status": "degraded" if degraded else "ok",
        **{kind: described[:most_names] for kind, described in kinds.items()},
        "left_out": sum(max(0, len(described) - most_names) for described in kinds.values()),
        "hook_errors": hook_errors(),
    }


def _of_breaker(breaker: CircuitBreaker) -> dict[str, Any]:
    shot = breaker.snapshot()
    return {
        "name": shot.name,
        "state": shot.state.value,
        "mode": shot.mode,
        "reason": shot.reason,
        "since_s": round(max(0.0, breaker.now() - shot.since), 3),
        "calls": shot.calls,
        "failures": shot.failures,
        "slow": shot.slow,
        "failure_rate": shot.failure_rate,
        "slow_rate": shot.slow_rate,
        "failure_threshold": breaker.failure_rate,
        "rejected": shot.rejected,
        "opening": shot.opening,
        "retry_after_s": None if shot.retry_after is None else round(shot.retry_after, 3),
        "totals": breaker.totals()._asdict(),
    }


def _of_bulkhead(bulkhead: Bulkhead) -> dict[str, Any]:
    return {
        "name": bulkhead.name,
        "in_use": bulkhead.in_use,
        "limit": bulkhead.limit,
        "waiting": bulkhead.waiting,
        "rejected": bulkhead.rejected,
    }


def _of_budget(budget: RetryBudget) -> dict[str, Any]:
    return {"name": budget.name, "remaining_ratio": round(budget.remaining_ratio, 4), "denied": budget.denied}


def _of_http(source: Any) -> dict[str, Any]:
    return {
        "name": source.name,
        "calls": source.calls_total,
        "attempts": source.attempts_total,
        "rejected": source.rejected_total,
    }

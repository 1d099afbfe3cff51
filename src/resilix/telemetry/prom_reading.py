# pyright: reportPrivateUsage=false
"""The readings, in spite of a policy that cannot be read; and their names, without reading anything."""

from __future__ import annotations

from typing import Any, Final

from resilix.events import HUB, hook_errors
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.budget import RetryBudget
from resilix.policies.bulkhead import Bulkhead
from resilix.policies.registry import REGISTRY
from resilix.telemetry import readings
from resilix.telemetry.readings import Family, Sample

TRIES: Final = 3
"""How often what cannot be read is looked for, if it breaks at one moment and not at another."""


def sound_readings(most_names: int) -> list[Family]:
    """Read every live policy; one that raises is left out and counted as a hook error, and the others stay.

    A breaker's ``clock`` is code of the user's, and reading a breaker asks it.

    Args:
        most_names: How many policies of one kind are told apart.
    """
    try:
        return readings.readings(most_names=most_names)
    except Exception:
        return [readings._bounded(family, most_names) for family in _of_the_sound()]


def shapes() -> list[Family]:
    """Every family, without samples; no policy is asked."""
    return [family._replace(samples=()) for family in _families([], [])]


def _of_the_sound() -> list[Family]:
    policies: list[Any] = list(REGISTRY.live())
    for _ in range(TRIES):
        policies = [one for one in policies if _readable(one)]
        try:
            return _families(policies, REGISTRY.counted())
        except Exception:
            continue
    return _families([], [])


def _readable(policy: Any) -> bool:
    try:
        _families([policy], [])
    except Exception as error:
        HUB.hook_failed(getattr(policy, "kind", "policy"), policy.name, "reading", error)
        return False
    return True


def _families(policies: list[Any], sources: list[Any]) -> list[Family]:
    """What ``readings()`` gives, of these alone. A test holds the two against each other."""
    breakers = [one for one in policies if isinstance(one, CircuitBreaker)]
    bulkheads = [one for one in policies if isinstance(one, Bulkhead)]
    budgets = [one for one in policies if isinstance(one, RetryBudget)]
    return [
        *readings._of_breakers(breakers),
        *readings._of_bulkheads(bulkheads),
        *readings._of_budgets(budgets),
        *readings._of_verbs(breakers, bulkheads),
        *readings._of_http(sources),
        Family(
            "resilix_hook_errors_total", "counter", "Errors raised by user code given to a policy.", (),
            (Sample((), hook_errors()),),
        ),
    ]  # fmt: skip

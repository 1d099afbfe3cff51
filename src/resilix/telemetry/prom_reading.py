"""The readings, in spite of a policy that cannot be read; and their names, without reading anything."""

from __future__ import annotations

from typing import Any, Final

from resilix.events import HUB
from resilix.policies.registry import REGISTRY
from resilix.telemetry.readings import Family, bounded, families_of, readings

TRIES: Final = 3
"""How often what cannot be read is looked for, if it breaks at one moment and not at another."""


def sound_readings(most_names: int) -> list[Family]:
    """Read every live policy; one that raises is left out and counted as a hook error, and the others stay.

    A breaker's ``clock`` is code of the user's, and reading a breaker asks it.

    Args:
        most_names: How many policies of one kind are told apart.
    """
    try:
        return readings(most_names=most_names)
    except Exception:
        return [bounded(family, most_names) for family in _of_the_sound()]


def shapes() -> list[Family]:
    """Every family, without samples; no policy is asked."""
    return [family._replace(samples=()) for family in families_of([], [])]


def _of_the_sound() -> list[Family]:
    policies: list[Any] = list(REGISTRY.live())
    for _ in range(TRIES):
        policies = [one for one in policies if _readable(one)]
        try:
            return families_of(policies, REGISTRY.counted())
        except Exception:
            continue
    return families_of([], [])


def _readable(policy: Any) -> bool:
    try:
        families_of([policy], [])
    except Exception as error:
        HUB.hook_failed(getattr(policy, "kind", "policy"), policy.name, "reading", error)
        return False
    return True

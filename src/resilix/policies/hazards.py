"""Orders of policies that do not do what their author thinks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

OWN: Final = "policy"
"""The kind of a policy that is not one of ours, whatever it calls itself."""


def kind_of(policy: Any) -> str:
    """The kind of a policy of ours, whose options can be read; "policy" for one of the user's own."""
    return str(policy.kind) if getattr(policy, "built_in", False) is True else OWN


def flatten(policies: Sequence[Any]) -> tuple[Any, ...]:
    """The policies, outermost first, with nested pipelines laid open."""
    flat: list[Any] = []
    for policy in policies:
        flat.extend(flatten(policy.policies) if kind_of(policy) == "pipeline" else (policy,))
    return tuple(flat)


def warnings_for(policies: Sequence[Any], *, all_pairs: bool = False) -> list[str]:
    """What is nearly always wrong about an order, one sentence each.

    Args:
        policies: Outermost first.
        all_pairs: Look at every pair; otherwise only at those with the first, because the others were looked at when
            they were put on.
    """
    flat = flatten(policies)
    if all_pairs:
        pairs = list(combinations(flat, 2))
    else:
        newest = len(flatten(policies[:1]))
        pairs = [(outer, inner) for outer in flat[:newest] for inner in flat[newest:]]
    return list(dict.fromkeys(text for pair in pairs if (text := _wrong(*pair))))


def _wrong(outer: Any, inner: Any) -> str | None:
    kinds = (kind_of(outer), kind_of(inner))
    if kinds == ("breaker", "retry"):
        return (
            f"{inner!r} stands inside {outer!r}: the breaker sees one outcome for all attempts and counts too late, "
            "and retries go on while it is about to open; put retry outside the breaker"
        )
    if kinds == ("retry", "fallback"):
        return (
            f"{inner!r} stands inside {outer!r}: the fallback answers the first failure, so there is nothing left to "
            "retry; put fallback outside"
        )
    if kinds == ("retry", "retry"):
        return (
            f"{inner!r} stands inside {outer!r}: attempts multiply, up to "
            f"{outer.plan.attempts * inner.plan.attempts:g} per call; retry in one place"
        )
    if kinds[0] == "faults":
        return (
            f"{outer!r} stands outside {inner!r}, which does not see what it does; "
            "put the fault plan innermost, where the dependency is"
        )
    around, within = _bound(outer), getattr(inner, "seconds", None)
    if kinds[1] == "timeout" and around is not None and within is not None and within > around:
        return (
            f"{inner!r} is longer than the {around:g} s that {outer!r} gives the whole call: it can never expire; "
            "make it shorter"
        )
    return None


def _bound(policy: Any) -> float | None:
    """Seconds a policy gives everything inside it."""
    if kind_of(policy) == "timeout":
        return float(policy.seconds)
    if kind_of(policy) == "retry" and policy.plan.within < float("inf"):
        return float(policy.plan.within)
    return None


def hazards_of(policies: Sequence[Any]) -> list[str]:
    """Everything worth knowing before this order meets an outage, worst first."""
    flat = flatten(policies)
    kinds = [kind_of(policy) for policy in flat]
    found = warnings_for(flat, all_pairs=True)
    for index, policy in enumerate(flat):
        inside = kinds[index + 1 :]
        if kinds[index] == OWN:
            found.append(f"{policy!r} is your own: how often and how long it runs what is inside is not counted here")
        elif kinds[index] == "faults":
            found.append(f"{policy!r} injects faults on purpose, wherever they are switched on: it belongs in tests")
        elif kinds[index] == "retry":
            found += _retry_hazards(policy, inside, flat[index + 1 :])
        elif kinds[index] == "bulkhead" and "retry" in inside:
            found.append(f"{policy!r} keeps its place during the waits of the retry inside it; put it inside the retry")
        elif kinds[index] == "breaker":
            found += _breaker_hazards(policy, inside, flat[:index])
    if "timeout" not in kinds:
        found.append("nothing bounds how long an attempt may take; add timeout(…) innermost")
    return found


def _breaker_hazards(policy: Any, inside: list[str], outer: tuple[Any, ...]) -> list[str]:
    found: list[str] = []
    if "fallback" in inside:
        found.append(f"{policy!r} does not see the failures that the fallback inside it answers; put it inside")
    cutting = [one for one in outer if kind_of(one) == "timeout" and not one.cooperative]
    if cutting and "timeout" not in inside:
        found.append(
            f"{cutting[-1]!r} cuts off what hangs from outside {policy!r}, which sees a cancellation and counts "
            "nothing: hangs never open it; put a timeout inside the breaker"
        )
    return found


def _retry_hazards(policy: Any, inside: list[str], inner: tuple[Any, ...]) -> list[str]:
    found: list[str] = []
    attempts = policy.plan.attempts
    if attempts == 1:
        return found
    if policy.plan.budget is None:
        many = f"{attempts:g}" if attempts < float("inf") else "any number of"
        how_long = "until the breaker opens" if "breaker" in inside else "for as long as it lasts"
        found.append(
            f"{policy!r} has no budget: in an outage it makes {many} attempts per call {how_long}; "
            "add budget=RetryBudget(…)"
        )
    if any(kind_of(one) == "timeout" and not one.cooperative for one in inner):
        bound = (
            "the bulkhead inside the retry bounds how many run"
            if "bulkhead" in inside
            else "the retry can multiply the calls in flight; bound them with a bulkhead inside the retry"
        )
        found.append(
            "around a sync function, each timed-out attempt goes on in its worker thread while the next one starts: "
            + bound
        )
    return found

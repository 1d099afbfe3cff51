"""Policies from a file, by the names and defaults of their options in Python."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Never

import tenacity

from resilix.core.settings import calls
from resilix.errors import RejectedError
from resilix.policies.base import Policy
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.budget import RetryBudget
from resilix.policies.bulkhead import Bulkhead
from resilix.policies.fallback import fallback
from resilix.policies.hazards import warnings_for
from resilix.policies.pipeline import pipeline
from resilix.policies.retry import retry
from resilix.policies.timeout import timeout
from resilix.testing.simulation.copies import apart
from resilix.whatif.table import Place, Table, names_of, needed_of, shown

NAME: Final = "dependency"
"""What a breaker or bulkhead is called that is given no name."""

ERRORS: Final[dict[str, type[Exception]]] = {
    "error": ConnectionError,
    "timeout": TimeoutError,
    "refused": RejectedError,
}
"""What ``on`` and ``ignore`` may name."""

WAITS: Final[dict[str, Callable[..., Any]]] = {
    "fixed": tenacity.wait_fixed,
    "random": tenacity.wait_random,
    "incrementing": tenacity.wait_incrementing,
    "exponential": tenacity.wait_exponential,
    "random_exponential": tenacity.wait_random_exponential,
    "exponential_jitter": tenacity.wait_exponential_jitter,
}
"""Tenacity's wait strategies, without the ``wait_`` of their names."""

OFF: Final = ("attempts", "within", "budget", "failure_rate", "slow_rate", "slow_after", "consecutive")
"""Options for which ``false`` is written where Python has ``None``, for TOML has no such word."""

FUNCTIONS: Final = ("on_result", "stop", "clock", "call", "handle", "value")
"""Options that a file cannot have."""

KINDS: Final[dict[str, Callable[..., Policy[Any]]]] = {
    "retry": retry,
    "breaker": CircuitBreaker,
    "bulkhead": Bulkhead,
    "timeout": timeout,
    "fallback": fallback,
}
"""The policies, by what a file calls them."""

SHORT: Final = {"timeout": "seconds", "bulkhead": "limit"}
"""Policies that may be written as one number, and the option it is."""


class Bare(Policy[Never]):
    """No policy: what calls get without any."""

    def __repr__(self) -> str:
        return "no policies"

    async def acall(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        """Make the call."""
        return await fn(*args, **kwargs)


def policies_of(values: object, place: Place) -> tuple[Policy[Any], list[str]]:
    """The policies of a candidate, and what is nearly always wrong about their order.

    Args:
        values: What the file has under ``policies``: outermost first; none at all for calls without any.
        place: Where.

    Raises:
        ConfigurationError: Something in it cannot mean anything sensible.
    """
    if not isinstance(values, list):
        raise place.wrong("policies", values, "it is a list, outermost first", EXAMPLE)
    with apart():
        made = [_policy(one, place.inside(f"policies {number}")) for number, one in enumerate(values, 1)]
        return (pipeline(*made) if made else Bare()), warnings_for(made, all_pairs=True)


EXAMPLE: Final = "write policies = [{ retry = { attempts = 3 } }, { breaker = true }, { timeout = 1.0 }], say"


def _policy(entry: object, place: Place) -> Policy[Any]:
    if isinstance(entry, str):
        entry = {entry: True}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise place.error(f"it is {shown(entry)}, and must be one policy with its options; {EXAMPLE}")
    kind, given = next(iter(entry.items()))
    if kind not in KINDS:
        raise place.unknown("policy", kind, KINDS)
    if given is True:
        given = {}
    elif kind in SHORT and isinstance(given, (int, float)) and not isinstance(given, bool):
        given = {SHORT[kind]: given}
    elif not isinstance(given, dict):
        short = f" or {kind} = 1" if kind in SHORT else ""
        raise place.wrong(kind, given, "it is a table of its options", f"write {kind} = {{ … }}, {kind} = true{short}")
    return _made(kind, KINDS[kind], given, place.inside(kind))


def _made(kind: str, make: Callable[..., Policy[Any]], given: dict[str, Any], place: Place) -> Policy[Any]:
    table = Table(given, place, names_of(make, FUNCTIONS))
    needed = [one for one in needed_of(make, FUNCTIONS) if one not in ("name", "on") and one not in given]
    if needed:
        raise place.error(f"it needs {needed[0]}, which has no sensible default; write {kind} = 20, say")
    options = {key: _value(kind, key, value, table.place) for key, value in table.values.items()}
    if kind in ("retry", "fallback"):
        options.setdefault("on", Exception)
    if kind in ("breaker", "bulkhead"):
        options.setdefault("name", NAME)
    if kind == "fallback":
        return place.make(partial(fallback, None), options)
    return place.make(make, options)


def _value(kind: str, key: str, value: Any, place: Place) -> Any:
    """What Python wants for a key."""
    match key:
        case "on" | "ignore":
            return _errors(kind, key, value, place)
        case "wait" | "open_for" if isinstance(value, dict):
            return _wait(key, value, place)
        case "wait" | "open_for" if isinstance(value, str):
            why = "it is seconds, or one of tenacity's waits with its options"
            raise place.wrong(key, value, why, f"write {key} = {{ exponential = {{ multiplier = 0.1, max = 10 }} }}")
        case "window" if isinstance(value, dict):
            inside = place.inside("window")
            table = Table(value, inside, ["calls"])
            return inside.make(calls, {"n": table.whole("calls", 100, 1, 1_000_000)})
        case "budget" if value is not False:
            return _budget(value, place)
        case "max_wait" if value == math.inf:
            return None  # as long as it takes
        case _ if value is False and key in OFF:
            return None
        case _:
            return value


def _budget(value: object, place: Place) -> RetryBudget:
    inside = place.inside("budget")
    if value is True:
        value = {}
    if not isinstance(value, dict):
        why = "it is switched on, or a table of its options"
        raise place.wrong("budget", value, why, "write budget = true or budget = { tokens = 500, cost = 14 }")
    table = Table(value, inside, ["tokens", "cost"])
    return inside.make(RetryBudget, {"name": NAME, **table.values})


def _wait(key: str, value: dict[str, Any], place: Place) -> Any:
    if len(value) != 1:
        raise place.wrong(key, value, "it is one wait", f"write {key} = {{ fixed = {{ wait = 0.1 }} }}, say")
    name, options = next(iter(value.items()))
    name = name.removeprefix("wait_")
    if name not in WAITS:
        raise place.unknown("wait", name, WAITS)
    inside = place.inside(f"{key}.{name}")
    table = Table(options, inside, names_of(WAITS[name]))
    for option, number in table.values.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < 1e9:
            raise inside.wrong(option, number, "it is a number, not less than 0", f"write {option} = 1")
    missing = [one for one in needed_of(WAITS[name]) if one not in table.values]
    if missing:
        raise inside.error(f"it needs {missing[0]}; write {key} = {{ {name} = {{ {missing[0]} = 0.1 }} }}")
    return WAITS[name](**table.values)


def _errors(kind: str, key: str, value: object, place: Place) -> tuple[type[Exception], ...]:
    names = [value] if isinstance(value, str) else value
    allowed = [one for one in ERRORS if one != "refused" or kind != "breaker"]
    if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
        raise place.wrong(key, value, f"it names kinds of errors: {', '.join(allowed)}", f'write {key} = ["timeout"]')
    for one in names:
        if one not in allowed:
            if one == "refused":
                raise place.wrong(key, value, "a breaker never counts what a policy refused", f'write {key} = "error"')
            raise place.unknown("kind of error", one, allowed)
    return tuple(ERRORS[one] for one in names)

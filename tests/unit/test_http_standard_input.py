"""What ``standard`` refuses: nonsense, where it is written, with a sentence that says what to write instead."""

from __future__ import annotations

import gc
import math
import re
from datetime import timedelta
from typing import Any

import pytest

import resilix.httpx
import resilix.httpx2
from resilix import Bulkhead, CircuitBreaker, ConfigurationError, RetryBudget
from resilix.policies.registry import REGISTRY

__all__ = ["Bulkhead", "CircuitBreaker", "RetryBudget", "timedelta"]  # used by the rows below, which are texts

DOORS = pytest.mark.parametrize("door", [resilix.httpx, resilix.httpx2], ids=["httpx", "httpx2"])


async def afunction(*args: Any) -> Any:
    """A function nobody awaits."""


nan, inf = math.nan, math.inf
DURATION = ["-1", "nan", "inf", "'2 s'", "True", "[2]", "timedelta(seconds=-1)"]
COUNT = ["0", "-1", "2.5", "nan", "True", "'3'"]
HEADER = ["''", "'x attempt'", "'x:y'", "'x\\n'", "'é'", "3", "b'x-attempt'"]

ROWS: list[tuple[str, list[str], str]] = [
    # the option, what is refused, and what to write instead
    ("attempts", [*COUNT, "None"], "write attempts=1"),
    ("wait", [*DURATION, "afunction"], "write"),
    ("attempt_timeout", [*DURATION, "0"], "write attempt_timeout="),
    ("within", [*DURATION, "0"], "write within="),
    ("limit", COUNT, "write limit=1"),
    ("max_wait", [*DURATION, "None"], "write max_wait="),
    ("max_wait", ["1", "timedelta(seconds=1)"], "there is nothing to wait for without a limit; write limit=20 too"),
    ("retry_after_cap", [*DURATION, "None"], "write retry_after_cap="),
    ("most_keys", [*COUNT, "None"], "write most_keys=1"),
    ("per", ["'host'", "''", "3", "True", "{}"], 'write per="origin", per=None, or a function'),
    ("per", ["afunction"], "it is async, and nobody awaits it here; write it as a plain def"),
    ("classify", ["3", "'mine'", "True"], "write classify=lambda exchange: …"),
    ("classify", ["afunction"], "it is async, and nobody awaits it here; write it as a plain def"),
    ("idempotency_key", ["'bar'", "''", "True", "3"], 'write idempotency_key="quoted", "bare", or a function'),
    ("idempotency_key", ["afunction"], "it is async, and nobody awaits it here; write it as a plain def"),
    ("on_reject", ["'return'", "None", "True", "['raise']"], 'write on_reject="raise" or "response"'),
    ("attempt_header", HEADER, 'write attempt_header="x-attempt", say'),
    ("deadline_header", HEADER, 'write deadline_header="x-time-left-ms", say'),
    ("budget", ["3", "True", "RetryBudget", "[('tokens', 1)]"], 'write budget={"tokens": 500, "cost": 14}'),
    ("budget", ["{'token': 500}"], "there is no option token, did you mean tokens?; there are tokens, cost"),
    ("budget", ["{'name': 'x'}", "{3: 4}"], "there are tokens, cost"),
    ("breaker", ["3", "True", "[]"], 'write breaker={"consecutive": 5, "open_for": 10.0}'),
    ("breaker", ["{'consecutiv': 5}"], "there is no option consecutiv, did you mean consecutive?"),
    ("breaker", ["{'name': 'x'}", "{3: 4}"], "there are failure_rate, "),
    ("breaker", ["{'on': OSError}", "{'on_result': bool}"], "write classify=… to change the rules"),
    ("breaker", ["CircuitBreaker('given')", "Bulkhead('given', limit=1)"], "write breaker={…} with its options, or"),
    ("breaker", ["afunction"], "it is async, and nobody awaits it here; write it as a plain def"),
]  # fmt: skip
INSIDE: list[tuple[str, str]] = [
    # options of a policy inside, which that policy refuses under its own name
    ("budget={'tokens': 0}", "RetryBudget(tokens=0)"),
    ("budget={'cost': -1}", "RetryBudget(cost=-1)"),
    ("breaker={'consecutive': 0}", "CircuitBreaker(consecutive=0)"),
    ("breaker={'failure_rate': 50}", "CircuitBreaker(failure_rate=50)"),
    ("breaker={'open_for': nan}", "CircuitBreaker(open_for=nan)"),
    ("breaker={'clock': 3}", "CircuitBreaker(clock=3)"),
    ("breaker={'consecutive': None, 'failure_rate': None}", "CircuitBreaker("),
    ("attempts=1, wait='x'", "retry(wait='x')"),
    ("attempts=1, budget={'tokens': 0}", "RetryBudget(tokens=0)"),
]


def refusal(door: Any, arguments: str) -> str:
    """What ``standard`` says to these arguments."""
    if "given" in arguments:
        gc.collect()  # one of that name may still be there from the other library's turn
    with pytest.raises(ConfigurationError) as caught:
        eval(f"standard({arguments})", {**globals(), "standard": door.standard})
    if "afunction" in arguments:
        gc.collect()  # a coroutine that nobody awaited would warn now
    return str(caught.value)


@DOORS
@pytest.mark.parametrize(("option", "value", "instead"), [(o, v, i) for o, values, i in ROWS for v in values])
def test_a_bad_value_is_refused_with_what_to_write(door: Any, option: str, value: str, instead: str) -> None:
    """The sentence names the option and the value, and ends in what to write."""
    limit = "limit=3, " if option == "max_wait" and "limit" not in instead else ""
    said = refusal(door, f"'q', {limit}{option}={value}")
    assert re.match(rf"(standard|retry)\({option}=", said)
    assert instead in said


@DOORS
@pytest.mark.parametrize(("arguments", "said"), INSIDE)
def test_bad_options_of_a_policy_inside_are_refused_at_once(door: Any, arguments: str, said: str) -> None:
    """Where they were written, not with the first request; and even where they would not be used."""
    assert refusal(door, f"'q', {arguments}").startswith(said)


@DOORS
@pytest.mark.parametrize(("arguments", "said"), [
    ("", 'standard(…) needs name, which has no sensible default; write standard("quotes")'),
    ("''", "it needs a name, which operators see in metrics and errors"),
    ("3", "it needs a name, which operators see in metrics and errors"),
    ("'q', 3", "only name is taken by position"),
    ("'q', atempts=3", "there is no such option, did you mean attempts?"),
    ("'q', timeout=3", "there is no such option, "),
    ("print", "it is no decorator, but the policy of a client; write Client(policy=standard(\"quotes\"))"),
])  # fmt: skip
def test_a_wrong_call_is_explained(door: Any, arguments: str, said: str) -> None:
    """Names, positions, misspellings, and the decorator it is not."""
    assert said in refusal(door, arguments)


def test_a_refused_call_leaves_no_name_behind() -> None:
    """The check makes nothing that lives on."""
    errors = []
    for _ in range(2):
        with pytest.raises(ConfigurationError) as caught:
            resilix.httpx.standard("left behind", wait="x")  # type: ignore[arg-type]
        errors.append(caught.value)  # its traceback holds what the check made
    assert len(errors) == 2
    resilix.httpx.standard("left behind")
    for kind in ("CircuitBreaker", "RetryBudget", "Bulkhead"):
        for name in ("left behind", "left behind (check)"):
            assert REGISTRY.find(kind, name) is None

"""What a type checker says of pipelines, ``call`` and ``acall``. Checked, never run."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Never, assert_type

from resilix import Bulkhead, CircuitBreaker, Policy, RetryBudget, fallback, pipeline, retry, timeout
from resilix.policies.pipeline import Explanation, Pipeline

quotes = CircuitBreaker("quotes")
slots = Bulkhead("quotes", limit=20)
again = retry(on=ConnectionError, budget=RetryBudget("quotes"))


def price(symbol: str, *, currency: str = "EUR") -> int:
    return len(symbol + currency)


async def aprice(symbol: str) -> int:
    return len(symbol)


def later(symbol: str) -> Awaitable[int]:
    return aprice(symbol)


answers_none = pipeline(fallback(None, on=ConnectionError), again, quotes, slots, timeout(2.0), name="quotes")
answers_more = pipeline(fallback(None, on=ConnectionError), fallback("n/a", on=ValueError), again)
nested = pipeline(fallback(0.5, on=ConnectionError), answers_none)
never_answers = pipeline(again, quotes, slots, timeout(2.0))
seven = pipeline(fallback(None, on=OSError), again, quotes, slots, timeout(4.0), timeout(3.0), timeout(2.0))

assert_type(answers_none, Pipeline[None])
assert_type(answers_more, Pipeline[None | str])
assert_type(nested, Pipeline[float | None])

assert_type(answers_none(price)("ACME"), int | None)
assert_type(answers_more(price)("ACME"), int | str | None)
assert_type(nested(price)("ACME"), int | float | None)
assert_type(never_answers(price)("ACME", currency="USD"), int)
assert_type(seven(price)("ACME"), int | None)

assert_type(answers_none.call(price, "ACME", currency="USD"), int | None)
assert_type(never_answers.call(price, "ACME"), int)
assert_type(quotes.call(price, "ACME"), int)
assert_type(answers_none.explain(), Explanation)
assert_type(answers_none.explain().attempts, int | None)
assert_type(answers_none.explain().seconds, float | None)


async def run() -> None:
    assert_type(await answers_none.acall(aprice, "ACME"), int | None)
    assert_type(await never_answers.acall(aprice, "ACME"), int)
    assert_type(await slots.acall(aprice, symbol="ACME"), int)
    assert_type(await answers_none.acall(later, "ACME"), int | None)
    assert_type(await answers_none(aprice)("ACME"), int | None)


def still_a_pipeline(guard: Pipeline[Never]) -> None: ...


still_a_pipeline(never_answers)


@never_answers
def loose(symbol: str) -> Any:
    return symbol


assert_type(loose("ACME"), Any)


def from_a_list(policies: list[Policy[Never]]) -> None:
    assert_type(pipeline(*policies).call(price, "ACME"), int)


def handed_in(guard: Policy[None]) -> None:
    assert_type(guard.call(price, "ACME"), int | None)


handed_in(answers_none)
handed_in(never_answers)  # what never answers may stand where None is expected

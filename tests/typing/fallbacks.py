"""What a type checker says of fallbacks. Checked, never run."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, assert_type

import tenacity

from resilix import Policy, RejectedError, fallback


def cached(symbol: str) -> float:
    return float(len(symbol))


async def cached_awaited(symbol: str) -> float:
    return float(len(symbol))


def explain(error: Exception) -> str:
    return str(error)


async def explain_awaited(error: ConnectionError) -> str:
    return str(error)


def price(symbol: str) -> int:
    return len(symbol)


async def aprice(symbol: str) -> int:
    return len(symbol)


assert_type(fallback(None, on=ConnectionError)(price)("ACME"), int | None)
assert_type(fallback(0, on=ConnectionError)(price)("ACME"), int)
assert_type(fallback("n/a", on=(RejectedError, ConnectionError))(price)("ACME"), int | str)
assert_type(fallback(call=cached, on=lambda error: True)(price)("ACME"), int | float)
assert_type(fallback(handle=explain, on=ConnectionError)(price)("ACME"), int | str)
assert_type(fallback(handle=lambda error: 1.5, on=ConnectionError)(price)("ACME"), int | float)
assert_type(fallback(None, on=tenacity.retry_if_exception_message("gone"))(price)("ACME"), int | None)


def wider(policy: Policy[str | None]) -> None:
    assert_type(policy(price)("ACME"), int | str | None)


wider(fallback(None, on=ConnectionError))


async def run() -> None:
    assert_type(await fallback(None, on=ConnectionError)(aprice)("ACME"), int | None)
    assert_type(await fallback(call=cached, on=ConnectionError)(aprice)("ACME"), int | float)
    assert_type(await fallback(call=cached_awaited, on=ConnectionError)(aprice)("ACME"), int | float)
    assert_type(await fallback(handle=explain, on=ConnectionError)(aprice)("ACME"), int | str)
    assert_type(await fallback(handle=explain_awaited, on=ConnectionError)(aprice)("ACME"), int | str)


def hands_back(symbol: str) -> Coroutine[Any, Any, int]:
    return aprice(symbol)


async def run_handed_back() -> None:
    assert_type(await fallback(None, on=ConnectionError)(hands_back)("ACME"), int | None)

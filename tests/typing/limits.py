"""Where the type checkers know less than what really happens, and what to write instead. Checked, never run.

Only policies that may answer by themselves (``fallback``, and pipelines with one) are affected: their decorator has to
tell ``def`` from ``async def``, and these functions look like both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar, assert_type

from resilix import CircuitBreaker, fallback

T = TypeVar("T")

none_instead = fallback(None, on=ConnectionError)
quotes = CircuitBreaker("quotes")


# 1. A sync function that returns Any: mypy takes it for untyped; pyright keeps its parameters.
@none_instead
def loose(symbol: str) -> Any:
    return symbol


loose("ACME")  # type: ignore[no-untyped-call]
loose(1)  # type: ignore[no-untyped-call]  # pyright: ignore[reportArgumentType]


# Write what it returns, or use call().
@none_instead
def precise(symbol: str) -> int:
    return len(symbol)


def load(symbol: str) -> Any:
    return symbol


assert_type(precise("ACME"), int | None)
none_instead.call(load, "ACME")


# 2. A sync generic function that returns a bare type variable: mypy takes the variable for a coroutine.
def first(items: list[T]) -> T:
    return items[0]


none_instead(first)([1])  # type: ignore[arg-type, unused-coroutine]

# Use call().
assert_type(none_instead.call(first, [1]), int | None)


# 3. A sync function that is declared to return an Awaitable, and no more than that: what comes back is a coroutine of
# ``int | None``, but the checkers see ``Awaitable[int] | None``.
@none_instead
def later(symbol: str) -> Awaitable[int]:
    raise NotImplementedError


assert_type(later("ACME"), Awaitable[int] | None)


# Write Coroutine, or async def, or use acall().
@none_instead
def declared(symbol: str) -> Coroutine[Any, Any, int]:
    raise NotImplementedError


@quotes
def other(symbol: str) -> Awaitable[int]:
    raise NotImplementedError


async def run() -> None:
    assert_type(await declared("ACME"), int | None)
    assert_type(await none_instead.acall(other, "ACME"), int | None)

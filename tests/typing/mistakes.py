"""Mistakes that a type checker must see: an ignore that is not needed is an error itself. Checked, never run."""

from __future__ import annotations

from resilix import Bulkhead, CircuitBreaker, Policy, fallback, pipeline, retry, timeout

quotes = CircuitBreaker("quotes")
none_instead = fallback(None, on=ConnectionError)


@quotes
def price(symbol: str) -> int:
    return len(symbol)


@none_instead
def perhaps(symbol: str) -> int:
    return len(symbol)


@quotes
async def aprice(symbol: str) -> int:
    return len(symbol)


# The signature stays.
price(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
price()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
price("ACME", currency="USD")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
quotes.call(price, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
quotes.call(price)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

# What a fallback may answer has to be dealt with, and what is async has to be awaited.
not_none: int = perhaps("ACME")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
not_awaited: int = aprice("ACME")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


async def run() -> None:
    await quotes.acall(price, "ACME")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await price("ACME")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


# Options: keyword-only, known, of the right type.
CircuitBreaker()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
CircuitBreaker("a", ConnectionError)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
CircuitBreaker("b", open_fo=3.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
CircuitBreaker("c", open_for="3 s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
CircuitBreaker("e", on=ConnectionError())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Bulkhead("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
retry()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
retry(ConnectionError)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
retry(on=ConnectionError, budget=35)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
timeout()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
timeout("2 s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fallback(None)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
fallback(on=ConnectionError)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
fallback(None, call=price, on=ConnectionError)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
pipeline()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
pipeline(price)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]

# Decorators without their parentheses, and things that are no functions.


@retry  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
def bare(symbol: str) -> int:
    return len(symbol)


quotes(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# A policy that may answer cannot stand where nothing but the function's own type is expected.
def needs_none(guard: Policy[None]) -> None: ...


needs_none(fallback("n/a", on=ConnectionError))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

"""Decorated functions that live in a module, so that they can be pickled by name."""

from __future__ import annotations

from tests.support.front import breaker

from resilix import RetryBudget, fallback, pipeline, retry, timeout

guard = pipeline(
    fallback(None, on=ConnectionError),
    retry(on=ConnectionError, budget=RetryBudget("front-importable")),
    breaker(),
    timeout(2.0, cooperative=True),
)


@guard
def price(symbol: str, *, currency: str = "EUR") -> int:
    """What a share costs."""
    return len(symbol)


@guard
async def aprice(symbol: str) -> int:
    """What a share costs, awaited."""
    return len(symbol)


class Service:
    """A class with a guarded method."""

    @guard
    def price(self, symbol: str) -> int:
        """What a share costs here."""
        return len(symbol)

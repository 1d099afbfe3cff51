"""A small shop: its checkout asks a price service, and must answer within 200 ms whatever that service does.

Run it: ``QUOTES_URL=http://127.0.0.1:9000 uvicorn shop:app``. Its tests are in test_shop.py: ``pytest``.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
from fastapi import FastAPI

from resilix import CircuitBreaker, RejectedError, RetryBudget, TimeoutExceededError, fallback, pipeline, retry, timeout

TROUBLE = (httpx2.TransportError, httpx2.HTTPStatusError, TimeoutExceededError)
"""What it looks like from here when the price service is in trouble."""

# One of each for the price service, shared by everything in this process that calls it.
breaker = CircuitBreaker("quotes", on=TROUBLE, consecutive=5, open_for=5.0)
budget = RetryBudget("quotes")


@dataclass(frozen=True)
class Price:
    """What something costs; ``fresh`` unless it is yesterday's."""

    cents: int
    fresh: bool


class Quotes:
    """The price service, as the shop sees it."""

    def __init__(self, client: httpx2.AsyncClient, yesterday: dict[str, int]) -> None:
        self._client = client
        self._yesterday = yesterday
        # Outermost first. An attempt may take 60 ms, so two and the wait between them stay below 200 ms.
        guard = pipeline(
            fallback(call=self._last_known, on=(RejectedError, *TROUBLE)),
            retry(on=TROUBLE, attempts=2, wait=0.02, budget=budget),
            breaker,
            timeout(0.06),
            name="quotes",
        )
        self.price = guard(self._ask)
        self.guard = guard

    async def _ask(self, symbol: str) -> Price:
        reply = await self._client.get(f"/price/{symbol}")
        reply.raise_for_status()
        return Price(int(reply.text), fresh=True)

    async def _last_known(self, symbol: str) -> Price:
        return Price(self._yesterday[symbol], fresh=False)


class Checkout:
    """Adds up a basket."""

    def __init__(self, quotes: Quotes) -> None:
        self._quotes = quotes

    async def total(self, basket: dict[str, int]) -> Price:
        """What a basket costs; fresh only if all of its prices are."""
        cents, fresh = 0, True
        for symbol, count in basket.items():
            price = await self._quotes.price(symbol)
            cents += count * price.cents
            fresh = fresh and price.fresh
        return Price(cents, fresh)


def service(quotes_url: str, yesterday: dict[str, int]) -> FastAPI:
    """The web service; its client lives as long as it does."""
    client = httpx2.AsyncClient(base_url=quotes_url)
    checkout = Checkout(Quotes(client, yesterday))

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncGenerator[None]:
        async with client:
            yield

    shop = FastAPI(lifespan=life)

    @shop.get("/checkout/{symbol}")
    async def total(symbol: str, count: int = 1) -> dict[str, object]:
        price = await checkout.total({symbol: count})
        return {"cents": price.cents, "fresh": price.fresh}

    return shop


app = service(os.environ.get("QUOTES_URL", "http://127.0.0.1:9000"), {"ACME": 4100, "BETA": 900})

"""A side with resilix: the same httpx client and the same call, inside a pipeline."""

from __future__ import annotations

import time
from dataclasses import replace

import httpx

from resilix import (
    Bulkhead,
    CircuitBreaker,
    RejectedError,
    RetryBudget,
    TimeoutExceededError,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.demo.messages import FALLBACK, FRESH, Quote
from resilix.demo.settings import Settings

SICK = (httpx.HTTPError, TimeoutExceededError)
"""What counts as a failure of the server: no answer, or a 503."""


class Guarded:
    """httpx inside fallback > retry with a budget > circuit breaker > bulkhead > timeout.

    Cancelling a request that runs inside the connection pool of httpx 0.28 can lose its place in the pool for good.
    So an attempt is ended by httpx's own timeout, which comes first, and ``timeout`` around it, a fifth longer, is the
    backstop for an answer that drips (httpx measures each phase by itself, never the whole). And callers wait in the
    bulkhead, not in the pool, which has more connections than the bulkhead has places: so nobody is ever cancelled
    while waiting there.
    """

    expected: tuple[type[Exception], ...] = ()
    """What its callers must be ready for: nothing."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.breaker = CircuitBreaker("prices", on=SICK, open_for=settings.open_for)
        self.slots = Bulkhead("prices", limit=settings.slots, max_wait=settings.max_wait)
        self.budget = RetryBudget("prices")
        self.guard = pipeline(
            fallback(call=self._last_known, on=(*SICK, RejectedError)),
            retry(on=SICK, attempts=settings.attempts, within=settings.within, budget=self.budget),
            self.breaker,
            self.slots,
            timeout(settings.total_timeout),
            name="price",
        )
        self._guarded = self.guard(self._get)
        self._known = Quote(100.0, FRESH, time.monotonic())  # a first price list, say
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=settings.attempt_timeout,
            trust_env=False,
            limits=httpx.Limits(max_connections=2 * settings.slots, max_keepalive_connections=settings.slots),
        )

    async def _get(self, request: int, made: list[int]) -> Quote:
        made[0] += 1
        response = await self._client.get(f"/price/{request}", params={"attempt": made[0]})
        response.raise_for_status()
        self._known = Quote(response.json()["price"], FRESH, time.monotonic())
        return self._known

    def _last_known(self, request: int, made: list[int]) -> Quote:
        return replace(self._known, source=FALLBACK)

    async def price(self, request: int, made: list[int]) -> Quote:
        """Get a price. ``made`` counts the calls."""
        return await self._guarded(request, made)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

"""A side without resilix: what people write on the first day, and it works on the first day."""

from __future__ import annotations

import asyncio
import time

import httpx

from resilix.demo.messages import FRESH, Quote
from resilix.demo.settings import Settings


class Unguarded:
    """httpx with a timeout, and a loop around it.

    The timeout and the number of attempts are those of the guarded side. The connection pool is httpx's default.
    """

    expected = (httpx.HTTPError,)
    """What its callers must be ready for."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(base_url=url, timeout=settings.attempt_timeout, trust_env=False)

    async def price(self, request: int, made: list[int]) -> Quote:
        """Get a price. ``made`` counts the calls."""
        for attempt in range(1, self._settings.attempts + 1):
            made[0] += 1
            try:
                response = await self._client.get(f"/price/{request}", params={"attempt": attempt})
                response.raise_for_status()
                return Quote(response.json()["price"], FRESH, time.monotonic())
            except httpx.HTTPError:
                if attempt == self._settings.attempts:
                    raise
                await asyncio.sleep(self._settings.pause)
        raise AssertionError("the last attempt returns or raises")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

"""The same policies around async def: limits across tasks, timeouts that cancel.

Run it with: python examples/04_async.py
"""

import asyncio

from resilix import Bulkhead, CircuitBreaker, TimeoutExceededError, timeout


class QuoteServer:
    """Stands in for a remote service that is quick with prices and never done with a report."""

    running = peak = 0

    async def ask(self, path: str) -> str:
        """Answer after a while."""
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            return await asyncio.sleep(3600.0 if path == "/report" else 0.01, f"answer to GET {path}")
        finally:
            self.running -= 1


server = QuoteServer()
quotes = CircuitBreaker("quotes", on=OSError)
places = Bulkhead("quotes", limit=2, max_wait=5.0)


@quotes
@places
@timeout(5.0)
async def price(symbol: str) -> str:
    return await server.ask(f"/price/{symbol}")


@quotes
@places
@timeout(0.05)  # an async call is cancelled for real; the guide says what a `def` can and cannot do
async def report() -> str:
    return await server.ask("/report")


async def main() -> None:
    answers = await asyncio.gather(*(price("ACME") for _ in range(8)))
    print(f"{len(answers)} answers, and never more than {server.peak} requests at once")
    try:
        await report()
    except TimeoutExceededError as error:
        print(f"{error}: {server.running} requests go on, {quotes.snapshot().failures} failure counted")
    task = asyncio.create_task(report())
    await asyncio.sleep(0)  # it has begun
    task.cancel()
    await asyncio.wait([task])
    print(f"a caller left: {quotes.snapshot().failures} failure as before, {places.free} of {places.limit} places free")


if __name__ == "__main__":
    asyncio.run(main())

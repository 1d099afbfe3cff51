"""A FastAPI service whose dependency is down: its callers get 503 with Retry-After at once, not a hang and a 500.

Run it with: python examples/15_fastapi_service.py (in production: uvicorn)
"""

import asyncio

import httpx2
from fastapi import FastAPI

from resilix.httpx2 import AsyncClient, standard
from resilix.starlette import add_exception_handlers
from resilix.testing import FaultServer, steps


def service(client: AsyncClient) -> FastAPI:
    """The application; whoever makes the client closes it (in production: the application's lifespan)."""
    app = FastAPI()
    add_exception_handlers(app)  # a refusal becomes 503 with Retry-After

    @app.get("/price/{symbol}")
    async def price(symbol: str) -> dict[str, str]:
        reply = await client.get(f"/{symbol}")
        return {"symbol": symbol, "price": reply.text, "backend": str(reply.status_code)}

    return app


async def main() -> None:
    policy = standard("prices", wait=0, attempts=1, breaker={"consecutive": 3, "open_for": 20.0})
    with FaultServer() as backend:
        backend.default = steps.reply(200, b"4217")
        async with AsyncClient(policy=policy, base_url=backend.url) as client:
            await called(service(client), backend)


async def called(app: FastAPI, backend: FaultServer) -> None:
    """What callers of the service see before and after its backend goes down."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://service") as caller:
        print((await caller.get("/price/ACME")).json()["price"])

        backend.always("/ACME", steps.reply(500))
        for _ in range(3):
            await caller.get("/price/ACME")
        reply = await caller.get("/price/ACME")
        print(f"{reply.status_code}, Retry-After: {reply.headers['retry-after']}, {reply.json()['detail']}")
        print(f"the backend saw {len(backend.seen)} requests")


if __name__ == "__main__":
    asyncio.run(main())

"""Many hosts, one client: each has a breaker of its own, so a dead one does not take the others down.

Run it with: python examples/11_http_async_client.py
"""

import asyncio

import httpx2

from resilix.httpx2 import AsyncClient, standard
from resilix.testing import FaultServer, steps


async def ask(client: httpx2.AsyncClient, url: str) -> str:
    """The answer, or what kept it."""
    try:
        return (await client.get(url)).text
    except httpx2.TransportError as error:
        return type(error).__name__


async def main() -> None:
    with FaultServer() as good, FaultServer() as bad:
        good.default = steps.reply(200, b"4217")
        bad.refuse()
        # At most 10 at once for each host; a call waits up to 2 s for its turn, and takes 5 s in all.
        policy = standard("feeds", wait=0, limit=10, max_wait=2.0, within=5.0, breaker={"consecutive": 3})
        async with AsyncClient(policy=policy) as client:
            answers = await asyncio.gather(*(ask(client, f"{good.url}/ACME") for _ in range(50)))
            print(f"good host: {answers.count('4217')} of 50 answered over {good.connections} connections or fewer")

            for _ in range(3):
                await ask(client, f"{bad.url}/ACME")
            print(f"bad host: {await ask(client, f'{bad.url}/ACME')}")
            print(f"good host: {await ask(client, f'{good.url}/ACME')}, all the same")

            breaker = policy.states()[bad.url].breaker
            assert breaker is not None
            print(f"the bad host's breaker is {breaker.state.value}")


if __name__ == "__main__":
    asyncio.run(main())

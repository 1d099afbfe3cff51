"""A breaker for each endpoint instead of each host: a slow search does not close the shop.

Run it with: python examples/14_breakers_per_endpoint.py
"""

import httpx2

from resilix.httpx2 import Client, standard
from resilix.testing import FaultServer, steps


def endpoint(request: httpx2.Request) -> str:
    """The first part of the path. Never the whole path: it holds whatever callers put into it."""
    return request.url.path.split("/")[1]


def main() -> None:
    with FaultServer() as server:
        server.default = steps.reply(200, b"sold")
        policy = standard("shop", per=endpoint, attempts=1, breaker={"consecutive": 3, "open_for": 60.0})
        with Client(policy=policy, base_url=server.url) as client:
            server.script("/search/shoes", 500, 500, 500)
            for _ in range(4):
                try:
                    print(f"search: {client.get('/search/shoes').status_code}")
                except httpx2.TransportError as error:
                    print(f"search: {type(error).__name__}")
            print(f"buy: {client.post('/buy/7').text}")
        for key, state in sorted(policy.states().items()):
            assert state.breaker is not None
            print(f"{key}: {state.breaker.state.value}")


if __name__ == "__main__":
    main()

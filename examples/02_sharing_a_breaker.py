"""CircuitBreaker: one per dependency, shared by everything that calls it.

Run it with: python examples/02_sharing_a_breaker.py
"""

from resilix import CircuitBreaker, CircuitOpenError
from resilix.testing import VirtualTime, virtual_time


class QuoteServer:
    """Stands in for a remote service that can be switched off."""

    up, requests = True, 0

    def ask(self, path: str) -> str:
        """Answer, or refuse the connection."""
        self.requests += 1
        if not self.up:
            raise ConnectionError(f"GET {path}: connection refused")
        return f"answer to GET {path}"


server = QuoteServer()
quotes = CircuitBreaker("quotes", on=ConnectionError, consecutive=3, open_for=30.0)


@quotes
def price(symbol: str) -> str:
    return server.ask(f"/price/{symbol}")


@quotes  # the same object: what one function learns about the server protects the other
def history(symbol: str) -> str:
    return server.ask(f"/history/{symbol}")


def main(time: VirtualTime) -> None:
    print(f"{quotes.state}: {price('ACME')}")

    server.up = False
    for _ in range(3):
        try:
            price("ACME")
        except ConnectionError as error:
            print(f"{quotes.state}: {error}")

    before = server.requests
    try:
        history("ACME")
    except CircuitOpenError as error:
        print(f"{error}; {server.requests - before} requests made, retry_after={error.retry_after:.0f} s")

    server.up = True
    time.advance(30.0)
    print(f"half a minute later the probe succeeds: {history('ACME')}; the breaker is {quotes.state}")


if __name__ == "__main__":
    with virtual_time() as clock:  # so that half a minute costs nothing here; see 09_testing_with_virtual_time.py
        main(clock)

"""Retry: call again what may work the next time, and stop in time.

Run it with: python examples/01_retry.py
"""

from resilix import retry


class QuoteFeed:
    """Stands in for a remote service: drops the first so many connections, then answers."""

    def __init__(self) -> None:
        self.dropping = 0
        self.requests = 0

    def latest(self, symbol: str) -> int:
        """Answer with the price in cents, or drop the connection."""
        self.requests += 1
        if self.requests <= self.dropping:
            raise ConnectionError(f"connection reset while asking for {symbol}")
        return 4217


feed = QuoteFeed()


# attempts counts the first one too. Leave wait out in real code: then each wait is drawn at random from a range
# that doubles (full jitter), so that a thousand clients do not come back in the same millisecond.
@retry(on=ConnectionError, attempts=3, wait=0.01)
def price(symbol: str) -> int:
    """The latest price of a symbol, in cents."""
    if not symbol.isupper():
        raise ValueError(f"a symbol is written in capitals: {symbol!r}")
    return feed.latest(symbol)


def main() -> None:
    feed.requests, feed.dropping = 0, 2
    print(f"ACME costs {price('ACME')} cents; that took {feed.requests} requests")

    feed.requests, feed.dropping = 0, 99
    try:
        price("ACME")
    except ConnectionError as error:  # the feed's own error, not a wrapper around it
        print(f"gave up after {feed.requests} requests: {error}")
        print(f"the error carries a note: {error.__notes__[0]}")

    feed.requests = 0
    try:
        price("acme")
    except ValueError as error:  # on= does not name it, so trying again would be no use
        print(f"not retried, {feed.requests} requests: {error}")


if __name__ == "__main__":
    main()

"""resilix.testing: prove what your code does in an outage, without waiting for it.

Run it with: python examples/09_testing_with_virtual_time.py (or hand it to pytest)
"""

from contextlib import suppress

from resilix import CircuitBreaker, CircuitOpenError, Policy, pipeline, retry
from resilix.testing import virtual_time

patient = retry(on=ConnectionError, attempts=4, wait=5.0)


class OrderService:
    """The client under test; its server refuses the first so many requests."""

    def __init__(self, policy: Policy[str], *, refusing: int) -> None:
        self.refusing = refusing
        self.requests = 0
        self.send = policy(self._send)

    def _send(self, order: int) -> str:
        self.requests += 1
        if self.requests <= self.refusing:
            raise ConnectionError("connection refused")
        return f"order {order} sent"


def test_waits_five_seconds_between_attempts() -> None:
    """The waits are recorded, not waited for."""
    service = OrderService(patient, refusing=2)
    with virtual_time() as time:
        assert service.send(1000) == "order 1000 sent"
        assert time.sleeps == [5.0, 5.0]
        assert time.now() == 10.0


def test_leaves_a_dead_server_alone_for_a_minute() -> None:
    """A breaker is made for the test: one that has counted keeps what it wrote down by the real clock."""
    breaker = CircuitBreaker("orders under test", on=ConnectionError, consecutive=3, open_for=60.0)
    service = OrderService(pipeline(patient, breaker), refusing=3)
    with virtual_time() as time:
        with suppress(CircuitOpenError):
            service.send(1000)
        assert (breaker.state, service.requests) == ("open", 3)
        time.advance(59.0 - time.sleeps[-1])  # the last wait of the retry was after the opening
        with suppress(CircuitOpenError):
            service.send(1000)
        assert service.requests == 3
        time.advance(1.0)
        assert service.send(1000) == "order 1000 sent"


if __name__ == "__main__":
    for test in (test_waits_five_seconds_between_attempts, test_leaves_a_dead_server_alone_for_a_minute):
        test()
        print(f"{test.__name__}: passed, and nobody waited")

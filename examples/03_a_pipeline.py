"""pipeline: several policies as one value, outermost first.

Run it with: python examples/03_a_pipeline.py
"""

from resilix import Bulkhead, CircuitBreaker, RejectedError, RetryBudget, fallback, pipeline, retry, timeout
from resilix.testing import virtual_time


class OrderService:
    """Stands in for a remote service that is down."""

    requests = 0

    def status(self, order: int) -> str:
        """Refuse the connection."""
        self.requests += 1
        raise ConnectionError(f"order {order}: connection refused")


service = OrderService()

# What remembers has a name and is made once; what does not is written where it is needed.
orders = CircuitBreaker("orders", on=OSError, consecutive=10, open_for=30.0)
places = Bulkhead("orders", limit=20)
purse = RetryBudget("orders")

guard = pipeline(
    fallback("unknown, please look again later", on=(RejectedError, OSError)),  # answers whatever went wrong inside
    timeout(5.0),  # the whole call, waits included
    retry(on=OSError, attempts=3, budget=purse),  # each attempt asks the breaker
    orders,  # sees the outcome of each attempt
    places,  # how many attempts at once; not held during the waits of the retry
    timeout(2.0),  # one attempt; TimeoutExceededError is an OSError, so it is counted and retried
    name="order status",
)


@guard
def status(order: int) -> str:
    """How far an order has come."""
    return service.status(order)


def main() -> None:
    print(guard.explain())
    answers = [status(order) for order in range(1000, 1100)]
    print(f"{len(answers)} callers were answered: {answers[-1]!r}")
    print(f"the service that is down had to bear {service.requests} requests; 3 attempts each would have been 300")
    print(f"the breaker is {orders.state}; {orders.snapshot().rejected} attempts were refused")


if __name__ == "__main__":
    with virtual_time():  # so that the waits between the attempts cost nothing here
        main()

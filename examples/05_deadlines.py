"""deadline: one moment by which a whole request must be over, obeyed by every policy inside.

Run it with: python examples/05_deadlines.py
"""

from resilix import DeadlineExpiredError, deadline, retry
from resilix.testing import VirtualTime, virtual_time


class Warehouse:
    """Stands in for a remote service that takes 0.4 s for each answer, and may be broken."""

    broken = False
    requests = 0

    def stock(self, item: str, timeout: float) -> int:
        """How many are left, or an error after as long as the answer would have taken."""
        self.requests += 1
        clock.advance(min(0.4, timeout))  # stands in for the time until the answer is there
        if self.broken:
            raise ConnectionError(f"{item}: connection reset")
        return 12


warehouse = Warehouse()


@retry(on=ConnectionError, attempts=5, wait=0.5)
def stock(item: str) -> int:
    """How many of an item are left."""
    # Code of your own obeys the deadline by asking how much is left of it.
    return warehouse.stock(item, timeout=min(2.0, deadline.remaining()))


def main(time: VirtualTime) -> None:
    with deadline(2.0):
        print(f"one item: {stock('chair')} left; {deadline.remaining():.1f} s remain for the rest of the request")

    warehouse.requests, warehouse.broken, began = 0, True, time.now()
    try:
        with deadline(2.0):
            stock("table")
    except ConnectionError as error:
        print(f"{warehouse.requests} of 5 attempts, {time.now() - began:.1f} s: another wait would pass the deadline")
        print(f"the caller sees the real error: {error} [{error.__notes__[0]}]")

    warehouse.requests = 0
    try:
        with deadline(10.0), deadline(0.5):  # nested ones only narrow
            time.advance(0.5)
            stock("lamp")
    except DeadlineExpiredError as error:
        print(f"{error}; {warehouse.requests} requests made")


if __name__ == "__main__":
    with virtual_time() as clock:  # so that the example takes no time
        main(clock)

"""events: see what the policies do, as it happens.

Run it with: python examples/08_watching_events.py
"""

from resilix import CircuitBreaker, RejectedError, fallback, pipeline, retry
from resilix.events import CallRefused, Event, RetryScheduled, Transition, subscribe
from resilix.testing import virtual_time

quotes = CircuitBreaker("quotes", on=ConnectionError, consecutive=4, open_for=30.0)
guard = pipeline(
    fallback(None, on=(RejectedError, ConnectionError)),
    retry(on=ConnectionError, attempts=3, wait=1.0),
    quotes,
    name="price",
)


@guard
def price(symbol: str) -> int:
    raise ConnectionError(f"{symbol}: connection refused")


def watch(event: Event) -> None:
    """Called in the thread of the caller, outside every lock: be quick, and hand on what takes long."""
    match event:
        case Transition():
            print(f"! {event.name}: {event.from_state} -> {event.to_state} ({event.reason})")
        case CallRefused():
            print(f"  {event.name}: refused, {event.kind}, come back in {event.retry_after} s")
        case RetryScheduled():
            print(f"  {event.name}: attempt {event.attempt} in {event.wait} s after {event.error_type}")
        case _:
            print(f"  {event.name}: {type(event).__name__}")


def broken(event: Event) -> None:
    """A listener that raises is counted and logged once; no caller ever sees it."""
    raise RuntimeError("the metrics service is down too")


def main() -> None:
    stops = [subscribe(watch), subscribe(broken)]
    for call in (1, 2, 3):
        print(f"call {call} is answered {price('ACME')}")
    for stop in stops:
        stop()
    print(f"nobody listens any more: {price('ACME')}; nothing was said, and nothing was spent on saying it")


if __name__ == "__main__":
    with virtual_time():
        main()

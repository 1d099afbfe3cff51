"""Structured logs: what the policies do as JSON lines, in two ways. A burst becomes a few lines and a sum.

Run it with: python examples/16_structlog.py
"""

import logging
import sys
from typing import Any

import structlog

from resilix import CircuitBreaker, RejectedError, pipeline, retry
from resilix.events import Event, Transition, subscribe
from resilix.telemetry.logs import log_events
from resilix.testing import virtual_time

quotes = CircuitBreaker("quotes", on=ConnectionError, consecutive=8, open_for=30.0)


@pipeline(retry(on=ConnectionError, attempts=2, wait=1.0), quotes, name="price")
def price(symbol: str) -> int:
    raise ConnectionError(f"https://quotes.example/{symbol}?token=hunter2")  # the text of an error is never logged


def to_json(logger: logging.Logger) -> None:
    """Render a logger of the standard library with structlog: the facts of a record become keys."""
    handler = logging.StreamHandler(sys.stdout)
    adding: list[Any] = [structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()]
    rendering: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False),
    ]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=adding, processors=rendering))
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)


def tell(event: Event) -> None:
    """A listener of your own goes straight to structlog: choose what is worth a line, in the words of your service."""
    if isinstance(event, Transition):
        structlog.get_logger().info("dependency changed", name=event.name, state=event.to_state, because=event.reason)


def main() -> None:
    to_json(logging.getLogger("resilix"))
    structlog.configure(processors=[structlog.processors.KeyValueRenderer(sort_keys=True)])
    stops = [log_events(burst=1), subscribe(tell)]
    for _ in range(5):
        try:
            price("ACME")
        except (ConnectionError, RejectedError) as error:
            print(type(error).__name__)
    for stop in stops:
        stop()  # the sums that are left are written now


if __name__ == "__main__":
    with virtual_time():
        main()

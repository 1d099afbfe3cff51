"""A service with everything to observe: ``python -m tests.support.observed_service`` prints its port and serves.

``/metrics`` and ``/health`` are those of resilix.wsgi; ``/truth`` tells what its dependency and its code really saw.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx2

from resilix import Bulkhead, CircuitBreaker, RejectedError, RetryBudget, deadline, events, fallback, retry, timeout
from resilix.httpx2 import Client, standard
from resilix.prometheus import timed
from resilix.testing import FaultServer, faults, steps
from resilix.wsgi import app


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Not here."""


class Shop:
    """The service's own code: one turn uses every kind of policy once."""

    def __init__(self, backend: FaultServer) -> None:
        self.backend = backend
        self.truth: Counter[str] = Counter()
        self.policy = standard("prices", wait=0, breaker={"consecutive": 5, "open_for": 0.5}, limit=4)
        self.client = Client(policy=self.policy, base_url=backend.url)
        self.stock = CircuitBreaker("stock", consecutive=3, open_for=1.0, min_calls=5, slow_after=0.001, slow_rate=1.0)
        self.slots = Bulkhead("stock", limit=2)
        self.purse = RetryBudget("stock")
        again = retry(on=ConnectionError, attempts=2, wait=0, budget=self.purse)
        guarded = fallback(None, on=(RejectedError, ConnectionError))(
            timed("stock")(again(timed("stock", scope="attempt")(self.stock(self.slots(self.ask)))))
        )
        self.guarded: Callable[[], object] = guarded
        self.hasty = timeout(0.01)(time.sleep)
        self.tried: Callable[[str], object] = faults.rate(0.5, seed=1, fault=KeyError)(len)

    def ask(self) -> int:
        """Ask a dependency that fails for a while, again and again."""
        self.truth["stock"] += 1
        if time.monotonic() % 4 < 1.0:
            self.truth["stock failed"] += 1
            raise ConnectionError
        return 7

    def turn(self) -> None:
        """One round of work."""
        self.guarded()
        try:
            self.client.get("/price")
        except (httpx2.TransportError, RejectedError):
            self.truth["price lost"] += 1
        with deadline(0):
            try:
                self.stock.call(int)
            except RejectedError:
                self.truth["too late"] += 1
        try:
            self.hasty(0.03)
        except TimeoutError:
            self.truth["timeouts"] += 1
        with suppress(KeyError):
            self.tried("")

    def told(self) -> dict[str, Any]:
        """What really happened."""
        return {**self.truth, "price requests": len(self.backend.seen), "price attempts": self.policy.attempts_total}


def main() -> None:
    """Work until the input says stop, then serve what is there."""
    with FaultServer() as backend, faults.enabled():
        backend.default = lambda seen: 503 if seen.number % 9 < 3 else steps.reply(200, b"4217")
        shop = Shop(backend)
        stop = threading.Event()
        events.subscribe(lambda event: 1 / 0 if type(event).__name__ == "TimedOut" else None)

        def work() -> None:
            while not stop.is_set():
                shop.turn()
                time.sleep(0.01)

        worker = threading.Thread(target=work)
        worker.start()
        observed = app()

        def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/stop":
                stop.set()
                worker.join()
            if environ["PATH_INFO"] in ("/truth", "/stop"):
                start_response("200 OK", [("Content-Type", "application/json")])
                return [json.dumps(shop.told()).encode()]
            return observed(environ, start_response)

        with make_server("127.0.0.1", 0, serve, handler_class=Quiet) as server:
            sys.stdout.write(f"{server.server_port}\n")
            sys.stdout.flush()
            threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
            server.serve_forever()
        stop.set()
        worker.join()


if __name__ == "__main__":
    main()

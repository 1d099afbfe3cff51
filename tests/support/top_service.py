"""A service to be looked at: ``python -m tests.support.top_service [wsgi|asgi]`` prints its port and serves."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from resilix import Bulkhead, CircuitBreaker, CircuitOpenError, RetryBudget
from resilix.wsgi import app


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Not here."""


def down() -> None:
    """A dependency that is down."""
    raise ConnectionError


def main() -> None:
    """Serve until killed: one breaker is open and refuses, another is called, one is idle."""
    quotes = CircuitBreaker("quotes", consecutive=5, open_for=3600.0)
    stock = CircuitBreaker("stock")
    kept = (Bulkhead("quotes", limit=4), RetryBudget("quotes"))

    def call() -> None:
        while kept:
            for breaker, fn in ((quotes, down), (stock, int)):
                try:
                    breaker.call(fn)
                except (ConnectionError, CircuitOpenError):
                    continue
            time.sleep(0.005)

    threading.Thread(target=call, daemon=True).start()
    with make_server("127.0.0.1", 0, app(), handler_class=Quiet) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()

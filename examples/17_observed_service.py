"""A service that can be seen into: metrics and health on a port of their own, durations, one line for the rest.

Run it with: python examples/17_observed_service.py (and look at it with: resilix top URL)
"""

import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx2

import resilix
from resilix import CircuitBreaker, pipeline, retry
from resilix.httpx2 import Client
from resilix.prometheus import timed
from resilix.testing import FaultServer
from resilix.wsgi import app


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Not here."""


def main() -> None:
    with FaultServer() as backend, make_server("127.0.0.1", 0, app(), handler_class=Quiet) as observed:
        threading.Thread(target=observed.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{observed.server_port}"

        quotes = CircuitBreaker("quotes", consecutive=3, open_for=60.0)
        policy = pipeline(
            timed("quotes"), retry(on=httpx2.TransportError, attempts=2, wait=0), quotes, name="quotes"
        )  # fmt: skip
        client = Client(policy=policy, base_url=backend.url)
        client.get("/ACME")
        backend.refuse()
        for _ in range(2):
            try:
                client.get("/ACME")
            except httpx2.TransportError as error:
                print(type(error).__name__)

        told = httpx2.get(f"{here}/health").json()
        print(f"health: {told['status']}; quotes is {told['breakers'][0]['state']}: {told['breakers'][0]['reason']}")
        print(f"the same in code: {resilix.health()['status']}")
        wanted = ("resilix_circuit_breaker_state", "resilix_retries_total", "resilix_call_duration_seconds_count")
        for line in httpx2.get(f"{here}/metrics").text.splitlines():
            if line.startswith(wanted) and not line.endswith(" 0.0"):
                print(line)
        client.close()
        observed.shutdown()


if __name__ == "__main__":
    main()

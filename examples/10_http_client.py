"""An HTTP client that survives a server in trouble, and does nothing you would regret.

Run it with: python examples/10_http_client.py
"""

import httpx2

from resilix.httpx2 import CircuitOpenError, Client, standard
from resilix.testing import FaultServer, steps


def main() -> None:
    with FaultServer() as server:
        # wait=0 keeps the example short; leave it out in real code.
        quotes = standard("quotes", wait=0, breaker={"consecutive": 5})
        with Client(policy=quotes, base_url=server.url) as client:
            server.script("/ACME", 503, steps.reset("after_head"), steps.reply(200, b"4217"))
            reply = client.get("/ACME")
            print(f"GET: {reply.text}; that took {len(server.seen)} requests")

            # A POST that may have arrived is not sent again: the order could be placed twice.
            server.script("/orders", 503)
            reply = client.post("/orders", json={"symbol": "ACME"})
            print(f"POST: the real answer, {reply.status_code}, after 1 request")

            # With a key the server can tell that it is the same order, so it may be sent again.
            server.script("/orders", 503)
            reply = client.post("/orders", json={"symbol": "ACME"}, headers={"Idempotency-Key": "order-7"})
            print(f"POST with a key: {reply.status_code} after 2 requests")

            server.refuse()
            for _ in range(2):
                try:
                    client.get("/ACME")
                except httpx2.ConnectError:
                    print("down: connection refused")
                except CircuitOpenError:
                    print("down: connection refused until the breaker opened")
            try:
                client.get("/ACME")
            except httpx2.TransportError as error:  # our refusal is one of the library's own errors too
                print(f"{type(error).__name__}: nothing was sent")
            print(f"{quotes.calls_total} calls, {quotes.attempts_total} attempts, {quotes.rejected_total} refused")


if __name__ == "__main__":
    main()

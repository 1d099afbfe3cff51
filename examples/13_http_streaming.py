"""Streaming: the place in the bulkhead and the deadline last as long as the body, and a body that dies counts.

Run it with: python examples/13_http_streaming.py
"""

import time

import httpx2

from resilix.httpx2 import Client, standard
from resilix.testing import FaultServer, steps


def main() -> None:
    with FaultServer() as server:
        server.always("/events", steps.drip(200, b"tick " * 3, every=0.01, size=5))
        server.always("/cut", steps.close("mid_body"))
        server.always("/drip", steps.drip(200, b"x" * 1000, every=0.05))
        policy = standard("events", limit=1, within=0.5)
        with Client(policy=policy, base_url=server.url) as client:
            with client.stream("GET", "/events") as response:
                state = policy.states()[server.url]
                assert state.bulkhead is not None
                assert state.breaker is not None
                print(f"while it streams: {state.bulkhead.in_use} of {state.bulkhead.limit} places taken")
                print("".join(response.iter_text()).strip())
            print(f"afterwards: {state.bulkhead.in_use} taken")

            try:
                with client.stream("GET", "/cut") as response:
                    response.read()
            except httpx2.RemoteProtocolError:
                failures = state.breaker.snapshot().failures
                print(f"the body died after a good head: {failures} failure counted, not sent again")

            started = time.monotonic()
            try:
                with client.stream("GET", "/drip") as response:
                    response.read()
            except httpx2.ReadTimeout:
                over = time.monotonic() - started - 0.5
                print(f"a byte now and then: cut {'in time' if over < 0.2 else f'{over:.1f} s late'}")


if __name__ == "__main__":
    main()

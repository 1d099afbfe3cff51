"""What the HTTP layer costs: ``python -m benchmarks.http [--rounds N] [--json FILE] [--markdown FILE]``.

Two questions. The layer alone: a request through the transport of ours, or of a peer, around one that hands back an
answer made before. And its share of a request: the CPU time of the client's thread for a GET over a kept-alive
connection to a local server, with and without the layer, in interleaved rounds. Peers that are not installed are left
out and named.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import httpx2

from benchmarks.measure import Figure, compare, median_and_spread
from benchmarks.report import machine, say
from resilix.httpx2 import AsyncTransport, Client, Transport, standard
from resilix.testing import FaultServer, steps

LAYER_GOAL = 1.5
"""Microseconds that the layer of four policies may add to a request."""
SHARE_GOAL = 0.02
"""Share of a client's CPU time per request that it may add."""
TIMEOUTS = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}
BATCH = 20
"""Requests a round and variant, against the server."""


ANSWER = b"4217"


class PassThrough(httpx2.HTTPTransport):
    """Hands back one answer, made before; of the make of a real transport, so that it is treated like one."""

    answer = httpx2.Response(200, content=ANSWER)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        return self.answer


class AsyncPassThrough(httpx2.AsyncHTTPTransport):
    """The same, async."""

    answer = httpx2.Response(200, content=ANSWER)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        return self.answer


class OldPassThrough(httpx.HTTPTransport):
    """The same for a peer that knows httpx alone."""

    answer = httpx.Response(200, content=ANSWER)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        return self.answer


def request(library: Any = httpx2) -> Any:
    """What a client would hand to its transport."""
    return library.Request("GET", "http://quotes.test/ACME", extensions={"timeout": TIMEOUTS})


def peers() -> dict[str, Callable[[int], Any]]:
    """The transports of others that are installed; each does less than ours, as its name says."""
    found: dict[str, Callable[[int], Any]] = {}
    try:
        breaker = importlib.import_module("interlock.integrations.httpx2")
        found["interlock-cb: breaker"] = _sender(
            breaker.CircuitBreakerTransport(PassThrough()).handle_request, request()
        )
    except ImportError:
        say("  interlock-cb is not installed: make bench-http installs it")
    try:
        retries = importlib.import_module("httpx_retries")
        found["httpx-retries: retry"] = _sender(
            retries.RetryTransport(transport=OldPassThrough()).handle_request, request(httpx)
        )
    except ImportError:
        say("  httpx-retries is not installed: make bench-http installs it")
    return found


def layers(inner: Any, make: Any, kind: str) -> dict[str, Any]:
    """The transports to compare, the bare one first."""
    return {
        "pass-through": inner,
        "breaker": make(standard(f"{kind}-1", attempts=1, attempt_timeout=None, within=None), inner=inner),
        "retry + breaker": make(standard(f"{kind}-2", attempt_timeout=None, within=None), inner=inner),
        "all four, and two time limits": make(standard(f"{kind}-4", limit=20), inner=inner),
        "all four, one key": make(standard(f"{kind}-5", limit=20, per=None), inner=inner),
    }


def sync_layer(rounds: int) -> list[Figure]:
    """The layer alone, sync."""
    one = request()
    transports = layers(PassThrough(), Transport, "sync")
    ours = {name: _sender(transport.handle_request, one) for name, transport in transports.items()}
    return compare({**ours, **peers()}, rounds)


def async_layer(rounds: int) -> list[Figure]:
    """The layer alone, async."""
    one = request()
    transports = layers(AsyncPassThrough(), AsyncTransport, "async")
    variants = {name: _sender(transport.handle_async_request, one) for name, transport in transports.items()}
    return compare(variants, rounds, awaited=True)


def _sender(send: Callable[[httpx2.Request], Any], one: httpx2.Request) -> Callable[[int], Any]:
    return lambda _: send(one)


def serve() -> None:
    """The server, in a process of its own, until its input ends."""
    with FaultServer() as server:
        server.default = steps.reply(200, ANSWER * 64)
        print(server.url, flush=True)
        sys.stdin.read()


def share_of_a_request(rounds: int) -> dict[str, Any]:
    """CPU time of the client's thread per request, with and without the layer."""
    command = [sys.executable, "-c", "from benchmarks.http import serve; serve()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        url = server.stdout.readline().strip()
        with httpx2.Client() as plain, Client(policy=standard("share", limit=20)) as guarded:
            per_request = _rounds({"plain": plain, "guarded": guarded}, url, rounds)
        server.stdin.close()
    added, spread = median_and_spread(
        [1e6 * (own - base) for own, base in zip(per_request["guarded"], per_request["plain"], strict=True)]
    )
    plain_us = statistics.median(per_request["plain"]) * 1e6
    return {"share": added / plain_us, "spread": spread / plain_us, "plain_us": plain_us, "added_us": added}


def _rounds(clients: dict[str, Any], url: str, rounds: int) -> dict[str, list[float]]:
    per_request: dict[str, list[float]] = {name: [] for name in clients}
    for number in range(rounds + 1):
        for name in random.sample(list(clients), len(clients)):
            begin = time.thread_time()
            for _ in range(BATCH):
                clients[name].get(url)
            if number:  # the first round warms up
                per_request[name].append((time.thread_time() - begin) / BATCH)
    return per_request


def run(rounds: int) -> dict[str, Any]:
    """Measure everything and print it as it comes."""
    results: dict[str, Any] = {"machine": machine(), "rounds": rounds}
    for key, title, measure in (
        ("sync", "the layer alone, sync", sync_layer),
        ("async", "the layer alone, async", async_layer),
    ):
        say(f"\n{title} …")
        figures = measure(rounds)
        results[key] = [asdict(figure) for figure in figures]
        say(*layer_lines(results[key]))
    say("\nits share of a GET over a kept-alive connection to a local server …")
    results["share"] = share_of_a_request(max(5, rounds // 4))
    say(share_line(results["share"]))
    return results


def layer_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The table of one group, in microseconds above the pass-through."""
    bare = rows[0]["nanoseconds"]
    lines = []
    for row in rows:
        added = (row["nanoseconds"] - bare) / 1000
        goal = ""
        if row["name"].startswith("all four,"):
            goal = f"≤ {LAYER_GOAL:g} µs {'met' if added <= LAYER_GOAL else 'MISSED'}"
        lines.append(f"  {row['name']:32}{added:8.2f} µs   {goal}".rstrip())
    return lines


def share_line(share: dict[str, Any]) -> str:
    """The share in one line."""
    met = "met" if share["share"] <= SHARE_GOAL else "MISSED"
    return (
        f"  {share['share']:.1%} ± {share['spread']:.1%} of {share['plain_us']:.0f} µs, "
        f"{share['added_us']:.1f} µs a request   ≤ {SHARE_GOAL:.0%} {met}"
    )


def markdown(results: dict[str, Any]) -> str:
    """The tables for the README."""
    parts = []
    for key in ("sync", "async"):
        parts += [f"**HTTP, the layer alone, {key}**", "", "| transport | µs added | goal |", "|---|---|---|"]
        for line in layer_lines(results[key]):
            name, _, rest = line.strip().partition("  ")
            figure, _, goal = rest.strip().partition("   ")
            parts.append(f"| {name} | {figure.removesuffix(' µs')} | {goal} |")
        parts.append("")
    return "\n".join([*parts, f"**HTTP, share of a request:** {share_line(results['share']).strip()}"])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="rounds a group (default 200)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write all tables there")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: at least one round is needed")
    results = run(options.rounds)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
        say(f"figures: {options.json}")
    if options.markdown:
        options.markdown.write_text(markdown(results) + "\n")
        say(f"tables: {options.markdown}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

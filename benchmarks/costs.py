"""What is not a call: threads on one breaker, memory of an idle one, the import."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from benchmarks.measure import WARM_UP, median_and_spread
from benchmarks.parts import Names, bare, count_breaker, identity, time_breaker
from resilix import CircuitBreaker
from resilix.policies.weave import LOOM

THREADS = (1, 2, 4, 8)
CALLS = 400_000
"""Shared out among the threads. Each of eight still outlasts the 5 ms after which the interpreter switches threads."""

Scaling = dict[str, dict[str, dict[str, float]]]
"""Variant → number of threads → throughput as a share of one thread's, its spread, and calls per second."""


def thread_scaling(rounds: int, calls: int = CALLS) -> Scaling:
    """Throughput of several threads on one shared object; wall clock."""
    variants = {
        "bare wrapper": bare(identity),
        "breaker, count window": count_breaker()(identity),
        "breaker, default (time window)": time_breaker()(identity),
    }
    return scaling_of(variants, dict.fromkeys(variants, calls), rounds)


def scaling_of(variants: dict[str, Callable[..., Any]], calls: dict[str, int], rounds: int) -> Scaling:
    """The same for other variants, with so many calls of each."""
    seconds: dict[tuple[str, int], list[float]] = {(name, n): [] for name in variants for n in THREADS}
    for _ in range(rounds):
        for name, threads in random.sample(list(seconds), len(seconds)):
            seconds[name, threads].append(_together(variants[name], threads, calls[name] // threads))
    scaling: Scaling = {name: {} for name in variants}
    for (name, n), many in seconds.items():
        share, spread = median_and_spread([one / own for one, own in zip(seconds[name, 1], many, strict=True)])
        pace = calls[name] // n * n / statistics.median(many)
        scaling[name][str(n)] = {"share": share, "spread": spread, "calls_per_second": pace}
    return scaling


def _together(call: Callable[..., Any], threads: int, each: int) -> float:
    """Seconds from the first thread's first call to the last thread's last."""
    barrier = threading.Barrier(threads)
    times: list[tuple[float, float]] = []

    def work() -> None:
        barrier.wait()
        begin = time.perf_counter()
        for _ in range(each):
            call(1)
        times.append((begin, time.perf_counter()))

    crew = [threading.Thread(target=work) for _ in range(threads)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    return max(end for _, end in times) - min(begin for begin, _ in times)


def memory_per_breaker(count: int = 500, make: Callable[[], object] = lambda: CircuitBreaker(Names.new())) -> float:
    """Bytes of an idle breaker with default options, its name included."""
    make()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [make() for _ in range(count)]
        size = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    finally:
        tracemalloc.stop()
    return size


def decoration_seconds(rounds: int) -> dict[str, dict[str, float]]:
    """Seconds to put a breaker on a function with parameters of a kind never seen before, and of a known kind."""
    breaker = count_breaker()

    def seconds(*, forget: bool) -> float:
        def fn(value: int, *, more: int = 0) -> int:
            return value + more

        if forget:
            LOOM.forget()
        begin = time.thread_time()
        breaker(fn)
        return time.thread_time() - begin

    measured = {}
    for name, forget in (("a new shape", True), ("a known shape", False)):
        several = [seconds(forget=forget) for _ in range(rounds + WARM_UP)][WARM_UP:]
        measured[name] = dict(zip(("seconds", "spread"), median_and_spread(several), strict=True))
    return measured


IMPORTS = {"nothing": "pass", "tenacity": "import tenacity", "resilix": "import resilix"}


def import_seconds(rounds: int, modules: dict[str, str] = IMPORTS) -> dict[str, dict[str, float]]:
    """Wall seconds of a fresh interpreter that does this and nothing else; medians and spreads, interleaved.

    All of them find bytecode caches, in a directory of their own: else an installed tenacity would be compared with a
    resilix that is compiled every time.
    """
    seconds: dict[str, list[float]] = {name: [] for name in modules}
    with tempfile.TemporaryDirectory() as caches:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = caches
        for one in modules.values():
            subprocess.run([sys.executable, "-c", one], check=True, env=env)
        for _ in range(rounds):
            for name in random.sample(list(modules), len(modules)):
                begin = time.perf_counter()
                subprocess.run([sys.executable, "-c", modules[name]], check=True, env=env)
                seconds[name].append(time.perf_counter() - begin)
    return {
        name: dict(zip(("seconds", "spread"), median_and_spread(several), strict=True))
        for name, several in seconds.items()
    }

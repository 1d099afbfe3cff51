"""What is not a call: threads on one breaker, memory of an idle one, the import."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from benchmarks.cases import Names, bare, count_breaker, identity, time_breaker
from resilix import CircuitBreaker

THREADS = (1, 2, 4, 8)
CALLS = 40_000


def thread_scaling(rounds: int) -> dict[str, dict[int, float]]:
    """Throughput of several threads on one shared breaker, as a share of one thread's; wall clock."""
    variants = {
        "bare wrapper": bare(identity),
        "breaker, count window": count_breaker()(identity),
        "breaker, default (time window)": time_breaker()(identity),
    }
    seconds: dict[tuple[str, int], list[float]] = {(name, n): [] for name in variants for n in THREADS}
    for _ in range(rounds):
        for name, threads in random.sample(list(seconds), len(seconds)):
            seconds[name, threads].append(_together(variants[name], threads))
    return {
        name: {
            n: statistics.median(one / many for one, many in zip(seconds[name, 1], seconds[name, n], strict=True))
            for n in THREADS
        }
        for name in variants
    }


def _together(call: Callable[..., Any], threads: int) -> float:
    """Seconds for a fixed number of calls, shared out among the threads."""
    barrier = threading.Barrier(threads + 1)

    def work() -> None:
        barrier.wait()
        for _ in range(CALLS // threads):
            call(1)

    crew = [threading.Thread(target=work) for _ in range(threads)]
    for one in crew:
        one.start()
    barrier.wait()
    begin = time.perf_counter()
    for one in crew:
        one.join()
    return time.perf_counter() - begin


def memory_per_breaker(count: int = 500) -> float:
    """Bytes of an idle breaker with default options, its name included."""
    CircuitBreaker(Names.new())
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [CircuitBreaker(Names.new()) for _ in range(count)]
        size = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    finally:
        tracemalloc.stop()
    return size


def import_seconds(rounds: int) -> dict[str, float]:
    """Wall seconds of a fresh interpreter that imports this and nothing else; medians, interleaved."""
    modules = {"nothing": "pass", "tenacity": "import tenacity", "resilix": "import resilix"}
    seconds: dict[str, list[float]] = {name: [] for name in modules}
    for _ in range(rounds):
        for name in random.sample(list(modules), len(modules)):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", modules[name]], check=True)
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(several) for name, several in seconds.items()}

"""Experiments with pipelines, timeouts and windows."""

from __future__ import annotations

import threading
import time
from typing import Any

from benchmarks.peers.checks import Recorder, outcome
from benchmarks.peers.jobs import TRIP
from benchmarks.peers.peer import NEVER, Peer
from benchmarks.peers.probes.experiment import BRIEF, part_of, trip


def thread_a_call(peer: Peer) -> str | None:
    """Each call under a sync timeout starts a thread of its own."""
    recorder, started = Recorder(), []
    guarded = part_of(peer, "pipeline")(NEVER, 10, 5.0)(recorder.function(False))
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        started.append(thread)
        real(thread)

    outcome(guarded)
    threading.Thread.start = start
    try:
        for _ in range(10):
            outcome(guarded)
    finally:
        threading.Thread.start = real
    return f"10 quiet calls, one after the other, started {len(started)} threads" if len(started) >= 10 else None


def counts_calls(peer: Peer) -> str | None:
    """The breaker stands outside the retry: all attempts of a call count as one failure."""
    recorder = Recorder()
    guarded = part_of(peer, "pipeline")(TRIP, 10, None)(recorder.function(False))
    recorder.failures = NEVER
    outcome(guarded)
    before = recorder.calls
    outcome(guarded)
    return f"{before} failed attempts, limit {TRIP}, and still closed" if recorder.calls > before >= TRIP else None


def poisoned(peer: Peer) -> str | None:
    """A ``TimeoutError`` of the caller's own makes the sync timeout hit a worker thread, and later calls suffer."""
    failing = [True]

    def call(value: int) -> int:
        if failing:
            raise TimeoutError("the socket's own")
        return value

    guarded = part_of(peer, "pipeline")(NEVER, 10, 2 * BRIEF)(call)
    for _ in range(20):
        outcome(guarded)
    failing.clear()
    time.sleep(BRIEF)
    results = [outcome(guarded) for _ in range(3)]
    bad = [one for one in results if one != 1]
    return f"after 20 of them a good call ended in {type(bad[0]).__name__}" if bad else None


def needs_loop(peer: Peer) -> str | None:
    """Its timeout decorator cannot be applied at import, for it asks for a running event loop."""
    from hyx.timeout import timeout

    async def call(value: int) -> int:
        return value

    try:
        timeout(5.0)(call)
    except RuntimeError as error:
        return f"RuntimeError: {error}"
    return None


def window_grows(peer: Peer) -> str | None:
    """A call costs more, the longer the time window is."""
    from interlock import CircuitBreaker, Config
    from interlock.window import WindowType

    def cost(seconds: int) -> float:
        config = Config(window_type=WindowType.TIME_BASED, window_size=seconds, minimum_number_of_calls=NEVER)
        return _cost(CircuitBreaker(name=f"window of {seconds}", config=config)(_identity))

    return _growth(cost(10), cost(3600), "a window of 3,600 s", "of 10 s")


def count_window_grows(peer: Peer) -> str | None:
    """A call costs more, the more calls the window holds."""
    from pyresilience import CircuitBreakerConfig, resilient

    def cost(calls: int) -> float:
        config = CircuitBreakerConfig(sliding_window_size=calls)
        guarded = resilient(circuit_breaker=config)(_identity)
        for _ in range(calls):
            guarded(1)
        return _cost(guarded)

    return _growth(cost(10), cost(1000), "a window of 1,000 calls", "of 10")


def _identity(value: int) -> int:
    return value


def _cost(guarded: Any) -> float:
    best = float("inf")
    for _ in range(7):
        begin = time.thread_time()
        for _ in range(200):
            guarded(1)
        best = min(best, time.thread_time() - begin)
    return best


def _growth(small: float, large: float, what: str, than: str) -> str | None:
    return f"a call under {what} cost {large / small:.1f} times one under one {than}" if large > 2 * small else None


def wedged(peer: Peer) -> str | None:
    """A classifier that raises in a trial call leaves the breaker half-open for good."""
    from interlock import CircuitBreaker, Config

    class Classifier:
        broken = False

        def is_failure(self, *, result: object, exception: BaseException | None) -> bool:
            if self.broken:
                raise KeyError("a bug in the classifier")
            return exception is not None

    classifier, recorder = Classifier(), Recorder()
    config = Config(
        minimum_number_of_calls=TRIP, window_size=10, wait_duration_in_open=BRIEF, permitted_calls_in_half_open=1
    )
    guarded = CircuitBreaker(name="wedged", config=config, classifier=classifier)(recorder.function(False))
    trip(guarded, recorder)
    time.sleep(2 * BRIEF)
    classifier.broken = True
    outcome(guarded)
    classifier.broken, recorder.calls = False, 0
    time.sleep(4 * BRIEF)
    for _ in range(10):
        outcome(guarded)
        time.sleep(BRIEF / 5)
    return "one such error, and ten later calls were all refused" if recorder.calls == 0 else None

"""What a scrape costs, and what it survives: broken policies, traffic in eight threads, a thousand breakers."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from time import perf_counter
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.support.front import fresh
from tests.support.prom_text import series, shown, text_of

from resilix import Bulkhead, CircuitBreaker, RetryBudget, events, pipeline
from resilix.events import HUB
from resilix.prometheus import install


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry with our collector alone."""
    gc.collect()  # policies of other tests must not die between two readings
    made = CollectorRegistry()
    install(made)
    return made


class Clock:
    """A clock of the user's that can break."""

    def __init__(self) -> None:
        self.asked = 0
        self.broken = False

    def __call__(self) -> float:
        self.asked += 1
        if self.broken:
            raise OSError("no time")
        return 1.0


def failing() -> None:
    """Fail."""
    raise ConnectionError("down")


def test_installing_reads_nothing_and_a_call_costs_the_same() -> None:
    """No clock is asked, no listener added, and a call runs the same functions as before."""
    clock, registry = Clock(), CollectorRegistry()
    quotes = CircuitBreaker(fresh("prom"), clock=clock)
    guarded = pipeline(quotes, Bulkhead(fresh("prom"), limit=2))
    guarded.call(int)
    asked, listeners, steps = clock.asked, HUB.listeners, steps_of(guarded.call)
    between = clock.asked
    install(registry)
    assert clock.asked == between
    assert HUB.listeners == listeners
    assert steps_of(guarded.call) == steps
    assert between > asked
    assert shown(registry)[series("resilix_calls_total", policy=quotes.name, outcome="success")] == 3
    assert clock.asked > between


def steps_of(call: Any) -> list[tuple[str, str]]:
    """Every function that one quiet call enters and leaves."""
    seen: list[tuple[str, str]] = []
    sys.setprofile(lambda frame, event, arg: seen.append((event, frame.f_code.co_qualname)))
    try:
        call(int)
    finally:
        sys.setprofile(None)
    return seen


def test_a_policy_that_cannot_be_read_does_not_break_the_scrape(registry: CollectorRegistry) -> None:
    """It is left out for as long, the error is counted and told to listeners, and the others are all there."""
    clock = Clock()
    broken, sound = CircuitBreaker(fresh("prom"), clock=clock), CircuitBreaker(fresh("prom"))
    slots, purse = Bulkhead(fresh("prom"), limit=2), RetryBudget(fresh("prom"))
    whole = shown(registry)
    clock.broken = True
    heard: list[Any] = []
    stop = events.subscribe(heard.append)
    seen = shown(registry)
    stop()
    hooks = series("resilix_hook_errors_total")
    assert seen.pop(hooks) == whole.pop(hooks) + 1
    assert seen == {key: value for key, value in whole.items() if broken.name not in dict(key[1]).values()}
    assert {sound.name, slots.name, purse.name} <= {value for key in seen for value in dict(key[1]).values()}
    assert [(event.policy, event.name, event.hook) for event in heard] == [("breaker", broken.name, "reading")]
    clock.broken = False
    assert shown(registry).keys() >= whole.keys()


def test_a_scrape_in_the_middle_of_traffic_is_sound(registry: CollectorRegistry) -> None:
    """Eight threads call, fail and are refused; no count ever falls, and in the end none is missing."""
    quotes = CircuitBreaker(fresh("prom"), consecutive=None, failure_rate=1.0, min_calls=10_000)
    slots = Bulkhead(fresh("prom"), limit=20)
    guard = pipeline(quotes, slots)

    def traffic() -> None:
        for number in range(500):
            if number % 5:
                guard.call(int)
            else:
                with pytest.raises(ConnectionError):
                    guard.call(failing)

    threads = [threading.Thread(target=traffic) for _ in range(8)]
    for thread in threads:
        thread.start()
    keys = [series("resilix_calls_total", policy=quotes.name, outcome=one) for one in ("success", "failure")]
    last, scrapes = [0.0, 0.0], 0
    while any(thread.is_alive() for thread in threads) or scrapes < 3:
        seen = shown(registry)
        now = [seen[key] for key in keys]
        assert all(before <= after for before, after in zip(last, now, strict=True))
        assert 0 <= seen[series("resilix_bulkhead_in_use", bulkhead=slots.name)] <= 8
        last, scrapes = now, scrapes + 1
    for thread in threads:
        thread.join()
    seen = shown(registry)
    assert [seen[key] for key in keys] == [3200, 800]
    assert seen[series("resilix_bulkhead_in_use", bulkhead=slots.name)] == 0


def test_a_scrape_of_a_thousand_breakers_is_quick(registry: CollectorRegistry) -> None:
    """Thirteen thousand series: some tens of milliseconds to read, and nothing that grows faster than their number."""
    kept = [CircuitBreaker(fresh("prom")) for _ in range(1000)]
    took: list[float] = []
    for _ in range(3):
        began = perf_counter()
        text = text_of(registry)
        took.append(perf_counter() - began)
    assert text.count("resilix_circuit_breaker_state{") >= 3000
    assert min(took) < 2.0
    assert len(kept) == 1000


def test_without_prometheus_client_the_import_says_what_to_install() -> None:
    """With the name of the extra."""
    code = "import sys; sys.modules['prometheus_client'] = None\nimport resilix.prometheus"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'resilix-toolkit[prometheus]'" in ran.stderr
    assert ran.returncode == 1

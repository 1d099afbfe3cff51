"""``resilix.prometheus.push``: the same metrics, written again and again. With real workers: tests/e2e."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter
from tests.support.front import fresh
from tests.support.prom_text import Series, series, shown, text_of

from resilix import Bulkhead, CircuitBreaker, ConfigurationError, RetryBudget
from resilix.prometheus import install, push
from resilix.telemetry.prom_push import PUSHING, Recorder
from resilix.telemetry.readings import readings

LONG = 3600.0
"""An interval that no test lives to see the end of."""


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()


@pytest.fixture(autouse=True)
def _nobody_pushes_before_or_after() -> Iterator[None]:
    gc.collect()  # policies of other tests must not die between two readings
    yield
    left = list(PUSHING.active)
    for pusher in left:
        pusher.stop()
    assert not [one for one in threading.enumerate() if one.name == "resilix-prometheus-push"]


def successes(name: str) -> Series:
    """The series of a breaker's successes."""
    return series("resilix_calls_total", policy=name, outcome="success")


def test_what_is_pushed_is_what_is_read(registry: CollectorRegistry) -> None:
    """Every name, label and value, at once: the same text as that of the collector, but for when series were made."""
    quotes, slots, purse = CircuitBreaker(fresh("prom")), Bulkhead(fresh("prom"), limit=3), RetryBudget(fresh("prom"))
    quotes.call(int)
    quotes.open()
    push(LONG, registry=registry)
    collected = CollectorRegistry()
    install(collected)
    made = {key: value for key, value in shown(registry).items() if not key[0].endswith("_created")}
    assert made == shown(collected)
    assert {quotes.name, slots.name, purse.name} <= {label for key in made for _, label in key[1]}


def test_counts_are_added_once(registry: CollectorRegistry) -> None:
    """However often it is written."""
    quotes, recorder = CircuitBreaker(fresh("prom")), Recorder(100, registry)
    for calls, whole in ((3, 3), (0, 3), (0, 3), (4, 7)):
        for _ in range(calls):
            quotes.call(int)
        recorder.push()
        assert shown(registry)[successes(quotes.name)] == whole


def test_a_policy_that_dies_and_comes_back_goes_on_counting(registry: CollectorRegistry) -> None:
    """Its own count starts at nothing; what is shown never falls, whether its absence was seen or not."""
    name, recorder = fresh("prom"), Recorder(100, registry)
    totals: list[float] = []
    for calls, seen_dead in ((5, True), (6, False), (7, False), (1, False)):
        quotes = CircuitBreaker(name)
        for _ in range(calls):
            quotes.call(int)
        recorder.push()
        totals.append(shown(registry)[successes(name)])
        del quotes
        gc.collect()
        if seen_dead:
            recorder.push()
            assert shown(registry)[successes(name)] == totals[-1]
    # 6 after 5: it was seen gone, so all are new. 7 after 6: looks like one more. 1 after 7: it fell, so 1 is new.
    assert totals == [5, 11, 12, 13]


def test_gauges_of_the_dead_go(registry: CollectorRegistry) -> None:
    """Outside multiprocess mode the series itself goes; its counters stay."""
    slots, quotes, recorder = Bulkhead(fresh("prom"), limit=3), CircuitBreaker(fresh("prom")), Recorder(100, registry)
    quotes.call(int)
    recorder.push()
    names = slots.name, quotes.name
    assert series("resilix_bulkhead_limit", bulkhead=names[0]) in shown(registry)
    del slots, quotes
    gc.collect()
    recorder.push()
    left = shown(registry)
    assert series("resilix_bulkhead_limit", bulkhead=names[0]) not in left
    assert series("resilix_circuit_breaker_state", breaker=names[1], state="closed") not in left
    assert left[successes(names[1])] == 1


def test_names_beyond_the_bound_share_one_and_none_is_counted_twice(registry: CollectorRegistry) -> None:
    """A name keeps what it was called at first, though names that sort before it come later."""
    recorder = Recorder(2, registry)
    recorder.push()
    kept = [CircuitBreaker(fresh("zz-prom")) for _ in range(4)]
    for round_ in range(3):
        kept.append(CircuitBreaker(fresh(f"aa{3 - round_}-prom")))
        for one in kept:
            one.call(int)
        recorder.push()
    pushed = {key: value for key, value in shown(registry).items() if key[0] == "resilix_calls_total"}
    assert len({dict(key[1])["policy"] for key in pushed}) <= 3
    read = next(family for family in readings() if family.name == "resilix_calls_total")
    # Policies of other tests that died in between are pushed and not read any more.
    assert sum(pushed.values()) >= sum(value for _, value in read.samples)
    assert pushed[series("resilix_calls_total", policy="other", outcome="success")] >= sum((3, 3, 3, 2, 1))


def test_it_is_written_again_and_again(registry: CollectorRegistry) -> None:
    """In a daemon thread that ends when it is stopped; stopping writes a last time, and gauges go."""
    quotes = CircuitBreaker(fresh("prom"))
    stop = push(0.01, registry=registry)
    state = series("resilix_circuit_breaker_state", breaker=quotes.name, state="closed")
    assert shown(registry)[state] == 1
    (thread,) = [one for one in threading.enumerate() if one.name == "resilix-prometheus-push"]
    assert thread.daemon
    quotes.call(int)
    eventually(lambda: shown(registry)[successes(quotes.name)] == 1)
    stop()
    stop()
    assert not thread.is_alive()
    assert state not in shown(registry)
    quotes.call(int)
    assert shown(registry)[successes(quotes.name)] == 1


def eventually(true: Callable[[], bool]) -> None:
    """Wait for another thread, ten seconds at most."""
    until = time.monotonic() + 10.0
    while not true():
        assert time.monotonic() < until
        threading.Event().wait(0.005)


def test_stopping_writes_what_was_counted_last(registry: CollectorRegistry) -> None:
    """And going on later counts nothing twice."""
    quotes = CircuitBreaker(fresh("prom"))
    stop = push(LONG, registry=registry)
    quotes.call(int)
    stop()
    assert shown(registry)[successes(quotes.name)] == 1
    quotes.call(int)
    push(LONG, registry=registry)()
    assert shown(registry)[successes(quotes.name)] == 2


def test_it_is_called_once(registry: CollectorRegistry) -> None:
    """Twice would count twice; two registries outside multiprocess mode are two places."""
    push(LONG, registry=registry)
    with pytest.raises(ConfigurationError, match="pushes into this registry already"):
        push(LONG, registry=registry)
    push(LONG, registry=CollectorRegistry())
    assert len(PUSHING.active) == 2


def test_it_and_the_collector_do_not_share_a_registry(registry: CollectorRegistry) -> None:
    """Whichever comes second is refused, and leaves nothing behind."""
    install(registry)
    with pytest.raises(ConfigurationError, match="by install"):
        push(LONG, registry=registry)
    assert text_of(registry).count("# HELP resilix_calls_total") == 1

    other = CollectorRegistry()
    Counter("resilix_hook_errors_total", "Mine, and the last of ours.", registry=other)
    with pytest.raises(ConfigurationError, match="resilix_hook_errors_total already"):
        push(LONG, registry=other)
    assert text_of(other).count("# HELP resilix_hook_errors_total") == 1
    assert "resilix_calls_total" not in text_of(other)
    assert PUSHING.active == []

    pushed = CollectorRegistry()
    push(LONG, registry=pushed)
    with pytest.raises(ConfigurationError, match="with push"):
        install(pushed)


def test_a_disk_that_is_full_ends_nothing(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, by the error's type alone; later all is caught up with, and what was written is not again."""
    one, two = CircuitBreaker(fresh("prom")), CircuitBreaker(fresh("prom"))
    full, added = True, 0

    def checked(counter: Counter, amount: float = 1) -> None:
        nonlocal added
        added += 1
        if full and added > 1:
            raise OSError("/secret/place: no space left on device")
        real(counter, amount)

    real: Callable[[Counter, float], None] = Counter.inc
    monkeypatch.setattr(Counter, "inc", checked)
    one.call(int)
    two.call(int)
    with caplog.at_level(logging.ERROR, logger="resilix"):
        push(LONG, registry=registry)
        (pusher,) = PUSHING.active
        pusher.write()
    assert [record.getMessage() for record in caplog.records] == [
        "metrics could not be written to prometheus-client: OSError (said once)"
    ]
    full = False
    pusher.write()
    collected = CollectorRegistry()
    install(collected)
    whole = {key: value for key, value in shown(collected).items() if key[0] == "resilix_calls_total"}
    assert {key: shown(registry)[key] for key in whole} == whole
    assert whole[successes(one.name)] == whole[successes(two.name)] == 1


def test_an_interval_is_a_duration(registry: CollectorRegistry) -> None:
    """Zero would be a loop without a pause."""
    for interval in (0, -1.0, float("nan"), "5"):
        with pytest.raises(ConfigurationError, match="push\\(interval="):
            push(interval, registry=registry)  # type: ignore[arg-type]
    assert text_of(registry) == ""
